"""Watches how this process fares, and lets in as many exchanges as it can bear.

The rule here: it acts on what is measured, never on a guess of what a request costs. Whoever has
been let in is never ended for it: an answer that has begun is finished or fails by itself.
"""

import asyncio
from collections.abc import Callable

import structlog

from gateway.config.overload import OverloadSpec
from gateway.core.clock import Clock, monotonic
from gateway.overload.door import Door
from gateway.overload.machine import Reading
from gateway.overload.seats import LEAST, Seats

BEAT_S = 0.1
BEATS_PER_READING = 10
# Of the longest lag: where that lasts, less is let in. At 100 ms text still comes ten times a
# second, but a new request, which takes ten turns of the loop to be sent, waits a second.
UNEASY = 0.4
SMOOTH = 0.3  # the weight of one beat
PATIENT_BEATS = 6  # a second and more when each is late: a burst is over by then
EASE_OFF, BACK_OFF = 0.9, 0.7  # of what is in flight, each beat
RECOVER, RETURN = 1.05, 1.5  # each beat: soon after it was too much, and later
RECOVERING_S = 2.0
LATE_S = 2.0  # for so long after a lag deadlines prove nothing
OVER_S = 5.0  # without a refusal

_log = structlog.get_logger()


class Pressure:
    """The state of one process; `start` and `stop` it with the app."""

    def __init__(
        self,
        spec: OverloadSpec,
        seats: Seats,
        read: Callable[[], Reading],
        clock: Clock = monotonic,
    ) -> None:
        self.seats = seats
        self.door = Door(seats, clock)
        self.lag_s = 0.0  # of the last beat
        self.reading = Reading(None, None, None, None)
        # Called each second while files are short: each closes what nobody is using.
        self.when_short_of_files: list[Callable[[], None]] = []
        self._spec = spec
        self._read = read
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._due_at: float | None = None
        self._beats = 0
        self._usual_lag_s = 0.0
        self._uneasy = 0  # beats in a row
        self._strained_at = -RECOVERING_S
        self._lagged_at = -LATE_S
        self._cause = ""
        self.refused = 0  # since the start
        self._refused = 0  # since it began
        self._refused_at = 0.0
        self._turned_away = 0  # at the door, since that was last said

    def start(self) -> None:
        """Begin to look."""
        self._arm()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell_turned_away()

    def has_lagged(self) -> bool:
        """Whether this process was late just now, so that a deadline says nothing of others."""
        now = self._clock()
        # After a stop the deadlines of others may be looked at before this beat.
        is_late = self._due_at is not None and now >= self._due_at + self._spec.max_lag_s
        return is_late or now < self._lagged_at + LATE_S

    def note_refusal(self) -> None:
        """Somebody was turned away; one line when it begins."""
        self.refused += 1
        self._refused += 1
        self._refused_at = self._clock()
        if self._refused == 1:
            _log.warning("overload.began", cause=self._cause or "in_flight", **self._describe())

    def turn_away(self, data: bytes) -> bytes | None:
        """The answer for a request of somebody who was refused a moment ago and is again."""
        answer = self.door.turn_away(data)
        if answer is not None:
            self._turned_away += 1
            self.note_refusal()
        return answer

    def look(self, lag_s: float) -> None:
        """What follows from one beat that was so late."""
        now = self._clock()
        self.lag_s = lag_s
        if self._beats % BEATS_PER_READING == 0:
            self._tell_turned_away()
            self.reading = self._read()
            if self._is_short_of_files():
                for close in self.when_short_of_files:
                    close()
        self._beats += 1
        if self._spec.enabled:
            self._adjust(lag_s, now)
        if self._refused and now >= self._refused_at + OVER_S:
            _log.info("overload.ended", refused=self._refused, **self._describe())
            self._refused = 0

    def _adjust(self, lag_s: float, now: float) -> None:
        max_lag_s = self._spec.max_lag_s
        # One pause is one pause, however long it was.
        self._usual_lag_s += SMOOTH * (min(lag_s, 2 * max_lag_s) - self._usual_lag_s)
        if lag_s > max_lag_s:
            self._lagged_at = now
        is_uneasy = self._usual_lag_s > max_lag_s * UNEASY
        self._uneasy = self._uneasy + 1 if is_uneasy else 0
        if self._uneasy >= PATIENT_BEATS and self.seats.count >= LEAST:
            self._strain("lag", now, BACK_OFF if self._usual_lag_s > max_lag_s else EASE_OFF)
        elif self._is_short_of_memory():
            self._strain("memory", now, EASE_OFF)
        elif self._is_short_of_files():
            self._strain("files", now, EASE_OFF)
        else:
            is_recovering = now < self._strained_at + RECOVERING_S
            self.seats.grow(RECOVER if is_recovering else RETURN)
            if self.seats.limit == self.seats.most:
                self._cause = ""

    def _strain(self, cause: str, now: float, factor: float) -> None:
        self._cause = cause
        self._strained_at = now
        self.seats.shrink(factor)

    def _is_short_of_memory(self) -> bool:
        used, there_is = self.reading.resident_bytes, self.reading.memory_bytes
        if used is None or there_is is None:
            return False
        return used > self._spec.max_memory_share * there_is

    def _is_short_of_files(self) -> bool:
        used, limit = self.reading.files, self.reading.file_limit
        return used is not None and limit is not None and used > self._spec.max_files_share * limit

    def _tell_turned_away(self) -> None:
        count, self._turned_away = self._turned_away, 0
        if count:
            _log.info(
                "overload.turned_away",
                count=count,
                cause=self._cause or "in_flight",
                in_flight=self.seats.count,
                limit=int(self.seats.limit),
            )

    def _describe(self) -> dict[str, int | float | None]:
        return {
            "in_flight": self.seats.count,
            "limit": int(self.seats.limit),
            "lag_s": round(self.lag_s, 3),
            "resident_bytes": self.reading.resident_bytes,
            "files": self.reading.files,
        }

    def _arm(self) -> None:
        self._due_at = self._clock() + BEAT_S
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        due_at = self._due_at
        lag_s = 0.0 if due_at is None else max(0.0, self._clock() - due_at)
        self._arm()  # first: it goes on whatever becomes of this one
        self.look(lag_s)
