"""Measured conductances in the place of a network's simulated ones, and what that does to its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analogdp.errors import InputError
from analogdp.imports.measured import MISSING, STUCK, Measured, MeasuredCrossbar
from analogdp.imports.plausibility import check_range
from analogdp.network import Network
from analogdp.network.feedback import named_synapses
from analogdp.registry import suggestion
from analogdp.synapses import ConductanceTable, Crossbar
from analogdp.synapses.measured import hold

Missing = Literal["refuse", "trained", "open"]
MISSING_CELLS: tuple[Missing, ...] = get_args(Missing)
"""What becomes of a cell that was not measured: nothing is done, it keeps what the simulation held, or conducts nothing."""

ROUNDING = 1e-6
"""Relative: how far outside a range, or off a number, counts as rounding."""


@dataclass(frozen=True)
class WeightErrors:
    """How the weights of a crossbar differ between what was measured and what was trained, as bottom-up reads see both.

    Attributes:
        name: of the synapse.
        cells: how many there are, fixed ones included.
        stuck, missing: how many were marked so.
        out_of_range: how many measured ones lie outside the nominal range of their device's card.
        rms, worst: of the errors, in network units.
        worst_at: word line and bit line of the worst.
        rms_weight: of the trained weights, in network units.
        correlation: of measured with trained weights; None where either are all equal.
    """

    name: str
    cells: int
    stuck: int
    missing: int
    out_of_range: int
    rms: float
    worst: float
    worst_at: tuple[int, int]
    rms_weight: float
    correlation: float | None


class _Cells(NamedTuple):
    """The physical cells of one polarity: measured values with NaN, states, and what was trained; ``(word lines, bit lines)``."""

    measured: NDArray[np.float64]
    state: NDArray[np.uint8]
    trained: NDArray[np.float64]


def replace_cells(network: Network, measured: Measured, missing: Missing = "refuse") -> tuple[WeightErrors, ...]:
    """Have the crossbars of a network conduct what was measured.

    Args:
        network: of one chip, changed in place.
        measured: of the same crossbars. Nothing is missed of a feedback path that was not measured: it stays as trained.
        missing: what becomes of cells that were not measured; with ``trained``, crossbars may be left out altogether.

    Raises:
        InputError: other shapes or crossbars than the network's, missing cells that nobody said what to do with, conductances
            that no such device has, or a network without cells; it may have been changed.

    Warns:
        AnalogdpWarning: conductances are far from the range of their device, as with a wrong unit.
    """
    if missing not in MISSING_CELLS:
        raise InputError(f"missing: unknown {missing!r}: {suggestion(str(missing), MISSING_CELLS)}")
    crossbars = {name: own for name, own in named_synapses(network).items() if isinstance(own, Crossbar)}
    if not crossbars:
        raise InputError(
            "the weights of this network are ideal; conductances take the place of cells: use synapse: crossbar"
        )
    found = {own.name: own for own in measured}
    if unknown := [name for name in found if name not in crossbars]:
        raise InputError(
            f"{measured.source}: {unknown[0]} is no crossbar of the network; it has {', '.join(crossbars)}"
        )
    absent = [name for name in crossbars if name not in found and not name.startswith("feedback")]
    if absent and missing != "trained":
        raise InputError(
            f"{measured.source}: nothing was measured of {', '.join(absent)}; missing=trained (--missing trained) leaves it as "
            "trained"
        )
    return tuple(_replace(crossbars[own.name], own, measured, missing) for own in measured)


def _replace(crossbar: Crossbar, own: MeasuredCrossbar, measured: Measured, missing: Missing) -> WeightErrors:
    place = f"{measured.source}: {own.name}"
    wanted = crossbar.inputs, crossbar.outputs
    if own.shape != wanted:
        raise InputError(
            f"{place} has {own.shape[0]} word lines x {own.shape[1]} bit lines, but the network's has {wanted[0]} x {wanted[1]}"
        )
    table, before = crossbar.conductances(), crossbar.weights.double().clone()
    pairs = [
        _Cells(own.plus, own.plus_state, _physical(table.plus)),
        _Cells(own.minus, own.minus_state, _physical(table.minus)),
    ]
    real = [pairs[0], _real(pairs[1], crossbar.settings.pair, place)]
    absent = sum(int((cells.state == MISSING).sum()) for cells in real)
    if absent and missing == "refuse":
        raise InputError(
            f"{place}: {absent} cells are missing; missing=trained (--missing trained) takes what the simulation held, and open "
            "0 S"
        )
    for polarity, cells in zip(("plus", "minus"), real, strict=True):
        check_range(cells.measured, cells.trained, table, f"{place}: {polarity}")
    hold(crossbar, *(_filled(cells, missing, crossbar.weights) for cells in pairs))
    return _errors(own.name, real, table, before, crossbar.weights.double())


def _real(minus: _Cells, pair: str | None, place: str) -> _Cells:
    """The minus cells that there are: none where a number is subtracted, one column where all bit lines share it."""
    if pair == "offset":
        with np.errstate(invalid="ignore"):
            wrong = np.abs(minus.measured - minus.trained) > ROUNDING * minus.trained
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            found, number = minus.measured[row, column], minus.trained[row, column]
            raise InputError(
                f"{place}: minus of word line {row}, bit line {column} is {found:g} S; but synapse.pair: offset has no cell "
                f"there and subtracts {number:g} S: leave it, or mark it as missing"
            )
    shown = {"offset": 0, "offset_column": 1}.get(pair or "", minus.state.shape[1])
    return _Cells(minus.measured[:, :shown], minus.state[:, :shown], minus.trained[:, :shown])


def _filled(cells: _Cells, missing: Missing, like: Tensor) -> Tensor:
    """Conductances ``(1, out, in)`` with something in the place of missing ones."""
    instead = np.zeros_like(cells.trained) if missing == "open" else cells.trained
    filled = np.where(cells.state == MISSING, instead, cells.measured)
    return torch.as_tensor(filled.T, dtype=like.dtype, device=like.device).unsqueeze(0).contiguous()


def _physical(values: Tensor) -> NDArray[np.float64]:
    """The only chip's conductances ``(1, out, in)`` as ``(word lines, bit lines)``."""
    array: NDArray[np.float64] = values[0].mT.double().cpu().numpy()
    return array


def _errors(name: str, cells: list[_Cells], table: ConductanceTable, before: Tensor, after: Tensor) -> WeightErrors:
    low, high = table.low * (1 - ROUNDING), table.high * (1 + ROUNDING)
    with np.errstate(invalid="ignore"):
        outside = sum(int(((own.measured < low) | (own.measured > high)).sum()) for own in cells)
    error = (after - before)[0]
    bit_line, word_line = divmod(int(error.abs().argmax()), error.shape[1])
    spread = before.std(correction=0) * after.std(correction=0)
    covariance = ((before - before.mean()) * (after - after.mean())).mean()
    return WeightErrors(
        name=name,
        cells=sum(own.state.size for own in cells),
        stuck=sum(int((own.state == STUCK).sum()) for own in cells),
        missing=sum(int((own.state == MISSING).sum()) for own in cells),
        out_of_range=outside,
        rms=float(error.square().mean().sqrt()),
        worst=float(error.abs().max()),
        worst_at=(word_line, bit_line),
        rms_weight=float(before.square().mean().sqrt()),
        correlation=float((covariance / spread).clamp(-1, 1)) if spread > 0 else None,
    )
