"""Reads of nonlinear cells, against scipy's root finder and ngspice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import root

from analogdp.errors import InputError, RunError
from analogdp.synapses.wires import solve, solve_nonlinear
from analogdp.synapses.wires.newton import Curve
from tests.synapses.wires.nodal import Case, needs_ngspice, ngspice
from tests.synapses.wires.test_solving import vectors
from tests.synapses.wires.test_transfer import cells, error

BEND = 0.1


def hyperbolic(conductance: torch.Tensor, bend: float = BEND) -> Curve:
    """i = G v0 sinh(v / v0), the usual curve of filamentary cells."""
    cell = conductance.unsqueeze(-3)
    return lambda v: (cell * bend * torch.sinh(v / bend), cell * torch.cosh(v / bend))


@pytest.mark.parametrize("drive", ["word_lines", "bit_lines"])
def test_a_small_array_is_what_scipy_finds(drive: str) -> None:
    rows, columns, (word, bit, source, sense) = 5, 4, (40.0, 30.0, 100.0, 20.0)
    conductance = cells(rows, columns)
    voltages = 2 * vectors(1, rows if drive == "word_lines" else columns)
    g, v = conductance.numpy(), voltages[0].numpy()
    left, below = (v, np.zeros(columns)) if drive == "word_lines" else (np.zeros(rows), v)
    ends = (source, sense) if drive == "word_lines" else (sense, source)

    def kirchhoff(nodes: np.ndarray) -> np.ndarray:
        w, b = nodes.reshape(2, rows, columns)
        current = g * BEND * np.sinh((w - b) / BEND)
        along = -np.diff(np.column_stack((left, w)), axis=1) / np.array([word + ends[0]] + [word] * (columns - 1))
        down = -np.diff(np.vstack((b, below)), axis=0) / np.array([bit] * (rows - 1) + [bit + ends[1]])[:, None]
        at_words = along - np.column_stack((along[:, 1:], np.zeros(rows))) - current
        at_bits = current + np.vstack((np.zeros(columns), down[:-1])) - down
        return np.concatenate((at_words.ravel(), at_bits.ravel())) * 1e3

    found = solve_nonlinear(hyperbolic(conductance), voltages, rows, columns, word, bit, source, sense, drive=drive)
    expected = root(kirchhoff, np.zeros(2 * rows * columns), method="hybr", tol=1e-13)
    nodes = torch.cat((found.word_nodes[0].flatten(), found.bit_nodes[0].flatten()))
    assert np.abs(expected.fun).max() < 1e-10
    assert error(nodes, expected.x) < 1e-9


@needs_ngspice
def test_a_larger_array_is_what_ngspice_finds(tmp_path: Path) -> None:
    conductance, voltages = cells(16, 12), 0.8 * vectors(1, 16)
    case = Case(20.0, 10.0, 50.0, 5.0)
    expected = ngspice(
        conductance.numpy(),
        voltages[0].numpy(),
        case,
        tmp_path,
        lambda g, a, b: f"{g!r}*{BEND!r}*sinh((V({a})-V({b}))/{BEND!r})",
    )
    found = solve_nonlinear(hyperbolic(conductance), voltages, 16, 12, 20.0, 10.0, 50.0, 5.0)
    assert error(found.currents[0], expected) < 1e-9


def test_straight_curves_are_solved_in_a_few_steps() -> None:
    conductance, voltages = cells(2, 20, 30), vectors(2, 3, 20)
    cell = conductance.unsqueeze(-3)
    found = solve_nonlinear(lambda v: (cell * v, cell.expand_as(v)), voltages, 20, 30, 1.0, 2.0, 3.0, 4.0)
    assert found.iterations <= 3
    assert error(found.currents, solve(conductance, voltages, 1.0, 2.0, 3.0, 4.0).currents) < 1e-10


def test_steep_curves_are_solved_with_shorter_steps() -> None:
    conductance = cells(8, 8)
    voltages = 1 + vectors(4, 8)
    found = solve_nonlinear(hyperbolic(conductance, 0.05), voltages, 8, 8, 100.0, 100.0)
    current = hyperbolic(conductance, 0.05)(found.device_voltages)[0]
    torch.testing.assert_close(current.sum(-2), found.currents)
    assert found.residual < 1e-12


def test_a_solution_to_start_from_saves_steps() -> None:
    conductance, voltages = cells(8, 8), vectors(2, 8)
    cold = solve_nonlinear(hyperbolic(conductance), voltages, 8, 8, 100.0, 100.0)
    assert solve_nonlinear(hyperbolic(conductance), voltages, 8, 8, 100.0, 100.0, initial=cold).iterations == 0


def test_falling_curves_are_refused() -> None:
    with pytest.raises(RunError, match="a differential conductance of -1 S"):
        solve_nonlinear(lambda v: (-v, -torch.ones_like(v)), vectors(1, 3), 3, 3, 1.0, 1.0)


def test_a_curve_with_the_wrong_slope_does_not_converge() -> None:
    with pytest.raises(RunError, match="Newton's method on a crossbar of 3 x 3 cells left an error of"):
        solve_nonlinear(lambda v: (torch.tanh(1e3 * v), 1e-9 + 0 * v), 0 * vectors(1, 3) + 1, 3, 3, 1.0, 1.0)


def test_currents_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(InputError, match="curve: a current of shape"):
        solve_nonlinear(lambda v: (v.sum(-1), v), vectors(1, 3), 3, 3, 1.0, 1.0)
