"""What a weight is made of: ideal numbers, or crossbars of memory cells with converters."""

from analogdp.synapses.base import ConductanceTable, LocalUpdate, Synapse, UpdateReport
from analogdp.synapses.crossbar import Crossbar
from analogdp.synapses.ideal import IdealSynapse
from analogdp.synapses.pair import PairSynapse
from analogdp.synapses.settings import CrossbarSettings

__all__ = [
    "ConductanceTable",
    "Crossbar",
    "CrossbarSettings",
    "IdealSynapse",
    "LocalUpdate",
    "PairSynapse",
    "Synapse",
    "UpdateReport",
]
