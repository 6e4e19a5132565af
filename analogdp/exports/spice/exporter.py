"""The folder of the format ``spice``: a file of subcircuits for every crossbar, a deck that reads them, and what to expect.

Every crossbar is shown what comes of a test sample in the free network: these messages stand in the deck as sources. Readings
are the sums before biases, normalisation and neurons.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from analogdp import __version__, registry
from analogdp.analysis.gradients import messages, shown
from analogdp.data import load as load_data
from analogdp.errors import InputError
from analogdp.exports.base import Exporter, one_chip
from analogdp.exports.spice.crossbar import Circuit, Direction, write_crossbar
from analogdp.exports.spice.dialects import DIALECTS, RESULT_DIGITS, Dialect
from analogdp.exports.spice.memristors import CELL, Memristor
from analogdp.exports.spice.netlist import Netlist
from analogdp.exports.spice.network import RESTLESS, left_out, presentation, settled_states, write_network
from analogdp.exports.spice.settings import SpiceSettings
from analogdp.network import Network
from analogdp.scenario.schema import Scenario
from analogdp.synapses import Crossbar

DECK, EXPECTED, README = "network.cir", "expected.txt", "README.txt"
RESULTS = "results.txt"

STALE = f"""\
                      {RESULTS} has no values where the analysis did not end; one of an earlier run stays where
                      ngspice cannot read the deck, so delete it before you run a deck that you changed"""

BRIEF = 1e-3
"""Length of a read of memristors, in write pulses: short enough to leave their states alone."""

UNITS = "One volt at a port stands for one network unit. Resistances are in ohms, times in seconds, numbers without suffixes."
NUMBERS = "Crossbar layer<k> joins layer k to layer k+1, where layer 0 is the input."
NEURONS = "Nodes layer<k>_<what>_<unit> are of the neurons of layer k, which is the first above the input for k = 1."
READINGS = ("Crossbars", "<name>_out_<line>", "what the package reads of the same crossbars")
DYADS = (
    "The network",
    "layer<k>_<what>_<unit>, neurons of layer 1 first",
    "the states in which the package's simulation ends",
)
"""What the folder is of, what stands in the results, and in what is expected."""

DIRECTIONS = (
    "<name>_up drives the word lines and senses the bit lines, <name>_down the same cells the other way round; a run reads both "
    "at once, so a deck that needs both has the cells twice."
)
MEMRISTORS = (
    "Cells are memristors that begin with the trained states. A message of 1 reads them with read_voltage volts, at which a cell "
    "conducts what the package says; where its current is not proportional to the voltage, other messages read differently."
)

DISTURB = (
    "Messages are applied for as long as the network settles: memristors whose thresholds are below read_voltage times the "
    "largest message are written by them."
)


@registry.exporters.register("spice")
class Spice(Exporter):
    """The crossbars of one chip as circuits."""

    Settings = SpiceSettings
    file_name = "spice"
    folder = True

    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        _Writer(one_chip(network, scenario, self.settings.chip), scenario, self.settings, path).write()


@dataclass(frozen=True)
class Reading:
    """What a deck shows to one crossbar, and what the package reads.

    Attributes:
        name: of the crossbar.
        circuit: of the crossbar.
        rows: ``(windows, word lines)``; one window unless it is a convolution.
        sums: ``(windows, bit lines)``.
    """

    name: str
    circuit: Circuit
    rows: Tensor
    sums: Tensor

    @property
    def ports(self) -> tuple[list[str], list[str]]:
        """Nodes of the deck at the crossbar's ports."""
        driven, sensed = self.circuit.ports("up")
        return [f"{self.name}_{port}" for port in driven], [f"{self.name}_{port}" for port in sensed]


