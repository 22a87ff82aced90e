"""A copy of a request that a middleware passes on, as `request.clone(headers=...)` makes one.

The rule here: what is known of one is known of the other, above all that its answer has begun. Both
are of one connection, and `guard_stream` holds the first of them.
"""

from collections.abc import Iterator

from aiohttp import web

from gateway.plugins.keys import PREPARED, PROMPT

_COPY_OF: web.RequestKey[web.Request] = web.RequestKey("copy_of", web.Request)

_OWN = frozenset({_COPY_OF, PREPARED})  # what is told in its own way


def link_copy(copy: web.Request, request: web.Request) -> None:
    """Note whose copy goes further in; what a middleware wrote on it is the request's as well.

    The prompt is the copy's alone until that is back.
    """
    if copy is request:
        return
    _learn_from(copy, request)
    request.pop(PROMPT, None)  # the relay lets go of the copy's; an hour's stream need hold none
    copy[_COPY_OF] = request
    copy[PREPARED] = request.get(PREPARED)  # the answer to another copy may have begun


def unlink_copy(copy: web.Request, request: web.Request) -> None:
    """Write on the request what those further in have written on its copy."""
    if copy is request:
        return
    _learn_from(copy, request)
    copy[PREPARED] = None  # a response holds its request: a cycle


async def note_prepared_copy(request: web.Request, response: web.StreamResponse) -> None:
    """Tell those that it is a copy of that a response has begun; before `note_prepared`."""
    originals = list(_find_originals(request))
    if any(original.get(PREPARED) is not None for original in originals):
        raise RuntimeError("A response has begun for this request; there is no second one.")
    for original in originals:
        original[PREPARED] = response


def _find_originals(request: web.Request) -> Iterator[web.Request]:
    original = request.get(_COPY_OF)
    while original is not None:
        yield original
        original = original.get(_COPY_OF)


def _learn_from(copy: web.Request, request: web.Request) -> None:
    request.update((key, value) for key, value in copy.items() if key not in _OWN)
