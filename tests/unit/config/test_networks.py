"""Networks of proxies, as they are written."""

import pytest

from gateway.config.networks import check_proxy


@pytest.mark.parametrize("text", ["10.1.0.0/16", "127.0.0.1", "127.0.0.1/32", "fd00::/8", "unix"])
def test_a_network_an_address_or_a_socket_is_taken(text: str) -> None:
    """As it is written."""
    assert check_proxy(text) == text


@pytest.mark.parametrize("text", ["", "10.1.2.3/16", "10.1", "proxy.example.org", "UNIX", "*"])
def test_anything_else_is_refused(text: str) -> None:
    """A mistake here would believe a stranger, or nobody."""
    with pytest.raises(ValueError, match=r"such as 10\.1\.0\.0/16"):
        check_proxy(text)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "::ffff:0:0/96"])
def test_everybody_is_not_a_proxy(text: str) -> None:
    """Whoever called could then say to be anybody."""
    with pytest.raises(ValueError, match="name the proxies"):
        check_proxy(text)
