"""Ways of recognising a caller, one file each; `middleware.authenticate` asks them in order.

The rule here: whoever is not recognised is told so in the same words, whatever the reason was; the
reason goes to the log.
"""
