"""The chain is listed once; this pins its order."""

from aiohttp import web

from gateway.app import AFTERWARDS, CHAIN, build_app
from gateway.config.load import load_registry
from gateway.config.registry import ROUTE_SEGMENTS
from gateway.config.settings import AdminSpec, Settings
from gateway.plugins.loading import name_of


def test_the_chain_is_in_its_order() -> None:
    """What runs when is a promise to whoever adds a middleware of their own."""
    names = [name_of(middleware) for middleware in CHAIN]

    assert names == [
        "guard_stream",
        "assign_request_id",
        "write_access_log",
        "render_errors",
        "check_path",
        "allow_origins",
        "authenticate",
        "shed_load",
        "read_request",
        "check_rights",
        "check_provider",
        "check_key",
        "enforce_limits",
    ]


def test_an_operator_s_middleware_takes_the_place_it_names() -> None:
    """`after: authenticate` means right after it."""
    settings = Settings.model_validate(
        {"middleware": [{"use": "plugins.hello:stamp", "after": "authenticate"}]}
    )

    app = build_app(settings, load_registry(environ={}))

    names = [name_of(middleware) for middleware in app.middlewares]
    assert names.index("stamp") == names.index("authenticate") + 1


def test_no_provider_can_have_the_name_of_a_route() -> None:
    """`/api/profile/keys` is a page, and must not become a provider's."""
    app = build_app(Settings(), load_registry(environ={}))

    paths = [resource.canonical for resource in app.router.resources()]
    segments = {part for path in paths for part in path.split("/") if part and "{" not in part}
    assert {"api", "v1", "profile"} <= segments <= ROUTE_SEGMENTS


def test_nothing_is_opened_before_startup() -> None:
    """Building an app is free of side effects: no socket, no thread, no task."""
    app = build_app(Settings(), load_registry(environ={}))

    assert isinstance(app, web.Application)
    assert not app.frozen


def test_without_the_admin_listener_nothing_is_counted() -> None:
    """Nobody could read it, and each request would pay for it."""
    registry = load_registry(None, {})
    shown, hidden = (
        build_app(Settings(admin=AdminSpec(enabled=enabled)), registry) for enabled in (True, False)
    )

    assert len(shown[AFTERWARDS].observers) == len(hidden[AFTERWARDS].observers) + 1


def test_every_public_path_is_known() -> None:
    """A new path is a decision; admin pages are never among these."""
    app = build_app(Settings(), load_registry(environ={}))

    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    }
    read = {
        "/api/keys",
        "/api/providers",
        "/api/providers/{provider}/models",
        "/api/profile/keys",
        "/api/profile/keys/{provider}",
        "/v1/models",
        "/v1/models/{model}",
    }
    assert routes == {
        ("POST", "/api/chat/{provider}"),
        ("POST", "/v1/chat/completions"),
        *((method, path) for path in read for method in ("GET", "HEAD")),
        ("PUT", "/api/profile/keys/{provider}"),
        ("DELETE", "/api/profile/keys/{provider}"),
    }
