"""The stability of asymmetric nudging: fixed points, Jacobians, loops, and what follows from them."""

from analogdp.analysis.stability.fixed_point import FixedPoint, fixed_point, free_state
from analogdp.analysis.stability.linearisation import Linearisation, linearise
from analogdp.analysis.stability.motion import linear_step
from analogdp.analysis.stability.random_clocks import (
    DrawnGrowth,
    Growth,
    almost_sure_growth,
    expected_growth,
    mean_square_growth,
)
from analogdp.analysis.stability.settling import SettlingSteps, asymptotic_steps, chain_settling_time, settling_steps
from analogdp.analysis.stability.system import System

__all__ = [
    "DrawnGrowth",
    "FixedPoint",
    "Growth",
    "Linearisation",
    "SettlingSteps",
    "System",
    "almost_sure_growth",
    "asymptotic_steps",
    "chain_settling_time",
    "expected_growth",
    "fixed_point",
    "free_state",
    "linear_step",
    "linearise",
    "mean_square_growth",
    "settling_steps",
]
