"""A deck in the making: elements, subcircuits and analyses, one line after the other, in the form of one simulator."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from analogdp.errors import InputError
from analogdp.exports.spice.dialects import Dialect

LONGEST_LINE = 500
"""Characters after which a line is continued: all three simulators read longer ones, people do not."""

_NAME = re.compile(r"[a-z0-9_]+")

Value = float | str
"""A number in SI units, or a text such as ``{x0}`` or ``SIN(0 1 1e6)``."""


class Netlist:
    """Lines of a deck.

    Names of elements are given without the letter of their kind; nodes, elements and subcircuits are called by small
    letters, digits and underscores, ``0`` is ground. Expressions are those of the dialect, without braces around them.

    Args:
        dialect: of the simulator.
        title: first line; any text.
    """

    def __init__(self, dialect: Dialect, title: str) -> None:
        self.dialect = dialect
        self._lines: list[str] = []
        self._inlined = ""
        self._ports: dict[str, str] = {}
        self.comment(title)

    def comment(self, text: str) -> None:
        """A line, or several, for readers; whatever the text has in it, nothing of it is simulated."""
        for line in text.splitlines() or [""]:
            plain = " ".join(line.split()).encode("ascii", "backslashreplace").decode()
            # A space keeps ngspice from taking "*#" for a command, printable characters from ending the comment.
            self._lines.append("* " + "".join(each if each.isprintable() else "?" for each in plain))

    def resistor(self, name: str, first: str, second: str, resistance: Value) -> None:
        """In ohms."""
        self._element("R", name, (first, second), _value(resistance))

    def resistors(self, rows: Iterable[tuple[str, str, str, float]]) -> None:
        """Many ``(name, first, second, resistance)``, quickly: names must be plain and resistances finite and above 0."""
        if self._inlined:
            start, node = self._inlined, self.node
            rows = ((start + name, node(first), node(second), value) for name, first, second, value in rows)
        self._lines.extend([f"R{name} {first} {second} {value!r}" for name, first, second, value in rows])

    def capacitor(self, name: str, first: str, second: str, capacitance: Value, initial: Value | None = None) -> None:
        """In farads; ``initial`` is its voltage at the start of a transient that begins from initial conditions."""
        given = "" if initial is None else f" IC={_value(initial)}"
        self._element("C", name, (first, second), _value(capacitance) + given)

    def voltage_source(self, name: str, plus: str, minus: str, value: Value) -> None:
        """A number of volts, or a waveform that all simulators know: ``SIN(...)``, ``PULSE(...)``, ``PWL(...)``."""
        self._element("V", name, (plus, minus), _value(value))

    def ammeter(self, name: str, plus: str, minus: str) -> str:
        """A source of 0 V; what is returned stands for its current from plus to minus in expressions."""
        self.voltage_source(name, plus, minus, 0.0)
        return f"I(V{self._inlined}{name})"

    def node(self, name: str) -> str:
        """What expressions call a node, which may be one of a subcircuit that is written inline."""
        return name if not self._inlined or name == "0" else self._ports.get(name, self._inlined + name)

    def voltage_gain(self, name: str, plus: str, minus: str, control: str, gain: Value) -> None:
        """A linear source of ``gain`` times the voltage of node ``control``."""
        self._element("E", name, (plus, minus, control, "0"), _value(gain))

    def transconductance(self, name: str, plus: str, minus: str, control: str, value: Value) -> None:
        """A linear source whose current from plus to minus, within itself, is ``value`` times the voltage of ``control``."""
        self._element("G", name, (plus, minus, control, "0"), _value(value))

    def behavioural_voltage(self, name: str, plus: str, minus: str, expression: str) -> None:
        """A voltage that follows an expression of ``V(node)`` and currents of ammeters."""
        self._element("B", name, (plus, minus), f"V={self.dialect.expression(expression)}")

    def behavioural_current(self, name: str, plus: str, minus: str, expression: str) -> None:
        """A current from plus to minus, within the source."""
        self._element("B", name, (plus, minus), f"I={self.dialect.expression(expression)}")

    @contextmanager
    def subcircuit(
        self, name: str, ports: Sequence[str], parameters: Mapping[str, float] | None = None
    ) -> Iterator[None]:
        """What is added within is the subcircuit's; ``parameters`` with their defaults.

        One of more ports than the simulator takes is written inline: its elements and nodes begin with its name, and
        :meth:`instance`, of which it then can have one only, joins its ports to nodes.
        """
        self._plain(name, *ports)
        if self._too_many(ports):
            self.comment(
                f"{name}, inline, as {self.dialect.title} takes subcircuits of up to {self.dialect.most_ports} ports"
            )
            self._inlined, self._ports = f"{name}_", {port: _port(name, place) for place, port in enumerate(ports)}
            yield
            self._inlined, self._ports = "", {}
            return
        self._add(f".subckt {name} {' '.join(ports)}{_assigned(parameters)}")
        yield
        self._lines.append(f".ends {name}")

    def instance(
        self, name: str, nodes: Sequence[str], subcircuit: str, parameters: Mapping[str, float] | None = None
    ) -> None:
        """A subcircuit between nodes, in the order of its ports."""
        if self._too_many(nodes):
            for place, node in enumerate(nodes):
                self.voltage_source(f"{name}_{place}", node, _port(subcircuit, place), 0.0)
            return
        self._element("X", name, nodes, subcircuit + _assigned(parameters))

    def parameter(self, name: str, value: float) -> None:
        """A parameter of the deck, for :meth:`Dialect.parameter`, which a user may change."""
        self._plain(name)
        self._lines.append(f".param {name}={_value(value)}")

    def include(self, file: str) -> None:
        """Another file beside the deck."""
        self._lines.append(f".include {file}")

    def line(self, text: str) -> None:
        """A line that is the same everywhere, such as ``.ic V(a)=0``."""
        self._add(text)

    def tolerances(
        self,
        reltol: float = 1e-12,
        abstol: float = 1e-18,
        vntol: float = 1e-15,
        gmin: float = 1e-30,
        **others: float,
    ) -> None:
        """How exactly the simulator solves; those of the defaults suit linear circuits."""
        wanted = {"reltol": reltol, "abstol": abstol, "vntol": vntol, "gmin": gmin, **others}
        self._lines.append(self.dialect.tolerances(wanted))

    def operating_point(self, signals: Sequence[str], file: str) -> None:
        """Find the operating point and write ``V(node)`` signals to a text file beside the deck."""
        for text in self.dialect.operating_point(signals, file):
            self._add(text)

    def sweep(self, source: str, last: int, signals: Sequence[str], file: str) -> None:
        """Find the operating points with the voltage source ``source`` at 0, 1 ... ``last`` volts, and write signals of each."""
        for text in self.dialect.sweep(source, last, signals, file):
            self._add(text)

    def transient(
        self,
        step: float,
        stop: float,
        signals: Sequence[str],
        file: str,
        largest: float | None = None,
        initial: bool = False,
    ) -> None:
        """Simulate up to ``stop`` seconds and write signals to a text file; see :meth:`Dialect.transient`."""
        for text in self.dialect.transient(step, stop, signals, file, largest, initial):
            self._add(text)

    def end(self) -> None:
        """The last line of a deck that is run, not included."""
        self._lines.append(".end")

    def text(self) -> str:
        """All lines."""
        return "\n".join(self._lines) + "\n"

    def write(self, path: Path) -> None:
        """Into a file, as ASCII with Unix line ends, which all simulators read."""
        path.write_text(self.text(), encoding="ascii", newline="\n")

    def _too_many(self, ports: Sequence[str]) -> bool:
        return self.dialect.most_ports is not None and len(ports) > self.dialect.most_ports

    def _element(self, kind: str, name: str, nodes: Sequence[str], value: str) -> None:
        self._plain(name, *nodes)
        self._add(f"{kind}{self._inlined}{name} {' '.join(map(self.node, nodes))} {value}")

    def _plain(self, *names: str) -> None:
        for name in names:
            if _NAME.fullmatch(name) is None:
                raise InputError(f"{name!r} cannot be a name in a netlist; use small letters, digits and underscores")

    def _add(self, line: str) -> None:
        """A line, continued at spaces where it is long."""
        while len(line) > LONGEST_LINE:
            cut = line.rfind(" ", 2, LONGEST_LINE)
            if cut < 0:
                break
            self._lines.append(line[:cut])
            line = "+" + line[cut:]
        self._lines.append(line)


def _port(subcircuit: str, place: int) -> str:
    """The node of an inlined subcircuit's port."""
    return f"{subcircuit}_port{place}"


def number(value: float) -> str:
    """A number with all its digits and a plain exponent.

    Raises:
        InputError: it is not finite.
    """
    if not math.isfinite(value):
        raise InputError(f"{value} is no number that a netlist can hold; all must be finite")
    return repr(float(value))


def _value(value: Value) -> str:
    return value if isinstance(value, str) else number(value)


def _assigned(parameters: Mapping[str, float] | None) -> str:
    if not parameters:
        return ""
    return " params: " + " ".join(f"{name}={number(value)}" for name, value in parameters.items())
