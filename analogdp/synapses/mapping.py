"""How a weight is stored in conductances: the cells that make it up, and the scale between siemens and network units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from analogdp.devices import DeviceModel

Pair = Literal["reference", "balanced", "one_sided", "offset", "offset_column"]

TWO_POLARITIES = ("balanced", "one_sided")
"""Pairs whose plus and minus cells are both programmable."""


@dataclass(frozen=True)
class Mapping:
    """Weight = scale * sum over cells of sign * share * G, less what the reference conducts.

    A weight has one polarity of programmable cells, read against a reference, or two that are subtracted. Each polarity is
    a unit of one or more devices in parallel, whose currents add up by their shares. Cells are numbered polarity by
    polarity. Half the conductance range of one cell stands for ``full_scale``, and so does the whole range of one of two
    one-sided cells; two balanced cells move in opposite directions, each by half of the weight.

    Attributes:
        pair: which cells there are, and what they are read against.
        scale: weight in network units per siemens.
        zero: conductance in siemens that a unit of two balanced cells, or of one, has at weight 0 by design.
        low, high: nominal conductance range in siemens.
        lowest, highest: the nominal range of weights.
        shares: of each device of a unit; they sum to 1.
        levels: of each device where the unit's devices are digits of one number, the highest first; None where all hold
            the same.
    """

    pair: Pair
    scale: float
    zero: float
    low: float
    high: float
    lowest: float
    highest: float
    shares: tuple[float, ...] = (1.0,)
    levels: int | None = None

    @classmethod
    def of(
        cls,
        device: DeviceModel,
        pair: Pair,
        full_scale: float,
        significance: tuple[float, ...] = (1.0,),
        levels: int | None = None,
    ) -> Mapping:
        """The mapping for a device's nominal range; ``full_scale`` in network units, ``significance`` of any sum."""
        span, low, high, zero = device.high - device.low, device.low, device.high, device.zero
        shares = tuple(part / sum(significance) for part in significance)
        if pair in TWO_POLARITIES:
            return cls(pair, full_scale / span, zero, low, high, -full_scale, full_scale, shares, levels)
        scale = 2 * full_scale / span
        return cls(pair, scale, zero, low, high, (low - zero) * scale, (high - zero) * scale, shares, levels)

    @property
    def signs(self) -> tuple[float, ...]:
        """Of each polarity's contribution to the weight."""
        return (1.0, -1.0) if self.pair in TWO_POLARITIES else (1.0,)

    @property
    def coefficients(self) -> tuple[float, ...]:
        """Sign times share of every cell."""
        return tuple(sign * share for sign in self.signs for share in self.shares)

    @property
    def resting(self) -> float:
        """Conductance in siemens of each polarity at weight 0."""
        return self.low if self.pair == "one_sided" else self.zero

    def wanted(self, weights: Tensor, reference: Tensor | None) -> Tensor:
        """Conductances ``(chips, cells, out, in)`` that stand for weights ``(chips, out, in)``.

        Args:
            weights: in network units.
            reference: what one polarity is read against, in siemens, broadcastable to the weights; None for two.
        """
        difference = weights / self.scale
        if reference is not None:
            units = (reference + difference).unsqueeze(1)
        elif self.pair == "balanced":
            units = torch.stack((self.zero + difference / 2, self.zero - difference / 2), 1)
        else:
            units = torch.stack((self.low + difference.clamp(min=0), self.low - difference.clamp(max=0)), 1)
        return self.split(units).flatten(1, 2)

    def weights(self, cells: Tensor, offset: Tensor | None, out: Tensor) -> Tensor:
        """Weights ``(chips, out, in)`` of cells ``(chips, cells, out, in)``, conductances or matrices of wired arrays.

        Args:
            cells: in siemens.
            offset: ``-scale * reference``, broadcastable to the weights, or None.
            out: where they go.
        """
        first, *others = self.coefficients
        if offset is None:
            torch.mul(cells[:, 0], self.scale * first, out=out)
        else:
            torch.add(offset, cells[:, 0], alpha=self.scale * first, out=out)
        for cell, coefficient in enumerate(others, 1):
            out.add_(cells[:, cell], alpha=self.scale * coefficient)
        return out

    def unit(self, cells: Tensor, polarity: int) -> Tensor:
        """What the devices of one polarity conduct together, each by its share: ``(chips, out, in)``."""
        devices = cells[:, polarity * len(self.shares) : (polarity + 1) * len(self.shares)]
        if len(self.shares) == 1:
            return devices[:, 0]
        return torch.einsum("cdoi,d->coi", devices, devices.new_tensor(self.shares))

    def held(self, cells: Tensor, reference: Tensor | None) -> Tensor:
        """What each polarity contributes to the weight, ``(chips, polarities, out, in)``."""
        resting: Tensor | float = self.resting if reference is None else reference
        units = [(self.unit(cells, p) - resting).mul_(sign * self.scale) for p, sign in enumerate(self.signs)]
        return torch.stack(units, 1)

    def split(self, units: Tensor) -> Tensor:
        """What each device of a unit is to hold: ``(chips, polarities, out, in)`` to ``(chips, polarities, devices, ...)``."""
        devices, levels = len(self.shares), self.levels
        if levels is None:
            return units.unsqueeze(2).expand(-1, -1, devices, -1, -1)
        span = self.high - self.low
        number = ((units - self.low) * ((levels**devices - 1) / span)).round_().clamp_(0, levels**devices - 1)
        digits = []
        for place in reversed(range(devices)):
            digit = torch.floor(number / levels**place)
            number = number - digit * levels**place
            digits.append(digit)
        return torch.stack(digits, 2).mul_(span / (levels - 1)).add_(self.low)
