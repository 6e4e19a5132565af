"""Leading eigenvalues of a nudged network near a state, and what each of them grows by in a step of a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from analogdp.analysis.stability.characteristic import has_loop_equation, loop_equation
from analogdp.analysis.stability.linearisation import Linearisation, linearise
from analogdp.analysis.stability.loops import is_nilpotent
from analogdp.analysis.stability.motion import linear_step, tick_probability
from analogdp.analysis.stability.system import System
from analogdp.dynamics import Clock, Continuous, Poisson, Sweep
from analogdp.dynamics.integrators import Eigenvalues, ExponentialAdamsBashforth2, Growth
from analogdp.dynamics.krylov import DIRECTIONS, Product, krylov_space, random_start, ritz_values
from analogdp.errors import InputError

DENSE_SIZE = 200
"""Up to so many numbers in a state its Jacobian is written out; above, and for many systems, only products are taken."""

MOST_DENSE = 2e8
"""Systems times the cube of their size, above which they are too many to write out: ten seconds."""

TOLERANCE = 1e-6
"""Residual of a converged eigenvalue, relative to the largest one or to 1."""

Modulus = Callable[[Eigenvalues], Growth]
Way = Literal["loops", "dense", "matrix_free"]


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of each chip and sample, those that grow fastest first.

    Attributes:
        values: complex ``(chips, batch, count)``: of d target / d state; of the step itself for sweeps and for exponential
            steps with unequal time constants; of ``1 + (fastest / tau) (d target / d state - 1)`` for others with these.
        residuals: distance of each from being an eigenvalue, as far as it is known (of computed eigenvectors, or rounding).
        converged: whether that is small enough.
        growths: modulus of what each is multiplied by in a step (without a clock: in the fastest time constant).
        way: how they were found: from the loops' equation, from the whole matrix, or from products with it, which may miss
            eigenvalues that are not among the outermost.
    """

    values: Tensor
    residuals: Tensor
    converged: Tensor
    growths: Tensor
    way: Way

    @property
    def matrix_free(self) -> bool:
        """Whether only products with the matrix were taken."""
        return self.way == "matrix_free"

    @property
    def leading(self) -> Tensor:
        """The eigenvalue that grows fastest, complex ``(chips, batch)``."""
        return self.values[..., 0]

    @property
    def growth(self) -> Tensor:
        """Its growth, ``(chips, batch)``: stable below 1."""
        return self.growths[..., 0]

    @property
    def certain(self) -> Tensor:
        """Whether it has converged, ``(chips, batch)`` flags."""
        return self.converged[..., 0]


class _Linear(NamedTuple):
    """A matrix by its products, what its eigenvalues grow by, a vector of the right shape, and the eigenvalues of neurons that
    are alone, ``(chips or 1, 1, count)``."""

    product: Product
    growth: Modulus
    like: Tensor
    alone: Tensor


def spectrum(
    system: System,
    state: Tensor,
    clock: Clock | None = None,
    directions: int = DIRECTIONS,
    linearisation: Linearisation | None = None,
) -> Spectrum:
    """Leading eigenvalues near a state.

    Where all compartments share their slopes and all neurons their time constant they come from the loops' equation, all of
    them at once (those that are zero as a single one). Otherwise they are those of the whole matrix up to ``DENSE_SIZE`` numbers
    in a state, and of Arnoldi's iteration above that. Networks without any loop are recognised, and have nothing but zeros.

    Args:
        system: the network with its samples.
        state: ``(chips, batch, size)``, at rest.
        clock: how time passes: continuous, sweeps, or random clocks (their mean); None for the differential equation itself.
        directions: products with the matrix, at most.
        linearisation: at the state, if it is known already.

    Raises:
        InputError: a clock of another kind.
    """
    near = linearise(system, state) if linearisation is None else linearisation
    way: Way = "loops"
    shuffled = isinstance(clock, Sweep) and clock.order == "random"
    if _moves_alike(system, clock) and not shuffled and has_loop_equation(near):
        values = _from_loops(near, clock)
        residuals = torch.finfo(torch.float64).eps * values.abs().amax(-1, keepdim=True).expand(values.shape)
        matrix = _jacobian(system, state, clock)
    else:
        matrix = _matrix(system, state, clock)
        systems, size = matrix.like[..., 0].numel(), matrix.like.shape[-1]
        way = "dense" if size <= DENSE_SIZE and systems * size**3 <= MOST_DENSE else "matrix_free"
        values, residuals = _dense(matrix) if way == "dense" else _arnoldi(matrix, directions)
    # What no loop reaches decays by itself; eigenvalues that are zero many times over would be found only roughly.
    calm = is_nilpotent(near, isinstance(clock, Sweep | Poisson) or _compartments_alike(system)).unsqueeze(-1)
    values, residuals = torch.where(calm, _fastest(matrix), values), residuals.masked_fill(calm, 0.0)
    growths = torch.from_numpy(matrix.growth(values.cpu().numpy())).to(state.device)
    growths, order = growths.sort(-1, descending=True)
    values, residuals = values.gather(-1, order), residuals.gather(-1, order)
    largest = values.abs().amax(-1, keepdim=True).clamp_min(1.0)
    return Spectrum(values, residuals, residuals <= TOLERANCE * largest, growths, way)


