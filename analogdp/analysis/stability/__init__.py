"""The stability of asymmetric nudging: fixed points, Jacobians, loops, and what follows from them."""

from analogdp.analysis.stability.fixed_point import FixedPoint, fixed_point, free_state
from analogdp.analysis.stability.linearisation import Linearisation, linearise
from analogdp.analysis.stability.system import System

__all__ = [
    "FixedPoint",
    "Linearisation",
    "System",
    "fixed_point",
    "free_state",
    "linearise",
]
