"""Programming errors: what is left between the conductance that a write-verify loop asks for and the one it reaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from analogdp.devices.polynomials import polynomial
from analogdp.scenario.quantities import Conductance, Ratio
from analogdp.scenario.settings import Settings
from analogdp.streams import Stream

_MICRO = 1e-6
_SONOS_READ_VOLTAGE = 0.1
"""Volts: the array's 1600 nA at full scale are 16 uS. Agrawal et al., IEDM 2022."""


def _sonos(conductance: Tensor) -> Tensor:
    """The published 19.887 nA (1 - exp(-I / 176.31 nA)) of the read current I, in microsiemens."""
    per_nanoampere = 1e-3 / _SONOS_READ_VOLTAGE
    return torch.expm1(conductance / (-176.31 * per_nanoampere)).mul_(-19.887 * per_nanoampere)


@dataclass(frozen=True)
class _Published:
    """A measured standard deviation, a function of the conductance, both in microsiemens, and where it was fitted."""

    std: Callable[[Tensor], Tensor]
    lowest: float
    highest: float


_PUBLISHED = {
    # Nandakumar et al., ICECS 2019, in G / 25 uS
    "pcm_nandakumar": _Published(partial(polynomial, (0.26348, 1.9650 / 25, -1.1731 / 25**2)), 0.0, 25.0),
    # Joshi et al., Nat. Commun. 11, 2473 (2020), Fig. 3
    "pcm_joshi": _Published(partial(polynomial, (0.28638599, 0.07585724, -0.00178767)), 0.0, 25.0),
    # Milo et al., IRPS 2021, Fig. 4
    "rram_milo": _Published(partial(polynomial, (4.782321, -0.009107)), 50.0, 225.0),
    # Wan et al., Nature 608, 504 (2022), Extended Data Fig. 3, one second after programming
    "rram_wan": _Published(partial(polynomial, (1.053, 0.2374, -0.01167, 1.536e-4)), 0.0, 40.0),
    # Agrawal et al., IEDM 2022
    "sonos_agrawal": _Published(_sonos, 0.0, 16.0),
}


class ProgrammingError(Settings):
    """A random error of every programmed conductance G, independent from cell to cell and from write to write.

    Generic models, with the upper end ``high`` of the card's range:

        independent            size high
        proportional           size G
        inverse_proportional   size high^2 / G, at most high

    Measured models are named after their device and source; ``size`` and ``full_scale`` stretch both of their axes.
    """

    model: Literal[
        "independent",
        "proportional",
        "inverse_proportional",
        "pcm_nandakumar",
        "pcm_joshi",
        "rram_milo",
        "rram_wan",
        "sonos_agrawal",
    ] = Field(description="how the error depends on the conductance")
    size: Ratio | None = Field(
        default=None,
        gt=0,
        le=10,
        validate_default=True,
        description="of a generic error: see the model; of a measured one: relative to the published, null: 1",
    )
    full_scale: Conductance | None = Field(
        default=None,
        gt=0,
        le=1,
        description="conductance that stands for the highest one that was measured; null: that one; measured models only",
    )
    law: Literal["normal", "uniform"] = Field(
        default="normal", description="the size is a standard deviation, or half the width of uniform errors"
    )

    @field_validator("size")
    @classmethod
    def _generic_errors_have_a_size(cls, size: float | None, info: ValidationInfo) -> float | None:
        model = info.data.get("model", "")
        if size is None and model and model not in _PUBLISHED:
            raise ValueError(f"model {model!r} needs the size of its error; write for example '2 %'")
        return size

    @field_validator("full_scale")
    @classmethod
    def _only_measured_errors_are_stretched(cls, full_scale: float | None, info: ValidationInfo) -> float | None:
        model = info.data.get("model", "")
        if full_scale is not None and model and model not in _PUBLISHED:
            raise ValueError(f"model {model!r} has no measured range to stretch; leave full_scale away")
        return full_scale

    @property
    def stretch(self) -> float:
        """Siemens that stand for a measured microsiemens."""
        return _MICRO if self.full_scale is None else self.full_scale / _PUBLISHED[self.model].highest

    @property
    def validity(self) -> tuple[float, float] | None:
        """Lowest and highest conductance in siemens at which the error was measured; None for a generic one."""
        if self.model not in _PUBLISHED:
            return None
        published = _PUBLISHED[self.model]
        return published.lowest * self.stretch, published.highest * self.stretch

    def spread(self, conductance: Tensor, high: float) -> Tensor:
        """Standard deviation (or half width) in siemens at conductances in siemens; beyond the validity, that at its end."""
        size = 1.0 if self.size is None else self.size
        if self.model in _PUBLISHED:
            published = _PUBLISHED[self.model]
            measured = (conductance / self.stretch).clamp_(published.lowest, published.highest)
            return published.std(measured).mul_(size * self.stretch)
        if self.model == "independent":
            return torch.full_like(conductance, size * high)
        if self.model == "proportional":
            return conductance * size
        return (size * high**2 / conductance).clamp_(max=high)

    def draw(self, conductance: Tensor, high: float, stream: Stream) -> Tensor:
        """Errors in siemens of cells ``(chips, ...)`` that are at these conductances."""
        shape = tuple(conductance.shape[1:])
        numbers = stream.normal(shape) if self.law == "normal" else stream.uniform(shape).mul_(2.0).sub_(1.0)
        return numbers.mul_(self.spread(conductance, high))
