"""The configurations of log shippers that ship, held against the fields that the gateway writes.

The rule here: what a real program says is asked of it (Vector's own remap language, the schema that
Elastic publishes, Grafana's grammar); where there is none to be had, the file itself is read.
"""

import importlib
import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.logs.fields import EXCHANGE, LINE, OTHER
from gateway.logs.lines import parse_line
from tests.docs.pages import read, table_rows
from tests.house.tree import ROOT
from tests.plugins.alloy_syntax import AlloySyntaxError, parse_alloy
from tests.plugins.log_lines import line_of, other, settled, written
from tests.plugins.programs import refuse

LOGS = ROOT / "deploy" / "logs"
PAGE = "docs/operate/log-shipping.md"
LABELS = {"level", "event", "provider", "outcome"}
METADATA = {"request_id", "principal", "model", "status", "error_code"}
FILE = "/var/log/chat-gateway/gateway.log"
NO_EVENT = '{job="gateway", event=""}'
NODE_S = 20
# Of which Elasticsearch would refuse a value of another kind.
KINDS = {
    "long": int,
    "integer": int,
    "keyword": (str, list),
    "wildcard": str,
    "match_only_text": str,
    "date": str,
    "ip": str,
    "object": dict,
}


def load(name: str) -> dict[str, Any]:
    """Read a YAML file."""
    loaded: dict[str, Any] = yaml.safe_load((LOGS / name).read_text(encoding="utf-8"))
    return loaded


def accessors(text: str) -> dict[str, str]:
    """Read `name=$field` of Fluent Bit."""
    return dict(re.findall(r"(\w+)=\$(\w+)", text))


def vector() -> tuple[set[str], set[str]]:
    """Give what Vector's program makes labels and metadata of."""
    source = load("vector.yaml")["transforms"]["gateway_lines"]["source"]
    found = re.findall(r"\.(labels|metadata) = .*?compact\(\{(.*?)\}\)", source, re.DOTALL)
    parts = {name: dict(re.findall(r'"(\w+)": line\.(\w+)', body)) for name, body in found}
    assert all(name == field for part in parts.values() for name, field in part.items())
    return set(parts["labels"]), set(parts["metadata"])


def fluent_bit() -> tuple[set[str], set[str]]:
    """Give what Fluent Bit makes labels and metadata of."""
    (output,) = load("fluent-bit.yaml")["pipeline"]["outputs"]
    parts = [accessors(output["labels"]), accessors(output["structured_metadata"])]
    assert all(name == field for part in parts for name, field in part.items())
    return set(parts[0]), set(parts[1])


def alloy() -> tuple[set[str], set[str]]:
    """Give what Alloy makes labels and metadata of."""
    process = parse_alloy((LOGS / "config.alloy").read_text())['loki.process "gateway"']
    labels = set(process["stage.labels"]["values"])
    metadata = set(process["stage.structured_metadata"]["values"])
    assert set(process["stage.json"]["expressions"]) == labels | metadata | {"timestamp"}
    assert process["stage.timestamp"]["source"] == "timestamp"
    assert process["stage.match"] == {"selector": NO_EVENT, "action": "drop"}
    return labels, metadata


def promtail() -> tuple[set[str], set[str]]:
    """Give what Promtail makes labels and metadata of."""
    (scrape,) = load("promtail.yaml")["scrape_configs"]
    stages = {name: stage for found in scrape["pipeline_stages"] for name, stage in found.items()}
    labels, metadata = set(stages["labels"]), set(stages["structured_metadata"])
    assert set(stages["json"]["expressions"]) == labels | metadata | {"timestamp"}
    assert stages["timestamp"]["source"] == "timestamp"
    assert stages["match"] == {"selector": NO_EVENT, "action": "drop"}
    return labels, metadata


@pytest.mark.parametrize("shipper", [vector, fluent_bit, alloy, promtail])
def test_loki_gets_few_labels_and_the_rest_as_metadata(shipper: Any) -> None:
    """A label for each request or caller is a stream for each: Loki slows down, then refuses."""
    assert shipper() == (LABELS, METADATA)


def test_every_label_is_a_field_of_the_gateway() -> None:
    """A field that was renamed would be an empty label, and nobody would be told."""
    assert {*LINE, *EXCHANGE} >= LABELS | METADATA


