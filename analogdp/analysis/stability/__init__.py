"""The stability of asymmetric nudging: fixed points, Jacobians, loops, and what follows from them."""

from analogdp.analysis.stability.certificates import proven_stable, small_gain
from analogdp.analysis.stability.characteristic import CharacteristicFunction, LoopEquation, loop_equation
from analogdp.analysis.stability.critical import Boundary, critical_alpha, critical_beta
from analogdp.analysis.stability.fixed_point import FixedPoint, fixed_point, free_state
from analogdp.analysis.stability.gammas import GammaSpread, gamma_spread, gammas, output_strength
from analogdp.analysis.stability.kinks import Settled, settled_fractions
from analogdp.analysis.stability.linearisation import Linearisation, linearise
from analogdp.analysis.stability.loops import largest_loop, linear_errors, loop_gain, loop_operators
from analogdp.analysis.stability.motion import linear_step
from analogdp.analysis.stability.predict import Prediction, predict
from analogdp.analysis.stability.random_clocks import (
    DrawnGrowth,
    Growth,
    almost_sure_growth,
    expected_growth,
    mean_square_growth,
)
from analogdp.analysis.stability.settling import SettlingSteps, asymptotic_steps, chain_settling_time, settling_steps
from analogdp.analysis.stability.spectrum import Spectrum, spectrum
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
    "Boundary",
    "CharacteristicFunction",
    "DrawnGrowth",
    "FixedPoint",
    "GammaSpread",
    "Growth",
    "Linearisation",
    "LoopEquation",
    "Prediction",
    "Settled",
    "SettlingSteps",
    "Spectrum",
    "System",
    "almost_sure_growth",
    "amplification",
    "asymptotic_steps",
    "chain_settling_time",
    "critical_alpha",
    "critical_beta",
    "expected_growth",
    "fixed_point",
    "found_amplification",
    "free_state",
    "gamma_spread",
    "gammas",
    "kreiss_constant",
    "largest_loop",
    "linear_errors",
    "linear_step",
    "linearise",
    "loop_equation",
    "loop_gain",
    "loop_operators",
    "mean_square_growth",
    "numerical_abscissa",
    "output_strength",
    "predict",
    "proven_stable",
    "settled_fractions",
    "settling_steps",
    "small_gain",
    "spectrum",
]
