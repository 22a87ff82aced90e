"""What can be wrong with a store.

The rule here: a message names the database without user and password, and says what to do next.
"""


class StoreError(Exception):
    """A store cannot be used as it is; the gateway does not start, a command ends in 1."""


class StoreDownError(StoreError):
    """The store does not answer at the moment; trying again may help."""


class StoreDeniedError(StoreDownError):
    """The store answers, and its user may not do this."""


class StoreDamagedError(StoreDownError):
    """The store's file is none, or damaged; nothing but a backup helps."""


class SchemaError(StoreError):
    """The tables are not those that this gateway knows."""


class KeyExistsError(StoreError):
    """A key of this name is there already."""


class KeyNotFoundError(StoreError):
    """There is no key of this name."""


class UnknownKeyError(StoreError):
    """A text that is no key, or not one of this store."""


class KeyDisabledError(StoreError):
    """The key was disabled, and cannot be given another secret."""


class KeyExpiredError(StoreError):
    """The key has expired, and another secret of it would not work either."""


class CountersDownError(StoreDownError):
    """The counters cannot be asked, and a rule says that nobody is let in without."""

    def __init__(self, rule: int) -> None:
        super().__init__("the counters do not answer")
        self.rule = rule


class RowRefusedError(StoreError):
    """The store is well and does not take this row, now or later."""
