"""Single reads of a crossbar with wires: currents and all node voltages, with gradients by implicit differentiation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from analogdp.errors import InputError
from analogdp.synapses.wires import conjugate_gradients, dissection
from analogdp.synapses.wires.circuit import Drive, Wires, check_arrival, check_choice, check_conductance

Method = Literal["auto", "transfer_matrix", "conjugate_gradients"]

DIRECT_FROM = 12
"""Vectors from which one elimination beats iterations for each: measured 25, 12, 10 and 7 at 32, 64, 128 and 256 lines."""


@dataclass(frozen=True)
class Solution:
    """What a read does in the circuit.

    Attributes:
        currents: into the sensed lines ``(..., batch, sensed lines)``, in amperes.
        word_nodes: voltages of the cells' nodes on word lines ``(..., batch, rows, columns)``, in volts.
        bit_nodes: the same on bit lines.
        device_voltages: word node less bit node.
        iterations: the most that any vector took; 0 for a direct solve.
        residual: the largest relative residual; of a direct solve, it is not computed (0).
    """

    currents: Tensor
    word_nodes: Tensor
    bit_nodes: Tensor
    device_voltages: Tensor
    iterations: int
    residual: float


def solve(
    conductance: Tensor,
    voltages: Tensor,
    word_line: float,
    bit_line: float,
    source: float = 0.0,
    sense: float = 0.0,
    *,
    drive: Drive = "word_lines",
    method: Method = "auto",
    tolerance: float | None = None,
    initial: Solution | Tensor | None = None,
) -> Solution:
    """Read a crossbar once for each vector of voltages; arguments in common with `transfer_matrix` are the same.

    Args:
        voltages: of the driven lines ``(..., batch, lines)``, in volts; leading dimensions as of ``conductance``.
        method: ``"conjugate_gradients"`` costs little per vector, and less from a good ``initial``; ``"transfer_matrix"``
            eliminates the circuit once, for many vectors and for strong wires. ``"auto"`` iterates for fewer than
            `DIRECT_FROM` vectors and wherever there is an ``initial``.
        tolerance: relative residual at which iterations stop; 1e-12 in float64, 1e-6 in float32 unless given.
        initial: an earlier solution, or device voltages of its shape, to iterate from.

    Returns:
        The solution; gradients of its tensors with respect to ``conductance`` and ``voltages`` take one more solve by
        conjugate gradients, and cannot be differentiated again.

    Raises:
        InputError: as `transfer_matrix`, and for shapes that do not fit.
        RunError: iterations do not reach the tolerance.
    """
    check_conductance(conductance)
    check_choice("method", method, get_args(Method))
    wires = Wires.driven(drive, word_line, bit_line, source, sense)
    check_voltages(voltages, conductance.shape, conductance, drive)
    tolerance = checked_tolerance(tolerance, conductance.dtype)
    shape = (*voltages.shape[:-1], *conductance.shape[-2:])
    guess = initial.device_voltages if isinstance(initial, Solution) else initial
    if guess is not None and guess.shape != shape:
        raise InputError(f"initial: device voltages of shape {tuple(guess.shape)}. This read has {tuple(shape)}.")
    direct = method == "transfer_matrix" or (method == "auto" and guess is None and voltages.shape[-2] >= DIRECT_FROM)
    run = _Run(wires, drive, tolerance, direct, guess)
    across: Tensor = _DeviceVoltages.apply(conductance, voltages, run)  # type: ignore[no-untyped-call]
    current = conductance.unsqueeze(-3) * across
    solution = read_out(current, across, voltages, wires, drive, run.iterations, run.residual)
    ideal = voltages @ (conductance if drive == "word_lines" else conductance.mT)
    check_arrival(solution.currents, ideal, wires)
    return solution


def check_voltages(voltages: Tensor, shape: torch.Size, like: Tensor, drive: Drive) -> None:
    """Refuse voltages that do not fit an array of ``shape``, or that are not finite; reads one flag back from the device."""
    lines = shape[-2 if drive == "word_lines" else -1]
    if voltages.ndim != len(shape) or voltages.shape[:-2] != shape[:-2] or voltages.shape[-1] != lines:
        raise InputError(
            f"voltages: shape {tuple(voltages.shape)}. An array of shape {tuple(shape)} driven at its {drive} takes "
            f"({', '.join([*map(str, shape[:-2]), 'batch', str(lines)])})."
        )
    if (voltages.dtype, voltages.device) != (like.dtype, like.device):
        raise InputError(
            f"voltages: {voltages.dtype} on {voltages.device}. They must be {like.dtype} on {like.device} as the array is."
        )
    if not bool(voltages.isfinite().all()):
        raise InputError("voltages: not all are finite numbers of volts.")


def checked_tolerance(tolerance: float | None, dtype: torch.dtype) -> float:
    """The tolerance, or what the number format allows."""
    if tolerance is None:
        return conjugate_gradients.TOLERANCES.get(dtype, max(conjugate_gradients.TOLERANCES.values()))
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise InputError(f"tolerance: {tolerance}. It must be positive; 1e-12 suits float64, 1e-6 float32.")
    return tolerance


def without_wires(voltages: Tensor, drive: Drive) -> Tensor:
    """Device voltages v0 that wires of no resistance would give, to be expanded over the cells of each line."""
    return voltages.unsqueeze(-1) if drive == "word_lines" else -voltages.unsqueeze(-2)


def read_out(
    current: Tensor, across: Tensor, voltages: Tensor, wires: Wires, drive: Drive, iterations: int, residual: float
) -> Solution:
    """The solution that belongs to device currents and voltages."""
    bit_nodes = wires.bit_drops(current)
    if drive == "word_lines":
        sensed = current.sum(-2)
    else:
        sensed = -current.sum(-1)
        bit_nodes = bit_nodes + voltages.unsqueeze(-2)
    return Solution(sensed, across + bit_nodes, bit_nodes, across, iterations, residual)


@dataclass
class _Run:
    """How to solve, and afterwards how it went."""

    wires: Wires
    drive: Drive
    tolerance: float
    direct: bool
    initial: Tensor | None
    iterations: int = 0
    residual: float = 0.0

    def iterate(self, conductance: Tensor, ideal: Tensor, initial: Tensor | None = None) -> Tensor:
        """Device voltages ``(..., vectors, rows, columns)`` for any voltages without wires."""
        shape = (*ideal.shape[:-2], *conductance.shape[-2:])
        outcome = conjugate_gradients.device_voltages(
            conductance.reshape(-1, 1, *shape[-2:]),
            _stacked(ideal, shape),
            self.wires,
            self.tolerance,
            None if initial is None else _stacked(initial, shape),
        )
        self.iterations, self.residual = outcome.iterations, outcome.residual
        return outcome.voltages.reshape(shape)

    def eliminate(self, conductance: Tensor, voltages: Tensor) -> Tensor:
        """Device voltages by nested dissection, which knows arrays driven at their word lines."""
        if self.drive == "word_lines":
            return dissection.device_voltages(conductance, voltages, self.wires)
        wires = self.wires
        turned = Wires(wires.bit_line, wires.word_line, wires.bit_end, wires.word_end)
        # Mirrored at the diagonal through the corner of both ends, bit lines become word lines.
        mirrored = dissection.device_voltages(conductance.mT.flip(-1, -2), voltages.flip(-1), turned)
        return -mirrored.flip(-1, -2).mT


def _stacked(field: Tensor, shape: tuple[int, ...]) -> Tensor:
    """All arrays in one dimension; the cells of a line share its voltage until they are solved for."""
    return field.reshape(-1, *field.shape[-3:]).expand(-1, -1, *shape[-2:])


class _DeviceVoltages(torch.autograd.Function):
    """(I + P G)^-1 v0. With mu = (I + P G)^-1 P b for gradients b, those of v0 are b - G mu, those of G are -mu v."""

    @staticmethod
    def forward(context: Any, conductance: Tensor, voltages: Tensor, run: _Run) -> Tensor:
        if run.direct:
            across = run.eliminate(conductance, voltages)
        else:
            across = run.iterate(conductance, without_wires(voltages, run.drive), run.initial)
        context.run = run
        context.save_for_backward(conductance, across)
        return across

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        conductance, across = context.saved_tensors
        run = context.run
        adjoint = run.iterate(conductance, run.wires.drops(gradient))
        of_ideal = gradient - conductance.unsqueeze(-3) * adjoint
        of_voltages = of_ideal.sum(-1) if run.drive == "word_lines" else -of_ideal.sum(-2)
        return -(adjoint * across).sum(-3), of_voltages, None
