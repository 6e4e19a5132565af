"""Sections of a crossbar's section: its wires, units of devices, and how its cells are programmed, written and refreshed."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema, field_validator

from analogdp.scenario.quantities import Ratio, Resistance
from analogdp.scenario.settings import Settings

_TILE = re.compile(r"\s*(\d{1,6})\s*x\s*(\d{1,6})\s*")
MOST_LEVELS = 2**24
"""Numbers that single precision tells apart: more levels than that cannot be programmed."""


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


LONGEST_LINE = 2048
"""Cells on the shorter side of a tile up to which wires are solved once for every write."""


class WireSettings(Settings):
    """Resistances of an array's lines; currents are the exact solution of the resistor network."""

    word_line: Resistance = Field(default=1.0, ge=0, le=1e9, description="of a word line between two cells, in ohms")
    bit_line: Resistance = Field(default=1.0, ge=0, le=1e9, description="of a bit line between two cells")
    source: Resistance = Field(default=0.0, ge=0, le=1e9, description="of the driver of each line")
    sense: Resistance = Field(default=0.0, ge=0, le=1e9, description="of the circuit that takes each line's current")
    method: Literal["auto", "transfer_matrix", "conjugate_gradients"] = Field(
        default="auto",
        description="transfer_matrix: solved once for every write, then a read is a product; conjugate_gradients: solved at "
        "every read; auto: the matrix, unless the shorter side of a tile has more than 2048 lines",
    )


class UnitSettings(Settings):
    """Several devices in parallel that hold one conductance together."""

    devices: int = Field(default=1, ge=1, le=16, description="how many")
    significance: tuple[Annotated[float, Field(gt=0, le=1e6)], ...] | None = Field(
        default=None, description="relative shares of their currents; default: equal"
    )
    bits: int | None = Field(
        default=None,
        ge=1,
        le=12,
        description="bit slicing: each device is programmed to one of 2^bits levels, as a digit of one number, the first the "
        "most significant; null: all are programmed to the same conductance",
    )

    @field_validator("significance")
    @classmethod
    def _one_for_each(cls, significance: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        devices = info.data.get("devices")
        if significance is not None and devices is not None and len(significance) != devices:
            raise ValueError(f"{len(significance)} shares for {devices} devices; write one for each")
        if significance is not None and devices == 1:
            raise ValueError("one device has the whole current; set devices to 2 or more, or leave significance out")
        return significance

    @field_validator("bits")
    @classmethod
    def _digits_of_one_number(cls, bits: int | None, info: ValidationInfo) -> int | None:
        devices = info.data.get("devices", 1)
        if bits is None:
            return bits
        if info.data.get("significance") is not None:
            raise ValueError("the shares of digits follow from their bits; leave significance out")
        if devices < 2:
            raise ValueError("one device has no further digits; set devices to 2 or more, or leave bits out")
        if bits * devices > 24:
            raise ValueError(f"{devices} digits of {bits} bits are more than 24 bits, which cannot be told apart")
        return bits

    @property
    def shares(self) -> tuple[float, ...]:
        """Relative currents of the devices, the first first."""
        if self.bits is not None:
            return tuple(float(2 ** (self.bits * place)) for place in reversed(range(self.devices)))
        return self.significance or (1.0,) * self.devices

    @property
    def levels(self) -> int | None:
        """Levels of each device, if they are digits."""
        return None if self.bits is None else int(2**self.bits)


TOLERANCE, BUDGET = 0.01, 50
"""Of writing and verifying in turn: largest error relative to the conductance range, and most reads."""


class ProgrammingSettings(Settings):
    """How initial weights get into the cells, and refreshed ones."""

    method: Literal["exact", "open_loop", "write_verify"] = Field(
        default="exact",
        description="exact: each cell is where it should be, within its bounds; open_loop: as many pulses as a nominal device "
        "would need; write_verify: pulses and reads in turn",
    )
    tolerance: Ratio | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="of write_verify: largest error of a read, relative to the conductance range; default 1 %",
    )
    budget: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="of write_verify: most reads of a cell, each followed by pulses; default 50",
    )
    most_pulses: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="of write_verify: most pulses between two reads; default: any number",
    )


class RefreshSettings(Settings):
    """Resetting pairs of cells of which one has come near the end of its range, and programming their difference anew."""

    every: int = Field(default=100, ge=1, le=10**9, description="updates between looks at all pairs")
    above: Ratio = Field(
        default=0.8, gt=0, lt=1, description="share of the range above which a cell has its pair refreshed"
    )


class TransferSettings(Settings):
    """How what a fast device has gathered gets into the slow one beside it."""

    every: int = Field(default=10, ge=1, le=10**9, description="updates between transfers")
    lines: int = Field(default=1, ge=1, le=1_000_000, description="word lines read and transferred at a time, in turn")
    rate: Ratio = Field(
        default=1.0, gt=0, le=1000, description="change asked of the slow device, relative to what the fast one holds"
    )


class WriteSettings(Settings):
    """How a wanted weight change becomes pulses."""

    rounding: Literal["stochastic", "nearest", "carry", "none"] = Field(
        default="stochastic",
        description="of expected counts: stochastic is right on average; nearest drops small changes; carry keeps what is left "
        "in a digital memory for the next update (mixed precision); none applies parts of pulses, to cells with a state equation",
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
    devices: Literal["together", "in_turn", "transfer"] = Field(
        default="together",
        description="of a unit of several: all get the same pulses; one after the other, an update each; or the first gets them, "
        "and its content is transferred to the second now and then",
    )
    transfer: TransferSettings | None = Field(default=None, description="of devices: transfer; default: its defaults")
    half_select: Literal["half", "third"] | None = Field(
        default=None,
        description="disturb of cells that share a line with a written one: half: these see half the voltage; third: all other "
        "cells of the tile see a third; null: none",
    )
