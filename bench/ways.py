"""The ways from a caller to the upstream: directly, or through a system in one of its dialects.

The rule here: the same messages, the same model and the same answer on every way.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bench.accounting import find_tree
from bench.jobs import Ask, Watch
from bench.programs import HOST
from bench.systems import GATEWAY, Site, System

SCHEMES = ("http", "https")
DIRECT = "direct"
NGINX = "nginx"
RELAY = "plain aiohttp relay"
GATEWAY_COMPLETIONS = "gateway `/v1`"
GATEWAY_CHAT = "gateway `/api/chat`"
# What each system is asked for, by the row of the report.
ROWS = {"nginx": (NGINX,), "relay": (RELAY,), GATEWAY: (GATEWAY_COMPLETIONS, GATEWAY_CHAT)}

COMPLETIONS = "/v1/chat/completions"
PRESET_CHUNKS = 100
MESSAGES = [{"role": "user", "content": "Hello there, how are you doing today?"}]


@dataclass(frozen=True, slots=True)
class Answering:
    """How the upstream is to answer: the model's name tells it, and what will come."""

    model: str
    chunks: int  # 0: a JSON document


JSON_ANSWER = Answering("bench-json", 0)


def stream_answer(chunks: int, *, gap_s: float | None = None) -> Answering:
    """A stream of the preset `bench`, at its own pace unless another is given."""
    if chunks == PRESET_CHUNKS and gap_s is None:
        return Answering("bench", chunks)
    directive: dict[str, object] = {"preset": "bench", "count": chunks}
    if gap_s is not None:
        directive["gap_s"] = gap_s
    return Answering("sim:" + json.dumps(directive, separators=(",", ":")), chunks)


@dataclass(frozen=True, slots=True)
class Way:
    """One row of a table: how to ask one system in one dialect."""

    row: str
    site: Site
    system: System | None  # none: the upstream itself

    def ask(self, scheme: str, answering: Answering) -> Ask:
        """The request for an answer that comes from the upstream of this scheme."""
        path, body = self._path_and_body(scheme, answering)
        is_encrypted = self.system is None and scheme == "https"
        return Ask(
            port=self.system.port if self.system else self.site.upstream_ports[scheme],
            request=render_request(path, body, self.system.headers if self.system else {}),
            chunks=answering.chunks,
            has_done=answering.chunks > 0 and self.row != GATEWAY_CHAT,
            ca_file=str(self.site.certificates.authority) if is_encrypted else "",
        )

    def watch(self) -> Watch:
        """The processes to read."""
        pid = self.system.program.pid if self.system else None
        return Watch(
            system=find_tree(pid) if pid else (), upstream=find_tree(self.site.upstream_pid)
        )

    def _path_and_body(self, scheme: str, answering: Answering) -> tuple[str, dict[str, object]]:
        model, is_stream = answering.model, answering.chunks > 0
        if self.row == GATEWAY_CHAT:
            settings = {"model": model, "temperature": 0.5}
            return f"/api/chat/{scheme}", {"chatSettings": settings, "messages": MESSAGES}
        path = COMPLETIONS
        if self.system is not None and self.system.name == GATEWAY:
            model = f"{scheme}/{model}"  # the gateway's caller names the provider in the model
        elif self.row != DIRECT:
            path = f"/{scheme}{COMPLETIONS}"
        return path, {"model": model, "stream": is_stream, "messages": MESSAGES}


def ways_through(site: Site, system: System) -> tuple[Way, ...]:
    """The ways through one system, a row each."""
    return tuple(Way(row, site, system) for row in ROWS[system.name])


def render_request(path: str, body: Mapping[str, object], headers: Mapping[str, str]) -> bytes:
    """The bytes of a request, made once and sent again and again."""
    content = json.dumps(body, separators=(",", ":")).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {HOST}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content
