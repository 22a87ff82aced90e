"""The simulator itself: a listener, its connections, its journal, and what each path answers.

The rule here: nothing but this class is needed to use the simulator; all else is its inside.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from gateway.simulator.asking import parse_body, read_ask
from gateway.simulator.choosing import Chooser, DirectiveError, read_directive
from gateway.simulator.connection import Connection
from gateway.simulator.demo import GATEWAY_URL
from gateway.simulator.journal import Journal
from gateway.simulator.paths import (
    answer_plainly,
    check_credential,
    read_credential,
    refuse,
)
from gateway.simulator.planning import build_plan

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from gateway.simulator.asking import Ask, Request
    from gateway.simulator.directive import Directive
    from gateway.simulator.plan import Plan

# The default 100 overflows when a benchmark opens its streams at once.
BACKLOG = 4096
MAX_PRECOMPUTED = 64


class Simulator:
    """A provider on a real socket that does what each request or script tells it."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        credential: str | None = None,
        scriptable: bool = True,
        journal_limit: int = 2000,
        gateway_url: str = GATEWAY_URL,
    ) -> None:
        self.journal = Journal(journal_limit)
        self.is_stopping = False
        self._ssl_context = ssl_context
        self._credential = credential
        self._scriptable = scriptable
        self.gateway_url = gateway_url  # the address in the demo answer
        self._chooser = Chooser()
        self._by_credential: dict[str, Directive] = {}
        self._precomputed: dict[tuple[object, ...], tuple[Directive, Plan]] = {}
        self._connections: set[Connection] = set()
        self._opened = 0
        self._all_closed = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        self.is_stopping = False
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), host, port, ssl=self._ssl_context, backlog=BACKLOG
        )

    async def stop(self) -> None:
        """Close the listener and all connections, whatever they are doing."""
        self.is_stopping = True
        if self._server is None:
            return
        self._server.close()
        self.drop_connections()
        if self._connections:
            self._all_closed.clear()
            await self._all_closed.wait()
        await self._server.wait_closed()
        self._server = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._address()[1])

    @property
    def base_url(self) -> str:
        """What a client takes for its base URL, with /v1."""
        scheme = "https" if self._ssl_context else "http"
        host, port = self._address()[:2]
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/v1"

    @property
    def open_connections(self) -> int:
        """Connections open now."""
        return len(self._connections)

    @property
    def connections_opened(self) -> int:
        """Connections ever accepted."""
        return self._opened

    def script(self, directive: Directive | dict[str, Any] | str) -> None:
        """Queue a directive for the next requests that carry none."""
        self._chooser.script(directive)

    def answer_credential(
        self, credential: str, directive: Directive | dict[str, Any] | str | None
    ) -> None:
        """Answer every request with this credential so, whatever else it says; None ends that."""
        if directive is None:
            self._by_credential.pop(credential, None)
        else:
            self._by_credential[credential] = read_directive(directive)

    def reset(self) -> None:
        """Forget queued directives and journal records."""
        self._chooser.clear()
        self._by_credential.clear()
        self.journal.clear()

    def drop_connections(self) -> None:
        """Abort every open connection; the listener stays."""
        for connection in tuple(self._connections):
            connection.transport.abort()

    def opened(self, connection: Connection) -> int:
        """Count a connection in."""
        self._connections.add(connection)
        self._opened += 1
        return self._opened

    def closed(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()

    def plan_answer(self, request: Request) -> Plan:
        """The answer to one request."""
        body = parse_body(request.body) if request.body else None
        ask = read_ask(request, body or {})
        of_credential = self._by_credential.get(read_credential(request))
        if of_credential is not None:
            return self._plan(of_credential, ask)
        try:
            directive = self._chooser.choose(request, body) if self._scriptable else None
        except DirectiveError as error:
            directive = refuse(400, str(error), "bad_directive")
        credential = directive.credential if directive and directive.credential else None
        refusal = check_credential(request, credential or self._credential)
        if refusal is not None:
            return build_plan(refusal, ask, "")
        if directive is None:
            directive = answer_plainly(request, body, self.gateway_url)
        return self._plan(directive, ask)

    def _plan(self, directive: Directive, ask: Ask) -> Plan:
        if not directive.precomputed:
            return build_plan(directive, ask, f"chatcmpl-sim{self.journal.count + 1}")
        key = (id(directive), *_facts(directive, ask))
        found = self._precomputed.get(key)
        if found is None:
            if len(self._precomputed) >= MAX_PRECOMPUTED:
                self._precomputed.clear()
            # The directive is kept beside its plan, so that its id is not given to another.
            found = (directive, build_plan(directive, ask, "chatcmpl-sim"))
            self._precomputed[key] = found
        return found[1]

    def _address(self) -> Any:  # noqa: ANN401 - a socket's address has no better type
        if self._server is None:
            raise RuntimeError("The simulator is not started.")
        return self._server.sockets[0].getsockname()


def _facts(directive: Directive, ask: Ask) -> tuple[object, ...]:
    """The facts of a request that its precomputed answer depends on."""
    prompt_tokens = ask.prompt_tokens if directive.prompt_tokens is None else 0
    http = (ask.is_http_1_0, ask.is_head, ask.is_last)
    return (
        *http,
        ask.model,
        ask.stream,
        ask.include_usage,
        ask.choices,
        ask.max_tokens,
        prompt_tokens,
    )


async def serve(
    host: str = "127.0.0.1",
    port: int = 8089,
    *,
    when_ready: Callable[[Simulator], None] | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> None:
    """Run a simulator until cancelled; `when_ready` gets it once it listens."""
    simulator = Simulator(ssl_context=ssl_context)
    await simulator.start(host, port)
    try:
        if when_ready is not None:
            when_ready(simulator)
        await asyncio.Event().wait()
    finally:
        await simulator.stop()
