"""Weights that do not go with their cells: beyond the range that these can hold, or too small to stand out from their errors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from analogdp.errors import AnalogdpWarning
from analogdp.synapses.mapping import Mapping

COARSE = 0.5
"""Share of the rms weight above which the rms error of what cells hold is warned of."""


class LayerErrors(NamedTuple):
    """What became of one layer's weights, over all chips.

    Attributes:
        layer: its number, 1 for the lowest, or its place in a torch model.
        wanted: the lowest and the highest weight that was wanted.
        range: of the weights that cells can hold; None where weights are numbers.
        clipped: share of the wanted weights that lie beyond it.
        weight_range: smallest ``synapse.weight_range`` that holds all; None where weights are numbers.
        rms: root of the mean square of what is read less what was wanted, within the range: errors of programming, and wires.
        rms_wanted: the same of what was wanted, within the range.
    """

    layer: int | str
    wanted: tuple[float, float]
    range: tuple[float, float] | None
    clipped: float
    weight_range: float | None
    rms: float
    rms_wanted: float


def layer_errors(layer: int | str, wanted: Tensor, held: Tensor, mapping: Mapping | None) -> LayerErrors:
    """The errors of a layer; waits for the device.

    Args:
        layer: what it is called.
        wanted: weights ``(out, in)``.
        held: what is read of them, ``(chips, out, in)``.
        mapping: of the cells; None where weights are numbers.
    """
    wanted, held = (weights.detach().to("cpu", torch.float64) for weights in (wanted, held))
    ends = float(wanted.min()), float(wanted.max())
    if mapping is None:
        return LayerErrors(layer, ends, None, 0.0, None, _rms(held - wanted), _rms(wanted))
    lowest, highest = mapping.lowest, mapping.highest
    # Weights at the very ends are held, whatever the precision that is computed with.
    slack = 1e-6 * (highest - lowest)
    clipped = ((wanted < lowest - slack) | (wanted > highest + slack)).double().mean()
    wide = (highest - lowest) / 2 * max(ends[0] / lowest, ends[1] / highest)
    within = wanted.clamp(lowest, highest)
    return LayerErrors(layer, ends, (lowest, highest), float(clipped), wide, _rms(held - within), _rms(within))


def warn_of_misfits(errors: Sequence[LayerErrors], way_out: str, stacklevel: int) -> None:
    """Warn of weights that are clipped, and of those that are lost among errors, in one warning each.

    Args:
        errors: of all layers.
        way_out: how a range is asked for, with ``{}`` where the number stands.
        stacklevel: as of :func:`warnings.warn`, seen from the caller.
    """
    beyond = [
        f"{_named(own)}: {own.clipped:.2%} of the weights, from {own.wanted[0]:.3g} to {own.wanted[1]:.3g}, lie beyond "
        f"the range of its cells, {own.range[0]:.3g} to {own.range[1]:.3g}"
        for own in errors
        if own.clipped > 0 and own.range is not None
    ]
    if beyond:
        wide = _rounded_up(max(own.weight_range or 0.0 for own in errors))
        advice = f"they are clipped. {way_out.format(f'{wide:g}')} holds all, with larger steps and noise"
        warnings.warn(f"{'; '.join(beyond)}; {advice}", AnalogdpWarning, stacklevel=stacklevel + 1)
    lost = [
        f"{_named(own)}: the rms error of what its cells hold, {own.rms:.2g}, is above half of the rms weight, "
        f"{own.rms_wanted:.2g} (weight_range {_rounded_up(own.weight_range):g} holds its weights)"
        for own in errors
        if own.weight_range is not None and own.rms > COARSE * own.rms_wanted > 0
    ]
    if lost:
        advice = "a narrower weight_range, more devices for each weight, or better programming make it smaller"
        warnings.warn(f"{'; '.join(lost)}; {advice}", AnalogdpWarning, stacklevel=stacklevel + 1)


def _named(own: LayerErrors) -> str:
    return f"layer {own.layer}" if own.layer != "" else "the layer"


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _rounded_up(value: float) -> float:
    """The next number of two digits, but for rounding."""
    value *= 1 - 1e-9
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit
