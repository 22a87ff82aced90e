"""Says what happened, decides nothing: logs and metrics.

The rule here: observing fails open; nothing of a request waits for it or fails because of it.
"""
