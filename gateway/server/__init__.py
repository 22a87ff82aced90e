"""The listener: aiohttp's server with the deadlines and answers that it lacks.

The rule here: what happens before the chain and beside it; of the chain it knows nothing.
"""
