// Runs deploy/logs/filebeat-ecs.js as Filebeat would, on the lines of standard input, and prints
// each document, or null for a line that ends there, and what ECS says about its fields.
//
// node ecs.mjs FILEBEAT-ECS.JS < LINES
import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";
import ecs from "@elastic/ecs";

// What Filebeat hands to a script: fields by their path, and a way to drop all of it.
class Event {
  constructor(fields) {
    this.fields = fields;
    this.cancelled = false;
  }
  Get(path) {
    return path.split(".").reduce((at, name) => at?.[name], this.fields);
  }
  Put(path, value) {
    const names = path.split(".");
    const last = names.pop();
    const at = names.reduce((inner, name) => (inner[name] ??= {}), this.fields);
    at[last] = value;
  }
  Delete(path) {
    const names = path.split(".");
    const last = names.pop();
    delete this.Get(names.join("."))[last];
  }
  Cancel() {
    this.cancelled = true;
  }
}

function* paths(fields, before = "") {
  for (const [name, value] of Object.entries(fields)) {
    const path = before + name;
    if (path === "gateway") continue;
    if (EcsFlat[path] || value === null || typeof value !== "object") yield path;
    else yield* paths(value, `${path}.`);
  }
}

const { EcsFlat } = ecs;
const script = createContext({});
runInContext(readFileSync(process.argv[2], "utf8"), script);
for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  let parsed = null;
  try {
    parsed = JSON.parse(line);
  } catch {
    // The parser of Filebeat leaves out what is no JSON, and the script sees nothing.
  }
  const event = new Event({ gateway: parsed });
  runInContext("process", script)(event);
  const known = Object.fromEntries(
    [...paths(event.fields)].map((path) => [
      path,
      EcsFlat[path]
        ? { type: EcsFlat[path].type, allowed: EcsFlat[path].allowed_values?.map((v) => v.name) }
        : null,
    ]),
  );
  console.log(JSON.stringify(event.cancelled ? null : { fields: event.fields, known }));
}
