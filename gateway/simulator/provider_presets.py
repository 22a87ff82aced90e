"""Presets: how each provider's answers and errors look on the wire, seen in real traffic.

The rule here: a preset is data, with the one oddity that makes it worth having written beside it.
"""

from __future__ import annotations

from typing import Any

REASONING = ["Let", " me", " think."]
OPENROUTER_HEADERS = [["X-Generation-Id", "gen-sim1"], ["X-Provider-Name", "Simulator"]]
X_GROQ = {"x_groq": {"id": "req_sim1"}}
ROLE_EVERY = {"role": "every", "reasoning_field": "reasoning"}

ANSWERS: dict[str, dict[str, Any]] = {
    # A usage chunk of its own with null usage in all others, when asked; padding on every delta.
    "openai-usage": {"obfuscation": True, "chunk_extra": {"system_fingerprint": None}},
    # With moderation a second chunk without choices follows the usage chunk.
    "openai-moderation": {"usage": "own_then_another", "obfuscation": True},
    # In 2025 usage was in x_groq only; in 2026 also on top, unrequested.
    "groq-2025": {"usage": "x_groq", "first_extra": X_GROQ, "sse": {"ascii_only": True}},
    "groq-2026": {
        "usage": "x_groq_and_top",
        "first_extra": X_GROQ,
        "reasoning": REASONING,
        "reasoning_field": "reasoning",
        "http": {"content_type": "text/event-stream"},
    },
    # The whole call comes in one delta.
    "groq-tool-call": {
        "usage": "x_groq_and_top",
        "first_extra": X_GROQ,
        "tool_calls": [{}],
    },
    # Comments before and between events; finish_reason twice, usage with the second.
    "openrouter": {
        **ROLE_EVERY,
        "finish": "twice",
        "usage": "with_finish",
        "comments": {"before": 3, "every": 4},
        "chunk_extra": {"provider": "Simulator"},
        "choice_extra": {"native_finish_reason": None},
        "usage_values": {"cost": 0.00012, "is_byok": False},
        "http": {"headers": OPENROUTER_HEADERS, "content_type": "text/event-stream"},
    },
    # The last chunk has usage and a choice without a finish_reason.
    "openrouter-2025": {**ROLE_EVERY, "usage": "own_with_choice", "comments": {"before": 4}},
    # The last chunk has usage and no choices, as documented.
    "openrouter-2026-03": {**ROLE_EVERY, "usage": "own", "comments": {"before": 3}},
    # Content null while it reasons; usage null but in the finish chunk.
    "deepseek": {
        "role": "null_content",
        "reasoning": REASONING,
        "usage": "with_finish",
        "usage_nulls": True,
        "usage_values": {"prompt_cache_hit_tokens": 0},
    },
    # Under load nothing but comments arrives, without end.
    "deepseek-keepalive": {"stall": {"comment": " keep-alive", "every_s": 0.5}},
    # Under load a JSON answer begins with blank lines.
    "deepseek-blank-lines": {"answer": "json", "sse": {"leading_blank_lines": 20}},
    # Usage in the finish chunk, asked for or not.
    "mistral": {"usage": "with_finish"},
    "mistral-content-parts": {"usage": "with_finish", "content_parts": True},
    "mistral-tool-call": {
        "usage": "with_finish",
        "tool_calls": [{"has_index": False, "has_type": False}],
    },
    "mistral-tool-call-pieces": {
        "usage": "with_finish",
        "tool_calls": [{"pieces": 5, "later_name": ""}],
    },
    # No finish_reason key until the last chunk; the role on every delta.
    "zai": {"role": "every", "finish_key": "missing", "usage": "with_finish"},
    # completion_tokens leaves reasoning out, total_tokens does not.
    "xai": {
        "reasoning": REASONING,
        "finish_key": "missing",
        "usage": "own",
        "usage_values": {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 303},
    },
    # Cumulative usage in every chunk; another object for the last.
    "perplexity": {
        "usage": "every",
        "finish_key": "missing",
        "last_object": "chat.completion.done",
        "chunk_extra": {"citations": ["https://example.org/1", "https://example.org/2"]},
    },
    # Numbers above 2^53, text beside delta, and retry-after on a 200.
    "together": {
        "usage": "with_finish",
        "choice_extra": {"text": "", "seed": 7228414683750928000},
        "http": {
            "headers": [["Retry-After", "30"]],
            "content_type": "text/event-stream;charset=utf-8",
        },
    },
    "novita": {"usage": "own", "last_extra": {"sla_metrics": {"ttft_ms": 12}}},
    # Empty id, no finish_reason ever.
    "snowflake": {
        "usage": "own",
        "finish": "never",
        "chunk_extra": {"id": "", "created": 0},
        "delta_extra": {"refusal": "", "tool_calls": None},
    },
    # A first event without choices, id, model or object.
    "azure-prelude": {
        "prelude": [
            {
                "choices": [],
                "created": 0,
                "id": "",
                "model": "",
                "object": "",
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
            }
        ],
    },
    # data: before event: in each event.
    "bedrock": {"sse": {"data_first": True, "event_line": "chunk"}, "usage": "own"},
    "cerebras": {"last_extra": {"time_info": {"queue_time": 0.001, "total_time": 0.02}}},
    "ollama": {"chunk_extra": {"system_fingerprint": "fp_ollama"}},
    "vllm": {"last_extra": {"system_fingerprint": "vllm-0.24.0-tp4"}},
    "vllm-continuous": {"usage": "every", "role": "own"},
    # Two choices, the second one first.
    "llamacpp": {
        "role": "null_content",
        "choices": 2,
        "first_choice": 1,
        "last_extra": {"timings": {"predicted_per_second": 50.5}},
        "http": {"headers": [["X-Accel-Buffering", "no"]]},
    },
    # Later deltas of a call repeat an empty id.
    "alibaba-tool-call": {"tool_calls": [{"pieces": 4, "later_id": ""}]},
    "moonshot": {"leave_out": ["object"]},
    # Native events: CRLF, usage in every event, no [DONE].
    "gemini-native": {
        "sse": {"line_end": "crlf"},
        "done": "never",
        "events": [
            {
                "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}],
                "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": total},
            }
            for text, total in (("Hello", 6), (" there", 7))
        ],
    },
    # Native events: typed, padded with spaces, no [DONE].
    "anthropic-native": {
        "sse": {"event_line": "{type}", "padding": 4},
        "done": "never",
        "events": [
            {"type": "message_start", "message": {"id": "msg_sim1", "usage": {"input_tokens": 5}}},
            {"type": "ping"},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}},
            {"type": "message_delta", "usage": {"output_tokens": 1}},
            {"type": "message_stop"},
        ],
    },
}

