"""What outlives a request, and the process: protocols, and what keeps their promises.

The rule here: importing a protocol (`counters`, `credentials`, `keys`, `ledger`, `profiles`), a
part of one (`memory_counters`, `errors`, `encryption_keys`, `peppers`, `upgrade_lock`) or one of
the `opening…` brings no database library and no cryptography; those come with `sql_…`,
`supabase_profiles` and `envelope`, which are imported where a store is opened. redis-py, which is
in an extra, comes with `redis_…` and `shared_counters`.
"""
