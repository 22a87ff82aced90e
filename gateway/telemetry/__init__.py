"""Says what happened, decides nothing: logs and metrics.

The log: `logging` lets a line be filtered (`log_filter`), cleaned (`cleaning`) and rendered
(`rendering`), and `log_writer` writes it. Metrics: what `definitions` names is counted by
`exchange_series` and `metrics`, and shown for all workers by `reporter`. Traces are in `tracing`.

The rule here: observing fails open; nothing of a request waits for it or fails because of it.
"""
