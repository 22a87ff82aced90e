"""The operator's own plugins, named in gateway.yaml.

The rule here: a plugin imports `gateway.plugins.api` and nothing else of the gateway.
"""
