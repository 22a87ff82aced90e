"""The errors that only the admin listener answers with, besides those of `core.errors`.

The rule here: the same as there. Each message says what to configure or to do, because its reader
runs the gateway.
"""

from gateway.core.errors import DownstreamError, InternalError


class AdminKeysMissingError(DownstreamError):
    """gateway.yaml does not say who may use the admin API."""

    status = 403
    code = "admin_keys_missing"
    type = "permission_error"


class AdminKeyNeededError(DownstreamError):
    """A caller's key, where an admin's is needed."""

    status = 403
    code = "admin_key_needed"
    type = "permission_error"


class HostRefusedError(DownstreamError):
    """Called by a name that anybody's page could have let resolve to this listener."""

    status = 403
    code = "host_refused"
    type = "permission_error"


class UnsupportedMediaTypeError(DownstreamError):
    """A body that is not said to be JSON."""

    status = 415
    code = "unsupported_media_type"


class StoredKeyNotFoundError(DownstreamError):
    """No stored key has this name."""

    status = 404
    code = "key_not_found"


class StoredKeyExistsError(DownstreamError):
    """A stored key has this name already."""

    status = 409
    code = "key_exists"


class StoredKeyDisabledError(DownstreamError):
    """The key is disabled, and stays so."""

    status = 409
    code = "key_disabled"


class StoredKeyExpiredError(DownstreamError):
    """The key has expired; another secret of it would not work either."""

    status = 409
    code = "key_expired"


class KeysNotStoredError(DownstreamError):
    """This gateway asks no database for keys."""

    status = 409
    code = "keys_not_stored"


class StoreUnavailableError(InternalError):
    """The database does not answer; `Retry-After` says when to come back."""

    status = 503
    code = "store_unavailable"
    type = "overloaded_error"
