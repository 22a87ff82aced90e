"""Every table says what the code says.

The rule here: the code is asked, so that a field, code, metric or command without its row fails.
"""

import re
from collections.abc import Iterator

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from typer.main import get_command

from gateway.app import CHAIN, build_app
from gateway.cli.main import app as command_line
from gateway.config.load import load_registry
from gateway.config.settings import Settings
from gateway.core.errors import GatewayError, InternalError, UpstreamError
from gateway.core.events import EVENTS
from gateway.core.exchange import Exchange, Outcome
from gateway.core.upstream_errors import UpstreamAnswerError
from gateway.plugins import api
from gateway.relay.relay import CLIENT_STALLED
from gateway.telemetry.exchange_fields import describe_exchange
from tests.docs.pages import ROOT, read, table_rows
from tests.docs.tables import PLACES, with_table
from tests.plugins.full_scrape import render_full_scrape

ERRORS = "docs/operate/errors.md"
LOGS = "docs/operate/logs.md"
LINE_FIELDS = ("timestamp", "level", "event")  # of every line, whatever it is about


def family(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    """Every class of errors below this one, itself included."""
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


def of_the_gateway() -> list[type[GatewayError]]:
    """Every class that is part of the gateway; tests may have made more."""
    return [kind for kind in family(GatewayError) if kind.__module__.startswith("gateway.")]


@pytest.mark.parametrize(("page", "name"), PLACES)
def test_a_table_is_as_the_models_are(page: str, name: str) -> None:
    """`python -m tests.docs.tables` writes it; a table written by hand lies before long."""
    assert read(page) == with_table(read(page), name)


def test_every_error_code_is_explained_with_its_status() -> None:
    """Who meets a code looks it up; a code without a row sends them to the source."""
    rows = table_rows(ERRORS, "code")

    for kind in of_the_gateway():
        status = rows.get(kind.code, ["missing"])[0]
        is_the_providers = issubclass(kind, UpstreamAnswerError) or kind is UpstreamError
        assert status == ("the provider's" if is_the_providers else str(kind.status)), kind.code


def test_no_error_code_is_explained_that_is_none() -> None:
    """A code that was renamed keeps being searched for."""
    from_elsewhere = {
        CLIENT_STALLED,
        "headers_too_large",
        "https_required",
        "too_many_connections",
        "gateway_unreachable",
        "gateway_timeout",
    }

    explained = set(table_rows(ERRORS, "code")) - from_elsewhere

    assert explained == {kind.code for kind in of_the_gateway()}


def test_what_is_tried_again_is_said() -> None:
    """Whoever waits for an answer wants to know whether somebody is trying."""
    rows = table_rows(ERRORS, "code")

    for kind in family(UpstreamError):
        if kind is UpstreamError or issubclass(kind, UpstreamAnswerError):
            continue
        if kind in of_the_gateway():
            assert rows[kind.code][1] == ("yes" if kind.is_retryable else "no"), kind.code


def test_the_codes_of_nginx_are_those_of_the_shipped_configuration() -> None:
    """They are written in another language, where no test of ours would see a change."""
    shipped = (ROOT / "deploy/nginx/gateway/http.conf").read_text(encoding="utf-8")
    of_ours = {kind.code for kind in of_the_gateway()}

    codes = {line.split()[1].rstrip(";") for line in _block_of(shipped, "$gateway_error_code")}

    assert codes <= of_ours | set(table_rows(ERRORS, "code"))


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("haproxy/haproxy.cfg", r"txn\.code\)\]([a-z_]+)\""),
        ("caddy/gateway.caddy", r"(?m)^\t+\d{3} ([a-z_]+) "),
        ("apache/gateway/errors.conf", r'code\\":\\"([a-z_]+)\\"'),
        ("apache/gateway/paths.conf", r'code\\":\\"([a-z_]+)\\"'),
    ],
)
def test_the_codes_of_other_proxies_are_explained_too(file: str, code: str) -> None:
    """Whoever meets one looks it up in the same place."""
    codes = set(re.findall(code, (ROOT / "deploy" / file).read_text(encoding="utf-8")))

    assert "gateway_unreachable" in codes
    assert codes <= {kind.code for kind in of_the_gateway()} | set(table_rows(ERRORS, "code"))


