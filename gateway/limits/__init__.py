"""Limits: whether a caller may call now, what a request used, and what callers are told.

`limiter` admits and settles: `plans` finds the `rules` that apply to what is `asked`, a counter
store counts, and `answers` has the wording. `allowance` tracks what a stream may use. Before
anybody calls, `proof` and `unpriced` look for mistakes in the rules. `opening` keeps holds alive
and has `recall` restore what was spent before.
"""
