"""Fetching what an issuer publishes: its keys, and first the address of its keys.

The rule here: only an address that the operator configured or the issuer itself names. It is
checked before each connection, redirects are never followed, and size and time are limited.
"""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gateway import __version__
from gateway.config.token_auth import check_key_url
from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import UpstreamReplyTooLargeError
from gateway.upstream.connection import Connection
from gateway.upstream.dial import Target, open_connection
from gateway.upstream.resolver import Resolver
from gateway.upstream.tls import open_tls_context
from gateway.upstream.whole_answer import WholeAnswer

MAX_BYTES = 256 * 1024  # the largest key sets of providers are 20 KiB
TIMEOUT_S = 5.0
DISCOVERY = "/.well-known/openid-configuration"
HTTPS_PORT = 443
HTTP_PORT = 80
OK = 200

Jwk = dict[str, Any]


class FetchError(Exception):
    """What an issuer publishes cannot be fetched now; the text is for the log."""


class Fetcher:
    """Fetches from issuers, each time on a new connection."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        allow_private: bool,
        ca_file: Path | None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._resolver = resolver
        self._allow_private = allow_private
        self._ca_file = ca_file
        self._timeout_s = timeout_s

    async def fetch(self, url: str) -> bytes:
        """The body of a 200, or FetchError."""
        try:
            check_key_url(url, allow_private=self._allow_private)
        except ValueError as error:
            raise FetchError(f"its address {error}") from None
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(url)
        except TimeoutError:
            raise FetchError(f"no answer within {self._timeout_s:g} s") from None
        except UpstreamError as error:
            raise FetchError(f"{error.public} {error.detail or ''}".rstrip()) from None
        except OSError as error:  # `ca_file` is gone, or holds no certificate
            raise FetchError(f"{type(error).__name__}: {error.strerror}") from None

    async def _ask(self, url: str) -> bytes:
        parts = urlsplit(url)
        is_secure = parts.scheme == "https"
        target = Target(
            label="the issuer",
            host=parts.hostname or "",
            port=parts.port or (HTTPS_PORT if is_secure else HTTP_PORT),
            allow_private=self._allow_private,
            connect_s=self._timeout_s,
            tls_s=self._timeout_s,
            tls=open_tls_context(self._ca_file) if is_secure else None,
        )
        answer = WholeAnswer(target.label, max_bytes=MAX_BYTES)
        connection = await open_connection(
            target,
            self._resolver,
            lambda: Connection(target.label, on_idle=_close, on_gone=_forget),
        )
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.send(_render_request(parts.netloc, path), answer)
            await answer.done
        except UpstreamReplyTooLargeError:
            raise FetchError(f"it sent more than {MAX_BYTES} bytes") from None
        finally:
            connection.abort()
        if answer.status != OK:
            raise FetchError(f"it answered {answer.status}")
        return bytes(answer.body)


class Publication:
    """Where one issuer's keys are."""

    def __init__(self, fetcher: Fetcher, issuer: str, jwks_url: str | None) -> None:
        self._fetcher = fetcher
        self._issuer = issuer
        self._jwks_url = jwks_url

    async def fetch_keys(self) -> list[Jwk]:
        """All keys that it publishes, for whatever use; FetchError if there are none."""
        url = self._jwks_url or await self._discover()
        body = await self._fetcher.fetch(url)
        try:
            keys = msgspec.json.decode(body, type=_KeyDocument).keys
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise FetchError("what is published there is no JWKS") from None
        return [key for key in keys if isinstance(key, dict)]

    async def _discover(self) -> str:
        body = await self._fetcher.fetch(self._issuer.rstrip("/") + DISCOVERY)
        try:
            found = msgspec.json.decode(body, type=_Discovered)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise FetchError("its openid-configuration names no jwks_uri") from None
        if found.issuer != self._issuer:
            raise FetchError("its openid-configuration is another issuer's")
        return found.jwks_uri


class _KeyDocument(msgspec.Struct):
    keys: list[Any]


class _Discovered(msgspec.Struct):
    issuer: str
    jwks_uri: str


def _render_request(netloc: str, path: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {netloc}",
        f"User-Agent: chat-gateway/{__version__}",
        "Accept: application/json",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _close(connection: Connection) -> None:
    connection.abort()


def _forget(_: Connection) -> None:
    """Do nothing: these connections are not pooled."""
