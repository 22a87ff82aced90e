"""What an operator may write, and reading it.

Rule: a file is refused with every mistake and its place, never repaired.
Only this package reads the environment.
"""
