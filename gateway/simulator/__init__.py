"""A provider that speaks real HTTP on a real socket, told per request what to do.

The rule here: what is exported below is for everybody; the modules are for the simulator alone.
"""

from gateway.simulator.choosing import DirectiveError, read_directive
from gateway.simulator.directive import Directive
from gateway.simulator.journal import Journal, Served
from gateway.simulator.presets import PRESETS
from gateway.simulator.server import Simulator, serve

__all__ = [
    "PRESETS",
    "Directive",
    "DirectiveError",
    "Journal",
    "Served",
    "Simulator",
    "read_directive",
    "serve",
]
