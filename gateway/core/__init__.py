"""The gateway's terms as plain values: no framework, no database, no I/O."""
