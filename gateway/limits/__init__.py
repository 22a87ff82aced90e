"""May they call now, and what did it come to: rules, what they count, and what they answer.

`limiter` admits and settles: `plans` knows which `rules` are for what is `asked`, a store of
counters takes them, and `answers` has the words. `allowance` is what a stream may use. Before
anybody calls, `proof` and `unpriced` look for rules that are mistakes; `opening` keeps holds alive,
and has `recall` bring back what was spent.
"""
