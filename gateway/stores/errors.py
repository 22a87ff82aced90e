"""The errors of stores.

The rule here: a message names the database without user and password, and says what to do next.
"""


class StoreError(Exception):
    """A store cannot be used as it is: the gateway does not start, or a command exits with 1."""


class StoreDownError(StoreError):
    """The store does not answer at the moment; trying again may help."""


class StoreDeniedError(StoreDownError):
    """The store answers, but does not allow our user to do this."""


class StoreDamagedError(StoreDownError):
    """The store's file is damaged or no database; only a backup helps."""


class SchemaError(StoreError):
    """The tables are not the ones that this gateway expects."""


class KeyExistsError(StoreError):
    """A key of this name exists already."""


class KeyNotFoundError(StoreError):
    """There is no key of this name."""


class UnknownKeyError(StoreError):
    """A text that is not a key, or not one in this store."""


class KeyDisabledError(StoreError):
    """The key is disabled and cannot get another secret."""


class KeyExpiredError(StoreError):
    """The key has expired, so another secret for it would not work either."""


class CountersDownError(StoreDownError):
    """The counters cannot be reached, and a rule says that nobody is admitted then."""

    def __init__(self, rule: int) -> None:
        super().__init__("the counters do not answer")
        self.rule = rule


class RowRefusedError(StoreError):
    """The store works, but will never accept this row."""
