"""What outlives a request, and the process: protocols, and what keeps their promises.

The rule here: importing `counters`, `memory_counters`, `keys`, `ledger`, `errors`, `peppers` or
`opening` brings no database library; those come with `sql_keys` and `sql_ledger`, which `opening`
imports for a store.
"""
