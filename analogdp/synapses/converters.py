"""Converters between numbers and voltages or currents: evenly spaced levels, clipped to a range."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from analogdp.streams import Stream
from analogdp.synapses.converter_settings import AdcSettings, ConverterSettings

FORWARD, BACKWARD = 0, 1

Lines = tuple[tuple[int, int], tuple[int, int]]
"""Of each direction: how many parts are converted one after the other (tiles), and the lines of each."""


class Converter(nn.Module):
    """The converters at one side of a crossbar: one for each line, with a range for each direction of reading.

        ADC:  step * clip(round((gain * x + offset * range) / step + noise * n))
        DAC:  gain * step * (clip(round(x / step)) + noise * n) + offset * range        step = range / levels

    with a standard normal number n for each conversion. So what an ADC says is always a level; what a DAC puts on a line
    need not be. Rounding keeps the mean of values that are spread over more than a step, and no pair of values of
    a line changes its order.

    Buffers: ``limits`` ``(2, chips)``, the calibrated ranges of bottom-up and transposed reads; 0 until calibrated.
    With mismatch ``gain<direction>`` and ``offset<direction>``, ``(chips, parts, lines)``.

    Attributes:
        noise_numbers: how many standard normal numbers a conversion takes: 0 or 1.
    """

    limits: Tensor

    def __init__(
        self,
        settings: ConverterSettings,
        chips: int,
        like: Tensor,
        lines: Lines | None = None,
        stream: Stream | None = None,
    ) -> None:
        """``like``: a tensor of the type and place of what is converted; with mismatch, it is drawn from ``stream``."""
        super().__init__()
        self.settings = settings
        self.levels = settings.levels
        self.noise_numbers = int(settings.noise > 0)
        self.fixed = settings.range if isinstance(settings.range, float) else None
        self.dynamic = settings.range == "dynamic"
        self.register_buffer("limits", like.new_zeros(2, chips))
        self.known = [False, False]
        self._measures = isinstance(settings, AdcSettings)
        if settings.has_mismatch:
            if lines is None or stream is None:
                raise ValueError("mismatch is drawn from a stream, for a number of lines: give both")
            self._fabricate(lines, stream)

    @property
    def calibrated(self) -> bool:
        """Whether the range comes from :meth:`calibrate`."""
        return self.fixed is None and not self.dynamic

    def forward(
        self, values: Tensor, direction: int, in_place: bool = False, noise: Tensor | None = None, part: int = 0
    ) -> Tensor:
        """What conversions make of ``values``.

        Args:
            values: ``(chips, batch, lines)``.
            direction: of the read.
            in_place: whether the result may overwrite the values.
            noise: standard normal numbers of their shape; None converts without noise.
            part: which of the parts this is.
        """
        if self.calibrated and not self.known[direction]:
            return values
        limit = self._limit(values, direction)
        up, down = self.levels / limit, limit / self.levels
        out = values if in_place else None
        if self._measures:
            codes = self._distort(values, up, self.levels, direction, part, out)
            return self._round(self._disturb(codes, noise)).mul_(down)
        codes = self._disturb(self._round(torch.mul(values, up, out=out)), noise)
        return self._distort(codes, down, limit, direction, part, codes)

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

    def _fabricate(self, lines: Lines, stream: Stream) -> None:
        """Draw every line's gain and offset, once for each chip."""
        for direction, shape in enumerate(lines):
            for name, middle, std in (("gain", 1.0, self.settings.gain_std), ("offset", 0.0, self.settings.offset_std)):
                if std:
                    drawn = stream.child(f"{name}{direction}").normal(shape, std=std).add_(middle)
                    self.register_buffer(f"{name}{direction}", drawn)

    def _distort(
        self,
        values: Tensor,
        scale: Tensor | float,
        reach: Tensor | float,
        direction: int,
        part: int,
        out: Tensor | None,
    ) -> Tensor:
        """``scale * gain * values + reach * offset`` in one pass, or two where each vector has a scale of its own."""
        gain, offset = (self._line(f"{name}{direction}", part) for name in ("gain", "offset"))
        factor = scale if gain is None else gain * scale
        if offset is None:
            return torch.mul(values, factor, out=out)
        if isinstance(factor, Tensor):
            return torch.addcmul(offset * reach, values, factor, out=out)
        return torch.add(offset * reach, values, alpha=factor, out=out)

    def _line(self, name: str, part: int) -> Tensor | None:
        drawn = self._buffers.get(name)
        return None if drawn is None else drawn[:, part : part + 1]

    def _disturb(self, codes: Tensor, noise: Tensor | None) -> Tensor:
        return codes if noise is None or not self.noise_numbers else codes.add_(noise, alpha=self.settings.noise)

    def _round(self, codes: Tensor) -> Tensor:
        return codes.round_().clamp_(-self.levels, self.levels)

    def _limit(self, values: Tensor, direction: int) -> Tensor | float:
        if self.fixed is not None:
            return self.fixed
        if self.dynamic:
            largest = values.abs().amax(-1, keepdim=True)
            return largest.clamp_(min=torch.finfo(values.dtype).tiny * self.levels)
        return self.limits[direction].view(-1, 1, 1)
