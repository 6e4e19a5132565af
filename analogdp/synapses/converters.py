"""Converters between numbers and voltages or currents: evenly spaced levels, clipped to a range."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from analogdp.streams import Stream
from analogdp.synapses.converter_settings import AdcSettings, ConverterSettings

FORWARD, BACKWARD = 0, 1


class Converter(nn.Module):
    """The converters at one side of a crossbar: one for each line, with a range for each direction of reading.

        ADC:  step * clip(round((gain * x + offset * range) / step + noise * n))
        DAC:  gain * step * (clip(round(x / step)) + noise * n) + offset * range        step = range / levels

    with a standard normal number n for each conversion. So what an ADC says is always a level; what a DAC puts on a line
    need not be. Rounding keeps the mean of values that are spread over more than a step, and no pair of values of
    a line changes its order.

    Buffers: ``limits`` ``(2, chips)``, the calibrated ranges of bottom-up and transposed reads; 0 until calibrated.
    With mismatch ``gain<direction>`` and ``offset<direction>``, ``(chips, 1, lines)``.

    Attributes:
        noisy: whether each conversion takes a standard normal number.
    """

    limits: Tensor

    def __init__(self, settings: ConverterSettings, lines: tuple[int, int], like: Tensor, stream: Stream) -> None:
        """
        Args:
            settings: a DAC's or an ADC's.
            lines: how many lines have a converter, in each direction; those of one tile after those of the other.
            like: for chips, its first axis, and for the type and place of what is converted.
            stream: of the lines' mismatch.
        """
        super().__init__()
        self.settings = settings
        self.levels = settings.levels
        self.noisy = settings.noise > 0
        self.fixed = settings.range if isinstance(settings.range, float) else None
        self.dynamic = settings.range == "dynamic"
        self.register_buffer("limits", like.new_zeros(2, like.shape[0]))
        self.known = [False, False]
        self._measures = isinstance(settings, AdcSettings)
        self._fabricate(lines, stream)

    @property
    def calibrated(self) -> bool:
        """Whether the range comes from :meth:`calibrate`."""
        return self.fixed is None and not self.dynamic

    def forward(
        self, values: Tensor, direction: int, in_place: bool = False, noise: Tensor | None = None, place: int = 0
    ) -> Tensor:
        """What conversions make of ``values``.

        Args:
            values: ``(chips, batch, lines)``.
            direction: of the read.
            in_place: whether the result may overwrite the values.
            noise: standard normal numbers of their shape; None converts without noise.
            place: which tile's lines these are, all as many.
        """
        if self.calibrated and not self.known[direction]:
            return values
        limit = self._limit(values, direction)
        up, down = self.levels / limit, limit / self.levels
        lines = slice(place * values.shape[-1], (place + 1) * values.shape[-1])
        gain, offset = (self._of_lines(f"{name}{direction}", lines) for name in ("gain", "offset"))
        out = values if in_place else None
        if self._measures:
            shift = None if offset is None else offset * self.levels
            codes = self._disturb(_affine(values, up if gain is None else gain * up, shift, out), noise)
            return self._round(codes).mul_(down)
        codes = self._disturb(self._round(torch.mul(values, up, out=out)), noise)
        shift = None if offset is None else offset * limit
        return _affine(codes, down if gain is None else gain * down, shift, codes)

    def calibrate(self, samples: list[Tensor], direction: int) -> None:
        """Fit the range to typical values, each ``(chips, batch, lines)``; all zeros leave it as it was."""
        magnitudes = torch.cat([part.abs().flatten(1) for part in samples], 1)
        rank = max(1, math.ceil(magnitudes.shape[1] * self.settings.percentile / 100))
        found = magnitudes.kthvalue(rank, 1).values
        self.limits[direction] = torch.where(found > 0, found, self.limits[direction])
        self.refresh()

    def refresh(self) -> None:
        """Note which ranges are known, after ``limits`` changed."""
        self.known = [bool((limit > 0).all()) for limit in self.limits]

    def _fabricate(self, lines: tuple[int, int], stream: Stream) -> None:
        """Draw every line's gain and offset, once for each chip."""
        spreads = (("gain", 1.0, self.settings.gain_std), ("offset", 0.0, self.settings.offset_std))
        for direction, count in enumerate(lines):
            for name, middle, std in spreads:
                if std:
                    own = f"{name}{direction}"
                    self.register_buffer(own, stream.child(own).normal((1, count), std=std).add_(middle))

    def _of_lines(self, name: str, lines: slice) -> Tensor | None:
        drawn = self._buffers.get(name)
        return None if drawn is None else drawn[..., lines]

    def _disturb(self, codes: Tensor, noise: Tensor | None) -> Tensor:
        return codes if noise is None or not self.noisy else codes.add_(noise, alpha=self.settings.noise)

    def _round(self, codes: Tensor) -> Tensor:
        return codes.round_().clamp_(-self.levels, self.levels)

    def _limit(self, values: Tensor, direction: int) -> Tensor | float:
        if self.fixed is not None:
            return self.fixed
        if self.dynamic:
            largest = values.abs().amax(-1, keepdim=True)
            return largest.clamp_(min=torch.finfo(values.dtype).tiny * self.levels)
        return self.limits[direction].view(-1, 1, 1)


def _affine(values: Tensor, factor: Tensor | float, shift: Tensor | None, out: Tensor | None) -> Tensor:
    """``factor * values + shift`` in one pass; ``out`` may be the values."""
    if shift is None:
        return torch.mul(values, factor, out=out)
    if isinstance(factor, Tensor):
        return torch.addcmul(shift, values, factor, out=out)
    return torch.add(shift, values, alpha=factor, out=out)
