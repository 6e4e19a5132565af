"""What a scenario says about a crossbar: its cells, their arrangement, its converters and how it is written."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from analogdp.devices import CardField
from analogdp.errors import Problem
from analogdp.scenario.schema import Scenario, SynapseSettings
from analogdp.scenario.settings import Settings
from analogdp.synapses.converter_settings import AdcSettings, DacSettings

_TILE = re.compile(r"\s*(\d{1,6})\s*x\s*(\d{1,6})\s*")
_PER_ROOT = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*/\s*sqrt\(\s*fan_in\s*\)\s*")


def _tile(value: Any) -> Any:
    if value is None or isinstance(value, tuple):
        return value
    way_out = 'A tile needs at least 1 row and 1 column; write it as "64x64"'
    match = _TILE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no tile. {way_out}, or null for one array")
    rows, columns = int(match[1]), int(match[2])
    if rows < 1 or columns < 1:
        raise ValueError(f"{rows} x {columns} cells. {way_out}")
    return rows, columns


Tile = Annotated[
    tuple[int, int] | None,
    BeforeValidator(_tile),
    PlainSerializer(lambda tile: tile and f"{tile[0]}x{tile[1]}", return_type=str | None),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\d+x\d+$"}, {"type": "null"}]}),
]


def _weight_range(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _PER_ROOT.fullmatch(value)
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{value!r} is no weight range; write a positive number, or one such as '4/sqrt(fan_in)'")
    return f"{match[1]}/sqrt(fan_in)"


WeightRange = Annotated[
    Annotated[float, Field(gt=0, le=1e6)] | str,
    BeforeValidator(_weight_range),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1e6}, {"type": "string", "pattern": r"/sqrt"}]}
    ),
]


class WriteSettings(Settings):
    """How a wanted weight change becomes whole pulses."""

    rounding: Literal["stochastic", "nearest"] = Field(
        default="stochastic",
        description="of expected counts: stochastic is right on average, nearest drops small changes",
    )
    accumulate: Literal["batch", "sample"] = Field(
        default="batch",
        description="batch: a controller sums the samples' changes and writes the net one; sample: a cell gets the pulses up of "
        "all samples that ask for more and the pulses down of all that ask for less",
    )
    most_pulses: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="most pulses of a cell in one update and direction; null: any number",
    )


class CrossbarSettings(SynapseSettings):
    """The section of a memristor crossbar; a weight is the difference of two cells' conductances."""

    model: Literal["crossbar"] = "crossbar"
    written_by_pulses: ClassVar[bool] = True
    device: CardField = Field(default="reram_sb", validate_default=True, description="a device card")
    pair: Literal["reference", "balanced"] = Field(
        default="reference",
        description="reference: one programmable cell against a fixed one; balanced: two that move in opposite directions",
    )
    weight_range: WeightRange = Field(
        default="4/sqrt(fan_in)",
        description="weight in network units at full scale, where a cell is half its range from mid-range",
    )
    tile: Tile = Field(
        default=None, description="word lines x bit lines of a tile, such as 64x64; null: one array of any size"
    )
    dac: DacSettings | None = Field(default=None, description="converter of what is applied to the lines; null: exact")
    adc: AdcSettings | None = Field(default=None, description="converter of each tile's sums; null: exact")
    write: WriteSettings = WriteSettings()

    def full_scale(self, fan_in: int) -> float:
        """The weight range of a layer in network units."""
        if isinstance(self.weight_range, str):
            return float(self.weight_range.partition("/")[0]) / math.sqrt(fan_in)
        return self.weight_range

    @property
    def noisy_reads(self) -> bool:
        return bool(self.device.device().read_noise)

    def beside(self, fan_in: int) -> Self:
        return self.model_copy(update={"weight_range": self.full_scale(fan_in)})

    def cell_bytes(self, dtype_bytes: int) -> int:
        """Bytes per weight: devices, pulse counts, the target, and the weight that reads use.

        An update works through the array in slabs of fixed size, whose temporaries do not grow with it.
        """
        cells = 2 if self.pair == "balanced" else 1
        return cells * (self.device.parameters.tensors_per_cell() * dtype_bytes + 4) + 2 * dtype_bytes

    def read_passes(self) -> int:
        """Quantising takes some elementwise passes; so does adding read noise, whose numbers are drawn besides."""
        converters = 8 * sum(converter is not None for converter in (self.dac, self.adc))
        return converters + (20 if self.device.device().read_noise else 0)

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = []
        card, parameters = self.device.name, self.device.parameters
        reference = getattr(parameters, "reference", "zero")
        if self.pair == "balanced" and reference != "zero":
            message = f"a balanced pair has no reference cell, but card {card!r} puts it at {reference}; use 'pair: reference'"
            problems.append(Problem("pair", message))
        if getattr(parameters, "lifetime", None) is not None and not scenario.dynamics.has_time:
            message = f"cells of {card!r} forget in time, which clock: {scenario.dynamics.clock} does not have; set it to null"
            problems.append(Problem("device.lifetime", message))
        device = self.device.device()
        if device.read_time is not None and not device.read_noise:
            problems.append(
                Problem("device.read_time", "it is the time of a noisy read, but read_noise is 0; set both")
            )
        if device.read_noise and device.read_time is None and scenario.dynamics.has_time:
            message = f"cells of {card!r} have read noise; say how long a read integrates that has it, such as 1 us"
            problems.append(Problem("device.read_time", message))
        return problems
