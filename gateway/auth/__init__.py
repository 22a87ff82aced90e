"""How callers are recognised: one file for each method of `auth` in gateway.yaml.

`opening` makes the entries of `auth` into methods, each as `method` has it: `local`, `static_keys`,
`stored_keys` of the database, `jwt`, `supabase_cookie`, `anonymous`. The two with tokens are put
together in `tokens`: a `verifier`, the `key_set` of the issuer, the `claims` that are wanted.
"""
