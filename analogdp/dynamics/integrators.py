"""Methods that integrate ``tau ds/dt = target(s) - s + noise`` over one time step, on flat tensors.

Written for any field, so that orders can be measured on textbook problems. With z = dt / tau for each element:
exponential methods treat the leak exactly, the others are the classical methods.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analogdp import registry

Target = Callable[[Tensor, float], Tensor]
"""Where a flat state is heading, at a time in seconds. The result may be overwritten by the next call."""

Noise = Sequence[Tensor]
"""Flat normal numbers of one step, ``normals`` tensors of the state's shape; the first drives the Brownian increment.

Their standard deviation is the stationary one that the noise would have under the leak alone: sigma = std sqrt(2 / tau).
"""

Eigenvalues = NDArray[np.complex128]
Growth = NDArray[np.float64]


class Integrator(ABC):
    """A time-stepping method, ready for states of one size.

    Args:
        like: a flat state, for its shape, device and dtype.
        dt: time step in seconds.
        tau: time constants in seconds, a number or a tensor of the state's shape.

    Attributes:
        order: of the global error of deterministic problems.
        strong_order, weak_order: with additive noise; None where the method takes no noise.
        noise: the noise that the method takes.
        evaluations: of the target per step, the one that the caller hands in included.
        normals: normal numbers that a noisy step takes for each element.
        largest_step: largest z = dt / tau at which the leak alone is stable, or None when any is.
        adaptive: whether a step is made of inner steps that an error estimate controls, which the host has to follow.
    """

    order: ClassVar[int]
    strong_order: ClassVar[float | None] = None
    weak_order: ClassVar[float | None] = None
    noise: ClassVar[Literal["additive", "none"]] = "none"
    evaluations: ClassVar[int]
    normals: ClassVar[int] = 0
    largest_step: ClassVar[float | None] = None
    adaptive: ClassVar[bool] = False

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        self.dt, self.tau = dt, tau

    def start(self) -> None:  # noqa: B027 - most methods have no memory
        """Forget earlier steps: a new state is presented."""

    def tensors(self) -> dict[str, Tensor]:
        """What the next step needs to know of earlier ones, by name; to be copied into."""
        return {}

    @abstractmethod
    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        """Advance ``state`` by dt, in place.

        Args:
            state: at ``time``.
            target: ``field(state, time)``, which the caller has evaluated; may be overwritten.
            field: for further evaluations.
            time: seconds.
            noise: see :data:`Noise`, or None.

        Raises:
            ValueError: the method takes no noise, but was given some.
        """

    @classmethod
    @abstractmethod
    def amplification(cls, z: float, gamma: Eigenvalues) -> Growth:
        """Modulus of the largest growth factor of one step on ``tau ds/dt = (gamma - 1) s``.

        Args:
            z: dt / tau.
            gamma: eigenvalues of d target / d s.
        """

    def refuse(self, noise: Noise | None) -> None:
        """For methods without noise."""
        if noise is not None:
            raise ValueError(f"{type(self).__name__} takes no noise")


@registry.integrators.register("exp_euler")
class ExponentialEuler(Integrator):
    """Exact for the leak and its noise: s <- s + (1 - exp(-z)) (target - s) + std sqrt(1 - exp(-2z)) xi.

    The noise is the exact Ornstein-Uhlenbeck increment, so its stationary variance has no step-size error. Stable at any
    dt when |d target / d s| < 1.
    """

    order, strong_order, weak_order, evaluations, normals = 1, 1.0, 1.0, 1, 1
    noise = "additive"

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        super().__init__(like, dt, tau)
        self.gain = -_expm1(-dt / tau)
        self.noise_gain = _sqrt(-_expm1(-2 * dt / tau))

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        state.lerp_(target, self.gain)
        if noise is not None:
            add_scaled(state, noise[0], self.noise_gain)

    @classmethod
    def amplification(cls, z: float, gamma: Eigenvalues) -> Growth:
        return _modulus(1 + _leak_gain(z) * (gamma - 1))


@registry.integrators.register("etd_ab2")
class ExponentialAdamsBashforth2(Integrator):
    """Two-step exponential Adams-Bashforth: s <- s + c (q_n - s) + c2 (q_n - q_{n-1}), c = 1 - exp(-z), c2 = 1 - c / z.

    Second order at one evaluation of the target q. The first step after :meth:`start` knows no earlier target and is one of
    exponential Euler, whose single local error of O(dt^2) leaves the order as it is. ``known`` is 0 then and 1 later: a
    number on the device, so that every step is the same sequence of kernels. Cox & Matthews 2002, Eq. 6.
    """

    order, evaluations = 2, 1

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        super().__init__(like, dt, tau)
        self.gain, self.change_gain = -_expm1(-dt / tau), _change_gain(dt, tau)
        self.previous, self.change = torch.zeros_like(like), torch.empty_like(like)
        self.known = like.new_zeros(())

    def start(self) -> None:
        # A target that has diverged must not come back as 0 * NaN.
        self.previous.zero_()
        self.known.zero_()

    def tensors(self) -> dict[str, Tensor]:
        return {"previous": self.previous, "known": self.known}

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        self.refuse(noise)
        torch.sub(target, self.previous, out=self.change).mul_(self.known)
        self.previous.copy_(target)
        self.known.fill_(1.0)
        state.lerp_(target, self.gain)
        add_scaled(state, self.change, self.change_gain)

    @classmethod
    def amplification(cls, z: float, gamma: Eigenvalues) -> Growth:
        """The larger root of r^2 = (1 + c (gamma - 1) + c2 gamma) r - c2 gamma."""
        second = _change_gain(1.0, 1 / z) * gamma
        half = (1 + _leak_gain(z) * (gamma - 1) + second) / 2
        root = np.sqrt(half**2 - second + 0j)
        return np.maximum(_modulus(half + root), _modulus(half - root))


@registry.integrators.register("etd2rk")
class ExponentialRungeKutta2(Integrator):
    """Exponential Runge-Kutta of second order: a = step of exponential Euler; s <- a + c2 (q(a) - q(s)), c2 as in etd_ab2.

    The noise is that of exponential Euler, exact for the leak; q(a) passes it on to second order in the weak sense. Cox &
    Matthews 2002, Eq. 22.
    """

    order, strong_order, weak_order, evaluations, normals = 2, 1.0, 2.0, 2, 1
    noise = "additive"

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        super().__init__(like, dt, tau)
        self.predictor, self.change_gain = ExponentialEuler(like, dt, tau), _change_gain(dt, tau)
        self.before = torch.empty_like(like)

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        self.before.copy_(target)
        self.predictor.step(state, target, field, time, noise)
        add_scaled(state, field(state, time + self.dt).sub_(self.before), self.change_gain)

    @classmethod
    def amplification(cls, z: float, gamma: Eigenvalues) -> Growth:
        predicted = 1 + _leak_gain(z) * (gamma - 1)
        return _modulus(predicted + _change_gain(1.0, 1 / z) * gamma * (predicted - 1))


@registry.integrators.register("euler")
class Euler(Integrator):
    """Euler and Euler-Maruyama: s <- s + z (target - s) + std sqrt(2z) xi."""

    order, strong_order, weak_order, evaluations, normals, largest_step = 1, 1.0, 1.0, 1, 1, 2.0
    noise = "additive"

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        super().__init__(like, dt, tau)
        self.gain = dt / tau
        self.noise_gain = _sqrt(2 * dt / tau)

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        state.lerp_(target, self.gain)
        if noise is not None:
            add_scaled(state, noise[0], self.noise_gain)

    @classmethod
    def amplification(cls, z: float, gamma: Eigenvalues) -> Growth:
        return _truncated_exponential(z * (gamma - 1), 1)


@registry.integrators.register("heun")
class Heun(Integrator):
    """Heun's method: a = step of Euler-Maruyama; s <- s + (F(s) + F(a)) dt / 2 + sigma dW, F = (target - s) / tau.

    Of Stratonovich's reading of the noise, which for this additive one is Ito's, too.
    """

    order, strong_order, weak_order, evaluations, normals, largest_step = 2, 1.0, 2.0, 2, 1, 2.0
    noise = "additive"

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        super().__init__(like, dt, tau)
        self.gain, self.half = dt / tau, dt / tau / 2
        self.noise_gain = _sqrt(2 * dt / tau)
        self.stage = torch.empty_like(like)

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        stage = self.stage.copy_(state).lerp_(target, self.gain)
        state.lerp_(target, self.half)
        if noise is not None:
            add_scaled(stage, noise[0], self.noise_gain)
            add_scaled(state, noise[0], self.noise_gain)
        add_scaled(state, field(stage, time + self.dt).sub_(stage), self.half)

    @classmethod
    def amplification(cls, z: float, gamma: Eigenvalues) -> Growth:
        return _truncated_exponential(z * (gamma - 1), 2)


@registry.integrators.register("sra1")
class StochasticRungeKutta(Integrator):
    """SRA1, of strong order 1.5 for additive noise. With F = (target - s) / tau and H ~ N(0, dt / 12) beside dW:

        k1 = F(s),  k2 = F(s + 3/4 dt k1 + 3/2 sigma (dW / 2 + H)),  s <- s + dt (k1 + 2 k2) / 3 + sigma dW

    dt (dW / 2 + H) is the time integral of the Brownian path over the step. Roessler 2010, Table 6.3.
    """

    order, strong_order, weak_order, evaluations, normals, largest_step = 2, 1.5, 2.0, 2, 2, 2.0
    noise = "additive"

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        super().__init__(like, dt, tau)
        z = dt / tau
        self.stage_gain, self.first_weight, self.second_weight = 3 / 4 * z, 1 / 3 * z, 2 / 3 * z
        self.noise_gain = _sqrt(2 * z)
        self.stage_noise_gain, self.excess_gain = 3 / 4 * self.noise_gain, 3 / 2 / math.sqrt(12) * self.noise_gain
        self.stage = torch.empty_like(like)

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        stage = self.stage.copy_(state).lerp_(target, self.stage_gain)
        state.lerp_(target, self.first_weight)
        if noise is not None:
            increment, excess = noise
            add_scaled(stage, increment, self.stage_noise_gain)
            add_scaled(stage, excess, self.excess_gain)
            add_scaled(state, increment, self.noise_gain)
        add_scaled(state, field(stage, time + 3 / 4 * self.dt).sub_(stage), self.second_weight)

    @classmethod
    def amplification(cls, z: float, gamma: Eigenvalues) -> Growth:
        return _truncated_exponential(z * (gamma - 1), 2)


@registry.integrators.register("rk4")
class RungeKutta4(Integrator):
    """The classical fourth-order Runge-Kutta method; without noise. A reference: with ReLU its order is lost at the kinks."""

    order, evaluations, largest_step = 4, 4, 2.785

    def __init__(self, like: Tensor, dt: float, tau: Tensor | float) -> None:
        super().__init__(like, dt, tau)
        self.gain = dt / tau
        self.stage, self.total = torch.empty_like(like), torch.empty_like(like)

    def step(self, state: Tensor, target: Tensor, field: Target, time: float, noise: Noise | None) -> None:
        self.refuse(noise)
        stage, total = self.stage, self.total
        slope = target.sub_(state)
        total.copy_(slope)
        for fraction, weight in ((0.5, 2.0), (0.5, 2.0), (1.0, 1.0)):
            torch.add(state, slope.mul_(self.gain), alpha=fraction, out=stage)
            slope = field(stage, time + fraction * self.dt).sub_(stage)
            total.add_(slope, alpha=weight)
        state.add_(total.mul_(self.gain), alpha=1 / 6)

    @classmethod
    def amplification(cls, z: float, gamma: Eigenvalues) -> Growth:
        return _truncated_exponential(z * (gamma - 1), 4)


def add_scaled(state: Tensor, values: Tensor, gain: Tensor | float) -> None:
    """``state += gain * values`` in one pass."""
    if isinstance(gain, Tensor):
        state.addcmul_(values, gain)
    else:
        state.add_(values, alpha=gain)


def _change_gain(dt: float, tau: Tensor | float) -> Tensor | float:
    """c2 = 1 - (1 - exp(-z)) / z; its two terms nearly cancel at small z, so it is taken in double precision."""
    if isinstance(tau, Tensor):
        z = dt / tau.double()
        return (1 + torch.expm1(-z) / z).to(tau.dtype)
    return 1 + math.expm1(-dt / tau) * tau / dt


def _leak_gain(z: float) -> float:
    """c = 1 - exp(-z)."""
    return -math.expm1(-z)


def _truncated_exponential(w: Eigenvalues, order: int) -> Growth:
    """Growth of an explicit Runge-Kutta method with as many stages as its order, on ds/dt = (w / dt) s."""
    total = np.ones_like(w)
    for power in range(order, 0, -1):
        total = 1 + w / power * total
    return _modulus(total)


def _modulus(factor: Eigenvalues) -> Growth:
    return np.asarray(np.abs(factor), dtype=np.float64)


def _expm1(x: Tensor | float) -> Tensor | float:
    return torch.expm1(x) if isinstance(x, Tensor) else math.expm1(x)


def _sqrt(x: Tensor | float) -> Tensor | float:
    return torch.sqrt(x) if isinstance(x, Tensor) else math.sqrt(x)
