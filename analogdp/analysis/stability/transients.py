"""How far deviations grow before they decay: Jacobians are not normal, and eigenvalues say nothing of that.

With x(t) = exp(t A) x(0), A = (J - 1) / tau, or x(n) = S^n x(0) for steps of a clock, the largest growth of any deviation in
the Euclidean norm is sup ||exp(t A)||, or sup ||S^n||. Kreiss's constant K bounds it from both sides (Spijker 1991; Trefethen &
Embree 2005, "Spectra and Pseudospectra", Sec. 18):

    K = sup over Re z > 0 of Re z ||(z - A)^-1||, or over |z| > 1 of (|z| - 1) ||(z - S)^-1||;    K <= sup <= e size K
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import svdvals
from scipy.optimize import minimize
from torch import Tensor

from analogdp.analysis.stability.motion import jumps, row_products, step_map, transposed_rows
from analogdp.analysis.stability.system import System
from analogdp.dynamics import Clock, Sweep
from analogdp.dynamics.krylov import Product, random_start
from analogdp.dynamics.stability import DENSE_SIZE
from analogdp.errors import InputError

FLOW_STEP = 0.1
"""Fastest time constants between looks at a flow; its largest growth is found between them by a parabola."""

MOST_STEPS = 2000
PASSES = 4
"""There and back in time, for each number of steps, in the search for the deviation that grows most."""

GRID, BEST = 12, 2
"""Points along each axis on which the search for Kreiss's constant begins, and how many of them are followed."""

NEAREST, FURTHEST = 1e-3, 10.0
"""Distances from the line of stability between which it is looked for, relative to the matrix's norm."""


@dataclass(frozen=True)
class Amplification:
    """The largest growth of any deviation, ``(chips, batch)`` each.

    Attributes:
        value: in the Euclidean norm, at least 1; inf where deviations grow for good.
        at: seconds, or steps of a clock, until then.
        proven: whether nothing grows more, later or in another direction; otherwise this much growth was found.
    """

    value: Tensor
    at: Tensor
    proven: Tensor


@torch.no_grad()
def amplification(system: System, state: Tensor, clock: Clock | None = None, most: int = MOST_STEPS) -> Amplification:
    """The largest growth of a deviation from a fixed point.

    By all powers of a step's matrix until they are at most 1 in norm, after which nothing can grow further.

    Args:
        system: the network with its samples.
        state: the fixed point, ``(chips, batch, size)``.
        clock: whose steps; default: the differential equation itself.
        most: steps looked at (of the flow: of a tenth of the fastest time constant).

    Raises:
        InputError: the clock cannot be linearised, or the state is too large for matrices.
    """
    matrix = _flow_matrix(system, state) if clock is None else step_matrix(system, state, clock)
    unstable = torch.linalg.eigvals(matrix).abs().amax(-1) >= 1
    power, norms, proven = matrix, [torch.ones_like(state[..., 0])], unstable
    for _ in range(most):
        # Those that grow for good would leave the range of numbers.
        power = power.masked_fill(unstable[..., None, None], 0)
        norms.append(torch.linalg.matrix_norm(power, 2))
        proven = proven | (norms[-1] <= 1)
        if bool(proven.all()):
            break
        power = matrix @ power
    value, at = _peak(torch.stack(norms), between=clock is None)
    return Amplification(value.masked_fill(unstable, torch.inf), at * _unit(system, clock), proven)


@torch.no_grad()
def found_amplification(
    system: System, state: Tensor, clock: Sweep | None = None, most: int = 128, passes: int = PASSES
) -> Amplification:
    """A growth that some deviation has, of networks too large for matrices: a lower bound of :func:`amplification`.

    A deviation is followed for 1, 2, 4, ... steps, and back in time by the transposed map, which turns it towards the one that
    grows most until then (power iteration on the transposed times the map). Never proven to be the largest.

    Args:
        system: the network with its samples.
        state: the fixed point, ``(chips, batch, size)``.
        clock: sweeps of a fixed order; default: the differential equation, by Runge-Kutta steps.
        most: steps to follow; costs about ``4 x passes`` times as many products.
        passes: how often each number of steps is gone there and back.

    Raises:
        InputError: a clock of another kind.
    """
    ahead, back = _flow_products(system, state) if clock is None else _sweep_products(system, state, clock)
    vector = random_start(state)
    value, at = torch.ones_like(state[..., 0]), torch.zeros_like(state[..., 0])
    horizons = [2**power for power in range(most.bit_length()) if 2**power <= most]
    for horizon in horizons:
        for _ in range(passes):
            vector = vector / vector.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(vector.dtype).tiny)
            for taken in range(1, horizon + 1):
                vector = ahead(vector)
                length = vector.norm(dim=-1)
                at = torch.where(length > value, taken, at)
                value = torch.maximum(value, length)
            for _ in range(horizon):
                vector = back(vector)
    return Amplification(value, at * _unit(system, clock), torch.zeros_like(value, dtype=torch.bool))


def numerical_abscissa(system: System, state: Tensor) -> Tensor:
    """The fastest growth of any deviation at once, in 1/s, ``(chips, batch)``: the largest eigenvalue of (A + A^T) / 2.

    Raises:
        InputError: the state is too large for matrices.
    """
    matrix = generator(system, state)
    fastest: Tensor = torch.linalg.eigvalsh((matrix + matrix.mT) / 2)[..., -1]
    return fastest


