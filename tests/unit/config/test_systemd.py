"""What a service manager tells a process, in its environment."""

import pytest

from gateway.config.systemd import (
    DESCRIPTORS_MAX,
    HandedSocket,
    Systemd,
    SystemdError,
    take_systemd,
)

PID = 4711


def test_without_systemd_there_is_nothing() -> None:
    """A gateway that somebody starts in a shell behaves as ever."""
    assert take_systemd({"PATH": "/bin"}, PID) == Systemd()


def test_all_of_it_is_read_and_taken_away() -> None:
    """A worker that found them would speak for the service, or take a descriptor that is not it."""
    environ = {
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(PID),
        "LISTEN_FDS": "2",
        "LISTEN_PID": str(PID),
        "LISTEN_FDNAMES": "gateway:more",
        "PATH": "/bin",
    }

    systemd = take_systemd(environ, PID)

    assert systemd == Systemd(
        "/run/systemd/notify", 30.0, (HandedSocket(3, "gateway"), HandedSocket(4, "more"))
    )
    assert environ == {"PATH": "/bin"}


def test_an_abstract_address_begins_with_nul() -> None:
    """Containers and older versions of systemd have those."""
    assert take_systemd({"NOTIFY_SOCKET": "@notify"}, PID).notify_address == "\0notify"


def test_what_is_meant_for_another_process_is_left_alone() -> None:
    """A shell between the two inherits the variables, and descriptor 3 may be anything here."""
    environ = {
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
        "LISTEN_FDS": "1",
        "LISTEN_PID": "1",
    }

    assert take_systemd(environ, PID) == Systemd()


def test_names_may_be_missing() -> None:
    """Systemd before version 227 sent none."""
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(PID)}

    assert take_systemd(environ, PID).sockets == (HandedSocket(3, "unknown"),)


def test_a_watchdog_of_nothing_is_none() -> None:
    """A beat after no time at all would be all that the loop does."""
    assert take_systemd({"WATCHDOG_USEC": "0"}, PID).watchdog_s is None


@pytest.mark.parametrize(
    "environ",
    [
        {"NOTIFY_SOCKET": "relative"},
        {"NOTIFY_SOCKET": "@"},
        {"NOTIFY_SOCKET": "vsock:2:1"},
        {"WATCHDOG_USEC": "soon"},
        {"LISTEN_FDS": "-1", "LISTEN_PID": str(PID)},
        {"LISTEN_FDS": str(DESCRIPTORS_MAX + 1), "LISTEN_PID": str(PID)},
    ],
)
def test_nonsense_is_refused_by_its_name(environ: dict[str, str]) -> None:
    """Whoever wrote a wrapper by hand finds the line."""
    variable = next(iter(environ))

    with pytest.raises(SystemdError, match=variable):
        take_systemd(environ, PID)
