"""How time passes: integrators, clocks, noise, and simulations that settle or diverge."""

from analogdp.dynamics.clocks import Clock, Continuous, Sweep
from analogdp.dynamics.integrators import Euler, ExponentialEuler, Integrator, RungeKutta4
from analogdp.dynamics.simulation import Diverged, Settling, Simulation

__all__ = [
    "Clock",
    "Continuous",
    "Diverged",
    "Euler",
    "ExponentialEuler",
    "Integrator",
    "RungeKutta4",
    "Settling",
    "Simulation",
    "Sweep",
]
