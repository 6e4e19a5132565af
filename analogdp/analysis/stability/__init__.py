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
from analogdp.analysis.stability.transients import (
    Amplification,
    amplification,
    found_amplification,
    kreiss_constant,
    numerical_abscissa,
)

__all__ = [
    "Amplification",
    "DrawnGrowth",
    "FixedPoint",
    "Growth",
    "Linearisation",
    "SettlingSteps",
    "System",
    "almost_sure_growth",
    "amplification",
    "asymptotic_steps",
    "chain_settling_time",
    "expected_growth",
    "fixed_point",
    "found_amplification",
    "free_state",
    "kreiss_constant",
    "linear_step",
    "linearise",
    "mean_square_growth",
    "numerical_abscissa",
    "settling_steps",
]
