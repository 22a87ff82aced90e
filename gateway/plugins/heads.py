"""What an operator's middleware may have written on a head, and whether a head can carry it.

The rule here: a header that cannot be sent is found while it is known whose it is. aiohttp finds it
when it writes the head: then nothing goes out at all, and the log line has been written.
"""

import re
from collections.abc import Mapping

from aiohttp import web

from gateway.plugins.api import RESPONSE_HEADERS

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.1
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\ud7ff\ue000-\U0010ffff]*")  # no control, no half of a pair
# They say where an answer ends; whoever writes it sets them.
_FRAMING = frozenset({"content-length", "transfer-encoding"})


class HeaderError(ValueError):
    """A header that no head can carry."""


class HeadWatch:
    """The headers that are to be added to the answer of one request, while a middleware has them.

    Where nothing is wrong it copies and compares them twice, and looks at an answer's own: 5 µs for
    each middleware of an operator's (measured with six headers), and nothing where there is none.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._answer: web.StreamResponse | None = None
        self._answer_body: object = None
        self.keep()

    def note_answer(self, response: web.StreamResponse) -> web.StreamResponse:
        """Remember what the rest of the chain has answered, and return it."""
        self._answer, self._answer_body = response, _body_of(response)
        return response

    def has_other_body(self, begun: web.StreamResponse) -> bool:
        """Whether the middleware has given it a body since: the last piece of a stream is one."""
        return begun is self._answer and _body_of(begun) != self._answer_body

    def keep(self) -> None:
        """Take those that are there now for right; others of the chain have been at them."""
        self._given = self._request.get(RESPONSE_HEADERS)
        self._kept = None if self._given is None else dict(self._given)

    def take_back(self, response: web.StreamResponse | None = None) -> str | None:
        """Undo what cannot be sent, also on an answer that has not begun; what was wrong."""
        wrong = self._take_back_added()
        if response is not None and not response.prepared:
            wrong = _take_off(response) or wrong
        return wrong

    def _take_back_added(self) -> str | None:
        added: object = self._request.get(RESPONSE_HEADERS)
        if added == self._kept:
            return None
        wrong = _find_mistake(added)
        if wrong is not None and self._given is not None and self._kept is not None:
            # The same one: whoever stands further out may hold it.
            self._given.clear()
            self._given.update(self._kept)
            self._request[RESPONSE_HEADERS] = self._given
        return wrong


def _body_of(response: web.StreamResponse) -> object:
    return response.body if isinstance(response, web.Response) else None


def _find_mistake(added: object) -> str | None:
    if not isinstance(added, dict):
        return f"RESPONSE_HEADERS was made {type(added).__name__}, not dict."
    for name, value in added.items():
        wrong = _judge(name, value)
        if wrong is not None:
            return wrong
        if name.lower() in _FRAMING:
            return f"{name} is not for RESPONSE_HEADERS: it says where the answer ends."
    return None


def _take_off(response: web.StreamResponse) -> str | None:
    if _can_be_sent(response.headers):
        return None
    found = [(name, _judge(name, value)) for name, value in response.headers.items()]
    wrong = {name: mistake for name, mistake in found if mistake is not None}
    for name in wrong:
        response.headers.popall(name, None)
    return next(iter(wrong.values()), None)


def _can_be_sent(headers: Mapping[str, str]) -> bool:
    """All of them looked at together: what they are, one by one, matters only if not."""
    try:
        names, values = "".join(headers), "".join(headers.values())
    except TypeError:  # one of them is no text
        return False
    is_named = _NAME.fullmatch(names) is not None and "" not in headers
    return is_named and _VALUE.fullmatch(values) is not None


def _judge(name: object, value: object) -> str | None:
    """What is wrong with one header; its value, which may be a secret, is not quoted."""
    if not isinstance(name, str):
        return f"A header's name is {type(name).__name__}, not str."
    if _NAME.fullmatch(name) is None:
        return f"No header can be called {name!r}."
    if not isinstance(value, str):
        return f"The header {name} is {type(value).__name__}, not str."
    if _VALUE.fullmatch(value) is None:
        return f"The header {name} holds a control character."
    return None
