"""Reads what telemetry has written: finds the files, parses, chooses, sums, shows.

The rule here: nothing that stands in a line is an error. What the gateway did not write is counted
and passed over, and memory does not grow with the length of a file.
"""
