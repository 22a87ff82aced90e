"""The commands: parse, call, print; one file for each."""
