"""Reverse proxies that are told to read their files again while answers flow.

The rule here: an answer that has begun is carried to its end by who began it. HAProxy and Caddy are
not run here as a service runs them, and so are not told.
"""

import asyncio
import signal

import pytest

from tests.plugins.proxies.row import V1, Row, only_linux
from tests.plugins.stepped_provider import DONE, END, event_of

pytestmark = only_linux()

RELOADED_S = 20
RELOAD = {"nginx": signal.SIGHUP, "apache": signal.SIGUSR1}


@pytest.mark.parametrize("proxy", RELOAD, indirect=True)
async def test_a_reload_cuts_nobody_off(row: Row) -> None:
    """Certificates are renewed every two months, in the middle of somebody's answer."""
    before = row.proxy.children
    async with row.call() as caller:
        await row.ask(caller, V1)
        await row.provider.open_stream()
        await row.provider.send(event_of(content="One"))
        await caller.read_until(event_of(content="One"))

        row.proxy.process.send_signal(RELOAD[row.proxy.name])
        async with asyncio.timeout(RELOADED_S):
            while row.proxy.children <= before:  # noqa: ASYNC110 - a process tells nobody
                await asyncio.sleep(0.01)
        await row.provider.send(event_of(content=" two"))
        await caller.read_until(event_of(content=" two"))
        await row.provider.send(DONE)
        await row.provider.send_raw(END)
        rest = await caller.read_to_end()

    assert rest.raw.endswith(b"\r\n0\r\n\r\n")
    assert (await row.gateway.log.wait_for_settled())[0]["outcome"] == "finished"
