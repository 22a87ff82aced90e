"""The app on the admin listener: health, readiness and metrics, and the admin API.

The rule here: health says that the process answers and nothing else; what it depends on is
readiness. Whatever else there is stands behind the guard.
"""

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.config.settings import Settings
from gateway.console import keys
from gateway.console.bodies import BODY_TIMEOUT_S, MAX_BODY_BYTES
from gateway.console.breakers import LIST_BREAKERS, name_breakers
from gateway.console.credentials import (
    CREDENTIALS,
    CredentialDesk,
    name_credentials,
    restore_credentials,
    show_credentials,
)
from gateway.console.guard import GUARD, Guard, guard
from gateway.console.readiness import READY, HasStates, sum_up
from gateway.console.usage import FETCH_USAGE, FetchUsage, show_usage
from gateway.core.errors import GatewayError, InternalError, MethodNotAllowedError, NotFoundError
from gateway.core.request_id import new_request_id
from gateway.core.tasks import Tasks
from gateway.stores.opening import OpenKeys
from gateway.telemetry.crashes import report_crash
from gateway.wire.fixed_headers import FIXED_HEADERS
from gateway.wire.render_errors import render_text

READINESS: web.AppKey[HasStates] = web.AppKey("readiness")
RENDER_METRICS: web.AppKey[Callable[[], bytes]] = web.AppKey("render_metrics")

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def build_admin_app(
    readiness: HasStates,
    *,
    render_metrics: Callable[[], bytes],
    credentials: CredentialDesk | None = None,
    settings: Settings | None = None,
    find_keys: Callable[[], OpenKeys | None] = lambda: None,
    fetch_usage: FetchUsage | None = None,
) -> web.Application:
    """The pages for operators and their machines; without settings nobody is an admin."""
    settings = settings or Settings()
    app = web.Application(middlewares=[render_refusals, guard], client_max_size=MAX_BODY_BYTES)
    app[READINESS] = readiness
    app[RENDER_METRICS] = render_metrics
    app[GUARD] = Guard(
        settings.admin, settings.caller_digests, proxies=settings.server.trusted_proxies
    )
    app[BODY_TIMEOUT_S] = settings.server.request_body_timeout_s
    app[keys.DESK] = keys.KeyDesk(find_keys, Tasks(report_crash))
    app.on_shutdown.append(finish_changes)
    if fetch_usage is not None:
        app[FETCH_USAGE] = fetch_usage
    app[CREDENTIALS] = credentials or CredentialDesk()
    app[LIST_BREAKERS] = tuple  # whoever runs a gateway sets its own
    app.on_response_prepare.append(add_fixed_headers)
    app.router.add_get("/healthz", show_health)
    app.router.add_get("/readyz", show_readiness)
    app.router.add_get("/metrics", show_metrics)
    app.router.add_routes(keys.ROUTES)
    app.router.add_get("/usage", show_usage, allow_head=False)
    app.router.add_get("/credentials", show_credentials, allow_head=False)
    app.router.add_post("/credentials/{provider}/restore", restore_credentials)
    return app


async def finish_changes(app: web.Application) -> None:
    """Let changes end that have begun, and begin no other; also called before a store closes."""
    await app[keys.DESK].close()


async def show_health(_: web.Request) -> web.Response:
    """200 while the event loop runs."""
    return web.json_response({"status": "ok"})


async def show_readiness(request: web.Request) -> web.Response:
    """200 when ready for requests, 503 while starting and draining.

    Of several workers one that is ready is enough. Which credentials there are is said too, and
    which providers are not asked because they fail; neither decides anything here.
    """
    states = request.app[READINESS].states()
    word = sum_up(states)
    status = HTTPStatus.OK if word == READY else HTTPStatus.SERVICE_UNAVAILABLE
    said: dict[str, object] = {"status": word}
    if len(states) > 1:
        said["workers"] = states
    if names := name_credentials(request.app[CREDENTIALS].standings()):
        said["credentials"] = names
    if breakers := name_breakers(request.app[LIST_BREAKERS]()):
        said["breakers"] = breakers
    return web.json_response(said, status=status)


async def show_metrics(request: web.Request) -> web.Response:
    """All metrics, for Prometheus."""
    return web.Response(body=request.app[RENDER_METRICS](), headers={"Content-Type": METRICS_TYPE})


@web.middleware
async def render_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with an error as JSON instead of raising one."""
    try:
        return await handler(request)
    except GatewayError as refusal:
        error = refusal
    except web.HTTPException as refusal:
        error = _translate(refusal, request.app)
    request_id = new_request_id()
    return web.Response(
        status=error.status,
        headers={**error.headers, "X-Request-ID": request_id},
        body=render_text(error, request_id),
        content_type="application/json",
        charset="utf-8",
    )


async def add_fixed_headers(_: web.Request, response: web.StreamResponse) -> None:
    """What every answer carries; an `on_response_prepare` handler."""
    response.headers.update(FIXED_HEADERS)


def _translate(refusal: web.HTTPException, app: web.Application) -> GatewayError:
    if refusal.status == HTTPStatus.NOT_FOUND:
        pages = (resource.canonical for resource in app.router.resources())
        to_read = ", ".join(page for page in pages if page.count("/") == 1)
        return NotFoundError(f"There is no such page; here are {to_read}.")
    if isinstance(refusal, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refusal.allowed_methods))
        return MethodNotAllowedError(f"This page accepts {allowed}.", headers={"Allow": allowed})
    error = InternalError("This page could not be shown.")
    error.status = refusal.status
    return error
