"""Whatever outlives a request or the process: store protocols and their implementations.

The rule here: importing a protocol (`counters`, `credentials`, `keys`, `ledger`, `profiles`), a
light part (`memory_counters`, `errors`, `encryption_keys`, `peppers`, `upgrade_lock`) or one of
the `opening…` modules loads no database library and no cryptography. Those come with `sql_…`,
`supabase_profiles` and `envelope`, which are imported only when a store is opened. redis-py, an
optional extra, comes with `redis_…` and `shared_counters`.
"""
