"""What ships for Prometheus and Grafana is right, and about metrics that exist.

The rule here: names and labels are held against a scrape of the real application, rules are judged
by promtool, and queries are answered by a real Prometheus that scrapes a real gateway.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from gateway.core.breaker import BreakerState
from gateway.core.credential import CredentialState
from gateway.core.exchange import Outcome
from tests.docs.pages import ROOT, read
from tests.plugins.full_scrape import render_full_scrape, samples_of
from tests.plugins.gateway import CODES, Gateway
from tests.plugins.prometheus import (
    SHIPPED,
    VARIABLES,
    Query,
    dashboard,
    dashboard_queries,
    rules,
    run_prometheus,
)
from tests.plugins.raw_caller import Caller
from tests.plugins.scene import V1, body_of, raw_request

ALERTS = [rule for rule in rules() if "alert" in rule]
RECORDED = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
QUERIES = [
    *dashboard_queries(),
    *(
        Query(f"variable {variable['name']}", variable["definition"])
        for variable in dashboard()["templating"]["list"]
        if variable["type"] == "query"
    ),
    *(Query(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()),
]
OF_PROMETHEUS = {"up": set(), "job": set(), "instance": set()}
TARGET_LABELS = {"job", "instance"}  # Prometheus' own, on every series
NAME = re.compile(r"\b(?:gateway|process)[_:][a-z0-9_:]+|\bup\b")
SELECTOR = re.compile(r"([a-z][a-z0-9_:]+)\{([^}]*)\}")
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
BY = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
LEGEND = re.compile(r"\{\{(?:\s*\$labels\.)?\s*([a-z_]+)\s*\}\}")
VALUES = {
    "outcome": {*Outcome, "sent", "dropped"},
    "code": CODES,
    "state": {
        *CredentialState,
        *BreakerState,
        *("busy", "idle", "dialing", "starting", "ready", "draining", "stopping", "down"),
    },
}
# They have nothing to show while all is well.
QUIET = {
    "Failed by providers",
    "Failure rate by provider",
    "Errors by code",
    "Refusals by rule",
    "Stalls",
    "Requests without a price",
    "Cost in the last 24 hours",
    "Cost per day, by provider and model",
    "Concurrent requests by rule",
    "Breakers that are not closed",
    "Credentials that are not used",
    "Degraded components",
    "Traces",  # switched off
    "In flight",
    "Tokens per second",
    "Event loop: maximum lag",
}


@pytest.fixture(scope="module")
def scraped() -> dict[str, set[str]]:
    """The labels of every series of a scrape in which nothing is missing."""
    return samples_of(render_full_scrape())


def run(program: Path, *arguments: str) -> None:
    """Run promtool; what it says when it is not content is the failure."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_is_content_with_the_configuration(promtool_path: Path) -> None:
    """It reads the rules too."""
    run(promtool_path, "check", "config", str(SHIPPED / "prometheus.yml"))


