"""Equations of neurons in the words of a circuit."""

import math
from pathlib import Path

import pytest

from analogdp.errors import InputError
from analogdp.exports.spice.dialects import DIALECTS
from analogdp.exports.spice.expressions import Expressions
from analogdp.exports.spice.netlist import Netlist
from tests.exports.spice.simulators import needs_ngspice, printed, run

VOLTAGES = {"a": 0.7, "b": -1.3, "c": 2.1}
DEFINITIONS = {"gain": "1 - alpha", "drive": "a - gain * b"}
VALUES = {**{name: f"V({name})" for name in VOLTAGES}, "alpha": 0.3, "shift": -0.25, "nothing": 0.0}
TEXTS = [
    "drive",
    "clip(drive, 0, inf)",
    "clip(-drive, 0, inf)",
    "clip(c, 0, 1)",
    "clip(a - c, -inf, 0) + 0.1 * clip(a - c, 0, inf)",
    "1 / (1 + exp(-(c)))",
    "tanh(a * (b - c))",
    "a - (b - c)",
    "a - b - c",
    "a / (b * c)",
    "a / b / c",
    "a * (b / c)",
    "(-a * b) * (c + shift)",
    "c - shift * -b",
    "(a + (-gain) * c * b) / (1 + (-gain) * c)",
    "1 - clip(-1e300 * (b), 0, 1)",
    "1e-5 * a + 12345678.5 * b",
    "a + nothing",
]


def in_python(text: str) -> float:
    """What an expression says, evaluated by Python itself."""
    names = {**VOLTAGES, "alpha": 0.3, "shift": -0.25, "nothing": 0.0, "inf": math.inf}
    names["gain"] = 1 - names["alpha"]
    names["drive"] = names["a"] - names["gain"] * names["b"]
    functions = {"exp": math.exp, "tanh": math.tanh, "clip": lambda x, low, high: min(max(x, low), high)}
    return float(eval(text, {**functions, **names}))


@needs_ngspice
def test_ngspice_finds_what_python_finds(tmp_path: Path) -> None:
    netlist = Netlist(DIALECTS["ngspice"], "expressions")
    for name, value in VOLTAGES.items():
        netlist.voltage_source(name, name, "0", value)
    for number, text in enumerate(TEXTS):
        netlist.behavioural_voltage(f"x{number}", f"x{number}", "0", Expressions(DEFINITIONS, VALUES).of(text))
    netlist.tolerances()
    netlist.operating_point([f"V(x{number})" for number in range(len(TEXTS))], "results.txt")
    netlist.end()
    netlist.write(tmp_path / "network.cir")
    run(tmp_path / "network.cir")
    found = list(printed(tmp_path / "results.txt").values())
    assert found == pytest.approx([in_python(text) for text in TEXTS], rel=1e-12, abs=1e-15)


def test_definitions_are_written_out_with_no_more_brackets_than_it_takes() -> None:
    found = Expressions(DEFINITIONS, VALUES).of("clip(drive, 0, inf) * (a + gain)")
    assert found == "max(V(a) - (1 - 0.3)*V(b), 0)*(V(a) + 1 - 0.3)"


def test_a_value_goes_before_a_definition() -> None:
    assert Expressions({"drive": "a"}, {"drive": "V(node)"}).of("2 * drive") == "2*V(node)"


REFUSED = """\
sin(a), a ** 2, unknown, clip(a; 0), exp(a; b), a if b else c, a < b, 'text', a +, f.exp(a), inf, True, circle,
__import__('os'), exp(x=a)"""


@pytest.mark.parametrize("text", [text.strip().replace(";", ",") for text in REFUSED.split(",")])
def test_what_a_circuit_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="has no counterpart in a circuit"):
        Expressions({"circle": "1 + circle"}, VALUES).of(text)
