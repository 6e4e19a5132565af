"""What a scenario says about a crossbar: its cells, their arrangement, its converters and how it is written."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema

from analogdp.devices import CardField
from analogdp.errors import Problem
from analogdp.scenario.schema import Scenario, SynapseSettings
from analogdp.synapses.contradictions import contradictions
from analogdp.synapses.converter_settings import AdcSettings, DacSettings
from analogdp.synapses.mapping import TWO_POLARITIES, Pair
from analogdp.synapses.parts import (
    BUDGET,
    LONGEST_LINE,
    TOLERANCE,
    ProgrammingSettings,
    RefreshSettings,
    Tile,
    TransferSettings,
    UnitSettings,
    WireSettings,
    WriteSettings,
)

SOLVING = 1000
"""Multiplications of the solution of a circuit, over the cube of its lines: measured, in the time that products take."""

SOLVING_A_VECTOR = 500
"""Elementwise passes over the cells of an array that conjugate gradients take for each vector."""

_PER_ROOT = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*/\s*sqrt\(\s*fan_in\s*\)\s*")


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


class CrossbarSettings(SynapseSettings):
    """The section of a memristor crossbar, whose weights are differences of conductances."""

    model: Literal["crossbar"] = "crossbar"
    written_by_pulses: ClassVar[bool] = True
    device: CardField = Field(default="reram_sb", validate_default=True, description="a device card")
    pair: Pair | None = Field(
        default=None,
        description="reference: one programmable cell against a fixed one; balanced: two that move in opposite directions; "
        "one_sided: two that are only raised, one for positive and one for negative changes; offset: one cell, whose middle is "
        "subtracted digitally; offset_column: one cell against a column of further cells that all outputs share; default: "
        "reference, or one_sided for devices that pulses only raise",
    )
    unit: UnitSettings = UnitSettings()
    weight_range: WeightRange = Field(
        default="4/sqrt(fan_in)",
        description="weight in network units at full scale, where a cell is half its range from mid-range",
    )
    tile: Tile = Field(
        default=None, description="word lines x bit lines of a tile, such as 64x64; null: one array of any size"
    )
    wires: WireSettings | None = Field(default=None, description="resistances of the lines; null: none")
    dac: DacSettings | None = Field(default=None, description="converter of what is applied to the lines; null: exact")
    adc: AdcSettings | None = Field(default=None, description="converter of each tile's sums; null: exact")
    programming: ProgrammingSettings = ProgrammingSettings()
    write: WriteSettings = WriteSettings()
    refresh: RefreshSettings | None = Field(
        default=None, description="of one-sided pairs, which only grow; default for these: its defaults"
    )

    def full_scale(self, fan_in: int) -> float:
        """The weight range of a layer in network units."""
        if isinstance(self.weight_range, str):
            return float(self.weight_range.partition("/")[0]) / math.sqrt(fan_in)
        return self.weight_range

    def solves_at_reads(self, inputs: int, outputs: int) -> bool:
        """Whether each read of an array of this size solves for its wires."""
        if self.wires is None or self.wires.method != "auto":
            return self.wires is not None and self.wires.method == "conjugate_gradients"
        rows, columns = self.tile or (inputs, outputs)
        return min(rows, columns, inputs, outputs) > LONGEST_LINE

    @property
    def cells(self) -> int:
        """Programmable cells of a weight."""
        return self.unit.devices * (2 if self.pair in TWO_POLARITIES else 1)

    def resolved(self, scenario: Scenario) -> Self:
        return self.completed()

    def completed(self) -> Self:
        """The section with what follows from the device and from other keys written out."""
        changes: dict[str, Any] = {}
        if self.pair is None:
            changes["pair"] = "one_sided" if self.device.device().unidirectional else "reference"
        pair = self.pair or changes["pair"]
        if pair == "one_sided" and self.refresh is None:
            changes["refresh"] = RefreshSettings()
        if self.write.devices == "transfer" and self.write.transfer is None:
            changes["write"] = self.write.model_copy(update={"transfer": TransferSettings()})
        if self.programming.method == "write_verify":
            filled = {"tolerance": self.programming.tolerance or TOLERANCE, "budget": self.programming.budget or BUDGET}
            changes["programming"] = self.programming.model_copy(update=filled)
        return self.model_copy(update=changes)

    @property
    def written_continuously(self) -> bool:
        return self.write.rounding == "none"

    @property
    def noisy_reads(self) -> bool:
        return self.device.device().noisy_reads or any(
            part is not None and part.noise > 0 for part in (self.dac, self.adc)
        )

    def why_not_apart(self) -> str | None:
        pair = self.completed().pair
        if pair not in TWO_POLARITIES:
            return f"synapse.pair: {pair} has no cells of its own for both; use {' or '.join(TWO_POLARITIES)}"
        if self.device.device().unidirectional:
            return f"cells of {self.device.name!r} are only raised; use a device whose pulses lower cells, too"
        return None

    def beside(self, fan_in: int) -> Self:
        return self.model_copy(update={"weight_range": self.full_scale(fan_in)})

    def cell_bytes(self, dtype_bytes: int) -> int:
        """Bytes per weight: devices, pulse counts, the target, what is carried over, and the matrices that reads use.

        An update works through the array in slabs of fixed size, whose temporaries do not grow with it, unless cells
        disturb each other.
        """
        cells = self.completed().cells
        carried = cells * dtype_bytes if self.write.rounding == "carry" else 0
        disturbed = 3 * cells * dtype_bytes if self.write.half_select else 0
        # Solving for the wires takes some matrices of the size of the array beside the two that are kept.
        wired = (2 + 6 * cells) * dtype_bytes if self.wires else 0
        varying = 2 * cells * dtype_bytes if self.device.device().noisy_reads else 0
        own = cells * (self.device.tensors_per_cell() * dtype_bytes + 4)
        return own + carried + disturbed + wired + varying + 2 * dtype_bytes

    def read_passes(self) -> int:
        """Quantising takes some elementwise passes; so does adding read noise, whose numbers are drawn besides."""
        converters = 8 * sum(converter is not None for converter in (self.dac, self.adc))
        return converters + (20 if self.noisy_reads else 0)

    def solving_passes(self, inputs: int, outputs: int) -> int:
        return SOLVING_A_VECTOR * (self.completed().cells + 1) if self.solves_at_reads(inputs, outputs) else 0

    def write_passes(self) -> int:
        return self.completed().cells * self.device.write_passes()

    def write_operations(self, inputs: int, outputs: int) -> int:
        """Wires: solving a square tile of n lines takes about a thousand times n^3 multiplications."""
        if self.wires is None or self.solves_at_reads(inputs, outputs):
            return 0
        rows, columns = self.tile or (inputs, outputs)
        rows, columns = min(rows, inputs), min(columns, outputs)
        tiles = -(-inputs // rows) * -(-outputs // columns)
        return self.completed().cells * tiles * SOLVING * min(rows, columns) ** 2 * max(rows, columns)

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        return contradictions(self.completed(), scenario)