def _from_loops(near: Linearisation, clock: Clock | None) -> Tensor:
    """Eigenvalues by the outputs' loops, and one of those that are zero."""
    equation = loop_equation(near)
    values = equation.sweep_multipliers(clock.order) if isinstance(clock, Sweep) else equation.eigenvalues()
    return torch.cat([values, torch.zeros_like(values[..., :1])], -1)


def _moves_alike(system: System, clock: Clock | None) -> bool:
    """Whether the time constants do not matter, or are all equal."""
    return isinstance(clock, Sweep | Poisson) or bool((system.tau == system.tau.flatten()[0]).all())


def _compartments_alike(system: System) -> bool:
    """Whether both compartments of every neuron have one time constant."""
    return all(bool((plus == minus).all()) for plus, minus in system.layers(system.tau))


def _matrix(system: System, state: Tensor, clock: Clock | None) -> _Linear:
    """What moves the network, as a matrix whose eigenvalues tell how it grows."""
    if isinstance(clock, Sweep):
        return _Linear(linear_step(system, state, clock), np.abs, state, state.new_zeros(1, 1, 1))
    if _moves_alike(system, clock):
        return _jacobian(system, state, clock)
    if not isinstance(clock, Continuous) or clock.integrator.adaptive or clock.integrator.largest_step is not None:
        return _jacobian(system, state, clock)
    gain = -torch.expm1(-clock.timestep / system.tau)
    if clock.integrator is ExponentialAdamsBashforth2:
        both = torch.cat([state, state], -1)
        return _Linear(_two_steps(system, state, clock), np.abs, both, 1 - gain)
    return _Linear(linear_step(system, state, clock), np.abs, state, 1 - gain)


def _jacobian(system: System, state: Tensor, clock: Clock | None) -> _Linear:
    """Of ``1 + (fastest / tau) (J - 1)``: the network's motion as if all its neurons had the fastest time constant."""
    product, fastest = system.jacobian(state), float(system.tau.min())
    growth = _growth(clock, fastest)
    if _moves_alike(system, clock):
        return _Linear(product, growth, state, state.new_zeros(1, 1, 1))
    share = fastest / system.tau
    return _Linear(lambda v: torch.lerp(v, product(v), share), growth, state, 1 - share)


def _fastest(matrix: _Linear) -> Tensor:
    """The eigenvalue of the neuron of each chip that grows fastest if alone, ``(chips or 1, 1, 1)``."""
    growths = torch.from_numpy(matrix.growth(matrix.alone.cpu().numpy())).to(matrix.alone.device)
    return matrix.alone.gather(-1, growths.argmax(-1, keepdim=True))


def _growth(clock: Clock | None, tau: float) -> Modulus:
    """What an eigenvalue of d target / d state makes of a deviation in a step of a clock."""
    if isinstance(clock, Sweep):
        return np.abs
    if isinstance(clock, Poisson):
        share = tick_probability(clock) * clock.share
        return lambda gamma: np.abs(1 + share * (gamma - 1))
    if clock is None:
        return lambda gamma: np.exp((gamma - 1).real)
    if not isinstance(clock, Continuous):
        name = type(clock).__name__
        raise InputError(f"dynamics.clock: {name} cannot be linearised; use continuous, sweep or poisson")
    return partial(clock.integrator.amplification, clock.timestep / tau)


def _two_steps(system: System, state: Tensor, clock: Continuous) -> Product:
    """A step of etd_ab2 on the state and the target before it."""
    method = ExponentialAdamsBashforth2(state, clock.timestep, system.tau)
    product = system.jacobian(state)

    def step(both: Tensor) -> Tensor:
        vector, before = both.chunk(2, -1)
        target = product(vector)
        moved = torch.lerp(vector, target, method.gain) + method.change_gain * (target - before)
        return torch.cat([moved, target], -1)

    return step


def _dense(matrix: _Linear) -> tuple[Tensor, Tensor]:
    """All eigenvalues, and the rounding that they stand for."""
    size = matrix.like.shape[-1]
    full, unit = matrix.like.new_empty(*matrix.like.shape, size), torch.zeros_like(matrix.like)
    for column in range(size):
        unit[..., column] = 1
        full[..., column] = matrix.product(unit)
        unit[..., column] = 0
    values = torch.linalg.eigvals(full)
    rounding = torch.finfo(full.dtype).eps * torch.linalg.matrix_norm(full).unsqueeze(-1)
    return values, rounding.expand(values.shape)


def _arnoldi(matrix: _Linear, directions: int) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return ritz_values(krylov_space(matrix.product, random_start(matrix.like), directions))
