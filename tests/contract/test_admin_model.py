"""The admin API does what a dictionary would, whatever is asked of it in whichever order."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.config.settings import Settings
from gateway.console.admin import build_admin_app
from gateway.console.readiness import Readiness
from gateway.core.clock import system_clock
from gateway.stores.opening import open_keys
from tests.plugins.admins import ADMIN, AdminCaller, Answer
from tests.plugins.stored_keys import ENVIRON, new_key, spec_of

NAMES = st.sampled_from(["alice", "bob", "carol"])
LASTING = st.sampled_from([None, "0s", "1h"])  # what ends within the test has ended at once


class AdminMachine(RuleBasedStateMachine):
    """The API on a file beside a model: of every name its keys, and which of them go on."""

    @initialize()
    def open(self) -> None:
        """Begin with an empty file."""
        self.directory = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        spec = spec_of(f"sqlite:///{Path(self.directory.name) / 'gateway.db'}")
        self.opened = self.run(open_keys(spec, ENVIRON, timeout_s=10))
        self.client = self.run(self.start())
        self.admin = AdminCaller(self.client)
        self.goes_on: dict[str, dict[str, bool]] = {}  # by name: every key that was shown
        self.over: set[str] = set()  # names whose keys have all ended, whatever is shown later
        self.disabled: set[str] = set()

    async def start(self) -> TestClient[Any, Any]:
        """Serve the API."""
        app = build_admin_app(
            Readiness(),
            render_metrics=lambda: b"",
            settings=Settings.model_validate({"admin": ADMIN}),
            find_keys=lambda: self.opened,
        )
        client = TestClient(TestServer(app))
        await client.start_server()
        return client

    def run(self, work: Any) -> Any:
        """Do something in the loop that the API runs in."""
        return self.loop.run_until_complete(work)

    def post(self, path: str, **fields: str | None) -> Answer:
        """Ask for a change."""
        given = {name: value for name, value in fields.items() if value is not None}
        answer = self.run(self.admin.post(path, given))
        assert isinstance(answer, Answer)
        return answer

    @rule(name=NAMES, expires=LASTING)
    def create(self, name: str, expires: str | None) -> None:
        """A name is given once."""
        answer = self.post("/keys", name=name, expires=expires)
        if expires == "0s":
            assert answer.outcome == (400, "invalid_request")
            self.end_by_itself(name)
            return
        if name in self.goes_on:
            assert answer.outcome == (409, "key_exists")
            return
        assert answer.status == 201
        self.goes_on[name] = {answer.body["key"]: True}

    def end_by_itself(self, name: str) -> None:
        """A key whose end came after it was made."""
        if name in self.goes_on:
            return
        key, stored = new_key(self.opened.peppers, name, expires_at=1)
        self.run(self.opened.store.save_key(stored))
        self.goes_on[name] = {key: True}
        self.over.add(name)

    @rule(name=NAMES, overlap=LASTING)
    def rotate(self, name: str, overlap: str | None) -> None:
        """The keys that there were go on for the overlap; one that has ended does not begin."""
        answer = self.post(f"/keys/{name}/rotate", overlap=overlap)
        if name not in self.goes_on:
            assert answer.outcome == (404, "key_not_found")
        elif name in self.disabled:
            assert answer.outcome == (409, "key_disabled")
        elif name in self.over:
            assert answer.outcome == (409, "key_expired")
        else:
            assert answer.status == 200
            keys = self.goes_on[name]
            for key in keys:
                keys[key] = keys[key] and overlap != "0s"
            keys[answer.body["key"]] = True

    @rule(name=NAMES)
    def disable(self, name: str) -> None:
        """For ever; that it was before is told."""
        answer = self.post(f"/keys/{name}/disable")
        if name not in self.goes_on:
            assert answer.outcome == (404, "key_not_found")
        else:
            assert answer.body["was_disabled"] == (name in self.disabled)
            self.disabled.add(name)

    @invariant()
    def everything_is_what_the_model_says(self) -> None:
        """The list, and what a gateway finds for every key that was ever shown."""
        if not hasattr(self, "admin"):
            return
        listed = self.run(self.admin.get("/keys")).body
        assert [shown["name"] for shown in listed["keys"]] == sorted(self.goes_on)
        for shown in listed["keys"]:
            name, keys = shown["name"], self.goes_on[shown["name"]]
            is_over = name in self.over or name in self.disabled
            works = {key: goes_on and not is_over for key, goes_on in keys.items()}
            assert (shown["state"] == "disabled") == (name in self.disabled)
            assert (shown["state"] == "active") == any(works.values())
            assert len(shown["secrets"]) == len(keys)
            for key in keys:
                assert key not in str(listed)
                found = self.run(self.opened.store.find_key(self.opened.peppers.digests(key)))
                assert found.name == name
                assert (found.state_at(system_clock()) == "active") == works[key]

    def teardown(self) -> None:
        """Let go of the file."""
        self.run(self.client.close())
        self.run(self.opened.store.close())
        self.loop.close()
        self.directory.cleanup()


AdminMachine.TestCase.settings = settings(
    max_examples=5,
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAdmin = AdminMachine.TestCase
