"""Conjugate gradients for a crossbar's device voltages: v + P G v = v0, made symmetric with S = G^(1/2) and y = S v,

    (I + S P S) y = S v0,    v = v0 - P S y,

positive definite for any G >= 0. No parameter, O(cells) per iteration, and all scratch is allocated once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from analogdp.errors import RunError
from analogdp.synapses.wires.circuit import Wires

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-6}
"""Residuals of S v0 that rounding still allows, relative."""

CELLS_AT_ONCE = 1 << 15
"""Cells times vectors that one iteration works on, on CPUs: their scratch stays in the cache."""

ROUNDING = 10
"""How far the residual of the result may lie above the one that iterations update, which rounding parts."""

MOST_ITERATIONS = 2000
"""Iterations after which wires are said to be out of reach; usual arrays take ten to twenty."""


@dataclass(frozen=True)
class Outcome:
    """Device voltages ``(arrays, vectors, rows, columns)``, iterations of the slowest piece and its relative residual."""

    voltages: Tensor
    iterations: int
    residual: float


def device_voltages(
    conductance: Tensor, ideal: Tensor, wires: Wires, tolerance: float, initial: Tensor | None = None
) -> Outcome:
    """Solve for ``conductance`` ``(arrays, 1 or vectors, rows, columns)`` and v0 ``(arrays, vectors, rows, columns)``.

    ``ideal`` may be expanded along any dimension; ``initial`` is a guess of the same shape. Every iteration reads one flag
    back from the device, to know when to stop.

    Raises:
        RunError: the residual has not come below ``tolerance``.
    """
    voltages = torch.empty(ideal.shape, dtype=ideal.dtype, device=ideal.device)
    iterations, residuals = 0, [0.0]
    shared = conductance.shape[1] == 1
    for arrays, vectors in _pieces(ideal):
        piece = conductance[arrays] if shared else conductance[arrays, vectors]
        guess = None if initial is None else initial[arrays, vectors]
        count, rest = _iterate(piece, ideal[arrays, vectors], wires, tolerance, guess, voltages[arrays, vectors])
        iterations = max(iterations, count)
        residuals.append(rest)
    residual = max(residuals)
    # Written so that a residual that is no number is refused, too.
    if not all(rest <= ROUNDING * tolerance for rest in residuals):
        rows, columns = ideal.shape[-2:]
        raise RunError(
            f"conjugate gradients on a crossbar of {rows} x {columns} cells stopped after {iterations} iterations with a "
            f"relative residual of {residual:.3g} instead of {tolerance:.3g}, at {wires}. Use float64, smaller wire "
            "resistances, a larger tolerance, or the method transfer_matrix, which needs no iterations."
        )
    return Outcome(voltages, iterations, residual)


def _pieces(ideal: Tensor) -> Iterator[tuple[slice, slice]]:
    """Slices of arrays and of vectors that are solved together."""
    arrays, vectors, rows, columns = ideal.shape
    most = arrays * vectors if ideal.is_cuda else max(1, CELLS_AT_ONCE // (rows * columns))
    some = max(1, min(vectors, most))
    several = max(1, most // some)
    for start, begin in product(range(0, arrays, several), range(0, vectors, some)):
        yield slice(start, start + several), slice(begin, begin + some)


def _iterate(
    conductance: Tensor, ideal: Tensor, wires: Wires, tolerance: float, initial: Tensor | None, voltages: Tensor
) -> tuple[int, float]:
    """Conjugate gradients in place; fills ``voltages`` and returns the iterations and the largest relative residual."""
    # Lines end at the last index in the scratch, so that cumulative sums run towards the ends.
    root = conductance.flip(-1).sqrt_()
    # In units of each vector's largest voltage, as the squares of small ones would be lost in single precision.
    unit = ideal.abs().amax((-2, -1), keepdim=True)
    unit.masked_fill_(unit == 0, 1.0)
    ideal = ideal.flip(-1).div_(unit)
    losses = _Losses(ideal, wires)
    tiny = torch.finfo(ideal.dtype).tiny
    residual = root * ideal
    size = _norm(residual)
    limit = tolerance * size
    solution = torch.zeros_like(residual) if initial is None else root * initial.flip(-1).div_(unit)
    scaled, image = torch.empty_like(residual), torch.empty_like(residual)

    def apply(vector: Tensor) -> None:
        losses.of(torch.mul(root, vector, out=scaled), out=image)

    if initial is not None:
        apply(solution)
        residual.sub_(solution).addcmul_(root, image, value=-1)
        # A guess that is further off than none, as of larger voltages, would leave its rounding behind.
        useless = ~(_norm(residual) <= size)
        solution.masked_fill_(useless, 0.0)
        residual = torch.where(useless, root * ideal, residual)
    direction = residual.clone()
    square = _dot(residual, residual)
    iterations = 0
    while iterations < MOST_ITERATIONS and bool((square.sqrt() > limit).any()):
        apply(direction)
        torch.addcmul(direction, root, image, out=image)
        # What has converged stays as it is, so that no read depends on its neighbours.
        step = (square / _dot(direction, image).clamp_min(tiny)).mul_(square.sqrt() > limit)
        solution.addcmul_(direction, step)
        residual.addcmul_(image, step, value=-1)
        previous, square = square, _dot(residual, residual)
        direction.mul_(square / previous.clamp_min(tiny)).add_(residual)
        iterations += 1
    apply(solution)
    torch.sub(ideal, image, out=image)
    torch.mul(image.flip(-1), unit, out=voltages)
    rest = _norm(torch.mul(root, image, out=scaled).sub_(solution)) / _norm(root * ideal).clamp_min(tiny)
    return iterations, float(rest.amax())


class _Losses:
    """P applied without allocating: both cumulative sums of both kinds of lines."""

    def __init__(self, like: Tensor, wires: Wires) -> None:
        self.wires = wires
        self.word = torch.empty(2, *like.shape, dtype=like.dtype, device=like.device)
        self.bit = torch.empty(3, *like.mT.shape, dtype=like.dtype, device=like.device)

    def of(self, current: Tensor, out: Tensor) -> None:
        """Voltages lost by device currents; lines end at the last column and at the last row."""
        _lose(current, self.wires.word_line, self.wires.word_end, self.word, out)
        currents, lost = self.bit[0].copy_(current.mT), self.bit[0]
        _lose(currents, self.wires.bit_line, self.wires.bit_end, self.bit[1:], lost)
        out.add_(lost.mT)


def _lose(current: Tensor, segment: float, end: float, scratch: Tensor, out: Tensor) -> None:
    carried = torch.cumsum(current, -1, out=scratch[0])
    passed = torch.cumsum(carried, -1, out=scratch[1])
    # What is lost from a cell on is the total less what is lost before it.
    total = segment * passed[..., -1:] + end * carried[..., -1:]
    torch.add(total, carried.sub_(passed), alpha=segment, out=out)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    # A product of a row and a column needs no scratch of its own, as a sum of products does.
    return first.flatten(-2)[..., None, :] @ second.flatten(-2)[..., :, None]


def _norm(vector: Tensor) -> Tensor:
    return _dot(vector, vector).sqrt_()
