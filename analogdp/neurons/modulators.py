"""What gates errors on their way down in place of the slope of the transfer function: g in D_below = (J^T D) g(a).

Troiano et al. 2025 ("Breaking the Conventional Forward-Backward Tie in Neural Networks"), Eq. 24. Their figures only draw the
rectangle and the triangle; the defaults here are read off them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from analogdp import registry
from analogdp.neurons.activations import Activation
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.settings import OneOf, Settings


class ModulatorSettings(Settings):
    """A modulator without parameters."""

    name: str

    @property
    def centred(self) -> bool:
        """Whether its mean is zero whatever the drives are."""
        return False


class Modulator(ABC):
    """A function ``g`` of the drive ``a`` that an error is multiplied by.

    Args:
        settings: an instance of ``Settings``.
        activation: the transfer function of the same neurons.

    Attributes:
        drawn: whether it takes random numbers.
    """

    Settings: ClassVar[type[ModulatorSettings]] = ModulatorSettings
    drawn: ClassVar[bool] = False

    def __init__(self, settings: ModulatorSettings, activation: Activation) -> None:
        self.settings, self.activation = settings, activation

    @abstractmethod
    def __call__(self, drive: Tensor, numbers: Tensor | None) -> Tensor:
        """The values at drives ``(chips, batch, units)``.

        Args:
            drive: the neurons' drives.
            numbers: uniform in [0, 1), of a shape that broadcasts to that of the drives; None if there are none.
        """


AnyModulator = Annotated[ModulatorSettings, OneOf(registry.modulators, "name", "tied")]


@registry.modulators.register("tied")
class Tied(Modulator):
    """The slope f'(a) of the transfer function itself: backpropagation."""

    def __call__(self, drive: Tensor, numbers: Tensor | None) -> Tensor:
        return self.activation.derivative(drive)


@registry.modulators.register("logistic_slope")
class LogisticSlope(Modulator):
    """The slope of the logistic function, whatever the transfer function is: y (1 - y), y = 1 / (1 + exp(-a))."""

    def __call__(self, drive: Tensor, numbers: Tensor | None) -> Tensor:
        rates = torch.sigmoid(drive)
        return rates * (1 - rates)


class FlatSettings(ModulatorSettings):
    """The same for all drives."""

    value: Ratio = Field(default=1.0, gt=0, le=1000, description="what errors are multiplied by")


@registry.modulators.register("flat")
class Flat(Modulator):
    """The same for all drives: errors pass as if neurons were linear."""

    Settings = FlatSettings

    def __call__(self, drive: Tensor, numbers: Tensor | None) -> Tensor:
        assert isinstance(self.settings, FlatSettings)
        return torch.full_like(drive, self.settings.value)


class RectangleSettings(ModulatorSettings):
    """A window of drives."""

    half_width: Ratio = Field(default=5.0, gt=0, le=1000, description="largest |a| that lets errors pass")


@registry.modulators.register("rectangle")
class Rectangle(Modulator):
    """1 for |a| <= half_width, else 0."""

    Settings = RectangleSettings

    def __call__(self, drive: Tensor, numbers: Tensor | None) -> Tensor:
        assert isinstance(self.settings, RectangleSettings)
        return (drive.abs() <= self.settings.half_width).to(drive.dtype)


class TriangleSettings(ModulatorSettings):
    """A triangle around a drive of 0."""

    peak: Ratio = Field(default=0.25, gt=0, le=1000, description="value at a drive of 0")
    half_base: Ratio = Field(default=4.0, gt=0, le=1000, description="|a| from which on it is 0")


@registry.modulators.register("triangle")
class Triangle(Modulator):
    """peak (1 - |a| / half_base), and 0 where that is negative."""

    Settings = TriangleSettings

    def __call__(self, drive: Tensor, numbers: Tensor | None) -> Tensor:
        assert isinstance(self.settings, TriangleSettings)
        return self.settings.peak * torch.relu(1 - drive.abs() / self.settings.half_base)


class JammingSettings(ModulatorSettings):
    """Uniform random numbers."""

    low: Ratio = Field(default=0.0, ge=-1000, le=1000, description="smallest number")
    high: Ratio = Field(default=1.0, ge=-1000, le=1000, description="largest number")
    frozen: bool = Field(
        default=False, description="drawn once for each neuron of a chip; else anew for every sample that is presented"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} is not below high = {self.high:g}")
        return self

    @property
    def centred(self) -> bool:
        return self.low == -self.high


@registry.modulators.register("jamming")
class Jamming(Modulator):
    """Random numbers, uniform from low to high."""

    Settings = JammingSettings
    drawn = True

    def __call__(self, drive: Tensor, numbers: Tensor | None) -> Tensor:
        assert isinstance(self.settings, JammingSettings)
        assert numbers is not None, "the numbers come with the samples"
        low, high = self.settings.low, self.settings.high
        return (low + (high - low) * numbers).expand_as(drive)


@registry.modulators.register("positive_jamming")
class PositiveJamming(Jamming):
    """Random numbers for drives from 0 on, else 0."""

    def __call__(self, drive: Tensor, numbers: Tensor | None) -> Tensor:
        return super().__call__(drive, numbers) * (drive >= 0)


class RectangularJammingSettings(JammingSettings):
    """Random numbers in a window of drives."""

    half_width: Ratio = Field(default=5.0, gt=0, le=1000, description="largest |a| that lets errors pass")


@registry.modulators.register("rectangular_jamming")
class RectangularJamming(Jamming):
    """Random numbers for |a| <= half_width, else 0."""

    Settings = RectangularJammingSettings

    def __call__(self, drive: Tensor, numbers: Tensor | None) -> Tensor:
        assert isinstance(self.settings, RectangularJammingSettings)
        return super().__call__(drive, numbers) * (drive.abs() <= self.settings.half_width)
