"""The packages that some parts need beside the gateway's own, and the line that installs each.

The rule here: a line names those packages and not `chat-gateway[...]`. In a clone the gateway is
not an installed package, so pip would ask an index for one of its name: there is none, or it is a
stranger's.
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
    """Give the command that brings it to where this gateway runs."""
    return shlex.join([sys.executable or "python3", "-m", "pip", "install", EXTRAS[extra]])
