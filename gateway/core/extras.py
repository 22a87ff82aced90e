"""The packages that optional parts need, and the command that installs each.

The rule here: a command names those packages and not `chat-gateway[...]`. In a clone the gateway is
not an installed package, so pip would look for that name in an index, where it is missing or
belongs to a stranger.
"""

import shlex
import sys

EXTRAS = {  # as in pyproject.toml
    "openai": "openai>=3.54",
    "otel": "opentelemetry-proto>=1.40",
    "postgres": "asyncpg>=0.30",
    "redis": "redis[hiredis]>=8.1",
}


def line_that_installs(extra: str) -> str:
    """The command that installs an extra for the Python that runs this gateway."""
    return shlex.join([sys.executable or "python3", "-m", "pip", "install", EXTRAS[extra]])