class _Writer:
    """Writes one folder."""

    def __init__(self, network: Network, scenario: Scenario, settings: SpiceSettings, path: Path) -> None:
        self._network, self._scenario, self._settings, self._path = network, scenario, settings, path
        self._dialect: Dialect = DIALECTS[settings.dialect]
        self._memristor: Memristor | None = None
        self._restless = False
        if settings.cells == "memristors":
            first = network.synapses[0]
            assert isinstance(first, Crossbar)
            self._memristor = Memristor(first.device, first.settings.device.name)

    def write(self) -> None:
        circuits = {name: self._circuit(synapse) for name, synapse in self._crossbars().items()}
        for name, circuit in circuits.items():
            self._write_subcircuits(name, circuit)
        if self._memristor is not None:
            netlist = self._netlist("a cell")
            self._memristor.write(netlist)
            netlist.write(self._path / f"{CELL}.cir")
        with _exact_reads(self._network):
            expected = self._write_network(list(circuits)) if self._dyads else self._write_readings(circuits)
        (self._path / EXPECTED).write_text(expected, encoding="ascii")
        (self._path / README).write_text(self._readme(), encoding="ascii")

    @property
    def _dyads(self) -> bool:
        return bool(self._settings.neurons == "dyads")

    def _write_readings(self, circuits: dict[str, Circuit]) -> str:
        """The deck of crossbars that are read each for itself; returns what the package reads of them."""
        inputs, numbers = self._inputs(), range(len(self._network.synapses))
        upward = {number: circuits[f"layer{number}"] for number in numbers if f"layer{number}" in circuits}
        readings = [self._reading(number, circuit, inputs) for number, circuit in upward.items()]
        self._write_deck(readings)
        return _expected(readings)

    def _write_network(self, names: list[str]) -> str:
        """The deck of the network with its neurons; returns the states in which the package leaves them."""
        network, own = self._network, self._settings
        shown = presentation(network, self._scenario, own.sample, own.label, own.beta, own.duration)
        self._restless = shown.restless
        netlist = self._netlist("the network")
        for line in [
            f"It is shown test sample {own.sample}.",
            UNITS,
            DIRECTIONS,
            *self._left_out(),
            *left_out(self._scenario),
            *([RESTLESS] if shown.restless else []),
        ]:
            netlist.comment(line)
        self._include(netlist, names)
        every_layer = own.states == "all"
        write_network(netlist, network, self._scenario, shown, RESULTS, every_layer)
        netlist.end()
        netlist.write(self._path / DECK)
        return _printed(settled_states(network, shown, every_layer))

    def _include(self, netlist: Netlist, names: list[str]) -> None:
        for name in ([CELL] if self._memristor is not None else []) + names:
            netlist.include(f"{name}.cir")

    def _crossbars(self) -> dict[str, Crossbar]:
        """By the names of their subcircuits and files: those that carry messages up, and those that carry them down instead."""
        network, layer = self._network, self._settings.layer
        found = {f"layer{number}": synapse for number, synapse in enumerate(network.synapses)}
        found |= {f"feedback{number}": path for number, path in enumerate(network.feedback_paths) if path is not None}
        wanted = found if layer is None else [f"layer{layer}", f"feedback{layer}"]
        return {name: own for name, own in found.items() if name in wanted and isinstance(own, Crossbar)}

    def _circuit(self, synapse: Crossbar) -> Circuit:
        drive = self._settings.read_voltage
        if drive is None:
            drive = 1.0 if self._memristor is None else self._memristor.device.parameters.read_voltage
        return Circuit.of(synapse, self._memristor, drive)

    def _netlist(self, what: str) -> Netlist:
        netlist = Netlist(self._dialect, f"{what} of {self._scenario.name}, chip {self._network.chip_indices[0]}")
        netlist.comment(f"written by analogdp {__version__} for {self._dialect.title}")
        return netlist

    def _write_subcircuits(self, name: str, circuit: Circuit) -> None:
        netlist = self._netlist(f"crossbar {name}")
        netlist.comment(UNITS)
        netlist.comment(DIRECTIONS)
        for line in self._left_out():
            netlist.comment(line)
        directions: tuple[Direction, ...] = ("up", "down")
        for direction in directions:
            write_crossbar(netlist, f"{name}_{direction}", circuit, direction)
        netlist.write(self._path / f"{name}.cir")

    def _left_out(self) -> list[str]:
        """What reads of the package have and the netlists have not, a sentence each."""
        own, found = self._scenario.synapse, []
        if own.noisy_reads:
            found.append("Reads have no noise here.")
        if converters := [name for name in ("dac", "adc") if getattr(own, name, None) is not None]:
            found.append(f"Converters ({', '.join(converters)}) are left out, also of {EXPECTED}: reads are exact.")
        if self._memristor is not None:
            found.append("Write pulses have no cycle-to-cycle noise here.")
        return found

    def _inputs(self) -> Tensor:
        """The test sample ``(1, 1, inputs)``."""
        data, sample = load_data(self._scenario.data, self._scenario.seed), self._settings.sample
        if sample >= len(data.test_inputs):
            raise InputError(f"spice: sample {sample} is not there; allowed: 0 to {len(data.test_inputs) - 1}")
        inputs = data.test_inputs[sample : sample + 1].to(self._network.device, self._network.dtype)
        return inputs.unsqueeze(0)

    def _reading(self, number: int, circuit: Circuit, inputs: Tensor) -> Reading:
        network = self._network
        with torch.no_grad():
            message = next(islice(messages(network, inputs), number, None))
            rows = shown(network.projections[number].wiring, message)[0].double().cpu()
        if circuit.wires is None:
            sums = rows @ torch.from_numpy(circuit.weights)
        else:
            sums = rows @ network.synapses[number].weights[0].double().cpu().mT
        return Reading(f"layer{number}", circuit, rows, sums)

    def _write_deck(self, readings: list[Reading]) -> None:
        netlist = self._netlist("reads of the crossbars")
        netlist.comment(
            f"Each is shown what test sample {self._settings.sample} makes of it; readings are sums before biases."
        )
        for line in [UNITS, *self._left_out()]:
            netlist.comment(line)
        self._include(netlist, [reading.name for reading in readings])
        for reading in readings:
            self._write_reading(netlist, reading)
        signals = [f"V({node})" for reading in readings for node in reading.ports[1]]
        last = len(readings[0].rows) - 1
        if self._memristor is not None:
            netlist.tolerances(reltol=1e-9, abstol=1e-15, vntol=1e-12)
            length = self._memristor.device.pulses.width * BRIEF
            netlist.transient(length / 10, length, signals, RESULTS, initial=True)
        else:
            netlist.tolerances()
            if last:
                netlist.sweep("window", last, signals, RESULTS)
            else:
                netlist.operating_point(signals, RESULTS)
        netlist.end()
        netlist.write(self._path / DECK)

    def _write_reading(self, netlist: Netlist, reading: Reading) -> None:
        """Sources, which follow the number of the window where there are several, and the crossbar."""
        driven, sensed = reading.ports
        if len(reading.rows) > 1:
            netlist.comment("The voltage of this source is the number of a window.")
            netlist.voltage_source("window", "window", "0", 0.0)
            for node, values in zip(driven, reading.rows.T.tolist(), strict=True):
                netlist.behavioural_voltage(node, node, "0", self._dialect.table("V(window)", values))
        else:
            for node, value in zip(driven, reading.rows[0].tolist(), strict=True):
                netlist.voltage_source(node, node, "0", value)
        netlist.instance(reading.name, [*driven, *sensed], f"{reading.name}_up")

    def _readme(self) -> str:
        dialect, memristors = self._dialect, self._memristor is not None
        checked = "" if dialect.name == "ngspice" else f" (by what is known of {dialect.title}'s syntax, and never run)"
        what, results, expected = DYADS if self._dyads else READINGS
        lines = [
            f"{what} of {self._scenario.name}, chip {self._network.chip_indices[0]}, for {dialect.title}{checked}",
            "",
            f"Run, in this folder:  {dialect.run}",
            f"Results:              {dialect.results}, of the nodes {results}",
            *([STALE] if dialect.name == "ngspice" else []),
            f"{EXPECTED}:         {expected}",
            f"<name>.cir:           subcircuits of one crossbar, for decks of your own; {DECK} includes them",
            "",
            UNITS,
            NUMBERS,
            *([NEURONS] if self._dyads else []),
            DIRECTIONS,
            *([MEMRISTORS] if memristors else []),
            *([DISTURB] if memristors and self._dyads else []),
            *([RESTLESS] if self._restless else []),
            *(left_out(self._scenario) if self._dyads else ["Biases, normalisation and neurons are not in here."]),
            *self._left_out(),
        ]
        return "\n".join(lines) + "\n"


