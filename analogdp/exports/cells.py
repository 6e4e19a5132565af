"""The cells of a network's crossbars as exporters take them: tile by tile, laid out as the hardware is, never all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from numpy.typing import NDArray

from analogdp.exports.storage import physical
from analogdp.exports.targets import Targets
from analogdp.network import Network
from analogdp.scenario.wiring import Wiring
from analogdp.synapses import ConductanceTable, Crossbar, Synapse
from analogdp.synapses.base import Part

UPWARD, DOWNWARD = "synapses", "feedback"
"""Crossbars that carry messages up, and those that carry them down."""

UNITS = {
    "plus": "siemens",
    "minus": "siemens",
    "target_weights": "network units",
    "weights": "network units",
    "plus_writes": "pulses",
    "minus_writes": "pulses",
}
"""What is there of every tile, and what it is measured in."""

DEVICES = {"plus_devices": "siemens", "minus_devices": "siemens"}
"""What is there besides where several devices make up a cell; without the second where the minus cells are a reference."""

TARGETS = {"plus_target": "siemens", "minus_target": "siemens"}
TARGET_DEVICES = {"plus_target_devices": "siemens", "minus_target_devices": "siemens"}
"""The same of what a controller is to reach."""

Arrays = dict[str, NDArray[Any]]

_FIRST: Part = (slice(0, 1), slice(0, 1), slice(0, 1))


class Place(NamedTuple):
    """One tile: its row and column in the grid of tiles, and which lines of the array are its own."""

    row: int
    column: int
    word_lines: slice
    bit_lines: slice

    @property
    def name(self) -> str:
        """Of its files and groups."""
        return f"tile_{self.row}_{self.column}"


class Cells:
    """The cells of one crossbar of a network.

    Args:
        kind: which way it carries messages: ``UPWARD`` or ``DOWNWARD``.
        number: of the layer below.
        synapse: the crossbar.
        wiring: what lies around it.

    Attributes:
        facts: its table, for what it says of all cells alike.
        crossbar: the synapse, if it is a crossbar of this package.
        targets: what a controller is to reach, or None if it is not known how weights become cells.
    """

    def __init__(self, kind: str, number: int, synapse: Synapse, wiring: Wiring) -> None:
        self.kind, self.number, self.wiring = kind, number, wiring
        self.crossbar = synapse if isinstance(synapse, Crossbar) else None
        # Where reads solve for the wires, the weights of all cells are known at once, or not at all.
        by_parts = self.crossbar is not None and self.crossbar.views.sums is None
        whole = self.crossbar.conductances(_FIRST) if self.crossbar and by_parts else synapse.conductances()
        if whole is None:
            raise TypeError(f"{type(synapse).__name__} has no cells")
        self.facts, self._by_parts = whole, by_parts
        shape = (synapse.outputs, synapse.inputs) if by_parts else whole.plus.shape[-2:]
        self.bit_lines, self.word_lines = shape
        self.targets = None if self.crossbar is None else Targets.of(self.crossbar)

    @property
    def name(self) -> str:
        """Path of its group."""
        return f"{self.kind}/{self.number}"

    @property
    def tile(self) -> tuple[int, int]:
        """Word lines and bit lines of the largest tile."""
        rows, columns = self.facts.tile or (self.word_lines, self.bit_lines)
        return min(rows, self.word_lines), min(columns, self.bit_lines)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.word_lines // self.tile[0]), -(-self.bit_lines // self.tile[1])

    @property
    def places(self) -> Iterator[Place]:
        """Every tile, in the order in which they are written; those at the far edges may be smaller."""
        rows, columns = self.tile
        for row in range(self.grid[0]):
            for column in range(self.grid[1]):
                word_lines = slice(row * rows, min((row + 1) * rows, self.word_lines))
                bit_lines = slice(column * columns, min((column + 1) * columns, self.bit_lines))
                yield Place(row, column, word_lines, bit_lines)

    def arrays(self, position: int, place: Place) -> Arrays:
        """What a tile of one chip, by its position, holds: arrays ``(word lines, bit lines)``, of devices ``(devices, ...)``."""
        table = self._part((slice(position, position + 1), place.bit_lines, place.word_lines))
        found = {
            "plus": table.plus[0],
            "minus": table.minus[0],
            "target_weights": table.target_weights[0],
            "weights": table.weights[0],
            "plus_writes": table.write_counts[0, 0],
            "minus_writes": table.write_counts[0, 1],
        }
        if table.units is not None:
            found |= dict(zip(DEVICES, table.units[0], strict=False))
        if self.targets is not None:
            units, devices = self.targets.of_cells(table)
            found |= dict(zip(TARGETS, units[0], strict=True))
            if table.units is not None:
                found |= dict(zip(TARGET_DEVICES, devices[0], strict=False))
        return {name: physical(values) for name, values in found.items()}

    def _part(self, part: Part) -> ConductanceTable:
        if self.crossbar is not None and self._by_parts:
            return self.crossbar.conductances(part)
        whole, place = self.facts, (part[0], ..., *part[1:])
        names = ("plus", "minus", "target_weights", "weights", "write_counts")
        own: dict[str, Any] = {name: getattr(whole, name)[place] for name in names}
        return replace(whole, units=None if whole.units is None else whole.units[place], **own)


def all_cells(network: Network) -> Iterator[Cells]:
    """The crossbars of a network that have cells, one after the other: first those that carry messages up."""
    for kind, synapses in ((UPWARD, network.synapses), (DOWNWARD, network.feedback_paths)):
        for number, synapse in enumerate(synapses):
            if synapse is not None and _holds_cells(synapse):
                yield Cells(kind, number, synapse, network.projections[number].wiring)


def has_cells(network: Network) -> bool:
    """Whether any synapse is made of physical cells."""
    synapses = (*network.synapses, *network.feedback_paths)
    return any(map(_holds_cells, synapses))


def _holds_cells(synapse: Synapse | None) -> bool:
    return isinstance(synapse, Crossbar) or (synapse is not None and synapse.conductances() is not None)


def unit_of(name: str) -> str:
    """What an array of a tile is measured in."""
    return (UNITS | DEVICES | TARGETS | TARGET_DEVICES)[name]
