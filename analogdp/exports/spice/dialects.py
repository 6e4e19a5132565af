"""What circuit simulators write differently: expressions, parameters, and how results are asked for.

Decks of ngspice (39) are run in the tests. Those of LTspice (XVII) and Xyce (7) follow what is commonly known of their syntax,
were compared with no manual line by line, and were never run. What all three read alike is used wherever there is such a form:
plain exponents instead of suffixes (``M`` is milli in SPICE, and ``F`` is no farad but femto), ``**`` for powers (``^`` is an
exclusive or in LTspice and Xyce), ``params:`` before the parameters of subcircuits, ``*`` for comments, ``+`` for continued
lines, names of small letters, digits and underscores (all three ignore case).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

RESULT_DIGITS = 15
"""Of printed results: all that double precision has."""


class Dialect(ABC):
    """One simulator's form of a deck.

    Attributes:
        name: as the option calls it.
        title: as people call it.
        run: the command that simulates ``network.cir`` where it lies.
        results: the file that this writes, beside the deck.
        tabulated: its function of straight lines between points.
        most_ports: of a subcircuit, or None for any number.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    run: ClassVar[str]
    results: ClassVar[str]
    tabulated: ClassVar[str] = "table"
    most_ports: ClassVar[int | None] = None

    def expression(self, text: str) -> str:
        """An expression as the value of a behavioural source."""
        return text

    def parameter(self, name: str) -> str:
        """A subcircuit's parameter within an expression of a behavioural source."""
        return f"{{{name}}}"

    @abstractmethod
    def choose(self, condition: str, yes: str, no: str) -> str:
        """``yes`` where the condition holds, else ``no``; comparisons are ``<``, ``<=``, ``>``, ``>=``."""

    def table(self, value: str, numbers: Sequence[float]) -> str:
        """``numbers[k]`` where ``value`` is k, and straight lines between."""
        points = ", ".join(f"{place}, {number!r}" for place, number in enumerate(numbers))
        return f"{self.tabulated}({value}, {points})"

    def clamp(self, value: str, low: str, high: str) -> str:
        """A value within bounds."""
        return f"min(max({value},{low}),{high})"

    def power(self, base: str, exponent: str) -> str:
        """A power of a base that is never negative."""
        return f"(({base})**({exponent}))"

    @abstractmethod
    def tolerances(self, accurate: Mapping[str, float]) -> str:
        """The line of options; ``accurate`` has what ngspice and LTspice call reltol, abstol, vntol, chgtol and gmin."""

    @abstractmethod
    def operating_point(self, signals: Sequence[str], file: str) -> list[str]:
        """Lines that find the operating point and write signals such as ``V(out_0)`` to a text file."""

    @abstractmethod
    def sweep(self, source: str, last: int, signals: Sequence[str], file: str) -> list[str]:
        """Lines that find operating points with a voltage source at 0 V, 1 V ... and write signals of all of them."""

    @abstractmethod
    def transient(
        self, step: float, stop: float, signals: Sequence[str], file: str, largest: float | None, initial: bool
    ) -> list[str]:
        """Lines that simulate from 0 to ``stop`` and write signals at all times to a text file.

        Args:
            step: of what is printed, in seconds.
            stop: in seconds.
            signals: such as ``V(out_0)``.
            file: beside the deck.
            largest: internal step in seconds; None leaves it to the simulator.
            initial: whether to begin from the given initial conditions instead of an operating point.
        """


class Ngspice(Dialect):
    """ngspice, whose control language runs the analyses and writes the files."""

    name = "ngspice"
    title = "ngspice"
    run = "ngspice -b network.cir"
    results = "results.txt"
    tabulated = "pwl"
    most_ports = 1000  # It has room for 1005 names.

    def choose(self, condition: str, yes: str, no: str) -> str:
        return f"(({condition}) ? ({yes}) : ({no}))"

    def tolerances(self, accurate: Mapping[str, float]) -> str:
        return ".options " + " ".join(f"{name}={value!r}" for name, value in accurate.items())

    def operating_point(self, signals: Sequence[str], file: str) -> list[str]:
        lines = [f"print {signal} >> {file}" for signal in signals]
        return self._control("op", [f"echo results of the operating point > {file}", *lines], file)

    def sweep(self, source: str, last: int, signals: Sequence[str], file: str) -> list[str]:
        return self._control(f"dc v{source} 0 {last} 1", self._written(signals, file), file)

    def transient(
        self, step: float, stop: float, signals: Sequence[str], file: str, largest: float | None, initial: bool
    ) -> list[str]:
        command = f"tran {step!r} {stop!r}" + (f" 0 {largest!r}" if largest else "") + (" uic" if initial else "")
        return self._control(command, self._written(signals, file), file)

    @staticmethod
    def _written(signals: Sequence[str], file: str) -> list[str]:
        return ["set wr_vecnames", "set wr_singlescale", f"wrdata {file} {' '.join(signals)}"]

    @staticmethod
    def _control(analysis: str, writes: list[str], file: str) -> list[str]:
        # A set of digits beyond 15 would print what rounding leaves; quit ends a batch run with a status of success.
        before = [f"set numdgt={RESULT_DIGITS}", f"echo no results: the analysis did not end > {file}"]
        return [".control", *before, analysis, *writes, "quit", ".endc"]


