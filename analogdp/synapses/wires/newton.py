"""Reads of crossbars whose cells have a nonlinear I-V curve: Newton's method around the solver for linear cells.

Device voltages are the root of F(v) = v + P i(v) - v0, and a step solves (I + P di/dv) step = -F(v): the circuit of linear cells
again, whose conductances are the differential ones. Steps are halved until |F| falls.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from analogdp.errors import InputError, RunError
from analogdp.synapses.wires import conjugate_gradients
from analogdp.synapses.wires.circuit import Drive, Wires
from analogdp.synapses.wires.solving import Solution, check_voltages, checked_tolerance, read_out, without_wires

Curve = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Current in amperes and differential conductance in siemens of all cells, at their voltages ``(..., batch, rows, columns)``."""

MOST_STEPS = 50
MOST_HALVINGS = 30


def solve_nonlinear(
    curve: Curve,
    voltages: Tensor,
    rows: int,
    columns: int,
    word_line: float,
    bit_line: float,
    source: float = 0.0,
    sense: float = 0.0,
    *,
    drive: Drive = "word_lines",
    tolerance: float | None = None,
    initial: Solution | Tensor | None = None,
) -> Solution:
    """Read a crossbar of cells that do not obey Ohm's law; arguments in common with `solve` are the same.

    Args:
        curve: gives current and differential conductance (at least 0) of cells at device voltages.
        voltages: of the driven lines ``(..., batch, lines)``, in volts.
        rows: number of word lines.
        columns: number of bit lines.
        tolerance: largest error of the circuit's equations that remains, relative to the largest voltage.
        initial: an earlier solution or device voltages to start from; without it, from rest,
            where curves are flattest.

    Returns:
        The solution, without gradients; ``iterations`` counts Newton steps.

    Raises:
        InputError: resistances, voltages or currents of the curve that do not fit.
        RunError: Newton's method does not converge, or a differential conductance is negative.
    """
    wires = Wires.driven(drive, word_line, bit_line, source, sense)
    check_voltages(voltages, torch.Size((*voltages.shape[:-2], rows, columns)), voltages, drive)
    tolerance = checked_tolerance(tolerance, voltages.dtype)
    with torch.no_grad():
        shape = (*voltages.shape[:-1], rows, columns)
        ideal = without_wires(voltages, drive).expand(shape)
        start = initial.device_voltages if isinstance(initial, Solution) else initial
        across = torch.zeros(shape, dtype=ideal.dtype, device=ideal.device) if start is None else start
        if across.shape != shape:
            raise InputError(f"initial: device voltages of shape {tuple(across.shape)}. This read has {tuple(shape)}.")
        limit = tolerance * float(voltages.abs().amax())
        current, slope = _evaluate(curve, across)
        error = _error(across, current, ideal, wires)
        for iteration in range(MOST_STEPS + 1):
            rest = float(error.abs().amax())
            if rest <= limit:
                return read_out(
                    current, across, voltages, wires, drive, iteration, rest / limit * tolerance if limit else 0.0
                )
            step = _step(slope, error, wires, tolerance)
            across, current, slope, error = _damped(curve, across, step, error, ideal, wires)
    raise RunError(
        f"Newton's method on a crossbar of {rows} x {columns} cells left an error of {rest:.3g} V instead of {limit:.3g} V "
        f"after {MOST_STEPS} steps, at {wires}. Use a larger tolerance, float64, or lower voltages."
    )


def _evaluate(curve: Curve, across: Tensor) -> tuple[Tensor, Tensor]:
    current, slope = curve(across)
    for name, values in (("current", current), ("differential conductance", slope)):
        if values.shape != across.shape:
            raise InputError(
                f"curve: a {name} of shape {tuple(values.shape)} at voltages of shape {tuple(across.shape)}. They must be equal."
            )
    if bool((slope < 0).any()):
        raise RunError(
            f"a differential conductance of {float(slope.amin()):.3g} S. Cells whose current falls with the voltage have no "
            "unique read; the curve must rise."
        )
    return current, slope


def _error(across: Tensor, current: Tensor, ideal: Tensor, wires: Wires) -> Tensor:
    return across + wires.drops(current) - ideal


def _step(slope: Tensor, error: Tensor, wires: Wires, tolerance: float) -> Tensor:
    """Newton's step; its own error need not be smaller than that of the linearisation."""
    cells = error.shape[-2:]
    outcome = conjugate_gradients.device_voltages(
        slope.reshape(-1, 1, *cells), error.reshape(-1, 1, *cells), wires, max(tolerance, 1e-6)
    )
    return outcome.voltages.reshape(error.shape)


def _damped(
    curve: Curve, across: Tensor, step: Tensor, error: Tensor, ideal: Tensor, wires: Wires
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The new voltages, their currents, slopes and errors; each vector takes as much of its step as makes its error fall."""
    before = _size(error)
    share = torch.ones_like(before)
    for _ in range(MOST_HALVINGS):
        moved = across - share * step
        current, slope = _evaluate(curve, moved)
        after = _error(moved, current, ideal, wires)
        worse = ~(_size(after) < before) & (before > 0)
        if not bool(worse.any()):
            break
        share = torch.where(worse, share / 2, share)
    return moved, current, slope, after


def _size(error: Tensor) -> Tensor:
    return error.square().sum((-2, -1), keepdim=True).sqrt()
