"""The books: what was asked of providers, by whom, and what became of it.

The rule here: nothing that a request waits for. What is written down goes to a file first and to
the database when that takes it.
"""
