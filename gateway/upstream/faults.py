"""Whose failure it is when an attempt fails: the host's, the model's, the caller's or our own.

The rule here: a kind of error that is not listed counts against nobody. What the caller can mend
(4xx), what waits for a limit (429) and what we set ourselves (sizes, `total_s`) is no outage.
"""

import enum
from http import HTTPStatus

from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import (
    UpstreamAnswerError,
    UpstreamBadResponseError,
    UpstreamConnectError,
    UpstreamConnectTimeoutError,
    UpstreamCutError,
    UpstreamDnsError,
    UpstreamFirstContentTimeoutError,
    UpstreamHungUpError,
    UpstreamIdleTimeoutError,
    UpstreamProtocolError,
    UpstreamRequestTimeoutError,
    UpstreamServerError,
    UpstreamStreamError,
    UpstreamTlsError,
    UpstreamTruncatedError,
)


class Culprit(enum.Enum):
    """Who failed."""

    HOST = enum.auto()  # nobody can be asked there
    MODEL = enum.auto()  # the host answers, or takes connections; this model does not work
    NOBODY = enum.auto()


_CULPRITS: dict[type[UpstreamError], Culprit] = {
    UpstreamConnectError: Culprit.HOST,
    UpstreamConnectTimeoutError: Culprit.HOST,
    UpstreamDnsError: Culprit.HOST,
    UpstreamTlsError: Culprit.HOST,
    UpstreamRequestTimeoutError: Culprit.HOST,
    # A request that brings its server down is refused to all others by nobody but itself.
    UpstreamHungUpError: Culprit.MODEL,
    UpstreamFirstContentTimeoutError: Culprit.MODEL,
    UpstreamIdleTimeoutError: Culprit.MODEL,
    UpstreamProtocolError: Culprit.MODEL,
    UpstreamBadResponseError: Culprit.MODEL,
    UpstreamCutError: Culprit.MODEL,
    UpstreamTruncatedError: Culprit.MODEL,
    UpstreamServerError: Culprit.MODEL,
    UpstreamStreamError: Culprit.MODEL,
}
_TIMEOUTS = (
    UpstreamConnectTimeoutError,
    UpstreamDnsError,
    UpstreamTlsError,
    UpstreamRequestTimeoutError,
    UpstreamFirstContentTimeoutError,
    UpstreamIdleTimeoutError,
)
# They say what the host cannot do for this request, not that it is ill.
_ABOUT_THE_REQUEST = (HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)


def find_culprit(error: UpstreamError, *, has_lagged: bool) -> Culprit:
    """Who failed; `has_lagged`: this process was late itself just now, and clocks prove nothing."""
    if error.is_ours or (has_lagged and isinstance(error, _TIMEOUTS)):
        return Culprit.NOBODY
    if isinstance(error, UpstreamAnswerError) and (
        error.status < HTTPStatus.INTERNAL_SERVER_ERROR or error.status in _ABOUT_THE_REQUEST
    ):
        return Culprit.NOBODY
    return _CULPRITS.get(type(error), Culprit.NOBODY)
