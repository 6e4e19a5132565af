"""How a crossbar is read: converters at both ends, tiles whose sums are converted one by one, noise of each cell."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from analogdp.synapses.base import product
from analogdp.synapses.converters import BACKWARD, FORWARD, Converter
from analogdp.synapses.settings import CrossbarSettings


class Reader(nn.Module):
    """Reads ``matrix x`` in either direction, through converters where there are any.

    Each read of a cell has independent noise of the same standard deviation, whatever its conductance; over the cells
    of a line it adds up to one normal number of standard deviation ``cell_noise |x|``, which is what is drawn.
    """

    def __init__(self, settings: CrossbarSettings, cell_noise: float, weights: Tensor) -> None:
        """``cell_noise``: standard deviation that one read of a pair adds to its weight; ``weights`` ``(chips, out,
        in)``."""
        super().__init__()
        chips, outputs, inputs = weights.shape
        self.dac = Converter(settings.dac, chips, weights) if settings.dac else None
        self.adc = Converter(settings.adc, chips, weights) if settings.adc else None
        self.cell_noise = cell_noise
        rows, columns = settings.tile or (inputs, outputs)
        self.slices = {FORWARD: _slices(inputs, rows), BACKWARD: _slices(outputs, columns)}

    @property
    def calibrated(self) -> bool:
        """Whether a converter takes its range from :meth:`calibrate`."""
        return any(converter is not None and converter.calibrated for converter in (self.dac, self.adc))

    @property
    def known_ranges(self) -> tuple[bool, ...]:
        """Which of the converters' ranges are known; values pass through the others as they are."""
        converters = (self.dac, self.adc)
        return tuple(known for converter in converters if converter is not None for known in converter.known)

    def noise_numbers(self, direction: int) -> int:
        """How many normal numbers a noisy read takes for each output."""
        if not self.cell_noise:
            return 0
        return len(self.slices[direction]) if self.adc else 1

    def read(
        self, matrix: Tensor, x: Tensor, direction: int, bias: Tensor | None, out: Tensor | None, noise: Tensor | None
    ) -> Tensor:
        """``matrix x + bias`` with ``matrix`` ``(chips, to, from)`` and ``x`` ``(chips, batch, from)``."""
        if self.dac is not None:
            x = self.dac(x, direction)
        if not self.cell_noise:
            noise = None
        if self.adc is None:
            result = product(matrix, x, bias, out)
            return result if noise is None else self._disturb(result, x, noise[0])
        total = self._partial(matrix, x, direction, 0, noise)
        for number in range(1, len(self.slices[direction])):
            total.add_(self._partial(matrix, x, direction, number, noise))
        if bias is not None:
            return torch.add(total, bias, out=out)
        return total if out is None else out.copy_(total)

    def calibrate(self, matrix: Tensor, x: Tensor, direction: int) -> None:
        """Fit the converters' ranges to typical inputs."""
        if self.dac is not None and self.dac.calibrated:
            self.dac.calibrate([x], direction)
        if self.adc is not None and self.adc.calibrated:
            x = self.dac(x, direction) if self.dac is not None else x
            self.adc.calibrate([product(matrix[..., part], x[..., part]) for part in self.slices[direction]], direction)

    def refresh(self) -> None:
        """Note what the converters' buffers say, after they changed."""
        for converter in (self.dac, self.adc):
            if converter is not None:
                converter.refresh()

    def _partial(self, matrix: Tensor, x: Tensor, direction: int, number: int, noise: Tensor | None) -> Tensor:
        """What the converter makes of the sums over one tile's lines."""
        lines = self.slices[direction][number]
        part = x[..., lines]
        sums = product(matrix[..., lines], part)
        if noise is not None:
            self._disturb(sums, part, noise[number])
        return sums if self.adc is None else self.adc(sums, direction, in_place=True)

    def _disturb(self, result: Tensor, x: Tensor, noise: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return result.addcmul_(noise, length.mul_(self.cell_noise))


def pair_noise(read_noise: float, scale: float) -> float:
    """Standard deviation that a read of a pair of noisy cells adds to the weight, from that of one cell in siemens."""
    return math.sqrt(2) * read_noise * scale


def _slices(lines: int, most: int) -> list[slice]:
    return [slice(start, min(start + most, lines)) for start in range(0, lines, most)]
