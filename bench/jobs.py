"""What the benchmark asks of the load generator, and what that answers.

The rule here: plain values only; they cross a pipe as one line of JSON each.
"""

import msgspec


class Ask(msgspec.Struct, frozen=True):
    """One request, where it goes, and what a right answer looks like."""

    port: int
    request: bytes
    chunks: int = 0  # of content in a streamed answer; 0: the answer is one JSON document
    has_done: bool = False  # whether `[DONE]` ends it
    ca_file: str = ""  # speak TLS and trust this authority


class Watch(msgspec.Struct, frozen=True):
    """The processes whose CPU time and memory are read."""

    system: tuple[int, ...] = ()
    upstream: tuple[int, ...] = ()


class Repeat(msgspec.Struct, frozen=True, tag=True):
    """Closed loop: each connection asks again as soon as its answer is complete."""

    ask: Ask
    watch: Watch
    connections: int
    ramp_s: float  # the connections begin spread over this time
    settle_s: float  # then this passes before anything is counted
    window_s: float
    patience_s: float  # an answer that takes longer has failed


class Arrive(msgspec.Struct, frozen=True, tag=True):
    """Open loop: requests leave on a fixed schedule, whatever the answers do."""

    ask: Ask
    watch: Watch
    per_s: float
    warm_s: float  # arrivals before this are sent and not timed: they open the connections
    window_s: float
    patience_s: float


class Surge(msgspec.Struct, frozen=True, tag=True):
    """Open loop in which some are refused: those are counted and timed too.

    It begins with as many as can be served. Whoever is let in all at once also ends all at once,
    and what a window counts is chance: none of such lumps, one or two.
    """

    ask: Ask
    watch: Watch
    fill_per_s: float
    fill_s: float
    per_s: float  # after that
    warm_s: float  # nothing is counted before this has passed
    window_s: float
    patience_s: float


class Hold(msgspec.Struct, frozen=True, tag=True):
    """Streams that stay open: memory is read before the first and when all of them flow."""

    ask: Ask
    watch: Watch
    streams: int
    settle_s: float
    patience_s: float


Job = Repeat | Arrive | Surge | Hold


class Outcome(msgspec.Struct, frozen=True):
    """What was counted in a job's window."""

    window_s: float = 0
    exchanges: int = 0  # complete and right
    chunks: int = 0
    body_bytes: int = 0
    failures: dict[str, int] = {}
    system_cpu_ns: int = 0
    system_wait_ns: int = 0  # ready to run, while somebody else had its core
    upstream_cpu_ns: int = 0
    load_cpu_ns: int = 0
    first_content_s: tuple[float, ...] = ()
    refused_s: tuple[float, ...] = ()
    idle_bytes: int = 0
    loaded_bytes: int = 0
    open_streams: int = 0