@pytest.mark.parametrize("path", sorted(LOGS.iterdir()), ids=lambda path: path.name)
def test_all_read_the_same_file(path: Path) -> None:
    """One page says where the log is; a shipper of another file ships nothing."""
    if path.suffix != ".js":
        assert FILE in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(LOGS.iterdir()), ids=lambda path: path.name)
def test_no_file_holds_a_credential(path: Path) -> None:
    """Where one is needed, it comes from the shipper's own store."""
    assert re.findall(r"(?i)(?:password|token|api_key): *(?!\$\{)\S", path.read_text()) == []


def test_fluent_bit_reads_the_time_as_it_is_written() -> None:
    """A format that does not fit gives every line the time of its reading."""
    (parser,) = load("fluent-bit.yaml")["parsers"]
    assert parser["time_key"] == "timestamp"
    # %L is what Fluent Bit calls milliseconds; it takes a time without a zone for UTC.
    written_at = datetime.strptime(
        settled("2026-11-28T12:00:00.250Z")["timestamp"], parser["time_format"].replace("%L", "%f")
    ).replace(tzinfo=UTC)
    assert written_at == datetime(2026, 11, 28, 12, 0, 0, 250_000, tzinfo=UTC)


def test_fluent_bit_makes_no_label_of_a_null() -> None:
    """It would write the word `null`: `error_code!=""` would find every exchange that was fine."""
    filters = load("fluent-bit.yaml")["pipeline"]["filters"]
    removed = {one["remove"]: one["condition"] for one in filters if one["name"] == "modify"}

    # The others are never null, or a number, which the condition would take for none.
    assert set(removed) == (LABELS | METADATA) - {"level", "event", "request_id", "status"}
    for name, condition in removed.items():
        assert condition == f"Key_value_does_not_match {name} ."


def run_vrl(message: str) -> dict[str, Any] | None:
    """Run Vector's program on a line; None where it ends there."""
    try:
        vrl = importlib.import_module("pyvrl")
    except ImportError:
        refuse("vrl", "Vector's remap language is not installed: pip install pyvrl")
    source = load("vector.yaml")["transforms"]["gateway_lines"]["source"]
    program = vrl.Transform(f"{source}\n.")  # gives what the last expression is: the event
    try:
        event: dict[str, Any] = program.remap({"message": message})
    except ValueError as error:
        if str(error) != "remap failure: aborted":
            raise
        return None
    return event


def test_vectors_own_compiler_takes_the_program() -> None:
    """The compiler and runtime are those of Vector."""
    line = line_of(settled(status=502, error_code="upstream_reset", model="a\u00e9", provider=None))

    event = run_vrl(line.decode())

    assert event is not None
    assert event["message"].encode() == line
    assert event["labels"] == {
        "level": "info",
        "event": "exchange.settled",
        "outcome": "finished",
    }
    assert event["metadata"] == {
        "request_id": "r1",
        "principal": "alice",
        "model": "a\u00e9",
        "status": "502",
        "error_code": "upstream_reset",
    }
    assert event["timestamp"] == datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "message", ["listening http://127.0.0.1:8080", "[1]", '{"event":"x"}', '{"timestamp":"', ""]
)
def test_vector_passes_over_what_is_not_ours(message: str) -> None:
    """A banner would be a stream without labels."""
    assert parse_line(message.encode()) is None
    assert run_vrl(message) is None