def test_promtool_is_content_with_the_metrics(promtool_path: Path) -> None:
    """Names, units, helps, and the text itself."""
    done = subprocess.run(
        [promtool_path, "check", "metrics"],
        input=render_full_scrape(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_alert_fires_for_what_it_is_about(promtool_path: Path) -> None:
    """And none for a gateway that is well."""
    run(promtool_path, "test", "rules", str(SHIPPED / "gateway.rules.test.yml"))

    tests = yaml.safe_load((SHIPPED / "gateway.rules.test.yml").read_text(encoding="utf-8"))
    fired, silent = set(), set()
    for test in tests["tests"]:
        for case in test["alert_rule_test"]:
            (fired if case["exp_alerts"] else silent).add(case["alertname"])
    assert fired == silent == {rule["alert"] for rule in ALERTS}


def test_every_alert_says_what_to_do() -> None:
    """Whoever is woken by it has never seen the gateway."""
    page = read("docs/operate/alerts.md")
    headings = re.findall(r"^## (\w+)$", page, re.MULTILINE)

    assert headings == [rule["alert"] for rule in ALERTS]
    for rule, section in zip(ALERTS, page.split("\n## ")[1:], strict=True):
        assert rule["annotations"]["runbook"] == f"docs/operate/alerts.md#{rule['alert'].lower()}"
        assert f"Severity: `{rule['labels']['severity']}`" in section
        assert "\n- " in section


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_a_query_is_about_series_that_exist(query: Query, scraped: dict[str, set[str]]) -> None:
    """A panel that is empty for ever looks like one where nothing happens."""
    known = {**scraped, **OF_PROMETHEUS}
    names = [name for name in NAME.findall(query.text) if name not in TARGET_LABELS]
    assert names
    labels = set(TARGET_LABELS)
    for name in names:
        assert name in known or name in RECORDED, name
        of_metrics = NAME.findall(RECORDED[name]) if name in RECORDED else [name]
        labels.update(*(known.get(one, set()) for one in of_metrics))
    for name, matchers in SELECTOR.findall(query.text):
        for label, value in MATCHER.findall(matchers):
            assert label in known[name] | TARGET_LABELS, (name, label)
            if label in VALUES and not value.startswith("$"):
                assert set(value.split("|")) <= VALUES[label], (label, value)
    for group in BY.findall(query.text):
        assert {label.strip() for label in group.split(",")} <= labels, group
    assert set(LEGEND.findall(query.legend)) <= labels


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_names_labels_that_it_has(rule: dict[str, dict[str, str]]) -> None:
    """`<no value>` in a message at night."""
    said = set(re.findall(r"\$labels\.([a-z_]+)", json.dumps(rule["annotations"])))
    by = [group for text in (str(rule["expr"]), *RECORDED.values()) for group in BY.findall(text)]
    of_series = {"instance", "job", "worker", "component", "provider", "model"}

    assert said <= {label.strip() for group in by for label in group.split(",")} | of_series


def test_every_metric_is_on_the_dashboard(scraped: dict[str, set[str]]) -> None:
    """What nobody sees need not be counted."""
    shown = " ".join(query.text for query in dashboard_queries())
    names = {re.sub(r"_(bucket|count|sum)$", "", name) for name in scraped}

    missing = {name for name in names if name not in shown}

    assert missing == {"process_virtual_memory_bytes"}


def test_the_dashboard_can_be_provisioned() -> None:
    """No data source of ours is named in it, and nothing covers anything else."""
    board = dashboard()
    provided = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/dashboards/gateway.yml").read_text()
    )
    variables = [variable["name"] for variable in board["templating"]["list"]]
    places = [
        (x, y)
        for panel in board["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert provided["providers"][0]["type"] == "file"
    assert variables == ["datasource", "job", "instance", "provider", "model"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    used = set(re.findall(r'"uid": "([^"]*)"', json.dumps(board["panels"])))
    assert used == {"${datasource}"}


async def test_prometheus_answers_every_query_about_a_real_gateway(
    prometheus_path: Path, gateway: Gateway, tmp_path: Path
) -> None:
    """Names can be right and a query wrong: it has to be asked."""
    target = gateway.admin_url.removeprefix("http://")
    async with run_prometheus(prometheus_path, tmp_path, target) as prometheus:
        await prometheus.wait_for('up{job="gateway"} == 1')
        await ask(gateway)
        await prometheus.wait_for('gateway_tokens_total{direction="out"} > 0')
        await ask(gateway)  # a rate is that of what came after the first
        await prometheus.wait_for("gateway:exchanges:rate5m > 0")

        empty = set()
        for query in dashboard_queries():
            text = query.text
            for variable, value in VARIABLES.items():
                text = text.replace(variable, value)
            if not await prometheus.ask(text):
                empty.add(query.where)
        firing = await prometheus.ask('ALERTS{alertstate="firing"}')

    assert empty <= QUIET
    assert [one["metric"]["alertname"] for one in firing] in ([], ["GatewayUnpriced"])


async def ask(gateway: Gateway) -> None:
    """One stream, heard to its end."""
    body = json.dumps(body_of(V1, {"count": 9})).encode()
    head = (f"POST {V1} HTTP/1.1", f"Content-Length: {len(body)}", "Connection: close")
    async with Caller(gateway.port) as caller:
        await caller.send(raw_request(*head, body=body))
        assert (await caller.read_to_end()).status == 200
