"""The processes of a running gateway: one, or a supervisor and its workers.

`one_process` runs a `service` (both listeners of one app) until it is told to stop. With several
workers `supervisor` starts, watches and replaces them; each `worker` again runs as `one_process`.
"""
