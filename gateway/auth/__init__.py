"""How callers are recognised: one file for each method of `auth` in gateway.yaml.

`opening` turns the entries under `auth` into methods that follow the protocol in `method`: `local`,
`static_keys`, `stored_keys` (in the database), `jwt`, `supabase_cookie`, `anonymous`. The two with
tokens are built in `tokens` from a `verifier`, the issuer's `key_set` and the required `claims`.
"""
