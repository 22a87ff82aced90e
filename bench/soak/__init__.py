"""A long run under load in which some of everything fails: does anything grow, is anything lost?

The rule here: every process is a real one, and what is believed is what its other side wrote down.
"""
