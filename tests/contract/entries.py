"""Registry entries for the tests, and those of the providers.yaml that ships.

The rule here: a shipped entry is the file's own, its address apart.
"""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
SHIPPED: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "providers.yaml").read_text())[
    "providers"
]


def entry(base_url: str, **fields: Any) -> dict[str, Any]:
    """An entry on loopback that is asked once, so that a failure is seen at once."""
    return {"base_url": base_url, "allow_private": True, "retries": 0, **fields}


def shipped_entry(name: str, base_url: str) -> dict[str, Any]:
    """A shipped entry that calls `base_url`, once; `demo` keeps calling the gateway's own."""
    return SHIPPED[name] | ({} if name == "demo" else entry(base_url))


def env_of(name: str) -> str:
    """The environment variable of a shipped provider's credential."""
    return str(SHIPPED[name].get("env", f"{name.upper()}_API_KEY"))
