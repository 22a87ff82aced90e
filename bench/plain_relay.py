"""The relay that one writes with aiohttp's server and client in an hour.

The rule here: it does no more than carry bytes: no keys, no limits, no log, no checks.
"""

import argparse
import ssl
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

UPSTREAMS: web.AppKey[dict[str, str]] = web.AppKey("upstreams", dict)
SESSION: web.AppKey[ClientSession] = web.AppKey("session", ClientSession)


async def relay(request: web.Request) -> web.StreamResponse:
    """Carry one exchange to the upstream that the path names."""
    url = f"{request.app[UPSTREAMS][request.match_info['upstream']]}/{request.match_info['rest']}"
    headers = {name: request.headers[name] for name in ("Content-Type",) if name in request.headers}
    body = await request.read()
    async with request.app[SESSION].request(
        request.method, url, data=body or None, headers=headers
    ) as answer:
        if answer.content_type != "text/event-stream":
            return web.Response(
                body=await answer.read(), status=answer.status, content_type=answer.content_type
            )
        response = web.StreamResponse(
            status=answer.status, headers={"Content-Type": "text/event-stream"}
        )
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response


def build_app(upstreams: dict[str, str], ca_file: str) -> web.Application:
    """Wire the relay."""

    async def open_session(app: web.Application) -> AsyncIterator[None]:
        connector = TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=ca_file))
        async with ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=DummyCookieJar()
        ) as session:
            app[SESSION] = session
            yield

    app = web.Application()
    app[UPSTREAMS] = upstreams
    app.cleanup_ctx.append(open_session)
    app.router.add_route("*", "/{upstream}/v1/{rest:.+}", relay)
    return app


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description="A plain relay, to compare with.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--http", required=True, help="base URL of the http upstream")
    parser.add_argument("--https", required=True, help="base URL of the https upstream")
    parser.add_argument("--ca-file", required=True)
    given = parser.parse_args()
    uvloop.install()
    app = build_app({"http": given.http, "https": given.https}, given.ca_file)
    web.run_app(
        app, host="127.0.0.1", port=given.port, access_log=None, print=lambda _: None, backlog=4096
    )


if __name__ == "__main__":
    main()
