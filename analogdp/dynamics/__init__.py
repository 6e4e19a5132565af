"""How time passes: integrators, clocks, noise, and simulations that settle or diverge."""

from analogdp.dynamics.axons import AxonSettings
from analogdp.dynamics.clocks import Clock
from analogdp.dynamics.continuous import Continuous
from analogdp.dynamics.integrators import Euler, ExponentialEuler, Integrator, RungeKutta4
from analogdp.dynamics.poisson import Poisson
from analogdp.dynamics.simulation import Diverged, Settling, Simulation, Watcher, converged, diverged
from analogdp.dynamics.step import Step
from analogdp.dynamics.sweep import Sweep

__all__ = [
    "AxonSettings",
    "Clock",
    "Continuous",
    "Diverged",
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
]
