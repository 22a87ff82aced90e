"""The words of the gateway as plain values: no framework, no database, no I/O."""
