"""Asking a provider through the `openai` package, over the gateway's own connections.

The rule here: this file is imported by `gateway keys test` alone, as it needs the extra
`[openai]`. The package makes the questions and reads the answers; what goes out is written by
`upstream`, so that addresses are checked, TLS is the provider's, no proxy and no variable of the
environment has a say, and the package never holds a credential.
"""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError
from typing_extensions import override

from gateway.cli.credential_trial import ListMissingError
from gateway.core.credential import Credential
from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamBadResponseError,
    UpstreamConnectError,
    UpstreamFirstContentTimeoutError,
    UpstreamRedirectError,
)
from gateway.upstream.upstreams import Upstream
from gateway.upstream.whole_answer import WholeAnswer
from gateway.wire.completions_request import read_completions, render_completions
from gateway.wire.provider_errors import read_fault, upstream_error_of

MAX_ANSWER_BYTES = 16 * 1024 * 1024  # OpenRouter's list is 1 MiB
NO_CREDENTIAL = "none"  # the package wants one; ours is written further down


class Asker:
    """Asks one provider, each time with the credential that is given; None shows none."""

    def __init__(self, upstream: Upstream, *, timeout_s: float, secrets: tuple[str, ...]) -> None:
        self._upstream = upstream
        self._provider = upstream.provider
        self._timeout_s = timeout_s
        self._secrets = secrets

    async def fetch_models(self, credential: Credential | None) -> list[str]:
        """The ids of its list of models; UpstreamError, or ListMissingError when there is none."""
        async with self._open(credential) as client:
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await client.models.with_raw_response.list()
            except (OpenAIError, TimeoutError) as error:
                translated = self._translate(error)
                if translated.status in _NO_LIST:
                    raise ListMissingError from error
                raise translated from error
        return self._read_ids(answer.content)

    async def ask_model(self, model: str, credential: Credential | None) -> None:
        """Have a model say one token; UpstreamError when it does not."""
        body = self._render_body(model)
        async with self._open(credential) as client:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await client.chat.completions.with_raw_response.create(
                        model=body.pop("model"), messages=body.pop("messages"), extra_body=body
                    )
            except (OpenAIError, TimeoutError) as error:
                raise self._translate(error) from error

    def _open(self, credential: Credential | None) -> AsyncOpenAI:
        return AsyncOpenAI(
            api_key=NO_CREDENTIAL,
            base_url=self._provider.base_url,
            max_retries=0,
            timeout=self._timeout_s,
            http_client=httpx2.AsyncClient(
                transport=_Transport(self._upstream, credential), trust_env=False
            ),
        )

    def _render_body(self, model: str) -> dict[str, Any]:
        """The shortest request, as the registry's rules make it."""
        asked = {
            "model": f"{self._provider.name}/{model}",
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 1,
        }
        request = read_completions(json.dumps(asked).encode())
        body = render_completions(
            request, model=model, rules=self._provider.params, ask_usage=False
        )
        rendered: dict[str, Any] = json.loads(body)
        return rendered

    def _read_ids(self, body: bytes) -> list[str]:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            value = value.get("data")
        if not isinstance(value, list):  # Together's is a list without anything around it
            raise UpstreamBadResponseError(
                f"{self._provider.label} answered with something that is not a list of models."
            )
        return [str(model.get("id", "")) for model in value if isinstance(model, Mapping)]

    def _translate(self, error: OpenAIError | TimeoutError) -> UpstreamError:
        label = self._provider.label
        if isinstance(error, APIStatusError):
            status = error.response.status_code
            if status < HTTPStatus.BAD_REQUEST:
                return UpstreamRedirectError(
                    f"{label} answered with a redirect; set base_url to where it leads."
                )
            fault = read_fault(error.response.content, label=label, secrets=self._secrets)
            return upstream_error_of(
                status, fault, label=label, headers=dict(error.response.headers)
            )
        if isinstance(error.__cause__, UpstreamError):
            return error.__cause__
        if isinstance(error, TimeoutError):
            return UpstreamFirstContentTimeoutError(
                f"{label} did not answer within {self._timeout_s:g} s."
            )
        if isinstance(error, APIConnectionError):
            return UpstreamConnectError(f"{label} cannot be reached.")
        return UpstreamBadResponseError(f"{label} answered with something that cannot be read.")


_NO_LIST = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.NOT_IMPLEMENTED,
)


class _Transport(httpx2.AsyncBaseTransport):
    """Carries the package's requests as the gateway carries its own."""

    def __init__(self, upstream: Upstream, credential: Credential | None) -> None:
        self._upstream = upstream
        self._credential = credential

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode("ascii")
        message = self._upstream.render_question(
            request.method, path, self._credential, await request.aread()
        )
        answer = WholeAnswer(self._upstream.provider.label, max_bytes=MAX_ANSWER_BYTES)
        connection = await self._upstream.take_connection(fresh=True)
        try:
            connection.send(message, answer)
            await answer.done
        finally:
            connection.release(answer)
        # The connection has unpacked what was packed.
        kept = [pair for pair in answer.headers if pair[0] not in _OF_THE_CONNECTION]
        return httpx2.Response(answer.status, headers=kept, content=bytes(answer.body))


_OF_THE_CONNECTION = (b"content-encoding", b"content-length", b"transfer-encoding")
