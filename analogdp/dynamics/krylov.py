"""Krylov spaces of many real matrices at once, of which only products with vectors are known: eigenvalues, linear systems.

Arnoldi's iteration without restarts, each matrix with its own vectors along the leading axes. ARPACK, which restarts, does not
converge on the nilpotent Jacobians of transposed nudging.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.streams import Stream

Product = Callable[[Tensor], Tensor]
"""Real matrices times a vector of each, ``(..., size)``."""

DIRECTIONS = 60
"""Products with a matrix unless more are wanted: the outermost eigenvalues are found first."""

ROUNDING = 100
"""A new direction shorter than this many times the rounding of a product is nothing but that."""


@dataclass(frozen=True)
class KrylovSpace:
    """What products with some matrices were found to span.

    Attributes:
        basis: orthonormal vectors ``(directions + 1, ..., size)``; the first is the start, normalised.
        hessenberg: ``(..., directions + 1, directions)``: matrix @ basis[:-1] = basis @ hessenberg.
    """

    basis: Tensor
    hessenberg: Tensor


def krylov_space(
    product: Product, start: Tensor, directions: int = DIRECTIONS, precision: float | None = None
) -> KrylovSpace:
    """The space of a start and its products with a matrix.

    It ends early when no matrix leads anywhere new: from a random start all different eigenvalues have been found then. The
    space of a matrix that comes to its end before others do goes on in random directions.

    Args:
        product: the matrices times vectors; returns a new tensor, or one that may be overwritten by its next call.
        start: ``(..., size)``, none of them zero.
        directions: products, at most ``size``.
        precision: relative error of a product; default: the rounding of the tensors' type.
    """
    *lead, size = start.shape
    directions = min(directions, size)
    basis = start.new_zeros(directions + 1, *lead, size)
    hessenberg = start.new_zeros(*lead, directions + 1, directions)
    basis[0] = start / start.norm(dim=-1, keepdim=True)
    limit = ROUNDING * (torch.finfo(start.dtype).eps if precision is None else precision)
    for index in range(directions):
        left, parts = _orthogonal(product(basis[index]), basis[: index + 1])
        hessenberg[..., : index + 1, index] = parts
        length = left.norm(dim=-1)
        largest = hessenberg.abs().amax((-2, -1)).clamp_min(torch.finfo(start.dtype).tiny)
        goes_on = length > limit * largest
        if not bool(goes_on.any()):
            return KrylovSpace(basis[: index + 2], hessenberg[..., : index + 2, : index + 1])
        hessenberg[..., index + 1, index] = torch.where(goes_on, length, 0)
        # Something has to be divided by where nothing is left.
        fresh = left / torch.where(goes_on, length, 1).unsqueeze(-1)
        if index + 1 < size:
            fresh = torch.where(goes_on.unsqueeze(-1), fresh, _random(basis[: index + 1], index))
        basis[index + 1] = fresh
    return KrylovSpace(basis, hessenberg)


def random_start(like: Tensor) -> Tensor:
    """The same normal numbers for every matrix: ``like`` has the shape ``(..., size)``."""
    numbers = Stream(0, "krylov", dtype=torch.float64).normal((like.shape[-1],))[0]
    return numbers.to(like).expand_as(like).clone()


def ritz_values(space: KrylovSpace) -> tuple[Tensor, Tensor]:
    """Approximate eigenvalues ``(..., directions)``, complex, and how far each is from being one (the norm of its residual).

    With as many directions as rows they are all the eigenvalues.
    """
    square = space.hessenberg[..., :-1, :].double()
    values, vectors = torch.linalg.eig(square)
    last = space.hessenberg[..., -1, -1].double().abs()
    return values, last.unsqueeze(-1) * vectors[..., -1, :].abs()


def solve(product: Product, right: Tensor, directions: int = DIRECTIONS) -> Tensor:
    """The solution of ``matrix @ x = right`` that is best within the Krylov space of ``right`` (GMRES; Saad & Schultz 1986)."""
    lengths = right.norm(dim=-1, keepdim=True)
    space = krylov_space(product, torch.where(lengths > 0, right, 1.0), directions)
    wanted = right.new_zeros(*space.hessenberg.shape[:-1], 1)
    wanted[..., 0, :] = lengths
    weights = torch.linalg.lstsq(space.hessenberg, wanted).solution
    solution: Tensor = torch.einsum("m...n,...m->...n", space.basis[:-1], weights.squeeze(-1))
    return solution


def _orthogonal(vector: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """What of a vector is orthogonal to a basis, and its parts along the rest ``(..., directions)``."""
    total = basis.new_zeros(*vector.shape[:-1], len(basis))
    for _ in range(2):  # once is not enough in the presence of rounding
        parts = torch.einsum("m...n,...n->...m", basis, vector)
        vector = vector - torch.einsum("m...n,...m->...n", basis, parts)
        total += parts
    return vector, total


def _random(basis: Tensor, index: int) -> Tensor:
    numbers = Stream(0, "krylov", dtype=torch.float64).at(index + 1).normal((basis.shape[-1],))[0]
    left, _ = _orthogonal(numbers.to(basis).expand_as(basis[0]), basis)
    unit: Tensor = left / left.norm(dim=-1, keepdim=True)
    return unit