def test_every_field_of_the_exchanges_line_is_explained() -> None:
    """A field whose meaning is a guess is read wrongly at three in the morning."""
    exchange = Exchange("id", 0.0, "GET", "/", "127.0.0.1", (), labels={"team": "sales"})

    fields = [*LINE_FIELDS, *describe_exchange(exchange)]

    assert list(table_rows(LOGS, "field")) == fields


def test_the_events_that_are_summed_up_are_named() -> None:
    """Whoever counts their lines has to know."""
    limited = [f"`{name}`" for name, event in EVENTS.items() if event.is_limited]

    assert f"These are {', '.join(limited[:-1])} and {limited[-1]}." in read(LOGS)


def test_every_outcome_is_explained() -> None:
    """The list is closed, and dashboards are built on it."""
    assert list(table_rows(LOGS, "outcome")) == [outcome.value for outcome in Outcome]


def test_every_metric_of_a_scrape_is_explained_with_its_labels() -> None:
    """An alert is written from this table."""
    families = list(text_string_to_metric_families(render_full_scrape()))

    rows = table_rows("docs/operate/metrics.md", "metric")
    assert {name: (cells[0], _words_of(cells[1])) for name, cells in rows.items()} == {
        _full_name(metric): (metric.type, _labels_of(metric)) for metric in families
    }


def test_the_chain_is_shown_in_its_order() -> None:
    """`after` and `before` in gateway.yaml are read off this table."""
    shown = list(table_rows("docs/inside/life-of-an-exchange.md", "middleware"))

    assert shown == [middleware.__name__ for middleware in CHAIN]


def test_all_that_a_plugin_may_import_is_named() -> None:
    """What is not named will be looked for where nothing is promised."""
    assert set(table_rows("docs/plugins/middleware.md", "name")) == set(api.__all__)


def test_every_command_is_in_the_readme() -> None:
    """A command that nobody knows of is not there."""
    commands = {
        command.name or command.callback.__name__
        for command in command_line.registered_commands
        if command.callback is not None
    } | {group.name for group in command_line.registered_groups}

    assert set(table_rows("README.md", "command")) == {f"gateway {name}" for name in commands}


def test_every_option_of_serve_is_in_the_readme() -> None:
    """What is started by hand is changed by hand; an option that nobody knows of is not there."""
    [serve] = [one for one in get_command(command_line).commands.values() if one.name == "serve"]
    options = {name for option in serve.params for name in option.opts}

    assert set(
        re.findall(r"--[a-z-]+", table_rows("README.md", "command")["gateway serve"][0])
    ) == (options)


def test_every_public_path_is_in_the_readme() -> None:
    """A page that nobody knows of is not called, and one that is no more is called in vain."""
    routes = build_app(Settings(), load_registry(environ={})).router.routes()
    paths = {
        f"{route.method} {route.resource.canonical}"
        for route in routes
        if route.resource is not None and route.method != "HEAD"
    }

    assert set(table_rows("README.md", "path")) == paths


def test_errors_of_ours_are_told_from_the_callers() -> None:
    """The heading under which a code stands says who has to act."""
    text = read(ERRORS)
    ours = text[text.index("## The gateway failed") : text.index("## Only in the log")]

    for kind in family(InternalError):
        if kind in of_the_gateway():
            assert f"| `{kind.code}` |" in ours


def _full_name(metric: Metric) -> str:
    """Give a metric's name as Prometheus shows it."""
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _labels_of(metric: Metric) -> set[str]:
    """Give a metric's labels, without that of a bucket's bound."""
    return set(metric.samples[0].labels) - {"le"}


def _words_of(cell: str) -> set[str]:
    """Give what stands between backticks in a cell."""
    return set(re.findall(r"`([a-z_]+)`", cell))


def _block_of(text: str, variable: str) -> list[str]:
    """Give the lines inside the braces of `map $status <variable>`."""
    start = text.index(f"map $status {variable} {{")
    return text[start : text.index("}", start)].splitlines()[1:]
