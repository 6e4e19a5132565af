"""What theory says of nudged samples before anything is simulated: whether they settle, and how fast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from analogdp.analysis.lipschitz import is_linear_chain
from analogdp.analysis.stability.fixed_point import fixed_point, free_state
from analogdp.analysis.stability.linearisation import linearise
from analogdp.analysis.stability.loops import loop_gain, output_closing, shares_slopes
from analogdp.analysis.stability.settling import asymptotic_steps, stages
from analogdp.analysis.stability.spectrum import Way, spectrum
from analogdp.analysis.stability.system import System
from analogdp.dynamics import Clock, Continuous, ExponentialEuler, Poisson, Sweep
from analogdp.dynamics.timed import TimedClock
from analogdp.network import Network
from analogdp.neurons.activations import Identity
from analogdp.neurons.dyadic import Dyadic
from analogdp.neurons.losses import LeastSquares

Where = Literal["rest", "free"]

MARGIN = 1e-9
"""Of a growth below 1 that counts as stable: eigenvalues are known to rounding at best."""


@dataclass(frozen=True)
class Prediction:
    """Of every chip and sample, ``(chips, batch)`` tensors.

    Attributes:
        loop_gain: g Lambda, see :func:`~analogdp.analysis.stability.loops.loop_gain`.
        certificate: whether the linearised network, near rest, is vouched for without its eigenvalues: g Lambda < 1, which
            suffices for every sweep of a fixed order, for exponential Euler steps of any length, random clocks in the mean and
            the differential equation itself, where the compartments share their slopes and no neuron has a time constant of its
            own. Never for what was linearised at the free state, whose slopes nudging changes, unless the network is linear.
        leading: the eigenvalue that grows fastest, complex; see :class:`~analogdp.analysis.stability.spectrum.Spectrum`.
        growth: what it is multiplied by in a step of the clock, in modulus.
        stable: whether that is below 1.
        converged: whether the eigenvalue is.
        steps: to settle, float64, estimated from the growth and from how far the nudged state is from the free one (at the free
            state: how far a first nudge moves it), :func:`~analogdp.analysis.stability.settling.asymptotic_steps`; inf if
            unstable, NaN without a tolerance.
        at_rest: whether the network was linearised where the nudged network is at rest, rather than at the free state.
        way: how eigenvalues were found.
        ignored: settings of the clock that were left out of account, as paths of a scenario.
    """

    loop_gain: Tensor
    certificate: Tensor
    leading: Tensor
    growth: Tensor
    stable: Tensor
    converged: Tensor
    steps: Tensor
    at_rest: Tensor
    way: Way
    ignored: tuple[str, ...]


def predict(
    network: Network,
    clock: Clock,
    inputs: Tensor,
    labels: Tensor,
    beta: float | Tensor,
    at: Where = "rest",
    tolerance: float | Tensor | None = None,
) -> Prediction:
    """What becomes of samples, as the linearised network has it.

    ``at="free"`` is cheap for thousands of networks: without nudging compartments share their slopes (unless their gains are
    mismatched), so all eigenvalues follow from matrices of the outputs' size, and no fixed point is looked for.

    Args:
        network: of dyads, as it is now.
        clock: continuous, sweeps or random clocks (their mean).
        inputs, labels: ``(chips or 1, batch, ...)``.
        beta: nudging strength, a number or ``(chips, 1, 1)``.
        at: where to linearise: where the nudged network is at rest, or free of nudging. Samples whose fixed point is not found
            are linearised at the free state; ``at_rest`` tells.
        tolerance: for ``steps``: see :class:`analogdp.dynamics.Settling`, a number or ``(chips, 1)``; default: the clock's.

    Raises:
        InputError: the neurons are no dyads, or the clock cannot be linearised.
    """
    system = System(network, inputs, labels, beta)
    free = state = free_state(system)
    at_rest, error = torch.zeros(free.shape[:2], dtype=torch.bool, device=free.device), system.residual(free)
    if at == "rest":
        found = fixed_point(system, free)
        at_rest = found.found
        state = torch.where(at_rest.unsqueeze(-1), found.state, free)
        error = torch.where(at_rest, (state - free).abs().amax(-1), error)
    near = linearise(system, state)
    gain, modes = loop_gain(near), spectrum(system, state, clock, linearisation=near)
    applies = shares_slopes(near) & output_closing(near).exact & _keeps_stability(system, clock)
    if not _is_linear(system.network):
        applies = applies & at_rest
    stable = modes.growth < 1 - MARGIN
    return Prediction(
        loop_gain=gain,
        certificate=(gain < 1) & applies,
        leading=modes.leading,
        growth=modes.growth,
        stable=stable,
        converged=modes.certain,
        steps=_steps(system, clock, modes.growth, error, clock.tolerance if tolerance is None else tolerance),
        at_rest=at_rest,
        way=modes.way,
        ignored=_ignored(clock),
    )


def _is_linear(network: Network) -> bool:
    """Whether slopes are the same everywhere, so that every state tells of all others."""
    *hidden, output = (neuron for neuron in network.neurons if isinstance(neuron, Dyadic))
    return (
        is_linear_chain(network)
        and isinstance(output.loss, LeastSquares)
        and all(isinstance(neuron.activation, Identity) for neuron in hidden)
    )


def _keeps_stability(system: System, clock: Clock) -> Tensor:
    """Of which chips the certificate holds for the clock, flags ``(chips or 1, 1)``.

    Sweeps of a fixed order and random clocks have no time constants; those of others may differ between layers only.
    """
    layers = [system.tau[..., place] for place in system.places]
    alike = torch.stack([(layer == layer[..., :1]).all(-1) for layer in layers]).all(0)
    if isinstance(clock, Continuous):
        # Long steps of other methods can make stable systems grow; adaptive ones follow the differential equation.
        return alike & (clock.integrator is ExponentialEuler or clock.integrator.adaptive)
    return torch.full_like(alike, isinstance(clock, Poisson) or (isinstance(clock, Sweep) and clock.order != "random"))


def _steps(system: System, clock: Clock, growth: Tensor, error: Tensor, tolerance: float | Tensor | None) -> Tensor:
    if tolerance is None:
        return torch.full_like(growth, math.nan)
    size = torch.maximum(error, torch.as_tensor(tolerance, dtype=error.dtype, device=error.device))
    leak, transit = _pace(clock, system.tau.amax(-1), len(system.widths))
    return asymptotic_steps(growth, tolerance, stages(system.network), leak, transit, size)


def _pace(clock: Clock, tau: Tensor, layers: int) -> tuple[float | Tensor, float]:
    """What a step leaves of a slowest neuron's distance from a target at rest, and steps in which errors pass the layers."""
    if isinstance(clock, Sweep):
        return 0.0, 1.0 if clock.order == "forward_backward" else float(layers)
    if isinstance(clock, Poisson):
        return math.exp(-clock.rate * clock.share * clock.timestep), 1.0
    assert clock.timestep is not None
    return torch.exp(-clock.timestep / tau), 1.0


def _ignored(clock: Clock) -> tuple[str, ...]:
    if not isinstance(clock, TimedClock) or clock.axons.transparent:
        return ()
    axons = clock.axons
    ways = {
        "delay": (axons.delay.bottom_up, axons.delay.top_down),
        "threshold": (axons.threshold.bottom_up, axons.threshold.top_down),
    }
    return tuple(f"dynamics.axons.{name}" for name, own in ways.items() if any(any(way) for way in own if way))
