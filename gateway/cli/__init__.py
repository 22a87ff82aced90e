"""The commands: parse, call, print; one file for each.

`main` has the commands and their options, and `…_command` those of a group; `commands` is the table
of what each of them runs. That is in a file of its name (`chat`, `check`, `keys`, `logs`), and
`…_table` shows what came of it. What a gateway does that was started is in `gateway.serving`.
"""
