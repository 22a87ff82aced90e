"""How Hypothesis makes its examples, for every test that uses it.

The rule here: what differs from its defaults stands here with its reason, and nowhere else.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite",
    # On a fresh checkout the first text that is drawn makes a table of all characters: 0.7 s, and
    # 3 on a busy machine. Hypothesis counts that as the strategy's own and gives up on the test.
    suppress_health_check=[HealthCheck.too_slow],
    # By default an example may take 0.2 s, which a busy machine takes from any of them.
    deadline=None,
)
settings.load_profile("suite")
