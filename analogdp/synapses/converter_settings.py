"""What a scenario says about the converters of a crossbar."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from analogdp.scenario.quantities import Energy, Ratio, Time
from analogdp.scenario.settings import Settings

USUAL_PERCENTILE = 99.9
"""A few outliers shall not cost everybody's resolution."""


class ConverterSettings(Settings):
    """An analog-digital or digital-analog converter with 2^bits - 1 evenly spaced levels around 0.

    Values beyond the range are clipped to it. ``dynamic``: the largest magnitude of each vector that is converted;
    ``calibrated``: a percentile of typical data, passing values through until there are some.
    """

    bits: int = Field(default=8, ge=2, le=20, description="resolution: 2^bits - 1 levels around 0")
    range: Annotated[float, Field(gt=0, le=1e9)] | Literal["dynamic", "calibrated"] = Field(
        default="dynamic", description="largest magnitude in network units, or how it is found"
    )
    percentile: float = Field(
        default=USUAL_PERCENTILE, ge=50, le=100, description="of typical magnitudes that a calibrated range reaches"
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="standard deviation of each conversion on the analog side, in steps between two levels (LSB)",
    )
    gain_std: Ratio = Field(default=0.0, ge=0, le=0.1, description="standard deviation of each line's gain around 1")
    offset_std: Ratio = Field(
        default=0.0, ge=0, le=0.5, description="standard deviation of each line's offset, as a share of the range"
    )
    figure_of_merit: Energy | None = Field(
        default=None, gt=0, le=1e-6, description="energy of a conversion divided by 2^bits; null: not counted"
    )
    conversion_time: Time | None = Field(
        default=None, gt=0, le=1, description="how long a conversion takes, all lines at once; null: not counted"
    )

    @model_validator(mode="after")
    def _percentile_is_used(self) -> Self:
        if self.percentile != USUAL_PERCENTILE and self.range != "calibrated":
            raise ValueError(f"percentile {self.percentile:g} is only used by range: calibrated, not {self.range}")
        return self

    @property
    def levels(self) -> int:
        """Levels above 0."""
        return int(2 ** (self.bits - 1)) - 1

    @property
    def conversion_energy(self) -> float | None:
        """Joules of one conversion: figure of merit x 2^bits (Walden 1999, doi:10.1109/49.761034), or None."""
        return None if self.figure_of_merit is None else self.figure_of_merit * 2**self.bits


class DacSettings(ConverterSettings):
    """What turns messages into voltages: one for each line that is driven. Noise and mismatch are its output's."""


class AdcSettings(ConverterSettings):
    """What turns currents into numbers: one for each line of a tile that is read. Noise and mismatch are its input's."""
