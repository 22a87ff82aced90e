"""What we show providers: which credential, where it comes from, and how it has fared.

`finder` asks each `source` in the provider's order: the operator's `pools`, profiles and tenants in
the database (`stored`), the tables of a front end (`supabase_profiles`), each of them through a
`lookup_cache`. A `pool` chooses among its slots; `verdict` says what a failure tells about one.
"""
