"""How long a step of a method may be for a network: its growth at the eigenvalues of the network's Jacobian."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from analogdp.dynamics.integrators import Eigenvalues, Integrator, Target
from analogdp.dynamics.krylov import DIRECTIONS, Product, krylov_space, random_start, ritz_values

DENSE_SIZE = 200
"""Up to this size a matrix is written out: surer than Arnoldi iterations, and as quick."""

SHORTEST, LONGEST = 1e-6, 1e4
"""Between these z = dt / tau limits are looked for; who is stable at the longest is so at any step."""

ROUNDING = 1e-12
"""A growth of this much above 1 is one."""


def stable_step_limit(
    method: type[Integrator], field: Target, state: Tensor, tau: Tensor | float, time: float = 0.0
) -> float | None:
    """The longest step in seconds at which small deviations from a state do not grow, or None if any step will do.

    With equal time constants, and for methods that treat the leak like everything else (those with a ``largest_step``), it is
    that of the linearised network. If time constants differ, an exponential method moves slow neurons at small steps as tau
    says and at large ones as if they were all fast: it has to be stable in both.

    Args:
        method: the integrator's class.
        field: the network's targets; evaluated some hundred times.
        state: flat, best a settled one; a Jacobian at rest stands right on the kinks of ReLU.
        tau: seconds, a number or a tensor of the state's shape.
        time: seconds, passed on to the field.

    Returns:
        Seconds, None, or 0.0 if the network itself is unstable there, so that no step could help.
    """
    fastest = float(tau.min()) if isinstance(tau, Tensor) else tau
    # Of diag(fastest / tau) (J - 1) + 1: the same motion, written as if all neurons had the fastest time constant.
    share = fastest / tau
    jacobian = jacobian_product(field, state, time=time)
    limits = [_limit(method, lambda v: v + share * (jacobian(v) - v), state, fastest)]
    if method.largest_step is None and isinstance(tau, Tensor) and bool((tau != fastest).any()):
        limits.append(_limit(method, jacobian, state, fastest))
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(method: type[Integrator], product: Product, state: Tensor, tau: float) -> float | None:
    return largest_stable_step(method, extreme_eigenvalues(product, state), tau)


def largest_stable_step(method: type[Integrator], eigenvalues: Eigenvalues, tau: float) -> float | None:
    """The longest step at which a method is stable on ``tau ds/dt = (gamma - 1) s`` for all of some eigenvalues gamma.

    Args:
        method: the integrator's class.
        eigenvalues: of d target / d s, complex.
        tau: seconds.

    Returns:
        Seconds; None if any step is stable; 0.0 if none is, because the solution itself grows: an eigenvalue has a real part
        above 1.
    """
    gamma = np.asarray(eigenvalues, dtype=np.complex128)
    if (gamma.real > 1 + ROUNDING).any():
        return 0.0

    def stable(z: float) -> bool:
        return bool((method.amplification(z, gamma) <= 1 + ROUNDING).all())

    # Growth is not monotonic in the step, so the first step that is too long is looked for from below.
    lengths = np.geomspace(SHORTEST, LONGEST, 400)
    first = next((index for index, z in enumerate(lengths) if not stable(z)), None)
    if first is None:
        return None
    low, high = (0.0 if first == 0 else lengths[first - 1]), lengths[first]
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    return float(low) * tau


def extreme_eigenvalues(product: Product, like: Tensor, directions: int = DIRECTIONS) -> Eigenvalues:
    """The eigenvalues of a real matrix that are furthest out, in all directions of the complex plane.

    By Arnoldi's iteration without restarts: the outermost eigenvalues are found first, and few layers of neurons have few that
    matter. A restarted one (ARPACK's) would wait in vain for those of transposed nudging, which all are zero.

    Args:
        product: the matrix times a flat tensor.
        like: a tensor of the right size, device and dtype.
        directions: products with the matrix, at most. A matrix of up to 200 rows gives all of its eigenvalues.

    Returns:
        Complex, unordered; with the outermost ones, to about three digits, come estimates of others further in.
    """
    size = like.numel()
    if size <= DENSE_SIZE:
        columns = [product(row).clone() for row in torch.eye(size, dtype=like.dtype, device=like.device)]
        return _eigenvalues(torch.stack(columns, dim=1))
    # The products are difference quotients.
    space = krylov_space(product, random_start(like), directions, torch.finfo(like.dtype).eps ** (2 / 3))
    values, _ = ritz_values(space)
    return np.asarray(values.cpu(), dtype=np.complex128)


def _eigenvalues(matrix: Tensor) -> Eigenvalues:
    return np.asarray(torch.linalg.eigvals(matrix.double().cpu()), dtype=np.complex128)


def jacobian_product(field: Target, state: Tensor, width: float | None = None, time: float = 0.0) -> Product:
    """The product of a direction with the Jacobian d target / d s at a state, by central differences.

    For any field, whether or not torch could differentiate it. The result is a new tensor.

    Args:
        field: targets.
        state: flat; best in float64.
        width: largest step of an element to either side; default: where rounding and curvature err alike.
        time: seconds, passed on to the field.

    Raises:
        ValueError: the state is not finite.
    """
    around, extent = state.clone(), float(state.abs().max())
    if not math.isfinite(extent):
        raise ValueError("there is no Jacobian at a state that is not finite")
    reach = width if width is not None else torch.finfo(state.dtype).eps ** (1 / 3) * max(1.0, extent)

    def product(direction: Tensor) -> Tensor:
        largest = float(direction.abs().max())
        if largest == 0:
            return torch.zeros_like(direction)
        step = reach / largest
        above = field(around + step * direction, time).clone()
        return (above - field(around - step * direction, time)) / (2 * step)

    return product