@contextmanager
def _exact_reads(network: Network) -> Iterator[None]:
    """Have crossbars be read without their converters for a while."""
    readers = [part.reader for part in network.modules() if isinstance(part, Crossbar)]
    kept = [(reader, reader.dac, reader.adc) for reader in readers]
    for reader in readers:
        reader.dac = reader.adc = None
    try:
        yield
    finally:
        for reader, dac, adc in kept:
            reader.dac, reader.adc = dac, adc


def _expected(readings: list[Reading]) -> str:
    """Readings as ngspice prints them: one for each line, or those of each window in a row."""
    nodes = [node for reading in readings for node in reading.ports[1]]
    rows = torch.cat([reading.sums for reading in readings], 1).tolist()
    texts = [[f"{value:.{RESULT_DIGITS}e}" for value in row] for row in rows]
    if len(rows) > 1:
        return (
            "\n".join([" ".join(["window", *nodes]), *(f"{k} {' '.join(row)}" for k, row in enumerate(texts))]) + "\n"
        )
    return _printed(dict(zip(nodes, rows[0], strict=True)))


def _printed(values: dict[str, float]) -> str:
    """Voltages of nodes as ngspice prints them."""
    return "".join(f"v({node}) = {value:.{RESULT_DIGITS}e}\n" for node, value in values.items())