@pytest.fixture(scope="module")
def documents(node_path: Path, node_modules: Path) -> list[dict[str, Any] | None]:
    """Give what Filebeat's script makes of some lines, and what ECS says of the fields."""
    assert node_modules.is_dir()
    lines = [
        settled(error_code="x", error_detail="y", labels={"team": "search"}, client="::1"),
        settled(client="unknown", outcome="client_gone", duration_s=None, status=None),
        other("task.crashed", level="error", task="flush", exception="Traceback"),
    ]
    done = subprocess.run(
        [node_path, ROOT / "tests/node/ecs.mjs", LOGS / "filebeat-ecs.js"],
        input=written(*lines) + b'listening\n[1]\n{"event":1}\n',
        capture_output=True,
        timeout=NODE_S,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def at(fields: dict[str, Any], path: str) -> Any:
    """Give the value at a path."""
    for name in path.split("."):
        fields = fields[name]
    return fields


def test_every_field_is_one_of_ecs_with_a_value_of_its_kind(
    documents: list[dict[str, Any] | None],
) -> None:
    """Elasticsearch refuses the whole document for one value of the wrong kind."""
    made = [document for document in documents if document is not None]

    assert len(made) == 3
    for document in made:
        for path, schema in document["known"].items():
            assert schema is not None, f"ECS has no {path}"
            value = at(document["fields"], path)
            assert isinstance(value, KINDS[schema["type"]]), path
            if "allowed" in schema:
                assert set(value if isinstance(value, list) else [value]) <= set(schema["allowed"])


def test_an_exchange_is_where_ecs_has_it(documents: list[dict[str, Any] | None]) -> None:
    """What ECS has no place for stays under `gateway`; null is nowhere."""
    assert documents[0] is not None
    fields = documents[0]["fields"]

    assert at(fields, "@timestamp") == "2026-11-28T12:00:00.000Z"
    assert at(fields, "http.request.id") == "r1"
    assert at(fields, "event.duration") == 1_000_000_000
    assert at(fields, "client.ip") == "::1"
    assert at(fields, "gateway.outcome") == "finished"
    assert not set(fields["gateway"]) - {*EXCHANGE}
    assert None not in fields["gateway"].values()


def test_a_caller_without_an_address_is_no_reason_to_refuse_a_document(
    documents: list[dict[str, Any] | None],
) -> None:
    """A proxy that gives none makes `client` the word `unknown`."""
    assert documents[1] is not None
    fields = documents[1]["fields"]

    assert fields["client"] == {"address": "unknown"}
    assert at(fields, "event.outcome") == "unknown"
    assert "duration" not in fields["event"]


def test_filebeat_passes_over_what_is_not_ours(documents: list[dict[str, Any] | None]) -> None:
    """A banner is no document."""
    assert documents[3:] == [None, None, None]


def test_the_script_moves_fields_that_there_are() -> None:
    """And knows every way in which an exchange ends."""
    script = (LOGS / "filebeat-ecs.js").read_text()
    targets = re.search(r"var TARGETS = \{(.*?)\};", script, re.DOTALL)
    outcomes = re.search(r"var OUTCOMES = \{(.*?)\};", script, re.DOTALL)

    assert targets is not None
    assert outcomes is not None
    assert set(re.findall(r"^ +(\w+):", targets[1], re.MULTILINE)) <= {*LINE, *EXCHANGE, *OTHER}
    assert set(re.findall(r"^ +(\w+):", outcomes[1], re.MULTILINE)) == set(
        table_rows("docs/operate/logs.md", "outcome")
    )


def test_queries_on_the_page_are_logql(node_path: Path, node_modules: Path) -> None:
    """Grafana's own grammar reads them, and they ask for fields that there are."""
    assert node_modules.is_dir()
    queries = [
        query
        for block in re.findall(r"```logql\n(.*?)```", read(PAGE), re.DOTALL)
        for query in block.splitlines()
    ]
    queries.append(NO_EVENT)
    done = subprocess.run(
        [node_path, ROOT / "tests/node/logql.mjs"],
        input="\n".join(queries),
        text=True,
        capture_output=True,
        timeout=NODE_S,
        check=True,
    )
    fields = {
        name for query in queries for name in re.findall(r"\b([a-z_]+) *(?:=~|!=|=|>|<)", query)
    } | {name for query in queries for name in re.findall(r"unwrap (\w+)", query)}

    assert len(queries) > 1
    assert [json.loads(line) for line in done.stdout.splitlines()] == [None] * len(queries)
    assert fields <= {*LINE, *EXCHANGE, "job", "__error__"}


def test_the_page_names_every_file() -> None:
    """A file that nobody is told of is not used."""
    page = read(PAGE)

    assert [path.name for path in LOGS.iterdir() if f"deploy/logs/{path.name}" not in page] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a {", "} should stand here"),
        ("a = \n", "a name should"),
        ("a = 1\na = 2", "twice"),
        ("a = ~", "what is '~'?"),
        ("}", "a end should"),
    ],
)
def test_the_reader_of_alloys_syntax_reads_no_mistakes(text: str, said: str) -> None:
    """A checker that takes everything checks nothing."""
    with pytest.raises(AlloySyntaxError, match=re.escape(said)):
        parse_alloy(text)