class Ltspice(Dialect):
    """LTspice, whose ``.meas`` results stand in the log beside the deck."""

    name = "ltspice"
    title = "LTspice"
    run = "LTspice -b network.cir"
    results = "network.log"

    def choose(self, condition: str, yes: str, no: str) -> str:
        return f"if({condition},{yes},{no})"

    def tolerances(self, accurate: Mapping[str, float]) -> str:
        return ".options " + " ".join(
            f"{name}={value!r}" for name, value in {**accurate, "numdgt": RESULT_DIGITS}.items()
        )

    def operating_point(self, signals: Sequence[str], file: str) -> list[str]:
        # What is measured of an operating point itself is no voltage, so this is a sweep that nothing depends on.
        finds = [f".meas dc {_plain(signal)} find {signal} at=0" for signal in signals]
        return ["Vsweep sweep 0 0", "Rsweep sweep 0 1.0", ".dc Vsweep 0 1 1", *finds]

    def sweep(self, source: str, last: int, signals: Sequence[str], file: str) -> list[str]:
        finds = [
            f".meas dc {_plain(signal)}_{at} find {signal} at={at}" for at in range(last + 1) for signal in signals
        ]
        return [f".dc V{source} 0 {last} 1", f".save {' '.join(signals)}", *finds]

    def transient(
        self, step: float, stop: float, signals: Sequence[str], file: str, largest: float | None, initial: bool
    ) -> list[str]:
        # Compression of waveforms is lossy; a first number of 0 asks for all steps.
        command = f".tran 0 {stop!r}" + (f" 0 {largest!r}" if largest else f" 0 {step!r}") + (" uic" if initial else "")
        finals = [f".meas tran {_plain(signal)} find {signal} at={stop!r}" for signal in signals]
        return [command, ".options plotwinsize=0", f".save {' '.join(signals)}", *finals]


class Xyce(Dialect):
    """Xyce, which wants expressions in braces and prints what ``.print`` names."""

    name = "xyce"
    title = "Xyce"
    run = "Xyce network.cir"
    results = "results.txt"

    def expression(self, text: str) -> str:
        return f"{{{text}}}"

    def parameter(self, name: str) -> str:
        return name

    def choose(self, condition: str, yes: str, no: str) -> str:
        return f"if({condition},{yes},{no})"

    def tolerances(self, accurate: Mapping[str, float]) -> str:
        relative, absolute = accurate["reltol"], accurate["vntol"]
        return "\n".join(
            (
                f".options device gmin={accurate['gmin']!r}",
                f".options nonlin reltol={relative!r} abstol={absolute!r}",
                f".options timeint reltol={relative!r} abstol={absolute!r}",
            )
        )

    def operating_point(self, signals: Sequence[str], file: str) -> list[str]:
        # An operating point prints nothing; a sweep of one point of a source that nothing is connected to does.
        sweep = ["Vsweep sweep 0 0", "Rsweep sweep 0 1.0", ".dc Vsweep 0 0 1"]
        return [*sweep, self._print("dc", signals, file)]

    def sweep(self, source: str, last: int, signals: Sequence[str], file: str) -> list[str]:
        return [f".dc V{source} 0 {last} 1", self._print("dc", signals, file)]

    def transient(
        self, step: float, stop: float, signals: Sequence[str], file: str, largest: float | None, initial: bool
    ) -> list[str]:
        command = f".tran {step!r} {stop!r}" + (f" 0 {largest!r}" if largest else "") + (" uic" if initial else "")
        return [command, self._print("tran", signals, file)]

    @staticmethod
    def _print(analysis: str, signals: Sequence[str], file: str) -> str:
        return f".print {analysis} format=noindex precision={RESULT_DIGITS} file={file} {' '.join(signals)}"


DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (Ngspice(), Ltspice(), Xyce())}
"""All of them, by name."""


def _plain(signal: str) -> str:
    """``V(out_0)`` as the name of a measurement."""
    return signal.lower().replace("(", "_").replace(")", "").replace(",", "_")
