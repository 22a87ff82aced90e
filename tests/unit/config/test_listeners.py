"""Tests of whether both listeners can be open at the same time."""

from typing import Any

import pytest

from gateway.config.listeners import SamePortError, refuse_same_port
from gateway.config.settings import Settings


@pytest.mark.parametrize(
    "written",
    [
        {"server": {"port": 8081}},
        {"admin": {"port": 8080}},
        {"server": {"port": 9000}, "admin": {"port": 9000}},
        {"server": {"host": "0.0.0.0", "port": 8081}},
        {"server": {"host": "::", "port": 8081}, "admin": {"host": "::1"}},
        {"server": {"host": "localhost", "port": 8081}, "admin": {"host": "::1"}},
        {"server": {"host": "gw.example", "port": 8081}, "admin": {"host": "GW.example"}},
    ],
)
def test_one_port_is_one_listeners(written: dict[str, Any]) -> None:
    """The second one would find the first one there, and call it another program."""
    with pytest.raises(SamePortError, match=r"server\.port and admin\.port are both"):
        refuse_same_port(Settings.model_validate(written))


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"server": {"port": 0}, "admin": {"port": 0}},
        {"server": {"port": 8081}, "admin": {"enabled": False}},
        {"server": {"port": 8081, "unix_socket": "/run/gateway.sock"}},
        {"server": {"host": "127.0.0.2", "port": 8081}},
        {"server": {"host": "::", "port": 8081}},  # of IPv6 alone
        {"server": {"host": "0.0.0.0", "port": 8081}, "admin": {"host": "::1"}},
    ],
)
def test_what_does_not_meet_is_let_be(written: dict[str, Any]) -> None:
    """A free port is free for each, and an address of its own is one's own."""
    refuse_same_port(Settings.model_validate(written))
