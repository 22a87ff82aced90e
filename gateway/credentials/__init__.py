"""Credentials for providers: which one to use, where it comes from, and whether it works.

`finder` asks each `source` in the provider's order: the operator's `pools`, profiles and tenants in
the database (`stored`), and the tables of a front end (`supabase_profiles`), the latter two through
a `lookup_cache`. A `pool` chooses among its slots; `verdict` says what a failure means for one.
"""
