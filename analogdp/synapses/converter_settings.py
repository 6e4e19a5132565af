"""What a scenario says about the converters of a crossbar."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from analogdp.scenario.settings import Settings


class ConverterSettings(Settings):
    """An analog-digital or digital-analog converter with 2^bits - 1 evenly spaced levels around 0.

    Values beyond the range are clipped to it. ``dynamic``: the largest magnitude of each vector that is converted;
    ``calibrated``: a percentile of typical data, passing values through until there are some.
    """

    bits: int = Field(default=8, ge=2, le=20, description="resolution: 2^bits - 1 levels around 0")
    range: Annotated[float, Field(gt=0, le=1e9)] | Literal["dynamic", "calibrated"] = Field(
        default="dynamic", description="largest magnitude in network units, or how it is found"
    )

    @property
    def levels(self) -> int:
        """Levels above 0."""
        return int(2 ** (self.bits - 1)) - 1


class DacSettings(ConverterSettings):
    """What turns messages into voltages: one for each line that is driven."""


class AdcSettings(ConverterSettings):
    """What turns currents into numbers: one for each line of a tile that is read."""
