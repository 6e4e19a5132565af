"""Methods that integrate ``tau ds/dt = target(s) - s + noise`` over one time step, on flat tensors.

Written for any field, so that orders can be measured on textbook problems. With z = dt / tau for each element:
exponential methods treat the leak exactly, the others are the classical methods.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from analogdp import registry

Target = Callable[[Tensor, float], Tensor]
"""Where a flat state is heading, at a time in seconds. The result may be overwritten by the next call."""

Noise = Sequence[Tensor]
"""Flat normal numbers of one step, ``normals`` tensors of the state's shape; the first drives the Brownian increment.

Their standard deviation is the stationary one that the noise would have under the leak alone: sigma = std sqrt(2 / tau).
"""


class Integrator(ABC):
    """A time-stepping method, ready for states of one size.

    Args:
        like: a flat state, for its shape, device and dtype.
        dt: time step in seconds.
        tau: time constants in seconds, a number or a tensor of the state's shape.

    Attributes:
        order: of the global error of deterministic problems.
        strong_order, weak_order: with additive noise; None where the method takes no noise.
        evaluations: of the target per step.
        normals: normal numbers that a noisy step takes for each element.
        largest_step: largest z = dt / tau at which the leak alone is stable, or None when any is.
    """

    order: ClassVar[int]
    strong_order: ClassVar[float | None]
    weak_order: ClassVar[float | None]
    evaluations: ClassVar[int]
    normals: ClassVar[int] = 1
    largest_step: ClassVar[float | None]

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        self.dt, self.tau = dt, tau

    def start(self) -> None:  # noqa: B027 - most methods have no memory
        """Forget earlier steps: a new state is presented."""

    @abstractmethod
    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        """Advance ``state`` by dt, in place.

        Args:
            state: at ``time``.
            target: ``field(state, time)``, which the caller has evaluated.
            field: for further evaluations.
            time: seconds.
            noise: see :data:`Noise`, or None.
        """


@registry.integrators.register("exp_euler")
class ExponentialEuler(Integrator):
    """Exact for the leak and its noise: s <- s + (1 - exp(-z)) (target - s) + std sqrt(1 - exp(-2z)) xi.

    The noise is the exact Ornstein-Uhlenbeck increment, so its stationary variance has no step-size error. Stable at any
    dt when |d target / d s| < 1.
    """

    order, strong_order, weak_order, evaluations, largest_step = 1, 1.0, 1.0, 1, None

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        super().__init__(like, dt, tau)
        self.gain = -_expm1(-dt / tau)
        self.noise_gain = _sqrt(-_expm1(-2 * dt / tau))

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        state.lerp_(target, self.gain)
        if noise is not None:
            add_scaled(state, noise[0], self.noise_gain)


@registry.integrators.register("euler")
class Euler(Integrator):
    """Euler and Euler-Maruyama: s <- s + z (target - s) + std sqrt(2z) xi."""

    order, strong_order, weak_order, evaluations, largest_step = 1, 1.0, 1.0, 1, 2.0

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        super().__init__(like, dt, tau)
        self.gain = dt / tau
        self.noise_gain = _sqrt(2 * dt / tau)

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        state.lerp_(target, self.gain)
        if noise is not None:
            add_scaled(state, noise[0], self.noise_gain)


@registry.integrators.register("rk4")
class RungeKutta4(Integrator):
    """The classical fourth-order Runge-Kutta method; without noise. A reference: with ReLU its order is lost at the kinks."""

    order, strong_order, weak_order, evaluations, largest_step = 4, None, None, 4, 2.785
    normals = 0

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        super().__init__(like, dt, tau)
        self.gain = dt / tau
        self.stage, self.total = torch.empty_like(like), torch.empty_like(like)

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        stage, total = self.stage, self.total
        slope = target.sub_(state)
        total.copy_(slope)
        for fraction, weight in ((0.5, 2.0), (0.5, 2.0), (1.0, 1.0)):
            torch.add(state, slope.mul_(self.gain), alpha=fraction, out=stage)
            slope = field(stage, time + fraction * self.dt).sub_(stage)
            total.add_(slope, alpha=weight)
        state.add_(total.mul_(self.gain), alpha=1 / 6)


def add_scaled(state: Tensor, values: Tensor, gain: Tensor | float) -> None:
    """``state += gain * values`` in one pass."""
    if isinstance(gain, Tensor):
        state.addcmul_(values, gain)
    else:
        state.add_(values, alpha=gain)


def _expm1(x: Tensor | float) -> Tensor | float:
    return torch.expm1(x) if isinstance(x, Tensor) else math.expm1(x)


def _sqrt(x: Tensor | float) -> Tensor | float:
    return torch.sqrt(x) if isinstance(x, Tensor) else math.sqrt(x)
