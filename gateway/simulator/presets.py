"""All presets by name: what providers do, and what goes wrong on any of them.

The rule here: a preset's name is a model's name too, so a gateway passes it on.
"""

from __future__ import annotations

from typing import Any

from gateway.simulator.provider_presets import ANSWERS, ERRORS

# About 250 bytes a chunk with everything around it, as a recorded stream has.
BENCH_TEMPLATE = " token{i} abcdefghijklmnop"

BEHAVIOURS: dict[str, dict[str, Any]] = {
    # The plain answer of an OpenAI-type host, at once.
    "plain": {},
    "slow": {"ttft_s": 1.0, "gap_s": 0.25},
    # One byte at a time, head and all.
    "drip": {"writes": {"wire_bytes": 1, "drip_s": 0.05}},
    "bytes": {"writes": {"wire_bytes": 1}},
    "one-write": {"writes": {"events_per_write": 1000}},
    "utf8": {
        "text": "Grüße, 世界! 👩‍🚀 naïve café — “quoted” Ünïcödé.",
        "writes": {"in_utf8": True},
    },
    "crlf": {"sse": {"line_end": "crlf"}},
    "cr": {"sse": {"line_end": "cr"}},
    "trailing-spaces": {"sse": {"trailing_spaces": 3}},
    "no-space": {"sse": {"space_after_colon": False}},
    "two-choices": {"choices": 2, "first_choice": 1},
    "long": {"count": 10_000},
    # Endings.
    "no-done": {"done": "never"},
    "two-dones": {"done": "twice"},
    "data-after-done": {"done": "then_data"},
    "no-finish": {"finish": "never"},
    "until-eof": {"http": {"framing": "eof"}},
    # Connections that end too early.
    "cut": {"cut": {"at": "after_tokens", "after_tokens": 3}},
    "cut-before-head": {"cut": {"at": "before_head"}},
    "cut-in-head": {"cut": {"at": "in_head"}},
    "cut-in-event": {"cut": {"at": "in_event", "after_tokens": 3}},
    "cut-after-finish": {"cut": {"at": "after_finish"}},
    "cut-last-chunk": {"cut": {"at": "before_last_chunk"}},
    "reset": {"cut": {"at": "after_tokens", "after_tokens": 3, "by": "rst"}},
    # The end is told by closing, so nothing but a missing terminator tells the cut.
    "cut-until-eof": {"cut": {"after_tokens": 3}, "http": {"framing": "eof"}},
    # Connections that stay silent.
    "stall": {"stall": {"after_tokens": 3}},
    "stall-before-head": {"stall": {"at": "before_head"}},
    "stall-after-head": {"stall": {"at": "after_head"}},
    "stall-in-event": {"stall": {"at": "in_event", "after_tokens": 3}},
    "stall-comments": {"stall": {"after_tokens": 3, "comment": " ping", "every_s": 0.1}},
    # Errors any host may give.
    "rate-limited": {"error": {"status": 429, "retry_after": "2"}},
    "unauthorized": {"error": {"status": 401}},
    "not-found": {"error": {"status": 404}},
    "server-error": {"error": {"status": 500}},
    "unavailable": {"error": {"status": 503}},
    "bad-gateway-page": {"error": {"status": 502, "shape": "html"}},
    "empty": {"error": {"status": 200, "shape": "empty"}},
    "page": {"error": {"status": 200, "shape": "html"}},
    "string-error": {"error": {"status": 400, "shape": "string"}},
    "fails-once": {"error": {"status": 503}, "then": [{"preset": "plain"}]},
    "redirect": {"redirect_to": "http://127.0.0.1:9/v1/chat/completions"},
    # HTTP gone wrong.
    "garbage": {"http": {"status_line": "\x16\x03 no HTTP at all"}},
    "many-headers": {"http": {"filler_headers": 200}},
    "giant-header": {"http": {"giant_header_bytes": 70_000}},
    "two-lengths": {"answer": "json", "http": {"framing": "two_lengths"}},
    "length-and-chunked": {"http": {"framing": "length_and_chunked"}},
    "unknown-coding": {"http": {"framing": "unknown_coding"}},
    "bad-chunk": {"http": {"framing": "bad_chunk"}},
    "early-hints": {"http": {"interim": 3}},
    "interim-flood": {"http": {"interim": 2000}},
    "switching": {"http": {"interim": 1, "interim_status": 101}},
    "after-end": {"http": {"after_end": "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"}},
    "drop": {"http": {"connection": "drop"}},
    "gzip": {"http": {"gzip": True}},
    "gzip-bomb": {"answer": "json", "http": {"gzip_bomb_mib": 64}},
    "json-though-stream": {"answer": "json"},
    "stream-though-json": {"answer": "stream"},
    # Streams gone wrong.
    "giant-line": {"junk": {"kind": "giant_line", "mib": 20, "after_tokens": 2}},
    "empty-events": {"junk": {"kind": "empty_events", "count": 100_000, "after_tokens": 2}},
    "comment-flood": {"junk": {"kind": "comments", "count": 100_000, "after_tokens": 2}},
    "invalid-utf8": {"junk": {"kind": "invalid_utf8", "after_tokens": 2}},
    "invalid-json": {"junk": {"kind": "invalid_json", "after_tokens": 2}},
    "usage-lies": {
        "usage": "own",
        "usage_values": {"prompt_tokens": -1, "completion_tokens": 10**18, "total_tokens": "many"},
    },
    # Load: the bytes are made once and sent to everybody.
    "bench": {
        "count": 100,
        "template": BENCH_TEMPLATE,
        "gap_s": 0.02,
        "prompt_tokens": 10,
        "precomputed": True,
        "chunk_extra": {"system_fingerprint": "fp_simulated"},
        "choice_extra": {"logprobs": None},
    },
    "bench-json": {
        "json_bytes": 512,
        "prompt_tokens": 10,
        "answer": "json",
        "precomputed": True,
    },
}

PRESETS: dict[str, dict[str, Any]] = {**ANSWERS, **ERRORS, **BEHAVIOURS}
