"""The ledger: what was asked of providers, by whom, and how it ended.

`ledger` is told when an exchange begins and ends, and writes both to its `journal`. The task in
`writer` saves ended exchanges to the database, including those in the `left_journal` of a dead
process.

The rule here: no request waits for the database. Everything is written to a file first, and to the
database when that is available.
"""