ERRORS: dict[str, dict[str, Any]] = {
    # 200, some tokens, a typed error event, no [DONE].
    "groq-error": {"stream_error": {"shape": "groq", "after_tokens": 3}, "first_extra": X_GROQ},
    "groq-tool-use-failed": {"error": {"status": 400, "shape": "groq_tool_use_failed"}},
    # A 413 that looks like a rate limit.
    "groq-413": {
        "error": {
            "status": 413,
            "shape": "groq",
            "type": "tokens",
            "code": "rate_limit_exceeded",
            "message": "Request too large for the model: tokens per minute, limit 6000.",
        }
    },
    "groq-498": {"error": {"status": 498, "shape": "groq"}},
    "groq-499": {"error": {"status": 499, "shape": "groq"}},
    # 200, an error on top of a chunk, finish_reason null, usage, [DONE].
    "openrouter-error": {
        **ROLE_EVERY,
        "comments": {"before": 3, "every": 2},
        "stream_error": {"shape": "openrouter", "after_tokens": 2},
    },
    "openrouter-error-documented": {
        **ROLE_EVERY,
        "stream_error": {"shape": "openrouter_documented", "after_tokens": 2},
    },
    # As recorded: `length` twice, and then the error.
    "openrouter-error-after-finish": {
        **ROLE_EVERY,
        "count": 2,
        "finish": "twice",
        "finish_reason": "length",
        "stream_error": {"shape": "openrouter", "at": "after_finish"},
    },
    "openrouter-429": {"error": {"status": 429, "shape": "openrouter", "retry_after": "2"}},
    # A 200 whose JSON body is an error.
    "openrouter-200-error": {"error": {"status": 200, "shape": "openrouter", "code": 502}},
    "openrouter-524": {"error": {"status": 524, "shape": "openrouter"}},
    "openrouter-529": {"error": {"status": 529, "shape": "openrouter"}},
    "openai-stream-error": {"stream_error": {"shape": "openai", "after_tokens": 3}},
    "openai-insufficient-quota": {
        "error": {
            "status": 429,
            "type": "insufficient_quota",
            "code": "insufficient_quota",
            "message": "You exceeded your current quota; look at your plan and your bill.",
        }
    },
    "mistral-error": {"error": {"status": 400, "shape": "mistral"}},
    "mistral-422": {"error": {"status": 422, "shape": "mistral_detail"}},
    "mistral-422-object": {"error": {"status": 422, "shape": "mistral_message_object"}},
    "mistral-422-list": {"error": {"status": 422, "shape": "mistral_message_list"}},
    "deepseek-402": {"error": {"status": 402}},
    # JSON that says it is an octet stream.
    "deepseek-octet-stream": {"error": {"status": 400, "shape": "octet_stream"}},
    "xai-error": {"error": {"status": 400, "shape": "xai"}},
    "fireworks-412": {"error": {"status": 412, "shape": "string"}},
    "fireworks-520": {"error": {"status": 520, "shape": "string"}},
    # An array around the error.
    "gemini-error": {"error": {"status": 404, "shape": "gemini_list"}},
    "gemini-native-error": {"error": {"status": 404, "shape": "gemini"}},
    "anthropic-529": {"error": {"status": 529, "shape": "anthropic"}},
    "cohere-error": {"error": {"status": 400, "shape": "cohere"}},
    "bedrock-error": {"error": {"status": 400, "shape": "message"}},
    "vllm-error": {"error": {"status": 400, "shape": "vllm"}},
    # An empty chunk, and the stream ends without a word.
    "ollama-error": {"stream_error": {"shape": "ollama", "after_tokens": 2}},
    "llamacpp-context": {
        "error": {"status": 400, "shape": "llamacpp", "type": "exceed_context_size_error"}
    },
    "llamacpp-503": {"error": {"status": 503, "shape": "llamacpp", "type": "unavailable_error"}},
}
