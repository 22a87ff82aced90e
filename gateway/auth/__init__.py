"""How callers are recognised: one file for each method of `auth` in gateway.yaml."""
