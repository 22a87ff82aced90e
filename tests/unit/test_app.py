"""The chain is listed once; this pins its order."""

from aiohttp import web

from gateway.app import CHAIN, build_app
from gateway.config.load import load_registry
from gateway.config.settings import Settings
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
        "read_request",
        "check_rights",
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


def test_nothing_is_opened_before_startup() -> None:
    """Building an app is free of side effects: no socket, no thread, no task."""
    app = build_app(Settings(), load_registry(environ={}))

    assert isinstance(app, web.Application)
    assert not app.frozen


def test_every_public_path_is_known() -> None:
    """A new path is a decision; admin pages are never among these."""
    app = build_app(Settings(), load_registry(environ={}))

    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    }
    assert routes == {
        ("POST", "/api/chat/{provider}"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/api/keys"),
        ("GET", "/api/providers"),
        ("GET", "/api/providers/{provider}/models"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{model}"),
    }
