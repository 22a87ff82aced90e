"""What outlives the process: stored keys, in SQLite or PostgreSQL.

The rule here: importing `keys`, `errors`, `peppers` or `opening` brings no database library;
those come with `sql`, which `opening` imports when a store is used.
"""
