"""How a crossbar is read: converters at both ends, tiles whose sums are converted one by one, noise of each cell."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from analogdp.streams import Stream
from analogdp.synapses.base import NoiseNumbers, product
from analogdp.synapses.converters import FORWARD, Converter
from analogdp.synapses.settings import CrossbarSettings
from analogdp.synapses.views import View

Sums = Callable[[Tensor, int, int], Tensor]
"""``(part of the input, direction, number of its tiles)`` to the sums over these tiles' lines ``(chips, batch, to)``."""


class Reader(nn.Module):
    """Reads in either direction, through converters where there are any.

    Each read of a cell has independent noise; over the cells of a line it adds up to one normal number, which is what is
    drawn. The normal numbers of a sample lie one after the other: for each tile those of its output lines, those of the
    shared column if there is one, and then those of the converters.
    """

    def __init__(self, settings: CrossbarSettings, noisy: bool, column: bool, weights: Tensor, stream: Stream) -> None:
        """
        Args:
            settings: the crossbar's section.
            noisy: whether cells have read noise.
            column: whether all outputs are read against one shared column of cells.
            weights: ``(chips, out, in)``, for sizes, device and dtype.
            stream: of the converters' mismatch.
        """
        super().__init__()
        _, outputs, inputs = weights.shape
        rows, columns = settings.tile or (inputs, outputs)
        self.slices = (_slices(inputs, rows), _slices(outputs, columns))
        self.lines = ((inputs, outputs), (outputs, inputs))
        self.noisy, self.column = noisy, column
        sensed = (outputs * len(self.slices[0]), inputs * len(self.slices[1]))
        self.dac = Converter(settings.dac, (inputs, outputs), weights, stream.child("dac")) if settings.dac else None
        self.adc = Converter(settings.adc, sensed, weights, stream.child("adc")) if settings.adc else None

    @property
    def calibrated(self) -> bool:
        """Whether a converter takes its range from :meth:`calibrate`."""
        return any(converter is not None and converter.calibrated for converter in (self.dac, self.adc))

    @property
    def known_ranges(self) -> tuple[bool, ...]:
        """Which of the converters' ranges are known; values pass through the others as they are."""
        converters = (self.dac, self.adc)
        return tuple(known for converter in converters if converter is not None for known in converter.known)

    def noise_numbers(self, direction: int) -> NoiseNumbers:
        """How many normal numbers a noisy read takes for each sample."""
        sources, (come_in, go_out) = self._tiles(direction), self.lines[direction]
        shared = (1 if direction == FORWARD else go_out) if self.column else 0
        cells = sources * (go_out + shared) if self.noisy else 0
        dac = come_in if self.dac is not None and self.dac.noisy else 0
        adc = sources * go_out if self.adc is not None and self.adc.noisy else 0
        return NoiseNumbers(cells, dac + adc)

    def read(
        self,
        view: View,
        x: Tensor,
        direction: int,
        bias: Tensor | None = None,
        out: Tensor | None = None,
        noise: Tensor | None = None,
        sums: Sums | None = None,
    ) -> Tensor:
        """What is read of ``x`` ``(chips, batch, from)``, plus ``bias``.

        Args:
            view: of the cells.
            x: messages.
            direction: bottom-up or transposed.
            bias: added after the read.
            out: where the result goes, contiguous.
            noise: normal numbers ``(chips, batch, numbers)`` for a noisy read.
            sums: how lines add up, where that is not the product with the view's matrix.
        """
        numbers = None if noise is None else _Numbers(noise)
        cells = None if numbers is None or not self.noisy else numbers.take(self.noise_numbers(direction).cells)
        if view.gain is not None and direction != FORWARD:
            x = x * view.gain
        if self.dac is not None:
            own = numbers.take(x.shape[-1]) if numbers is not None and self.dac.noisy else None
            x = self.dac(x, direction, noise=own)
        plain = self.adc is None and view.gain is None
        if sums is None and plain:
            result = product(view.matrix, x, bias, out)
            return result if cells is None else self._disturb(result, x, view, direction, slice(None), cells)
        add = sums or (lambda part, way, number: product(view.matrix[..., self._part(way, number)], part))
        total: Tensor | None = None
        for number in range(self._tiles(direction)):
            lines = self._part(direction, number)
            part = x[..., lines]
            own_sums = add(part, direction, number)
            if cells is not None:
                share = cells.shape[-1] // self._tiles(direction)
                own = cells[..., number * share : (number + 1) * share]
                self._disturb(own_sums, part, view, direction, lines, own)
            if self.adc is not None:
                own = numbers.take(own_sums.shape[-1]) if numbers is not None and self.adc.noisy else None
                own_sums = self.adc(own_sums, direction, in_place=True, noise=own, place=number)
            total = own_sums if total is None else total.add_(own_sums)
        assert total is not None
        if view.gain is not None and direction == FORWARD:
            total.mul_(view.gain)
        if bias is not None:
            return torch.add(total, bias, out=out)
        return total if out is None else out.copy_(total)

    def calibrate(self, view: View, x: Tensor, direction: int, sums: Sums | None = None) -> None:
        """Fit the converters' ranges to typical inputs."""
        if view.gain is not None and direction != FORWARD:
            x = x * view.gain
        if self.dac is not None and self.dac.calibrated:
            self.dac.calibrate([x], direction)
        if self.adc is not None and self.adc.calibrated:
            x = self.dac(x, direction) if self.dac is not None else x
            add = sums or (lambda part, way, number: product(view.matrix[..., self._part(way, number)], part))
            parts = range(len(self.slices[direction]))
            self.adc.calibrate([add(x[..., self._part(direction, k)], direction, k) for k in parts], direction)

    def refresh(self) -> None:
        """Note what the converters' buffers say, after they changed."""
        for converter in (self.dac, self.adc):
            if converter is not None:
                converter.refresh()

    def _tiles(self, direction: int) -> int:
        """How many sums a reading is made of, each with noise and a conversion of its own."""
        return len(self.slices[direction]) if self.adc is not None else 1

    def _part(self, direction: int, number: int) -> slice:
        return self.slices[direction][number] if self._tiles(direction) > 1 else slice(None)

    def _disturb(self, sums: Tensor, x: Tensor, view: View, direction: int, lines: slice, noise: Tensor) -> Tensor:
        """Add the noise of cells to sums over ``lines``, in place."""
        own, shared = noise[..., : sums.shape[-1]], noise[..., sums.shape[-1] :]
        if view.variance is not None:
            sums.addcmul_(own, torch.bmm(x.square(), view.variance[..., lines].mT).sqrt_())
        else:
            sums.addcmul_(own, torch.linalg.vector_norm(x, dim=-1, keepdim=True).mul_(view.deviation))
        if view.column is not None:
            sums.addcmul_(shared, self._column_deviation(view.column, x, direction, lines), value=-1.0)
        return sums

    @staticmethod
    def _column_deviation(column: float | Tensor, x: Tensor, direction: int, lines: slice) -> Tensor:
        """Noise of the column that all outputs are read against: common to them, or driven by the sum of their messages."""
        if direction != FORWARD:
            return x.sum(-1, keepdim=True).abs_() * (column if isinstance(column, float) else column.sqrt())
        if isinstance(column, float):
            length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return length.mul_(column)
        return torch.bmm(x.square(), column[..., lines].mT).sqrt_()


class _Numbers:
    """Normal numbers that are handed out one group after the other."""

    def __init__(self, numbers: Tensor) -> None:
        self._numbers, self._used = numbers, 0

    def take(self, count: int) -> Tensor:
        self._used += count
        return self._numbers[..., self._used - count : self._used]


def _slices(lines: int, most: int) -> tuple[slice, ...]:
    return tuple(slice(start, min(start + most, lines)) for start in range(0, lines, most))
