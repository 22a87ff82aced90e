"""Which lines are written."""

from gateway.config.logging import EventLogSpec, LoggingSpec
from gateway.telemetry.log_filter import LEVELS, LogFilter


def log_filter(level: str = "info", **events: EventLogSpec) -> LogFilter:
    """What these settings say; `__` in a name is a dot."""
    named = {name.replace("__", "."): spec for name, spec in events.items()}
    return LogFilter(LoggingSpec(level=level, events=named))  # type: ignore[arg-type]


def test_an_event_has_its_own_level_or_another() -> None:
    """Raised it passes where it would not, and lowered it does not."""
    quiet = EventLogSpec(level="debug")
    loud = EventLogSpec(level="error")
    chosen = log_filter("warning", key_store__failed=quiet, gateway__started=loud)

    assert chosen.level_of("gateway.started", "info") == "error"
    assert chosen.level_of("gateway.stopped", "info") is None
    assert chosen.level_of("key_store.failed", "error") is None
    assert chosen.level_of("task.crashed", "error") == "error"
    assert chosen.least == LEVELS["info"]
    assert log_filter("warning").least == LEVELS["warning"]


def test_lines_of_one_request_stay_together() -> None:
    """Half of an event's lines are those of the requests of a quarter, and as many again."""
    chosen = log_filter(
        request__malformed=EventLogSpec(sample=0.5), gateway__started=EventLogSpec(sample=0.25)
    )
    ids = [f"id-{number}" for number in range(1_000)]
    kept = {
        event: {i for i in ids if chosen.keeps(event, "info", {"request_id": i})}
        for event in ("request.malformed", "gateway.started")
    }

    assert kept["gateway.started"] < kept["request.malformed"]
    assert 400 < len(kept["request.malformed"]) < 600


def test_what_failed_is_kept_unless_that_is_said() -> None:
    """The line that somebody will look for."""
    spared, meant = EventLogSpec(sample=0), EventLogSpec(sample=0, keep_failed=False)
    chosen = log_filter(request__crashed=spared, stream__cut=meant, request__malformed=spared)
    about = {"request_id": "r1"}

    assert chosen.keeps("request.crashed", "error", about)
    assert not chosen.keeps("stream.cut", "error", about)
    assert not chosen.keeps("request.malformed", "info", about)
    assert chosen.keeps("request.malformed", "info", {**about, "outcome": "rejected"})


def test_lines_without_a_request_are_counted_off() -> None:
    """Nothing else tells them apart; the first is written."""
    chosen = log_filter(key__refused=EventLogSpec(sample=0.25), key__created=EventLogSpec(sample=0))

    kept = [chosen.keeps("key.refused", "info", {}) for _ in range(8)]

    assert kept == [True, False, False, False] * 2
    assert not any(chosen.keeps("key.created", "info", {}) for _ in range(8))
    assert chosen.is_sampled("key.refused")
    assert not chosen.is_sampled("key.rotated")
