"""Aging: what time makes of a cell that is not written, as a trajectory of that very cell.

Each law is a function of the conductance that the last write left, the time since, and a number that the cell has of
its own: asked for at any times in any order, it gives points on one curve.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from analogdp.devices.polynomials import polynomial
from analogdp.scenario.quantities import Conductance, Ratio, Time
from analogdp.scenario.settings import Settings

_DAY = 86400.0


class Aging(Settings):
    """A law of aging.

    Attributes:
        number: the name under which a state keeps the normal number of each cell.
        renewed: whether every write draws that number anew; otherwise fabrication does, once.
    """

    number: ClassVar[str]
    renewed: ClassVar[bool] = False

    @abstractmethod
    def aged(self, conductance: Tensor, age: Tensor, number: Tensor) -> Tensor:
        """Conductance in siemens of cells that had ``conductance`` in siemens ``age`` seconds ago."""


class Drift(Aging):
    """Structural relaxation of the amorphous phase of phase-change memory; every cell has an exponent nu of its own.

        g(t) = g ((t + t0) / t0)^-nu,    nu = max(0, mean + std xi),    gh = g / full_scale
        mean = clip(-0.0155 ln gh + 0.0244, 0.049, 0.1),    std = clip(-0.0125 ln gh - 0.0059, 0.008, 0.045)

    Nandakumar et al., ICECS 2019; Joshi et al., Nat. Commun. 11, 2473 (2020). t is the time since programming was
    verified, which took t0.
    """

    number: ClassVar[str] = "drift"

    full_scale: Conductance = Field(
        default=25e-6, gt=0, le=1, description="conductance that gh = 1 stands for, in siemens"
    )
    start: Time = Field(
        default=20.0, gt=0, le=1e9, description="t0: how long after the write itself time 0 is, in seconds"
    )
    exponent: float | None = Field(
        default=None, ge=0, le=1, description="mean of nu; null: as published, from the conductance"
    )
    exponent_spread: float | None = Field(
        default=None, ge=0, le=1, description="device to device, absolute; null: as published, from the conductance"
    )

    def exponents(self, conductance: Tensor, number: Tensor) -> Tensor:
        """nu of cells that were programmed to ``conductance``; cells do not drift upwards."""
        # A logarithm of 0 would end in the same bounds, but take a CPU ten times longer.
        logarithm = (conductance / self.full_scale).clamp_(min=torch.finfo(conductance.dtype).tiny).log_()
        mean: Tensor | float = (logarithm * -0.0155).add_(0.0244).clamp_(0.049, 0.1)
        spread: Tensor | float = logarithm.mul_(-0.0125).sub_(0.0059).clamp_(0.008, 0.045)
        if self.exponent is not None:
            mean = self.exponent
        if self.exponent_spread is not None:
            spread = self.exponent_spread
        return (number * spread).add_(mean).clamp_(min=0.0)

    def aged(self, conductance: Tensor, age: Tensor, number: Tensor) -> Tensor:
        elapsed = (age.to(conductance.dtype) / self.start).log1p_()
        return self.exponents(conductance, number).mul_(elapsed).neg_().exp_().mul_(conductance)


class Relaxation(Aging):
    """How filaments of ReRAM settle after a write: a Gaussian shift whose size depends on conductance and time.

        G(t) = G + sigma(G / full_scale, t) xi,    not below 0

    sigma was measured 1 s, 1 day and 2 days after programming and holds what programming itself had missed. Between
    these times it is interpolated in log t; before and after them the nearest holds. xi is the shift of one write:
    the next one draws it anew. Wan et al., Nature 608, 504 (2022), Extended Data Fig. 3.
    """

    number: ClassVar[str] = "relaxation"
    renewed: ClassVar[bool] = True
    times: ClassVar[tuple[float, ...]] = (1.0, _DAY, 2 * _DAY)
    fits: ClassVar[tuple[tuple[float, ...], ...]] = (
        (0.348, 16.030, -43.853, 45.393, -16.815),
        (0.701, 22.086, -50.773, 47.095, -16.458),
        (0.782, 20.274, -43.507, 37.062, -11.934),
    )
    """sigma in microsiemens, where full scale is 40 uS, in ascending powers of G / full_scale."""

    full_scale: Conductance = Field(
        default=40e-6, gt=0, le=1, description="conductance that stands for the 40 uS of the measurement, in siemens"
    )
    size: Ratio = Field(default=1.0, gt=0, le=10, description="relative to the published shift")

    def spread(self, conductance: Tensor, age: Tensor) -> Tensor:
        """sigma in siemens of cells that were programmed to ``conductance``, after ``age`` seconds."""
        share = (conductance / self.full_scale).clamp_(0.0, 1.0)
        first, second, third = (polynomial(fit, share) for fit in self.fits)
        day, rest = (self._progress(age, part).to(share.dtype) for part in (0, 1))
        sigma = torch.addcmul(first, second - first, day).addcmul_(third.sub_(second), rest)
        return sigma.mul_(self.size * self.full_scale / 40)

    def _progress(self, age: Tensor, part: int) -> Tensor:
        """From 0 to 1 in log time between two times of measurement."""
        start, end = self.times[part : part + 2]
        return age.clamp(start, end).div_(start).log_().div_(math.log(end / start))

    def aged(self, conductance: Tensor, age: Tensor, number: Tensor) -> Tensor:
        return torch.addcmul(conductance, self.spread(conductance, age), number).clamp_(min=0.0)


class Retention(Aging):
    """Stretched-exponential loss of what was written.

    G(t) = level + (G - level) exp(-(t / tau)^stretch),    tau = lifetime exp(lifetime_spread xi)
    """

    number: ClassVar[str] = "retention"

    lifetime: Time = Field(gt=0, le=1e15, description="median of the time constant tau, in seconds")
    lifetime_spread: float = Field(
        default=0.0, ge=0, le=5, description="device to device: standard deviation of ln tau"
    )
    stretch: float = Field(default=1.0, gt=0, le=4, description="exponent; 1: a plain exponential")
    level: Conductance = Field(default=0.0, ge=0, le=1, description="where cells end, in siemens")

    def aged(self, conductance: Tensor, age: Tensor, number: Tensor) -> Tensor:
        lifetimes = torch.exp(number * (-self.lifetime_spread * self.stretch))
        lost = (age / self.lifetime).pow_(self.stretch).to(conductance.dtype).mul_(lifetimes).neg_().expm1_().neg_()
        return torch.addcmul(conductance, lost, conductance - self.level, value=-1.0).clamp_(min=0.0)
