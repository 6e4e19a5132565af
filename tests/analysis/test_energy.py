"""Formulas of energy and time, against direct sums and ngspice."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from analogdp.analysis.energy import Schedule, conversions, line_conductance, read_power
from analogdp.synapses.base import ConductanceTable

NUMBERS = np.random.default_rng(4)
CHIPS, WORD_LINES, BIT_LINES = 2, 5, 4
CELLS = NUMBERS.uniform(1e-6, 1e-4, (2, CHIPS, BIT_LINES, WORD_LINES))
VOLTAGE = 0.3


def table(units: np.ndarray | None = None) -> ConductanceTable:
    plus, minus = torch.tensor(CELLS)
    counts = torch.zeros(CHIPS, 2, BIT_LINES, WORD_LINES, dtype=torch.int64)
    own = None if units is None else torch.tensor(units)
    return ConductanceTable(plus, minus, plus, plus - minus, 1.0, counts, None, 1e-6, 1e-4, {}, own)


def messages(lines: int) -> np.ndarray:
    return NUMBERS.standard_normal((CHIPS, 7, lines))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("pair", "cells"), [("balanced", CELLS.sum(0)), ("reference", CELLS.sum(0)), ("offset", CELLS[0])]
)
def test_a_read_takes_the_sum_of_voltage_squared_and_conductance_over_all_cells(
    pair: str, cells: np.ndarray, transposed: bool
) -> None:
    lines = line_conductance(table(), pair)[transposed]
    sent = messages(lines.shape[1])
    want = np.zeros(CHIPS)
    for chip, sample, out, line in np.ndindex(CHIPS, 7, BIT_LINES, WORD_LINES):
        message = sent[chip, sample, out if transposed else line]
        want[chip] += (VOLTAGE * message) ** 2 * cells[chip, out, line] / 7
    np.testing.assert_allclose(read_power(torch.tensor(sent), lines, VOLTAGE), want, rtol=1e-12)


def test_every_device_of_a_unit_takes_its_own() -> None:
    units = NUMBERS.uniform(1e-6, 1e-4, (CHIPS, 2, 3, BIT_LINES, WORD_LINES))
    word, bit = line_conductance(table(units), "balanced")
    np.testing.assert_allclose(word, units.sum((1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(bit, units.sum((1, 2, 4)), rtol=1e-12)


def test_a_shared_column_takes_once_what_its_cells_conduct() -> None:
    word, bit = line_conductance(table(), "offset_column")
    np.testing.assert_allclose(word, CELLS[0].sum(1) + CELLS[1][:, 0], rtol=1e-12)
    np.testing.assert_allclose(bit, CELLS[0].sum(2), rtol=1e-12)


def spice(folder: Path, wire: float, volts: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, float]:
    """Currents of the word lines' sources, and the power in all resistors, of one array whose bit lines are at 0 V."""
    if shutil.which("ngspice") is None:
        pytest.skip("ngspice is not installed")
    resistors = []
    for i, j in np.ndindex(WORD_LINES, BIT_LINES):
        left = f"s{i}" if j == 0 else f"w{i}_{j - 1}"
        below = "0" if i == WORD_LINES - 1 else f"b{i + 1}_{j}"
        resistors += [
            (left, f"w{i}_{j}", wire),
            (f"w{i}_{j}", f"b{i}_{j}", 1 / cells[j, i]),
            (f"b{i}_{j}", below, wire),
        ]
    lines = ["* crossbar", *(f"V{i} s{i} 0 {volt:.17g}" for i, volt in enumerate(volts))]
    lines += [f"R{k} {a} {b} {ohms:.17g}" for k, (a, b, ohms) in enumerate(resistors)]
    sources = [f"i(v{i})" for i in range(WORD_LINES)]
    drops = [f"v({a})" + (f"-v({b})" if b != "0" else "") for a, b, _ in resistors]
    prints = [f"print {name}" for name in (*sources, *drops)]
    lines += [
        ".options reltol=1e-9 abstol=1e-18 vntol=1e-15",
        ".control",
        "set numdgt=15",
        "op",
        *prints,
        ".endc",
        ".end",
    ]
    netlist = folder / "crossbar.cir"
    netlist.write_text("\n".join(lines))
    out = subprocess.run(["ngspice", "-b", str(netlist)], capture_output=True, text=True, check=False).stdout
    values = [float(value) for value in re.findall(r"^\S+ = (\S+)$", out, re.MULTILINE)]
    assert len(values) == len(sources) + len(drops), out
    power = sum(drop**2 / ohms for drop, (_, _, ohms) in zip(values[WORD_LINES:], resistors, strict=True))
    return -np.array(values[:WORD_LINES]), power


def test_ngspice_finds_the_power_of_an_array_whose_wires_have_next_to_no_resistance(tmp_path: Path) -> None:
    sent = messages(WORD_LINES)[:1, :1]
    _, power = spice(tmp_path, 1e-6, VOLTAGE * sent[0, 0], CELLS[0, 0])
    lines = line_conductance(table(), "offset")[0][:1]
    assert read_power(torch.tensor(sent), lines, VOLTAGE).item() == pytest.approx(power, rel=1e-8)


def test_with_wires_the_sources_give_what_ngspice_finds_in_cells_and_wires_together(tmp_path: Path) -> None:
    sent = messages(WORD_LINES)[:1, :1]
    currents, power = spice(tmp_path, 100.0, VOLTAGE * sent[0, 0], CELLS[0, 0])
    lines = line_conductance(table(), "offset")[0][:1]
    found = read_power(torch.tensor(sent), lines, VOLTAGE, torch.tensor(currents).view(1, 1, -1)).item()
    assert found == pytest.approx(power, rel=1e-9)
    assert found < 0.99 * read_power(torch.tensor(sent), lines, VOLTAGE).item()


@pytest.mark.parametrize(("most", "tiles"), [(None, 1), (64, 2), (50, 2), (33, 4)])
def test_every_line_in_is_converted_once_and_every_line_out_once_for_each_tile(most: int | None, tiles: int) -> None:
    assert conversions(100, 30, most) == (100, 30 * tiles)


def test_clocks_with_a_time_read_all_the_time_and_convert_at_every_evaluation() -> None:
    schedule = Schedule.in_time(steps=20, timestep=0.5, evaluations=4, input_at_every_step=False)
    assert schedule == Schedule(duration=10.0, input_reads=1, reads=80, rounds=80, reading=(10.0, 10.0))
    assert Schedule.in_time(20, 0.5, 4, True).input_reads == 80


def test_sweeps_read_one_synapse_after_the_other_up_and_down() -> None:
    schedule = Schedule.in_sweeps(sweeps=3, read_time=1e-7, positions=(1, 1, 1), input_at_every_step=False)
    assert (schedule.input_reads, schedule.reads, schedule.rounds) == (1, 3, 1 + 3 * 4)
    assert schedule.duration == pytest.approx(13e-7)
    assert schedule.reading == pytest.approx((1e-7, 3e-7))
    assert Schedule.in_sweeps(3, 1e-7, (1, 1, 1), True).rounds == 3 * 5
