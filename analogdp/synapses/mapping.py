"""How a weight is stored in conductances: a pair of cells, and the scale between siemens and network units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from analogdp.devices import DeviceModel


@dataclass(frozen=True)
class PairMapping:
    """Weight = scale * (G_plus - G_minus).

    Half the nominal conductance range stands for ``full_scale``: of one programmable cell against a fixed reference,
    or of two cells that move in opposite directions, each by half of the weight.

    Attributes:
        pair: ``reference``: G_minus is fixed; ``balanced``: both cells are programmable.
        scale: weight in network units per siemens.
        zero: conductance in siemens that a programmable cell has at weight 0 by design.
        lowest, highest: the nominal range of weights.
    """

    pair: Literal["reference", "balanced"]
    scale: float
    zero: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, device: DeviceModel, pair: Literal["reference", "balanced"], full_scale: float) -> PairMapping:
        """The mapping for a device's nominal range; ``full_scale`` in network units."""
        span = device.high - device.low
        if pair == "balanced":
            return cls(pair, full_scale / span, device.zero, -full_scale, full_scale)
        scale = 2 * full_scale / span
        return cls(pair, scale, device.zero, (device.low - device.zero) * scale, (device.high - device.zero) * scale)

    @property
    def signs(self) -> tuple[float, ...]:
        """Of each programmable cell's contribution to the weight."""
        return (1.0,) if self.pair == "reference" else (1.0, -1.0)

    def wanted(self, weights: Tensor, reference: Tensor | None) -> Tensor:
        """Conductances ``(chips, cells, out, in)`` that stand for weights ``(chips, out, in)``."""
        half = weights / self.scale
        if reference is not None:
            return reference + half.unsqueeze(1)
        return torch.stack((self.zero + half / 2, self.zero - half / 2), 1)

    def held(self, conductance: Tensor, reference: Tensor | None) -> Tensor:
        """What each programmable cell ``(chips, cells, out, in)`` contributes to the weight."""
        if reference is not None:
            return (conductance - reference).mul_(self.scale)
        signs = conductance.new_tensor(self.signs).view(-1, 1, 1)
        return (conductance - self.zero).mul_(signs * self.scale)

    def weights(self, conductance: Tensor, reference: Tensor | None, out: Tensor) -> Tensor:
        """Weights ``(chips, out, in)`` that conductances stand for."""
        minus = conductance[:, 1] if reference is None else reference[:, 0]
        return torch.sub(conductance[:, 0], minus, out=out).mul_(self.scale)
