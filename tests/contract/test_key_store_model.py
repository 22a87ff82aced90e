"""A key store does what a dictionary would, whatever is asked of it in whichever order."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.core.gateway_key import make_key
from gateway.stores.errors import (
    KeyDisabledError,
    KeyExistsError,
    KeyExpiredError,
    KeyNotFoundError,
)
from gateway.stores.opening import open_keys
from tests.plugins.stored_keys import ENVIRON, NOW, new_key, new_secret, spec_of

NAMES = st.sampled_from(["alice", "bob", "carol"])
STEPS_S = st.integers(min_value=0, max_value=50)


class KeyStoreMachine(RuleBasedStateMachine):
    """The store in a file beside a model: per name the end of the key, and its secrets' ends."""

    @initialize()
    def open(self) -> None:
        """Begin with an empty file."""
        self.directory = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        spec = spec_of(f"sqlite:///{Path(self.directory.name) / 'gateway.db'}")
        opened = self.loop.run_until_complete(open_keys(spec, ENVIRON, timeout_s=10))
        self.store, self.peppers = opened.store, opened.peppers
        self.now = NOW
        self.secrets: dict[str, dict[str, int | None]] = {}  # by name, key -> when it ends
        self.ends: dict[str, int | None] = {}
        self.disabled: set[str] = set()

    @rule(name=NAMES, lasts_s=st.none() | STEPS_S)
    def create(self, name: str, lasts_s: int | None) -> None:
        """Make a key, or hear that the name is taken."""
        end = None if lasts_s is None else self.now + lasts_s
        key, stored = new_key(self.peppers, name, created_at=self.now, expires_at=end)
        try:
            self.loop.run_until_complete(self.store.save_key(stored))
        except KeyExistsError:
            assert name in self.secrets
        else:
            assert name not in self.secrets
            self.secrets[name] = {key: None}
            self.ends[name] = end

    @rule(name=NAMES, overlap_s=STEPS_S)
    def rotate(self, name: str, overlap_s: int) -> None:
        """Give a key another secret."""
        key, until = make_key(), self.now + overlap_s
        secret = new_secret(self.peppers, key, self.now)
        try:
            self.loop.run_until_complete(self.store.save_secret(name, secret, others_end_at=until))
        except KeyNotFoundError:
            assert name not in self.secrets
        except KeyDisabledError:
            assert name in self.disabled
        except KeyExpiredError:
            assert self.is_over(name)
        else:
            assert name not in self.disabled
            assert not self.is_over(name)
            old = self.secrets[name]
            self.secrets[name] = {
                one: until if end is None else min(end, until) for one, end in old.items()
            } | {key: None}

    def is_over(self, name: str) -> bool:
        """Whether the key has expired, whichever secret is shown."""
        end = self.ends[name]
        return end is not None and end <= self.now

    @rule(name=NAMES)
    def disable(self, name: str) -> None:
        """End a key."""
        try:
            done = self.loop.run_until_complete(self.store.disable_key(name, self.now))
        except KeyNotFoundError:
            assert name not in self.secrets
        else:
            assert done == (name not in self.disabled)
            self.disabled.add(name)

    @rule(seconds=STEPS_S)
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds

    @invariant()
    def every_key_is_what_the_model_says(self) -> None:
        """Of each secret ever made: whose it is, and whether it works now."""
        for name, secrets in getattr(self, "secrets", {}).items():
            for key, end in secrets.items():
                found = self.loop.run_until_complete(self.store.find_key(self.peppers.digests(key)))
                assert found is not None
                assert found.name == name
                ends = [at for at in (end, self.ends[name]) if at is not None]
                is_active = name not in self.disabled and all(at > self.now for at in ends)
                assert (found.state_at(self.now) == "active") == is_active

    def teardown(self) -> None:
        """Let go of the file."""
        self.loop.run_until_complete(self.store.close())
        self.loop.close()
        self.directory.cleanup()


KeyStoreMachine.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestKeyStore = KeyStoreMachine.TestCase
