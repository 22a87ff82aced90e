"""What there is to watch about a ledger.

The rule here: numbers that operators act on; each has an alert in docs/operate/ledger.md.
"""

import msgspec


class LedgerNumbers(msgspec.Struct, frozen=True):
    """How a ledger is doing at one moment."""

    backlog_bytes: int  # in the journal and not in the database
    held: int  # exchanges that are in memory alone: no file takes them
    unwritten: int  # exchanges that were given up, since the start
    is_store_down: bool
