"""Whose fault a failed attempt is: the host's, the model's, the caller's or our own.

The rule here: a kind of error that is not listed counts against nobody. Errors that the caller can
fix (4xx), rate limits (429) and limits that we set ourselves (sizes, `total_s`) are no outage.
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
    """Who is to blame for a failure."""

    HOST = enum.auto()  # the host cannot be reached at all
    MODEL = enum.auto()  # the host answers or takes connections, but this model does not work
    NOBODY = enum.auto()


_CULPRITS: dict[type[UpstreamError], Culprit] = {
    UpstreamConnectError: Culprit.HOST,
    UpstreamConnectTimeoutError: Culprit.HOST,
    UpstreamDnsError: Culprit.HOST,
    UpstreamTlsError: Culprit.HOST,
    UpstreamRequestTimeoutError: Culprit.HOST,
    # One request may crash its server; callers of other models must not suffer for it.
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
# These say that the host cannot do what this request asks, not that it is failing.
_ABOUT_THE_REQUEST = (HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)


def find_culprit(error: UpstreamError, *, has_lagged: bool) -> Culprit:
    """Who is to blame; after a lag of this process (`has_lagged`) timeouts prove nothing."""
    if error.is_ours or (has_lagged and isinstance(error, _TIMEOUTS)):
        return Culprit.NOBODY
    if isinstance(error, UpstreamAnswerError) and (
        error.status < HTTPStatus.INTERNAL_SERVER_ERROR or error.status in _ABOUT_THE_REQUEST
    ):
        return Culprit.NOBODY
    return _CULPRITS.get(type(error), Culprit.NOBODY)
