"""What a provider is shown of a trace."""

from gateway.core.trace import Trace

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def trace_of(**fields: object) -> Trace:
    """A trace whose span ids are numbered."""
    ids = iter(f"{number:016x}" for number in range(1, 10))
    given = {"is_sampled": True, **fields}
    return Trace(TRACE_ID, next(ids), draw_id=lambda: next(ids), attempt_id=next(ids), **given)


def test_each_attempt_has_an_id_of_its_own() -> None:
    """A provider's own spans hang below the attempt that asked for them."""
    trace = trace_of()

    first = trace.list_headers("groq")
    trace.begin_next()
    second = trace.list_headers("groq")

    assert first == (("traceparent", f"00-{TRACE_ID}-{2:016x}-01"),)
    assert second == (("traceparent", f"00-{TRACE_ID}-{3:016x}-01"),)


def test_flags_and_state_go_on() -> None:
    """Whoever comes next knows what was chosen, and finds what they have added themselves."""
    parent, state = trace_of(is_sampled=False, is_random=True, state="a=1").list_headers("groq")

    assert parent[1].endswith("-02")
    assert state == ("tracestate", "a=1")


def test_only_some_are_told() -> None:
    """The rest see nothing of it, not even what the caller had sent."""
    trace = trace_of(told=frozenset({"groq"}), state="a=1")

    assert len(trace.list_headers("groq")) == 2
    assert trace.list_headers("openai") == ()
