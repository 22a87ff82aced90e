// Prints, for each query of standard input (one a line), where Grafana's grammar finds a mistake;
// null where there is none.
//
// node logql.mjs < QUERIES
import { readFileSync } from "node:fs";
import { parser } from "@grafana/lezer-logql";

for (const query of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  let mistake = null;
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.type.isError) mistake ??= node.from;
    },
  });
  console.log(JSON.stringify(mistake));
}
