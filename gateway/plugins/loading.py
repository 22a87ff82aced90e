"""Loading an operator's own middlewares and putting them in their places.

The rule here: whatever is wrong with one stops the start, with a sentence that says what to
mend; the order of the gateway's own chain cannot be changed.
"""

import difflib
import importlib
import inspect
from collections.abc import Iterable, Sequence
from types import ModuleType

import structlog
from aiohttp.typedefs import Middleware

from gateway.config.middleware_places import THE_FIRST_PLACE, TOO_FAR_OUT
from gateway.config.settings import MiddlewareSpec
from gateway.plugins.guarding import guard


class PluginError(ValueError):
    """A middleware in gateway.yaml that cannot be used."""


def load_middleware(use: str) -> Middleware:
    """The middleware that `module:name` stands for, checked as far as can be without a call.

    PluginError, which says what is wrong with it.
    """
    module_name, _, name = use.partition(":")
    module = _import(module_name, use)
    if not hasattr(module, name):
        known = [known for known in vars(module) if not known.startswith("_")]
        place = getattr(module, "__file__", None)
        raise PluginError(
            f"middleware {use}: {module_name} has no {name}{_nearest(name, known)}"
            + (f"; it is {place}" if place else "")
        )
    found = getattr(module, name)
    if not inspect.isroutine(found):
        kind = "a class" if inspect.isclass(found) else f"of the type {type(found).__name__}"
        raise PluginError(
            f"middleware {use}: is {kind} and no function; a method of an object would be one"
        )
    if getattr(found, "__middleware_version__", None) != 1:
        raise PluginError(f"middleware {use}: lacks the decorator @web.middleware of aiohttp")
    if not inspect.iscoroutinefunction(found) or not _takes_both(found):
        raise PluginError(
            f"middleware {use}: must be `async def {name}(request, handler)` and nothing else"
        )
    middleware: Middleware = found
    return middleware


def place(chain: Sequence[Middleware], specs: Iterable[MiddlewareSpec]) -> tuple[Middleware, ...]:
    """The chain with the operator's middlewares in it, each beside the one it names.

    PluginError for a place that is not there, and for a second middleware of one name.
    """
    placed = list(chain)
    for spec in specs:
        middleware = _load(spec)
        if middleware is None:
            continue
        name = name_of(middleware)
        names = [name_of(one) for one in placed]
        if name in names:
            raise PluginError(
                f"middleware {spec.use}: the chain has one called {name} already; give this one "
                "another `__name__`"
            )
        beside = spec.after or spec.before or ""
        if beside not in names:
            raise PluginError(
                f"middleware {spec.use}: there is no {beside} in the chain"
                f"{_nearest(beside, names)}; it is: {', '.join(names)}"
            )
        if ("after" if spec.after else "before", beside) in TOO_FAR_OUT:
            raise PluginError(f"middleware {spec.use}: {THE_FIRST_PLACE}")
        index = names.index(beside) + (1 if spec.after else 0)
        placed.insert(index, guard(middleware, name, timeout_s=spec.timeout_s))
    return tuple(placed)


def _load(spec: MiddlewareSpec) -> Middleware | None:
    try:
        return load_middleware(spec.use)
    except PluginError as error:
        if not spec.optional:
            raise
        structlog.get_logger().warning("middleware.skipped", middleware=spec.use, reason=str(error))
        return None


def name_of(middleware: Middleware) -> str:
    """The name by which gateway.yaml speaks of a middleware."""
    return getattr(middleware, "__name__", type(middleware).__name__)


def _import(module_name: str, use: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise PluginError(
                f"middleware {use}: there is no module {missing}; "
                "it is looked for next to gateway.yaml and in the current directory"
            ) from None
        raise PluginError(
            f"middleware {use}: it imports {missing}, which is not installed"
        ) from error
    # An operator's module may raise anything when it is imported, or be meant as a program.
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"middleware {use}: cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _takes_both(function: Middleware) -> bool:
    try:
        inspect.signature(function).bind(None, handler=None)  # as aiohttp calls it
    except TypeError:
        return False
    return True


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""