def kreiss_constant(system: System, state: Tensor, clock: Clock | None = None) -> Tensor:
    """Kreiss's constant ``(chips, batch)``; inf where deviations grow for good.

    Found by an optimisation that starts at the best points of a grid, so it may be too small, never too large. For small states:
    some hundred singular value decompositions for each sample. Arguments as of :func:`amplification`.
    """
    scaled = generator(system, state) * float(system.tau.min()) if clock is None else step_matrix(system, state, clock)
    matrices = scaled.flatten(0, 1).cpu().numpy()
    values = [_kreiss(matrix, discrete=clock is not None) for matrix in matrices]
    return state.new_tensor(values).reshape(state.shape[:2])


def generator(system: System, state: Tensor) -> Tensor:
    """A = (J - 1) / tau in 1/s, ``(chips, batch, size, size)``.

    Raises:
        InputError: the state is too large for matrices.
    """
    _refuse_large(system)
    jacobian = system.jacobian_matrix(state)
    unit = torch.eye(system.size, dtype=state.dtype, device=state.device)
    return (jacobian - unit) / system.tau.unsqueeze(-1)


def step_matrix(system: System, state: Tensor, clock: Clock) -> Tensor:
    """What a step of a clock makes of deviations, ``(chips, batch, size, size)``.

    Raises:
        InputError: the state is too large for matrices, or the clock cannot be linearised.
    """
    _refuse_large(system)
    product, unit = step_map(system, state, clock), torch.zeros_like(state)
    columns = []
    for column in range(system.size):
        unit[..., column] = 1
        columns.append(product(unit))
        unit[..., column] = 0
    return torch.stack(columns, -1)


def _refuse_large(system: System) -> None:
    if system.size > DENSE_SIZE:
        raise InputError(
            f"a state of {system.size} numbers is too large for matrices; allowed: up to {DENSE_SIZE}, or "
            "analysis.stability.found_amplification, which takes products alone"
        )


def _flow_matrix(system: System, state: Tensor) -> Tensor:
    flow: Tensor = torch.linalg.matrix_exp(generator(system, state) * _unit(system, None))
    return flow


def _unit(system: System, clock: Clock | None) -> float:
    """Seconds in a step of the flow; of a clock, steps in a step."""
    return FLOW_STEP * float(system.tau.min()) if clock is None else 1.0


def _peak(norms: Tensor, between: bool) -> tuple[Tensor, Tensor]:
    """The largest of ``(steps, ...)`` and where; of a smooth function between steps, that of the parabola through three logs."""
    value, place = norms.max(0)
    if not between or len(norms) < 3:
        return value, place.to(norms.dtype)
    middle = place.clamp(1, len(norms) - 2).unsqueeze(0)
    left, centre, right = (norms.gather(0, middle + shift)[0].clamp_min(1e-300).log() for shift in (-1, 0, 1))
    bend = left - 2 * centre + right
    shift = torch.where(bend < 0, (left - right) / (2 * bend.clamp_max(-1e-300)), 0)
    inside = (shift.abs() <= 1) & (place > 0)
    peak = (centre + (right - left) * shift / 4).exp()
    return torch.where(inside, peak, value), torch.where(inside, middle[0] + shift, place.to(norms.dtype))


def _flow_products(system: System, state: Tensor) -> tuple[Product, Product]:
    """A short Runge-Kutta step of the differential equation, and its transposed."""
    share, ahead = _unit(system, None) / system.tau, system.jacobian(state)
    at = state.detach().clone().requires_grad_()
    with torch.enable_grad():
        targets = system.targets(at)

    def back(vector: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(targets, at, vector, retain_graph=True)
        return product

    return (
        _truncated_exponential(lambda vector: share * (ahead(vector) - vector)),
        _truncated_exponential(lambda vector: back(share * vector) - share * vector),
    )


def _truncated_exponential(product: Product) -> Product:
    """exp by its first five terms, which is what the classical Runge-Kutta method takes of it."""

    def step(vector: Tensor) -> Tensor:
        total = term = vector
        for power in range(1, 5):
            term = product(term) / power
            total = total + term
        return total

    return step


def _sweep_products(system: System, state: Tensor, clock: Sweep) -> tuple[Product, Product]:
    if not isinstance(clock, Sweep) or clock.order == "random":
        raise InputError(
            "found_amplification: only sweeps of a fixed order, or the flow (clock=None), can be followed back"
        )
    rows, order = row_products(system, state), jumps(clock.order, len(system.places))
    columns = transposed_rows(system, state)

    def back(vector: Tensor) -> Tensor:
        for layer in reversed(order):
            for _ in range(2 if layer == len(rows) - 1 else 1):
                place, rest = system.places[layer], vector.clone()
                rest[..., place] = 0
                vector = rest + columns[layer](vector[..., place])
        return vector

    return step_map(system, state, clock), back


def _kreiss(matrix: NDArray[np.float64], discrete: bool) -> float:
    values = np.linalg.eigvals(matrix)
    if (np.abs(values).max() >= 1) if discrete else (values.real.max() >= 0):
        return math.inf
    unit, norm = np.eye(len(matrix)), np.linalg.norm(matrix, 2)

    def bound(point: NDArray[np.float64]) -> float:
        distance, along = math.exp(point[0]), point[1]
        place = (1 + distance) * np.exp(1j * along) if discrete else complex(distance, along)
        return -distance / float(svdvals(place * unit - matrix)[-1])

    # A real matrix: what lies below the real axis mirrors what lies above.
    furthest = math.pi if discrete else norm
    grid = [
        np.array((math.log(distance * max(norm, 1.0)), along))
        for distance in np.geomspace(NEAREST, FURTHEST, GRID)
        for along in np.linspace(0, furthest, GRID)
    ]
    best: list[NDArray[np.float64]] = sorted(grid, key=bound)[:BEST]
    found = [minimize(bound, point, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-8}).fun for point in best]
    # At great distances from the origin the resolvent is 1 / |z|.
    return max(1.0, -min(found))
