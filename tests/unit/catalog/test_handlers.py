"""The catalogue over HTTP, answered from the registry alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from gateway.catalog.handlers import (
    show_key_flags_of,
    show_keys,
    show_model,
    show_models,
    show_provider_models,
    show_providers,
)
from gateway.config.load import Registry
from gateway.config.registry import Provider
from gateway.core.errors import GatewayError
from gateway.plugins.keys import REGISTRY
