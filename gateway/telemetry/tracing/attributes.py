"""Every attribute of a span: its name, where it stands, and what it says.

The rule here: a span holds nothing that is not in this list, and the list is the documentation.
Names without `gateway.` are those of OpenTelemetry's semantic conventions.
"""

from typing import Literal, NamedTuple

Place = Literal["exchange", "attempt", "resource"]


class Attribute(NamedTuple):
    """One attribute."""

    name: str
    places: tuple[Place, ...]
    text: str


_EXCHANGE: tuple[Place, ...] = ("exchange",)
_ATTEMPT: tuple[Place, ...] = ("attempt",)
_BOTH: tuple[Place, ...] = ("exchange", "attempt")
_RESOURCE: tuple[Place, ...] = ("resource",)

ATTRIBUTES = (
    Attribute("service.name", _RESOURCE, "`tracing.service_name`"),
    Attribute("service.version", _RESOURCE, "the gateway's version"),
    Attribute("service.instance.id", _RESOURCE, "a random value, new for each process"),
    Attribute("process.pid", _RESOURCE, "of the process, which is one of `server.workers`"),
    Attribute(
        "http.request.method", _EXCHANGE, "method of the request; `_OTHER` for an unknown one"
    ),
    Attribute("http.route", _EXCHANGE, "which path it was, such as `/api/chat/{provider}`"),
    Attribute("url.path", _EXCHANGE, "the path itself, without its query"),
    Attribute("url.scheme", _EXCHANGE, "`http`: TLS ends at the proxy in front"),
    Attribute("client.address", _EXCHANGE, "who called, as the log line has it"),
    Attribute("http.request.body.size", _EXCHANGE, "bytes of the request's body"),
    Attribute("http.response.body.size", _EXCHANGE, "bytes of the answer's body"),
    Attribute("gateway.request_id", _EXCHANGE, "`X-Request-ID`, by which the log has it too"),
    Attribute("gateway.dialect", _EXCHANGE, "`openai` for `/v1`, `text` for everything else"),
    Attribute("gateway.attempts", _EXCHANGE, "how many attempts were made"),
    Attribute("gateway.refused_by", _EXCHANGE, "the rule of `limits` that refused it"),
    Attribute(
        "gateway.added_s", _EXCHANGE, "seconds that the gateway added, as the log line has them"
    ),
    Attribute(
        "http.response.status_code",
        _BOTH,
        ("the status that was sent; for an attempt the provider's own; absent if there was none"),
    ),
    Attribute("error.type", _BOTH, "the code in [errors](errors.md), if it failed or was refused"),
    Attribute("gateway.outcome", _BOTH, "how it ended, in the words of [logs](logs.md#outcomes)"),
    Attribute("gateway.provider", _BOTH, "the name of its entry in the registry"),
    Attribute("gateway.cost_micros", _BOTH, "its cost in millionths of a US dollar, if known"),
    Attribute("gen_ai.operation.name", _ATTEMPT, "`chat`"),
    Attribute(
        "gen_ai.provider.name",
        _ATTEMPT,
        (
            "the provider's name in the conventions if it has one (`x_ai`, `mistral_ai`), "
            "otherwise as in `gateway.provider`"
        ),
    ),
    Attribute("gen_ai.request.model", _ATTEMPT, "the model that was asked for"),
    Attribute("gen_ai.request.stream", _ATTEMPT, "whether a stream was asked for"),
    Attribute(
        "gen_ai.response.model", _ATTEMPT, "the model that answered, according to the provider"
    ),
    Attribute("gen_ai.response.id", _ATTEMPT, "the answer's own id"),
    Attribute(
        "gen_ai.response.finish_reasons", _ATTEMPT, "why it ended, one for each choice; 8 at most"
    ),
    Attribute("gen_ai.usage.input_tokens", _ATTEMPT, "tokens of the prompt"),
    Attribute("gen_ai.usage.output_tokens", _ATTEMPT, "tokens of the answer, reasoning included"),
    Attribute(
        "gen_ai.usage.cache_read.input_tokens",
        _ATTEMPT,
        "how many of the input tokens came from the provider's cache",
    ),
    Attribute(
        "gen_ai.usage.reasoning.output_tokens",
        _ATTEMPT,
        "how many of the output tokens were spent on reasoning",
    ),
    Attribute(
        "gen_ai.response.time_to_first_chunk",
        _ATTEMPT,
        "seconds from sending the request to the first content of a stream",
    ),
    Attribute("server.address", _ATTEMPT, "the provider's host"),
    Attribute("server.port", _ATTEMPT, "and its port"),
    Attribute("http.request.resend_count", _ATTEMPT, "how many attempts came before it, if any"),
    Attribute("gateway.attempt", _ATTEMPT, "its number; 1 is the first"),
    Attribute(
        "gateway.credential_id",
        _ATTEMPT,
        "which credential was used; neither its value nor its owner",
    ),
    Attribute("gateway.tokens_source", _ATTEMPT, "who counted: `provider` or `estimate`"),
    Attribute("gateway.upstream_request_id", _ATTEMPT, "the provider's own id of the request"),
)

NAMES = frozenset(attribute.name for attribute in ATTRIBUTES)

# What the conventions call providers that registries most often name otherwise.
WELL_KNOWN = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


def tracing_table() -> str:
    """Every attribute as a row, for the documentation."""
    rows = [f"| `{one.name}` | {', '.join(one.places)} | {one.text} |\n" for one in ATTRIBUTES]
    return "| attribute | of | what it says |\n|---|---|---|\n" + "".join(rows)
