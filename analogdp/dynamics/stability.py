"""How long a step of a method may be for a network: its growth at the eigenvalues of the network's Jacobian."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs
from torch import Tensor

from analogdp.dynamics.integrators import Eigenvalues, Integrator, Target
from analogdp.streams import Stream

Product = Callable[[Tensor], Tensor]
"""A real matrix times a flat tensor."""

Vector = NDArray[np.float64]
End = Literal["LM", "LR", "SR"]
"""Largest modulus, largest and smallest real part, as ARPACK calls them."""

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


def extreme_eigenvalues(product: Product, like: Tensor, count: int = 6) -> Eigenvalues:
    """The eigenvalues of a real matrix that are furthest out: of largest modulus, and of largest and smallest real part.

    Args:
        product: the matrix times a flat tensor.
        like: a tensor of the right size, device and dtype.
        count: how many at each end. A matrix of up to 200 rows gives all of its eigenvalues.

    Returns:
        Complex, unordered; to about four digits if the matrix is large.
    """
    size = like.numel()

    def apply(vector: Vector) -> Vector:
        values = torch.as_tensor(vector.ravel(), dtype=like.dtype, device=like.device)
        return np.asarray(product(values).double().cpu())

    if size <= DENSE_SIZE:
        return np.linalg.eigvals(np.stack([apply(row) for row in np.eye(size)], axis=1)).astype(np.complex128)
    start: Vector = Stream(0, "eigenvalues", dtype=torch.float64).normal((size,))[0].numpy()
    operator = LinearOperator((size, size), matvec=apply, dtype=np.float64)
    ends: tuple[End, ...] = ("LM", "LR", "SR")
    return np.concatenate([_outermost(operator, end, count, start) for end in ends])


def _outermost(operator: LinearOperator, end: End, count: int, start: Vector) -> Eigenvalues:
    """ARPACK's eigenvalues at one end; where many lie close together, the few that have converged, the outermost first."""
    try:
        found, _ = eigs(operator, count, which=end, v0=start, ncv=6 * count, tol=1e-5)
    except ArpackNoConvergence as error:
        found = error.eigenvalues.astype(np.complex128)
    return found


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
