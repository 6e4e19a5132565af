"""A synapse of one chip as a subcircuit: its cells, its lines, the amplifiers at their ends, and the digital subtraction.

Ports are ``in_0 ...`` and ``out_0 ...``, whose voltages stand for messages and readings in network units, 1 V each. Inside, each
sensed line ends in a source of 0 V, the input of an ideal transimpedance amplifier; a behavioural source makes the output of all
amplifiers of a line, of every array and tile, as a digital circuit would:

    V(out_j) = scale * sum over arrays and tiles of share * I_j / drive        I_j: current of line j in amperes

A word line is driven, or sensed in direction ``down``, at its left end; a bit line is sensed, or driven, at its lower end, as in
:mod:`analogdp.synapses.wires`. A run reads cells in both directions at once, and a circuit cannot: a deck that needs both has the
same cells twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from analogdp.errors import InputError
from analogdp.exports.spice.memristors import CELL, Memristor
from analogdp.exports.spice.netlist import Netlist
from analogdp.synapses.crossbar import Crossbar
from analogdp.synapses.parts import WireSettings

Direction = Literal["up", "down"]


@dataclass(frozen=True)
class Array:
    """Cells that share their lines.

    Attributes:
        name: of its elements and nodes.
        conductance: ``(word lines, bit lines)`` in siemens.
        share: of its currents in a weight, signed.
        states: parameters of each cell's subcircuit, of the same shape; None: cells are resistors.
    """

    name: str
    conductance: NDArray[np.float64]
    share: float
    states: dict[str, NDArray[np.float64]] | None = None

    def check(self) -> None:
        """Refuse conductances that are negative or no numbers."""
        bad = ~(np.isfinite(self.conductance) & (self.conductance >= 0))
        if bad.any():
            word, bit = (int(place) for place in np.argwhere(bad)[0])
            raise InputError(
                f"{self.name}: the cell at word line {word} and bit line {bit} has {self.conductance[word, bit]} S; a netlist "
                "holds conductances that are finite and at least 0 S"
            )


@dataclass(frozen=True)
class Circuit:
    """What is to be written of a synapse.

    Attributes:
        arrays: those whose currents are added.
        inputs, outputs: word lines, and bit lines without a shared column.
        scale: weight per siemens.
        offset: conductance in siemens that is subtracted digitally from each cell, 0 for none.
        column: whether the last bit line of each array is read against all others.
        tile: most word lines and bit lines of one circuit.
        wires: resistances of the lines, or None.
        drive: volts at a line for a message of 1.
    """

    arrays: tuple[Array, ...]
    inputs: int
    outputs: int
    scale: float
    offset: float
    column: bool
    tile: tuple[int, int]
    wires: WireSettings | None
    drive: float = 1.0

    @classmethod
    def of(cls, synapse: Crossbar, memristor: Memristor | None = None, drive: float = 1.0) -> Circuit:
        """The circuit of a synapse of one chip.

        Args:
            synapse: as trained.
            memristor: what cells are that are no resistors; they begin with the states that the synapse's have.
            drive: volts at a line for a message of 1.

        Raises:
            InputError: a conductance is negative or no number.
        """
        mapping, settings, cells = synapse.mapping, synapse.settings, synapse.cells()
        conductance = synapse.device.conductance(cells)[0]
        names = [
            f"{polarity}{place if len(mapping.shares) > 1 else ''}"
            for polarity in ("plus", "minus")[: len(mapping.signs)]
            for place in range(len(mapping.shares))
        ]
        own = {} if memristor is None else memristor.parameters(cells)
        states = {name: _laid_out(values[0]) for name, values in own.items()}
        arrays = [
            Array(
                name,
                _laid_out(conductance[number]),
                share,
                {key: values[number] for key, values in states.items()} or None,
            )
            for number, (name, share) in enumerate(zip(names, mapping.coefficients, strict=True))
        ]
        reference = synapse.reference
        if settings.pair == "reference" and reference is not None:
            fixed = reference[0].expand(synapse.outputs, synapse.inputs)
            arrays.append(Array("reference", _laid_out(fixed), -1.0))
        for array in arrays:
            array.check()
        return cls(
            tuple(arrays),
            synapse.inputs,
            synapse.outputs,
            mapping.scale,
            float(reference.reshape(-1)[0]) if settings.pair == "offset" and reference is not None else 0.0,
            settings.pair == "offset_column",
            settings.tile or (synapse.inputs, synapse.outputs + 1),
            settings.wires,
            drive,
        )

    @property
    def weights(self) -> NDArray[np.float64]:
        """What cells are worth between lines without resistance, ``(word lines, bit lines)``, in double precision."""
        total = np.add.reduce([array.share * array.conductance for array in self.arrays]) - self.offset
        return np.asarray(self.scale * (total[:, :-1] - total[:, -1:] if self.column else total))

    def ports(self, direction: Direction) -> tuple[list[str], list[str]]:
        """Names of driven and of sensed ports."""
        lines = (self.inputs, self.outputs) if direction == "up" else (self.outputs, self.inputs)
        return [f"in_{k}" for k in range(lines[0])], [f"out_{k}" for k in range(lines[1])]

    def tiles(self) -> Iterator[tuple[str, range, range]]:
        """What each tile adds to names, and its word lines and bit lines, the shared column among them."""
        rows, columns = self.tile
        bit_lines, several = self.outputs + self.column, self.inputs > rows or self.outputs + self.column > columns
        for row, first in enumerate(range(0, self.inputs, rows)):
            for column, left in enumerate(range(0, bit_lines, columns)):
                name = f"_t{row}_{column}" if several else ""
                yield name, range(first, min(first + rows, self.inputs)), range(left, min(left + columns, bit_lines))


def write_crossbar(netlist: Netlist, name: str, circuit: Circuit, direction: Direction) -> None:
    """Add the subcircuit ``name`` to a netlist, with ports in_0 ... and then out_0 ...

    Args:
        netlist: in whose dialect; it has the subcircuit :data:`CELL` if cells are memristors.
        name: of small letters, digits and underscores.
        circuit: what is to be written.
        direction: ``"up"`` drives word lines, ``"down"`` the bit lines of the same cells.
    """
    driven, sensed = circuit.ports(direction)
    with netlist.subcircuit(name, [*driven, *sensed]):
        _Writer(netlist, circuit, direction).write(driven, sensed)


class _Writer:
    """Writes one circuit in one direction."""

    def __init__(self, netlist: Netlist, circuit: Circuit, direction: Direction) -> None:
        self._netlist, self._circuit, self._up = netlist, circuit, direction == "up"
        wires = circuit.wires
        self._word_line, self._bit_line = (wires.word_line, wires.bit_line) if wires else (0.0, 0.0)
        self._source, self._sense = (wires.source, wires.sense) if wires else (0.0, 0.0)

    def write(self, driven: list[str], sensed: list[str]) -> None:
        circuit, netlist = self._circuit, self._netlist
        lines = self._drivers(driven)
        terms: list[list[str]] = [[] for _ in sensed]
        for array in circuit.arrays:
            for tile, words, bits in circuit.tiles():
                mark = f"{array.name}{tile}"
                self._tile(mark, array, words, bits, lines)
                factor = repr(circuit.scale * array.share / circuit.drive)
                for line in self._sensed(words, bits):
                    amplifier = netlist.ammeter(f"{mark}_{line}", f"{mark}_e{line}", "0")
                    if line < len(terms):
                        terms[line].append(f"+ {factor}*{amplifier}")
                    else:  # The shared column, which every output is read against.
                        for each in terms:
                            each.append(f"- {factor}*{amplifier}")
        if circuit.offset:
            for each in terms:
                each.append(f"- {circuit.scale * circuit.offset!r}*V({netlist.node('sum')})")
        for port, each in zip(sensed, terms, strict=True):
            netlist.behavioural_voltage(port, port, "0", " ".join(each).removeprefix("+ "))

    def _drivers(self, driven: list[str]) -> list[str]:
        """Nodes that drive the lines: the ports, or amplifiers, and what drives a shared column from its own end."""
        circuit, netlist = self._circuit, self._netlist
        column = circuit.column and not self._up
        if circuit.offset or column:
            netlist.resistor("sum", "sum", "0", 1.0)
            for port in driven:
                netlist.transconductance(f"sum_{port}", "0", "sum", port, 1.0)
        nodes = list(driven)
        if circuit.drive != 1.0:
            nodes = [f"drive_{number}" for number in range(len(driven))]
            for node, port in zip(nodes, driven, strict=True):
                netlist.voltage_gain(node, node, "0", port, circuit.drive)
        if column:
            netlist.voltage_gain("column", "column", "0", "sum", -circuit.drive)
            nodes.append("column")
        return nodes

    def _sensed(self, words: range, bits: range) -> range:
        return bits if self._up else words

    def _tile(self, mark: str, array: Array, words: range, bits: range, driven: list[str]) -> None:
        """Cells and wires of one circuit, between the driven nodes and ``<mark>_e<line>`` at the sensed ends."""
        lines = words if self._up else bits
        sources = {line: driven[line] for line in lines}
        if self._source:
            ends = {line: f"{mark}_d{line}" for line in lines}
            self._resistors((f"{mark}_d{k}", sources[k], ends[k], self._source) for k in lines)
            sources = ends
        senses = {line: f"{mark}_e{line}" for line in self._sensed(words, bits)}
        if self._sense:
            ends = {line: f"{mark}_s{line}" for line in senses}
            self._resistors((f"{mark}_s{k}", ends[k], senses[k], self._sense) for k in senses)
            senses = ends
        word_ends, bit_ends = (sources, senses) if self._up else (senses, sources)
        word_nodes, bit_nodes = self._lines(mark, words, bits, word_ends, bit_ends)
        self._cells(mark, array, words, bits, word_nodes, bit_nodes)

    def _lines(
        self, mark: str, words: range, bits: range, word_ends: dict[int, str], bit_ends: dict[int, str]
    ) -> tuple[list[list[str]], list[list[str]]]:
        """Segments of the lines; returns the nodes of the cells on word lines and on bit lines, row by row."""
        if self._word_line:
            word_nodes = [[f"{mark}_w{i}_{j}" for j in bits] for i in words]
            for i, nodes in zip(words, word_nodes, strict=True):
                before = chain((word_ends[i],), nodes)
                self._resistors(
                    (node, first, node, self._word_line) for first, node in zip(before, nodes, strict=False)
                )
        else:
            word_nodes = [[word_ends[i]] * len(bits) for i in words]
        if not self._bit_line:
            return word_nodes, [[bit_ends[j] for j in bits]] * len(words)
        bit_nodes = [[f"{mark}_b{i}_{j}" for j in bits] for i in words]
        after = chain(bit_nodes[1:], ([bit_ends[j] for j in bits],))
        for nodes, below in zip(bit_nodes, after, strict=True):
            self._resistors((node, node, next_one, self._bit_line) for node, next_one in zip(nodes, below, strict=True))
        return word_nodes, bit_nodes

    def _cells(
        self,
        mark: str,
        array: Array,
        words: range,
        bits: range,
        word_nodes: list[list[str]],
        bit_nodes: list[list[str]],
    ) -> None:
        part = np.s_[words.start : words.stop, bits.start : bits.stop]
        if array.states is not None:
            names = list(array.states)
            values = np.stack([array.states[name][part] for name in names], -1).tolist()
            for i, *row in zip(words, values, word_nodes, bit_nodes, strict=True):
                for j, own, word, bit in zip(bits, *row, strict=True):
                    self._netlist.instance(f"{mark}_c{i}_{j}", (word, bit), CELL, dict(zip(names, own, strict=True)))
            return
        conductance = array.conductance[part]
        with np.errstate(divide="ignore"):
            resistance = (1 / conductance).tolist()
        for i, *row, there in zip(words, resistance, word_nodes, bit_nodes, conductance > 0, strict=True):
            cells = zip(bits, *row, there.tolist(), strict=True)
            self._resistors((f"{mark}_c{i}_{j}", word, bit, ohms) for j, ohms, word, bit, conducts in cells if conducts)

    def _resistors(self, rows: Iterator[tuple[str, str, str, float]]) -> None:
        self._netlist.resistors(rows)


def _laid_out(values: Tensor) -> NDArray[np.float64]:
    """``(..., out, in)`` as hardware lies: ``(..., word lines, bit lines)`` in double precision."""
    laid: NDArray[np.float64] = values.detach().double().cpu().numpy().swapaxes(-1, -2)
    return laid
