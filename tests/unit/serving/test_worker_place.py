"""The place of a worker; with a process in it, it is tested in tests/faults/test_k_workers.py."""

import multiprocessing
import signal
import time

import pytest

from gateway.serving.worker_place import SILENT_S, Death, Pulse, WorkerPlace


@pytest.mark.parametrize(
    ("failures", "pause_s"),
    [(0, 0.0), (1, 0.0), (2, 0.5), (3, 1.0), (4, 2.0), (7, 16.0), (8, 30.0), (2000, 30.0)],
)
def test_one_that_dies_again_and_again_pauses_for_longer(failures: int, pause_s: float) -> None:
    """K03: no storm of processes; and one death costs nobody a moment."""
    assert WorkerPlace(0, failures=failures).pause_s == pause_s


@pytest.mark.parametrize(
    ("exit_code", "way"),
    [
        (0, "ended with exit code 0"),
        (7, "ended with exit code 7"),
        (-11, "was ended by SIGSEGV"),
        (-40, "was ended by signal 40"),
    ],
)
def test_how_one_ended_is_said_in_words(exit_code: int, way: str) -> None:
    """Not everybody knows what -11 is."""
    assert Death(exit_code, 0.1).way == way


def test_an_empty_place_has_nobody_to_bury() -> None:
    """A mistake of ours that is said and not passed over."""
    with pytest.raises(RuntimeError, match="Nobody was in this place"):
        WorkerPlace(0).bury()


async def test_in_an_empty_place_nobody_becomes_ready() -> None:
    """Whoever waits for it is not left waiting."""
    place = WorkerPlace(0)
    place.tell_away([1])  # there is nobody to be told

    assert not await place.wait_until_ready()


def test_who_has_ended_is_sent_no_signal() -> None:
    """K01: the start of another one has waited for it; its number may be somebody else's by now.

    And those that come after it are told.
    """
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    process.start()
    place = WorkerPlace(0, process=process)
    place.kill()
    process.join()

    place.signal(signal.SIGTERM)
    WorkerPlace(1).signal(signal.SIGTERM)

    assert process.exitcode == -signal.SIGKILL
    process.close()


def test_before_its_first_beat_nobody_is_silent() -> None:
    """From then on the time counts in which there is no other."""
    pulse = Pulse()
    pulse.feel(0, 60.0)
    assert pulse.silent_s == 0

    pulse.feel(1, 0.5)
    pulse.feel(1, 0.5)
    pulse.feel(1, 0.5)

    assert (pulse.silent_s, pulse.stopping_s) == (1.0, None)
    assert WorkerPlace(0, pulse=pulse, is_ready=True).is_accepting
    pulse.silent_s = SILENT_S
    assert not WorkerPlace(0, pulse=pulse, is_ready=True).is_accepting
