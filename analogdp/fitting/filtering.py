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
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

from analogdp.devices.pulsed import PulsedDevice
from analogdp.fitting.families import parameters_of
from analogdp.fitting.traces import Trace, Values

Indices = NDArray[np.int64]

_GRID = 161
_SMALLEST = 1e-5
"""Standard deviation in weights that stands for none: of the rounding of a file, say."""


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
        one, moves, noises = torch.ones_like(weights), [], []
        for rising, name in ((0.0, "step_down"), (1.0, "step_up")):
            full = {key: value.expand_as(weights) for key, value in parameters.items()}
            move, noise = device.change(weights, full[name], one, full, one * rising)
            moves.append(move.numpy())
            noises.append(noise.numpy())
        self._moves, self._noises = np.stack(moves).ravel(), np.stack(noises).ravel()
        self._nodes_per_weight = (_GRID - 1) / (self.upper - self.lower)
        self._direction = len(own) * _GRID
        self._base = np.arange(len(own)) * _GRID

    def move(self, weight: Values, rising: Indices) -> Values:
        """Mean change of one pulse at ``weight`` ``(..., devices)``."""
        at, beyond, _ = self._place(weight, rising)
        before = self._moves[at]
        return np.asarray(before + (self._moves[at + 1] - before) * beyond)

    def step(self, weight: Values, rising: Indices) -> tuple[Values, Values, Values]:
        """Mean change of one pulse, its derivative, and its noise per unit of cycle noise."""
        at, beyond, nodes = self._place(weight, rising)
        before, noise = self._moves[at], self._noises[at]
        slope = self._moves[at + 1] - before
        return before + slope * beyond, slope * nodes, noise + (self._noises[at + 1] - noise) * beyond

    def _place(self, weight: Values, rising: Indices) -> tuple[Indices, Values, Values]:
        nodes = self._nodes_per_weight
        place = np.clip((weight - self.lower) * nodes, 0.0, _GRID - 1.0)
        index = np.minimum(place.astype(np.int64), _GRID - 2)
        return index + (self._base + rising * self._direction), place - index, nodes


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


def clamped(weight: Values, spread: Values, lower: Values, upper: Values) -> tuple[Values, Values]:
    """Mean and variance of a normal weight cut at the nearer bound, whose excess is put at the bound."""
    high = weight > (lower + upper) / 2
    bound, sign = np.where(high, upper, lower), np.where(high, 1.0, -1.0)
    z = np.clip(sign * (bound - weight) / spread, -30.0, 30.0)
    density, share = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi), ndtr(z)
    distance = density + z * share
    variance = np.maximum((1 + z * z) * share + z * density - distance**2, 1e-6) * spread**2
    return np.where(z > 8, weight, bound - sign * distance * spread), variance


def follow(table: LawTable, reads: Reads, cycle: float, write: float) -> Filtered:
    """Filter with cycle noise ``cycle`` (in units of the model's) and write noise ``write`` (in weights)."""
    kept: list[tuple[Values, ...]] = []
    _scan(table, reads, np.array(cycle), np.array(write), kept)
    columns = [np.stack(column) for column in zip(*kept, strict=True)]
    there = reads.there
    before, spread, gain, surprise, scale = columns
    return Filtered(before, spread, gain, surprise * there, np.where(there, scale, 1.0))


def likelihood(table: LawTable, reads: Reads, cycle: Values, write: Values) -> Values:
    """Log-likelihood of all reads for candidates of noise, each ``(candidates,)``; densities per unit of weight."""
    return _scan(table, reads, cycle[:, None], write[:, None], None)


def _scan(table: LawTable, reads: Reads, cycle: Values, write: Values, kept: list[tuple[Values, ...]] | None) -> Values:
    read_variance = write**2 + _SMALLEST**2
    weight = np.broadcast_to(reads.weights[0], np.broadcast_shapes(reads.weights[0].shape, cycle.shape))
    variance = np.broadcast_to(read_variance, weight.shape)
    total = np.zeros(weight.shape)
    for rising, there, read in zip(reads.rising, reads.there, reads.weights[1:], strict=True):
        before = weight
        move, slope, noise = table.step(weight, rising)
        spread = np.sqrt((1 + slope) ** 2 * variance + (cycle * noise) ** 2 + _SMALLEST**2)
        weight, variance = clamped(weight + move, spread, table.lower, table.upper)
        scale = variance + read_variance
        gain, surprise = variance / scale, read - weight
        total = total - there * (surprise**2 / scale + np.log(scale))
        if kept is not None:
            kept.append((before, spread, gain, surprise, np.sqrt(scale)))
        weight = np.clip(weight + gain * surprise, table.lower, table.upper)
        variance = variance * (1 - gain)
    return np.asarray(total.sum(axis=-1) / 2 - reads.number * math.log(2 * math.pi) / 2)


def surprises(table: LawTable, reads: Reads, weights: Filtered, variants: int) -> Values:
    """Standardised surprises with the gains and spreads of an earlier pass, ``(variants, pulses, devices)``.

    ``table`` has the devices of ``reads`` ``variants`` times over. Held weights make this a least-squares problem.
    """

    held = (reads.rising, reads.there, reads.weights[1:], weights.spread, weights.gain, weights.scale)
    weight, out = np.tile(reads.weights[0], variants), []
    rows = zip(*(np.tile(values, (1, variants)) for values in held), strict=True)
    for rising, there, read, spread, gain, scale in rows:
        expected = clamped(weight + table.move(weight, rising), spread, table.lower, table.upper)[0]
        surprise = (read - expected) * there
        out.append(surprise / scale)
        weight = np.clip(expected + gain * surprise, table.lower, table.upper)
    return np.stack(out).reshape(len(out), variants, -1).swapaxes(0, 1)


def course(table: LawTable, reads: Reads) -> Values:
    """The mean trajectory from each device's first read on, without looking at the others, ``(pulses + 1, devices)``."""
    weight = np.clip(reads.weights[0], table.lower, table.upper)
    out = [weight]
    for rising in reads.rising:
        weight = np.clip(weight + table.move(weight, rising), table.lower, table.upper)
        out.append(weight)
    return np.stack(out)
