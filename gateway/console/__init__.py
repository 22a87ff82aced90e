"""Pages for operators, on a listener of their own.

The rule here: nothing of this is ever on the public port.
"""
