"""Real reverse proxies with the configurations that ship, in front of gateways that tests start.

The rule here: the shipped files are used as they are, but for addresses, ports, paths and
certificates, and the lines that they tell operators to take when they want TLS, a sub-path or two
gateways.
"""
