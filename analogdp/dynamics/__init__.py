"""How time passes: integrators, clocks, noise, and simulations that settle or diverge."""

from analogdp.dynamics.adaptive import DormandPrince
from analogdp.dynamics.axons import AxonSettings
from analogdp.dynamics.clocks import Clock
from analogdp.dynamics.continuous import Continuous
from analogdp.dynamics.divergence import Diverged
from analogdp.dynamics.integrators import Euler, ExponentialEuler, Integrator, RungeKutta4
from analogdp.dynamics.poisson import Poisson
from analogdp.dynamics.simulation import Settling, Simulation, Watcher, converged, diverged
from analogdp.dynamics.stability import stable_step_limit
from analogdp.dynamics.step import Step
from analogdp.dynamics.step_limit import refuse_unstable_step
from analogdp.dynamics.sweep import Sweep

__all__ = [
    "AxonSettings",
    "Clock",
    "Continuous",
    "Diverged",
    "DormandPrince",
    "Euler",
    "ExponentialEuler",
    "Integrator",
    "Poisson",
    "RungeKutta4",
    "Settling",
    "Simulation",
    "Step",
    "Sweep",
    "Watcher",
    "converged",
    "diverged",
    "refuse_unstable_step",
    "stable_step_limit",
]
