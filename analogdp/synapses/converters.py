"""Converters between numbers and voltages or currents: evenly spaced levels, clipped to a range."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from analogdp.synapses.converter_settings import ConverterSettings

CALIBRATION_PERCENTILE = 99.9
"""Percentile of typical magnitudes that a calibrated range reaches: a few outliers shall not cost everybody's
resolution."""

FORWARD, BACKWARD = 0, 1


class Converter(nn.Module):
    """A converter at one side of a crossbar, with a range for each direction of reading.

    Buffers: ``limits`` ``(2, chips)``, the calibrated ranges of bottom-up and transposed reads; 0 until calibrated.
    """

    limits: Tensor

    def __init__(self, settings: ConverterSettings, chips: int, like: Tensor) -> None:
        super().__init__()
        self.levels = settings.levels
        self.fixed = settings.range if isinstance(settings.range, float) else None
        self.dynamic = settings.range == "dynamic"
        self.register_buffer("limits", like.new_zeros(2, chips))
        self.known = [False, False]

    @property
    def calibrated(self) -> bool:
        """Whether the range comes from :meth:`calibrate`."""
        return self.fixed is None and not self.dynamic

    def forward(self, values: Tensor, direction: int, in_place: bool = False) -> Tensor:
        """The nearest levels to ``values`` ``(chips, batch, lines)``, clipped to the range."""
        if self.calibrated and not self.known[direction]:
            return values
        limit = self._limit(values, direction)
        out = values if in_place else None
        scaled = torch.mul(values, self.levels / limit, out=out).round_().clamp_(-self.levels, self.levels)
        return scaled.mul_(limit / self.levels)

    def calibrate(self, samples: list[Tensor], direction: int) -> None:
        """Fit the range to typical values, each ``(chips, batch, lines)``; all zeros leave it as it was."""
        magnitudes = torch.cat([part.abs().flatten(1) for part in samples], 1)
        rank = max(1, math.ceil(magnitudes.shape[1] * CALIBRATION_PERCENTILE / 100))
        found = magnitudes.kthvalue(rank, 1).values
        self.limits[direction] = torch.where(found > 0, found, self.limits[direction])
        self.refresh()

    def refresh(self) -> None:
        """Note which ranges are known, after ``limits`` changed."""
        self.known = [bool((limit > 0).all()) for limit in self.limits]

    def _limit(self, values: Tensor, direction: int) -> Tensor | float:
        if self.fixed is not None:
            return self.fixed
        if self.dynamic:
            largest = values.abs().amax(-1, keepdim=True)
            return largest.clamp_(min=torch.finfo(values.dtype).tiny * self.levels)
        return self.limits[direction].view(-1, 1, 1)
