"""JSON Schemas of both configuration files, so that editors complete them.

Rule: made from the models, never written by hand; a test compares the published files.
"""

import json
from typing import Any

from gateway.config.explain import INJECTED
from gateway.config.forms import PROVIDER_NAME
from gateway.config.registry import RegistryFile
from gateway.config.settings import Settings

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def registry_schema() -> dict[str, Any]:
    """Return the JSON Schema of providers.yaml."""
    schema = _with_draft(RegistryFile.model_json_schema(), "providers.yaml")
    # The name is the key of the entry, so the schema asks for it there and nowhere else.
    provider = schema["$defs"]["Provider"]
    del provider["properties"][INJECTED]
    provider["required"].remove(INJECTED)
    schema["properties"]["providers"]["propertyNames"] = {"pattern": PROVIDER_NAME}
    return schema


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema of gateway.yaml."""
    return _with_draft(Settings.model_json_schema(), "gateway.yaml")


def render_schema(schema: dict[str, Any]) -> str:
    """Return the text of a published schema file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _with_draft(schema: dict[str, Any], title: str) -> dict[str, Any]:
    """Return the schema with its draft and the name of the file it is for."""
    return {"$schema": DRAFT, **schema, "title": title}
