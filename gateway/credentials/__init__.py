"""Where the credential of a call comes from: the operator, the caller's profile, their tenant."""
