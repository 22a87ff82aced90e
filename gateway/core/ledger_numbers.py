"""The numbers to monitor about a ledger.

The rule here: only numbers that operators act on; each has an alert in docs/operate/ledger.md.
"""

import msgspec


class LedgerNumbers(msgspec.Struct, frozen=True):
    """The state of a ledger at one moment."""

    backlog_bytes: int  # in the journal and not yet in the database
    held: int  # exchanges only in memory, because they could not be written to a file
    unwritten: int  # exchanges given up since the start
    is_store_down: bool
