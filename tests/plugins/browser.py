"""A real Chromium that opens one page, which says itself what it saw.

The rule here: nothing drives the browser from outside. The page asks for its task and reports;
the browser is ended when it has.
"""

import asyncio
import json
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.plugins.programs import refuse

PAGE = Path(__file__).parents[1] / "browser" / "front-end.html"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing but the page: no look-ups of its own, no first-run pages, no graphics card.
SWITCHES = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
TIMEOUT_S = 45


class FrontEnd:
    """A chat front end: an origin of its own, and a browser to look at it."""

    def __init__(self, chromium: Path, profile: Path) -> None:
        self._chromium = chromium
        self._profile = profile
        self._task: dict[str, Any] = {}
        self._report: asyncio.Future[Any] | None = None
        self._shown = ""  # of the answer, by now
        self._has_changed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.origin = ""

    async def start(self) -> None:
        """Serve the page on a free port."""
        app = web.Application()
        app.router.add_get("/", self._show_page)
        app.router.add_get("/task", self._give_task)
        app.router.add_post("/seen", self._note_seen)
        app.router.add_post("/report", self._take_report)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Serve no more."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def show(
        self, url: str, body: str, *, headers: Mapping[str, str] | None = None, stop: bool = False
    ) -> Any:
        """What a user sees of one answer; `stop` presses the button after the first text."""
        self._task = {"url": url, "body": body, "headers": dict(headers or {}), "stop": stop}
        self._report = asyncio.get_running_loop().create_future()
        browser = await self._open_browser()
        ended = asyncio.ensure_future(browser.wait())
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await asyncio.wait([self._report, ended], return_when=asyncio.FIRST_COMPLETED)
            if not self._report.done():
                assert browser.stderr is not None
                pytest.fail(f"Chromium ended: {(await browser.stderr.read())[-2000:]!r}")
            return self._report.result()
        finally:
            if browser.returncode is None:
                browser.kill()
            await ended

    async def wait_until_shown(self, text: str) -> None:
        """Wait until this much of the answer is on the screen."""
        async with asyncio.timeout(TIMEOUT_S):
            while self._shown != text:
                self._has_changed.clear()
                await self._has_changed.wait()

    async def _open_browser(self) -> Process:
        # Its sandbox does not start as root, as which tests run in containers.
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        profile = f"--user-data-dir={self._profile}"
        return await asyncio.create_subprocess_exec(
            self._chromium, *SWITCHES, *sandbox, profile, self.origin, stdout=DEVNULL, stderr=PIPE
        )

    async def _show_page(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE)

    async def _give_task(self, _: web.Request) -> web.Response:
        return web.json_response(self._task)

    async def _note_seen(self, request: web.Request) -> web.Response:
        self._shown = await request.text()
        self._has_changed.set()
        return web.Response()

    async def _take_report(self, request: web.Request) -> web.Response:
        assert self._report is not None
        self._report.set_result(json.loads(await request.text()))
        return web.Response()


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """Give the Chromium program."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        refuse("chromium", "chromium is not installed: apt install chromium")
    return Path(found)


@pytest.fixture
async def front_end_site(chromium_path: Path, tmp_path: Path) -> AsyncIterator[FrontEnd]:
    """A front end on an origin of its own."""
    opened = FrontEnd(chromium_path, tmp_path / "profile")
    await opened.start()
    yield opened
    await opened.stop()
