"""Lines of decks: what they say, what a user's text in them cannot do, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from analogdp.errors import InputError
from analogdp.exports.spice.crossbar import Array, Circuit, write_crossbar
from analogdp.exports.spice.dialects import DIALECTS
from analogdp.exports.spice.netlist import LONGEST_LINE, Netlist
from analogdp.synapses.parts import WireSettings
from tests.exports.spice.simulators import needs_ngspice, printed, run

GOLDEN = """\
* two inputs, one output
.subckt layer0_up in_0 in_1 out_0
Rplus_d0 in_0 plus_d0 100.0
Rplus_d1 in_1 plus_d1 100.0
Rplus_w0_0 plus_d0 plus_w0_0 2.0
Rplus_w1_0 plus_d1 plus_w1_0 2.0
Rplus_b0_0 plus_b0_0 plus_b1_0 3.0
Rplus_b1_0 plus_b1_0 plus_e0 3.0
Rplus_c0_0 plus_w0_0 plus_b0_0 10000.0
Rplus_c1_0 plus_w1_0 plus_b1_0 20000.0
Vplus_0 plus_e0 0 0.0
Rreference_d0 in_0 reference_d0 100.0
Rreference_d1 in_1 reference_d1 100.0
Rreference_w0_0 reference_d0 reference_w0_0 2.0
Rreference_w1_0 reference_d1 reference_w1_0 2.0
Rreference_b0_0 reference_b0_0 reference_b1_0 3.0
Rreference_b1_0 reference_b1_0 reference_e0 3.0
Rreference_c0_0 reference_w0_0 reference_b0_0 40000.0
Vreference_0 reference_e0 0 0.0
Bout_0 out_0 0 V=5000.0*I(Vplus_0) + -5000.0*I(Vreference_0)
.ends layer0_up
"""
"""Two cells against two fixed ones, of which the second conducts nothing."""


def test_a_small_crossbar_is_the_deck_that_one_would_write_by_hand() -> None:
    arrays = (
        Array("plus", np.array([[1 / 10000], [1 / 20000]]), 1.0),
        Array("reference", np.array([[1 / 40000], [0.0]]), -1.0),
    )
    wires = WireSettings(word_line=2.0, bit_line=3.0, source=100.0, sense=0.0)
    netlist = Netlist(DIALECTS["ngspice"], "two inputs, one output")
    circuit = Circuit(arrays, 2, 1, 5000.0, 0.0, column=False, tile=(2, 1), wires=wires)
    write_crossbar(netlist, "layer0_up", circuit, "up")
    assert netlist.text() == GOLDEN


@pytest.mark.parametrize(
    "text", ["*# quit", "a\n.control\nquit", "a\x85Vx a 0 1", "a\u2028.end", "a\r.end", "\x1b[2J", "µ"]
)
def test_a_text_is_a_comment_whatever_it_says(text: str) -> None:
    netlist = Netlist(DIALECTS["ngspice"], text)
    netlist.comment(text)
    for line in netlist.text().splitlines():
        assert line.startswith("* ")
        assert line.isascii()
        assert line.isprintable()


@pytest.mark.parametrize("name", ["", "a b", "A", "a.b", "a\n.end", "../a", "x;y", "x$", "é"])
def test_a_name_that_could_be_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be a name"):
        Netlist(DIALECTS["ngspice"], "deck").resistor("r", name, "0", 1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="finite"):
        Netlist(DIALECTS["ngspice"], "deck").resistor("r", "a", "0", value)


def test_long_lines_are_continued_at_spaces() -> None:
    netlist = Netlist(DIALECTS["ngspice"], "deck")
    nodes = [f"node_{number}" for number in range(500)]
    netlist.instance("1", nodes, "sub")
    _, *lines = netlist.text().splitlines()
    assert all(len(line) <= LONGEST_LINE for line in lines)
    assert all(line.startswith("+ ") for line in lines[1:])
    assert "".join(line.removeprefix("+") for line in lines) == f"X1 {' '.join(nodes)} sub"


def test_conductances_that_no_cell_has_are_refused() -> None:
    crossbar = Array("plus", np.array([[1e-5, -1e-6]]), 1.0)
    with pytest.raises(InputError, match=r"word line 0 and bit line 1 has -1e-06 S"):
        crossbar.check()


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_subcircuit_of_more_ports_than_ngspice_reads_is_written_inline_for_it_alone(dialect: str) -> None:
    netlist = Netlist(DIALECTS[dialect], "deck")
    ports = [f"in_{number}" for number in range(1001)]
    with netlist.subcircuit("many", ports):
        netlist.resistors([("a", "in_1000", "inside", 5.0)])
        netlist.capacitor("b", "inside", "0", 1e-9)
    netlist.instance("one", [f"node{number}" for number in range(1001)], "many")
    lines = netlist.text().splitlines()
    inline = {
        "Rmany_a many_port1000 many_inside 5.0",
        "Cmany_b many_inside 0 1e-09",
        "Vone_1000 node1000 many_port1000 0.0",
    }
    whole = {"Ra in_1000 inside 5.0", "Cb inside 0 1e-09", ".ends many"}
    assert (inline if dialect == "ngspice" else whole) <= set(lines)
    assert not (whole if dialect == "ngspice" else inline) & set(lines)


@needs_ngspice
def test_expressions_mean_what_they_say(tmp_path: Path) -> None:
    dialect = DIALECTS["ngspice"]
    netlist = Netlist(dialect, "expressions")
    netlist.voltage_source("a", "a", "0", 1.5)
    wanted = {
        "yes": (dialect.choose("V(a) > 1", "2", "3"), 2.0),
        "no": (dialect.choose("V(a) <= 1", "2", "3"), 3.0),
        "low": (dialect.clamp("-V(a)", "-1", "1"), -1.0),
        "high": (dialect.clamp("V(a)", "-1", "1"), 1.0),
        "power": (dialect.power("V(a)", "2.5"), 1.5**2.5),
        "table": (dialect.table("V(a)", [0.0, 4.0, 8.0]), 6.0),
    }
    for name, (expression, _) in wanted.items():
        netlist.behavioural_voltage(name, name, "0", expression)
    netlist.tolerances()
    netlist.operating_point([f"V({name})" for name in wanted], "results.txt")
    netlist.end()
    netlist.write(tmp_path / "network.cir")
    run(tmp_path / "network.cir")
    found = printed(tmp_path / "results.txt")
    assert {name: found[f"v({name})"] for name in wanted} == pytest.approx(
        {name: value for name, (_, value) in wanted.items()}
    )
