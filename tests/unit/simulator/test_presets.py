"""Presets: names that work as models, and faults that are what they are called."""

import re

from gateway.simulator import PRESETS, read_directive
from gateway.simulator.provider_presets import ANSWERS, ERRORS


def test_names_can_be_models():
    """They travel through gateways as the model's name."""
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) for name in PRESETS)


def test_no_preset_hides_another():
    """The three tables are joined into one."""
    assert not set(ANSWERS) & set(ERRORS)


def test_all_presets_can_be_read():
    """A preset is a directive like any other."""
    assert all(read_directive(name) for name in PRESETS)


async def test_a_preset_fails_once_and_then_works(ask):
    """The simplest test of a retry."""
    statuses = [(await ask(model="fails-once")).status for _ in range(3)]

    assert statuses == [503, 200, 200]


async def test_a_redirect_points_elsewhere(ask):
    """A gateway that follows it carries its credential there."""
    heard = await ask("redirect")

    assert heard.status == 302
    assert "Location: http://127.0.0.1:9/v1/chat/completions" in heard.head
