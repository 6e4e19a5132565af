"""Methods that integrate ``tau ds/dt = target(s) - s + noise`` over one time step, on flat tensors.

Written for any field, so that orders can be measured on textbook problems. With z = dt / tau for each element:
exponential Euler treats the leak exactly, the others are the classical methods.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from analogdp import registry

Target = Callable[[Tensor, float], Tensor]
"""Where a flat state is heading, at a time in seconds. The result may be overwritten by the next call."""


@dataclass(frozen=True)
class Coefficients:
    """What a method needs of the time step; numbers, or tensors of the state's shape where tau varies.

    Attributes:
        dt: the time step in seconds.
        gain: share of the way to the target that is covered.
        noise_gain: factor of the standard normal numbers, or None without noise.
        scratch: buffers of the state's shape.
    """

    dt: float
    gain: Tensor | float
    noise_gain: Tensor | float | None
    scratch: tuple[Tensor, ...] = ()


class Integrator(ABC):
    """A time-stepping method.

    Attributes:
        order: of the global error of deterministic problems.
        strong_order, weak_order: with additive noise; None where the method takes no noise.
        evaluations: of the target per step.
        largest_step: largest z = dt / tau at which the leak alone is stable, or None when any is.
    """

    order: ClassVar[int]
    strong_order: ClassVar[float | None]
    weak_order: ClassVar[float | None]
    evaluations: ClassVar[int]
    largest_step: ClassVar[float | None]

    @abstractmethod
    def coefficients(self, state: Tensor, dt: float, tau: Tensor | float, std: float) -> Coefficients:
        """Coefficients for a state like ``state``.

        Args:
            state: flat state, for its shape, device and dtype.
            dt: time step in seconds.
            tau: time constants in seconds, a number or a tensor of the state's shape.
            std: stationary standard deviation that the noise would have under the leak alone (sigma = std sqrt(2/tau)).
        """

    @abstractmethod
    def step(
        self, state: Tensor, target: Tensor, field: Target, time: float, c: Coefficients, noise: Tensor | None
    ) -> None:
        """Advance ``state`` by dt, in place.

        Args:
            state: at ``time``.
            target: ``field(state, time)``, which the caller has evaluated.
            field: for further evaluations.
            time: seconds.
            c: from :meth:`coefficients`.
            noise: standard normal numbers of the state's shape, or None.
        """


@registry.integrators.register("exp_euler")
class ExponentialEuler(Integrator):
    """Exact for the leak and its noise: s <- s + (1 - exp(-z)) (target - s) + std sqrt(1 - exp(-2z)) xi.

    The noise is the exact Ornstein-Uhlenbeck increment, so its stationary variance has no step-size error. Stable at any
    dt when |d target / d s| < 1.
    """

    order, strong_order, weak_order, evaluations, largest_step = 1, 1.0, 1.0, 1, None

    def coefficients(self, state: Tensor, dt: float, tau: Tensor | float, std: float) -> Coefficients:
        noise_gain = std * _sqrt(-_expm1(-2 * dt / tau)) if std else None
        return Coefficients(dt, -_expm1(-dt / tau), noise_gain)

    def step(
        self, state: Tensor, target: Tensor, field: Target, time: float, c: Coefficients, noise: Tensor | None
    ) -> None:
        state.lerp_(target, c.gain)
        _add_noise(state, noise, c)


@registry.integrators.register("euler")
class Euler(Integrator):
    """Euler and Euler-Maruyama: s <- s + z (target - s) + std sqrt(2z) xi."""

    order, strong_order, weak_order, evaluations, largest_step = 1, 1.0, 1.0, 1, 2.0

    def coefficients(self, state: Tensor, dt: float, tau: Tensor | float, std: float) -> Coefficients:
        return Coefficients(dt, dt / tau, std * _sqrt(2 * dt / tau) if std else None)

    def step(
        self, state: Tensor, target: Tensor, field: Target, time: float, c: Coefficients, noise: Tensor | None
    ) -> None:
        state.lerp_(target, c.gain)
        _add_noise(state, noise, c)


@registry.integrators.register("rk4")
class RungeKutta4(Integrator):
    """The classical fourth-order Runge-Kutta method; without noise. A reference: with ReLU its order is lost at the kinks."""

    order, strong_order, weak_order, evaluations, largest_step = 4, None, None, 4, 2.785

    def coefficients(self, state: Tensor, dt: float, tau: Tensor | float, std: float) -> Coefficients:
        if std:
            raise ValueError("rk4 takes no noise; use exp_euler or euler")
        return Coefficients(dt, dt / tau, None, (torch.empty_like(state), torch.empty_like(state)))

    def step(
        self, state: Tensor, target: Tensor, field: Target, time: float, c: Coefficients, noise: Tensor | None
    ) -> None:
        stage, total = c.scratch
        slope = target.sub_(state)
        total.copy_(slope)
        for fraction, weight in ((0.5, 2.0), (0.5, 2.0), (1.0, 1.0)):
            torch.add(state, slope.mul_(c.gain), alpha=fraction, out=stage)
            slope = field(stage, time + fraction * c.dt).sub_(stage)
            total.add_(slope, alpha=weight)
        state.add_(total.mul_(c.gain), alpha=1 / 6)


def _add_noise(state: Tensor, noise: Tensor | None, c: Coefficients) -> None:
    if noise is None or c.noise_gain is None:
        return
    if isinstance(c.noise_gain, Tensor):
        state.addcmul_(noise, c.noise_gain)
    else:
        state.add_(noise, alpha=c.noise_gain)


def _expm1(x: Tensor | float) -> Tensor | float:
    return torch.expm1(x) if isinstance(x, Tensor) else math.expm1(x)


def _sqrt(x: Tensor | float) -> Tensor | float:
    return torch.sqrt(x) if isinstance(x, Tensor) else math.sqrt(x)
