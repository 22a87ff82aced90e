"""The books: what was asked of providers, by whom, and what became of it.

`ledger` is told of every beginning and end, and writes them into its `journal`; the task of
`writer` brings what has ended into the database, also out of the `left_journal` of a process that
is dead.

The rule here: nothing that a request waits for. What is written down goes to a file first and to
the database when that takes it.
"""
