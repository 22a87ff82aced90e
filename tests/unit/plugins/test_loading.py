"""An operator's middleware is found and placed, or the start stops with a sentence."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.app import CHAIN
from gateway.config.middleware_places import TOO_FAR_OUT
from gateway.config.settings import MiddlewareSpec
from gateway.plugins.finding import look_in
from gateway.plugins.loading import PluginError, load_middleware, name_of, place

MODULE = """
from aiohttp import web

NUMBER = 1
NOTHING = None

@web.middleware
async def good(request, handler):
    return await handler(request)

@web.middleware
async def other(request, handler):
    return await handler(request)

async def undecorated(request, handler): ...

@web.middleware
async def one_argument(request): ...

@web.middleware
async def wrong_names(first, second): ...

@web.middleware
def not_async(request, handler): ...

@web.middleware
async def authenticate(request, handler): ...

class Sort:
    @web.middleware
    async def __call__(self, request, handler): ...

    @web.middleware
    async def method(self, request, handler): ...

AN_OBJECT = Sort()
method = AN_OBJECT.method

def make(name):
    @web.middleware
    async def made(request, handler): ...
    made.__name__ = name
    return made

first, second = make("first"), make("second")
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path) -> Iterator[None]:
    """A directory with an operator's modules, beside a gateway.yaml."""
    before = list(sys.path), list(sys.meta_path), set(sys.modules)
    (tmp_path / "mine_for_tests.py").write_text(MODULE)
    (tmp_path / "needs_more.py").write_text("import nowhere_to_be_found")
    (tmp_path / "broken_syntax.py").write_text("def")
    (tmp_path / "raises.py").write_text("raise RuntimeError('boom')")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)")
    (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt")
    look_in([tmp_path], [])
    yield
    sys.path[:], sys.meta_path[:] = before[:2]
    for name in set(sys.modules) - before[2]:
        del sys.modules[name]


def names(*specs: MiddlewareSpec) -> list[str]:
    """The chain with these in it."""
    return [name_of(one) for one in place(CHAIN, specs)]


def test_a_middleware_is_found_by_module_and_name() -> None:
    """As gateway.yaml writes it."""
    assert name_of(load_middleware("mine_for_tests:good")) == "good"


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        ("nowhere:stamp", "there is no module nowhere; it is looked for next to gateway.yaml"),
        ("mine_for_tests.deeper:x", "mine_for_tests"),
        ("mine_for_tests:goood", r"has no goood \(did you mean good\?\)"),
        ("mine_for_tests:NUMBER", "is of the type int and no function"),
        ("mine_for_tests:NOTHING", "is of the type NoneType and no function"),
        ("mine_for_tests:Sort", "is a class and no function"),
        ("mine_for_tests:AN_OBJECT", "is of the type Sort and no function; a method of an object"),
        ("mine_for_tests:undecorated", "lacks the decorator @web.middleware"),
        ("mine_for_tests:one_argument", r"must be `async def one_argument\(request, handler\)`"),
        ("mine_for_tests:wrong_names", r"must be `async def wrong_names\(request, handler\)`"),
        ("mine_for_tests:not_async", "must be `async def"),
        ("needs_more:x", "it imports nowhere_to_be_found, which is not installed"),
        ("broken_syntax:x", "cannot be imported: SyntaxError"),
        ("raises:x", "cannot be imported: RuntimeError: boom"),
        ("leaves:x", "cannot be imported: SystemExit: 3"),
    ],
)
def test_what_cannot_be_used_says_why(use: str, sentence: str) -> None:
    """K09: to start without somebody's check is worse than not to start."""
    with pytest.raises(PluginError, match=sentence):
        load_middleware(use)


def test_a_middleware_stands_where_it_was_put() -> None:
    """Further in for `after`, further out for `before`."""
    placed = names(
        MiddlewareSpec(use="mine_for_tests:good", after="authenticate"),
        MiddlewareSpec(use="mine_for_tests:other", before="authenticate"),
    )

    index = placed.index("authenticate")
    assert placed[index - 1 : index + 2] == ["other", "authenticate", "good"]


def test_one_may_be_placed_beside_another() -> None:
    """By the name of its function."""
    placed = names(
        MiddlewareSpec(use="mine_for_tests:good", after="authenticate"),
        MiddlewareSpec(use="mine_for_tests:other", after="good"),
    )

    assert placed.index("other") == placed.index("good") + 1


def test_the_order_of_our_own_stays() -> None:
    """K10: authentication before limits before the relay is no matter of taste."""
    placed = names(MiddlewareSpec(use="mine_for_tests:good", after="enforce_limits"))

    assert [name for name in placed if name != "good"] == [name_of(one) for one in CHAIN]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        *(
            (
                MiddlewareSpec.model_validate({"use": "mine_for_tests:good", side: name}),
                "nothing comes before assign_request_id; the first place is `after: assign_",
            )
            for side, name in sorted(TOO_FAR_OUT)
        ),
        (
            MiddlewareSpec(use="mine_for_tests:good", after="authentcate"),
            r"no authentcate in the chain \(did you mean authenticate\?\); it is: guard_stream,",
        ),
        (
            MiddlewareSpec(use="mine_for_tests:authenticate", after="authenticate"),
            "the chain has one called authenticate already; give this one another `__name__`",
        ),
    ],
)
def test_a_place_that_cannot_be_is_refused(spec: MiddlewareSpec, sentence: str) -> None:
    """With the names that there are."""
    with pytest.raises(PluginError, match=sentence):
        place(CHAIN, [spec])


def test_a_method_and_what_a_function_makes_are_middlewares_like_others() -> None:
    """One that has settings, or is there twice, is written so."""
    placed = names(
        MiddlewareSpec(use="mine_for_tests:method", after="authenticate"),
        MiddlewareSpec(use="mine_for_tests:first", after="method"),
        MiddlewareSpec(use="mine_for_tests:second", after="first"),
    )

    index = placed.index("authenticate") + 1
    assert placed[index : index + 3] == ["method", "first", "second"]


def test_no_spec_is_the_chain_as_it_is() -> None:
    """Most gateways have none."""
    assert place(CHAIN, []) == CHAIN


def test_ctrl_c_stops_the_start_and_is_no_mistake() -> None:
    """Whoever presses it does not want to go on."""
    with pytest.raises(KeyboardInterrupt):
        load_middleware("interrupted:x")


@pytest.mark.parametrize("use", ["needs_more:x", "leaves:x"])
def test_one_that_is_optional_is_left_out_when_it_cannot_be_loaded(use: str) -> None:
    """K09: an extra that is missing on one machine; the log says so."""
    spec = MiddlewareSpec(use=use, after="authenticate", optional=True)

    with capture_logs() as lines:
        placed = names(spec)

    assert placed == [name_of(one) for one in CHAIN]
    assert [line["event"] for line in lines] == ["middleware.skipped"]
