"""What every test can use.

The rule here: the fixtures themselves live in `tests/plugins`, one concept per file.
"""

pytest_plugins = [
    "tests.plugins.programs",  # first: others import it
    "tests.plugins.declared",
    "tests.plugins.admins",
    "tests.plugins.authorities",
    "tests.plugins.authority",
    "tests.plugins.browser",
    "tests.plugins.chain",
    "tests.plugins.closed_port",
    "tests.plugins.collector",
    "tests.plugins.count",
    "tests.plugins.redis_server",
    "tests.plugins.counters",
    "tests.plugins.gateway",
    "tests.plugins.service",
    "tests.plugins.hypothesis_profile",
    "tests.plugins.issuer",
    "tests.plugins.proxies.running",  # before row, which imports it
    "tests.plugins.proxies.row",
    "tests.plugins.llamacpp",
    "tests.plugins.namespaces",
    "tests.plugins.postgresql",
    "tests.plugins.prometheus",
    "tests.plugins.showing",
    "tests.plugins.span_collector",
    "tests.plugins.traced_gateway",
    "tests.plugins.stored_keys",
    "tests.plugins.ledgers",
    "tests.plugins.purse",
    "tests.plugins.front_end_tables",
    "tests.plugins.stored_credentials",
    "tests.plugins.recordings",
]
