"""What an operator may write, and reading it.

`load` reads both files: a `document` with the place of each value becomes `settings` or a
`registry`, and `explain` says what those refuse. The other modules are blocks of these two, or
what several of them need.

Rule: a file is refused with every mistake and its place, never repaired.
Only this package reads the environment.
"""
