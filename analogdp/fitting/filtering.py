"""What reads say about the noise and the law of devices: a Kalman filter along every trace.

A read y_t shows the stored weight w_t with write noise of standard deviation r, fresh at every pulse; cycle noise of
standard deviation sigma q(w) accumulates in w itself:

    w_t+1 = clamp(w_t + f(w_t) + sigma q(w_t) xi),    y_t = w_t + r xi'

so successive increments of y are negatively correlated by write noise and not by cycle noise, which tells the two
apart. The filter is the extended one (Jazwinski 1970, ch. 8); the clamp at the bounds acts on a normal distribution and
gives back one with the right mean and variance. f and q are a device model's own, read off a table that it fills.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

from analogdp.devices.pulsed import PulsedDevice
from analogdp.fitting.families import parameters_of
from analogdp.fitting.traces import Trace, Values

Indices = NDArray[np.int64]

_GRID = 161
_FURTHEST = 100.0
"""Move of one pulse in weights that any larger one is as good as: both end at a bound."""
_SMALLEST, _RESOLUTION = 1e-5, 1e-4
"""Standard deviations in weights that stand for none, of a step and of a read: no bench reads a cell at its bound more finely."""


@dataclass(frozen=True)
class Reads:
    """Traces of all devices in normalised weights, padded to the longest.

    Attributes:
        weights: ``(pulses + 1, devices)``.
        rising: 1 for a pulse up, 0 for one down, ``(pulses, devices)``.
        there: whether there is such a pulse, ``(pulses, devices)``.
        centre, half: siemens that stand for weight 0, and for a weight of 1.
    """

    weights: Values
    rising: Indices
    there: NDArray[np.bool_]
    centre: float
    half: float

    @classmethod
    def of(cls, traces: list[Trace], low: float, high: float) -> Self:
        """With ``low`` and ``high`` siemens at the weights -1 and 1."""
        longest, centre, half = max(len(trace.directions) for trace in traces), (low + high) / 2, (high - low) / 2
        weights = np.zeros((longest + 1, len(traces)))
        rising = np.zeros((longest, len(traces)), dtype=np.int64)
        there = np.zeros((longest, len(traces)), dtype=bool)
        for column, trace in enumerate(traces):
            pulses = len(trace.directions)
            weights[: pulses + 1, column] = (trace.conductances - centre) / half
            rising[:pulses, column] = trace.directions > 0
            there[:pulses, column] = True
        return cls(weights, rising, there, centre, half)

    @property
    def number(self) -> int:
        """Of pulses, of all devices."""
        return int(self.there.sum())


class LawTable:
    """Mean and noise of one pulse of many devices, at evenly spaced weights between their bounds.

    Attributes:
        upper, lower: bounds, ``(devices,)``.
    """

    def __init__(self, device: PulsedDevice, own: Values) -> None:
        """``own``: steps up and down and bounds of every device, ``(devices, 4)``."""
        parameters = parameters_of(device, own)
        self.upper, self.lower = own[:, 2].copy(), own[:, 3].copy()
        share = np.linspace(0.0, 1.0, _GRID)
        weights = torch.from_numpy(self.lower[:, None] + (self.upper - self.lower)[:, None] * share)
        full = {key: value.expand_as(weights) for key, value in parameters.items()}
        one, both = torch.ones_like(weights), []
        for rising, name in ((0.0, "step_down"), (1.0, "step_up")):
            both.append(torch.stack(device.change(weights, full[name], one, full, one * rising)).numpy())
        # A law that a search only tries may leave what a float can say.
        nodes = np.clip(np.nan_to_num(np.stack(both, axis=1)), -_FURTHEST, _FURTHEST)
        rises = np.diff(nodes, axis=-1)
        # A weight at the upper bound goes on from the last node as from the one before it.
        rises = np.concatenate((rises, rises[..., -1:]), axis=-1)
        self._nodes = np.concatenate((nodes, rises)).reshape(4, -1)
        self._nodes_per_weight = (_GRID - 1) / (self.upper - self.lower)
        self._direction = len(own) * _GRID
        self._base = np.arange(len(own)) * _GRID

    def move(self, weight: Values, rising: Indices) -> Values:
        """Mean change of one pulse at ``weight`` ``(..., devices)`` within the bounds."""
        return self.step(weight, rising)[0]

    def step(self, weight: Values, rising: Indices) -> tuple[Values, Values, Values]:
        """Mean change of one pulse, its derivative, and its noise per unit of cycle noise."""
        place = (weight - self.lower) * self._nodes_per_weight
        index = place.astype(np.int64)
        move, noise, move_rise, noise_rise = np.take(
            self._nodes, index + (self._base + rising * self._direction), axis=1
        )
        beyond = place - index
        return move + move_rise * beyond, move_rise * self._nodes_per_weight, noise + noise_rise * beyond

    def cut(self, weight: Values) -> Values:
        """``weight`` within the bounds."""
        return np.asarray(np.minimum(np.maximum(weight, self.lower), self.upper))


@dataclass(frozen=True)
class Filtered:
    """What the filter made of every pulse, ``(pulses, devices)``; 0 (``scale`` 1) where there is none.

    Attributes:
        before: weight before the pulse, as all reads until then have it.
        spread: standard deviation of the weight after the pulse, before its bounds and before its read.
        gain: share of a surprise that the filter believes.
        surprise: read minus what was expected.
        scale: standard deviation of the surprise.
    """

    before: Values
    spread: Values
    gain: Values
    surprise: Values
    scale: Values

    @property
    def standardised(self) -> Values:
        return self.surprise / self.scale


class Clamped(NamedTuple):
    """A normal weight cut at the nearer bound, whose excess is put at the bound: its mean and variance, and by how
    much the mean moves with that of the normal weight."""

    mean: Values
    variance: Values
    slope: Values


def clamped(weight: Values, spread: Values, lower: Values, upper: Values) -> Clamped:
    """What bounds leave of normal weights with these means and standard deviations."""
    centre, half = (lower + upper) / 2, (upper - lower) / 2
    beside = weight - centre
    z = (half - np.abs(beside)) / spread
    density, share = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi), ndtr(z)
    distance = density + z * share
    variance = np.maximum(share + distance * (z - distance), 1e-6) * spread * spread
    return Clamped(centre + np.copysign(half - distance * spread, beside), variance, share)


def follow(table: LawTable, reads: Reads, cycle: float, write: float) -> Filtered:
    """Filter with cycle noise ``cycle`` (in units of the model's) and write noise ``write`` (in weights)."""
    return _scan(table, reads, np.array(cycle), np.array(write))


def likelihood(table: LawTable, reads: Reads, cycle: Values, write: Values) -> Values:
    """Log-likelihood of all reads for candidates of noise, each ``(candidates,)``; densities per unit of weight."""
    found = _scan(table, reads, cycle[:, None], write[:, None])
    density = found.standardised**2 / 2 + np.log(found.scale)
    return np.asarray(-density.sum(axis=(0, 2)) - reads.number * math.log(2 * math.pi) / 2)


def _scan(table: LawTable, reads: Reads, cycle: Values, write: Values) -> Filtered:
    read_variance, smallest = write**2 + _RESOLUTION**2, _SMALLEST**2
    lanes = np.broadcast_shapes(reads.weights[0].shape, cycle.shape)
    weight = np.broadcast_to(table.cut(reads.weights[0]), lanes)
    variance = np.broadcast_to(read_variance, lanes)
    kept = before, spreads, gains, surprises, scales = np.empty((5, len(reads.rising), *lanes))
    rows = zip(reads.rising, reads.weights[1:], strict=True)
    for pulse, (rising, read) in enumerate(rows):
        before[pulse] = weight
        move, slope, noise = table.step(weight, rising)
        keep, noise = 1 + slope, cycle * noise
        spread = np.sqrt(keep * keep * variance + noise * noise + smallest)
        expected, variance, _ = clamped(weight + move, spread, table.lower, table.upper)
        scale = variance + read_variance
        gain, surprise = variance / scale, read - expected
        spreads[pulse], gains[pulse], surprises[pulse], scales[pulse] = spread, gain, surprise, scale
        weight = table.cut(expected + gain * surprise)
        variance = read_variance * gain
    there = reads.there.reshape(len(kept[0]), *(1,) * (len(lanes) - 1), -1)
    return Filtered(before, spreads, gains, surprises * there, np.sqrt(np.where(there, scales, 1.0)))


def refollow(table: LawTable, reads: Reads, held: Filtered) -> Filtered:
    """Follow another law with the gains and spreads of an earlier pass, which makes a fit a least-squares problem."""
    weight = table.cut(reads.weights[0])
    before, surprises = np.empty((2, *reads.rising.shape))
    for pulse, (rising, read) in enumerate(zip(reads.rising, reads.weights[1:], strict=True)):
        before[pulse] = weight
        expected = clamped(weight + table.move(weight, rising), held.spread[pulse], table.lower, table.upper).mean
        surprises[pulse] = read - expected
        weight = table.cut(expected + held.gain[pulse] * surprises[pulse])
    return replace(held, before=before, surprise=surprises * reads.there)


def sensitivities(table: LawTable, changed: Sequence[LawTable], reads: Reads, held: Filtered) -> Values:
    """By how much slightly changed laws change the standardised surprises of :func:`refollow`, ``(laws, pulses, devices)``.

    To first order, so that only the sum of what every pulse adds is left for a loop over pulses.
    """
    before, rising, spread = held.before, reads.rising, held.spread
    move, slope, _ = table.step(before, rising)
    here = clamped(before + move, spread, table.lower, table.upper)
    after = here.mean + held.gain * (reads.weights[1:] - here.mean)
    inside = (after > table.lower) & (after < table.upper)
    carried, kept = here.slope * (1 + slope), (1 - held.gain) * inside
    jumps, ends = np.empty((2, len(changed), *before.shape))
    for law, jump, end in zip(changed, jumps, ends, strict=True):
        jump[:] = clamped(before + law.move(before, rising), spread, law.lower, law.upper).mean - here.mean
        end[:] = np.where(inside, 0.0, law.cut(after) - table.cut(after))
    first = reads.weights[0]
    moved = np.stack([law.cut(first) for law in changed]) - table.cut(first)
    for pulse in range(len(before)):
        jumps[:, pulse] += carried[pulse] * moved
        moved = kept[pulse] * jumps[:, pulse] + ends[:, pulse]
    return np.asarray(-jumps * (reads.there / held.scale))


def course(table: LawTable, reads: Reads) -> Values:
    """The mean trajectory from each device's first read on, without looking at the others, ``(pulses + 1, devices)``."""
    weight = table.cut(reads.weights[0])
    out = [weight]
    for rising in reads.rising:
        weight = table.cut(weight + table.move(weight, rising))
        out.append(weight)
    return np.stack(out)
