"""The transfer matrix, against a sparse nodal solve, ngspice and what any circuit obeys."""

from pathlib import Path

import numpy as np
import pytest
import torch

from analogdp.errors import InputError
from analogdp.synapses.wires import transfer_matrix
from tests.synapses.wires.nodal import Case, needs_ngspice, ngspice, nodal

SHAPES = [(1, 1), (1, 9), (9, 1), (2, 3), (8, 8), (13, 21), (40, 6), (6, 20)]
WIRES = [(1.0, 1.0, 0.0, 0.0), (2.5, 0.0, 0.0, 0.0), (0.0, 3.0, 0.0, 0.0), (1.0, 2.0, 50.0, 5.0), (0.0, 0.0, 20.0, 0.0)]
WIRES += [(0.0, 0.0, 0.0, 7.0), (1e-9, 1e-7, 0.0, 0.0), (300.0, 200.0, 10.0, 100.0)]


def cells(*shape: int, seed: int = 0, empty: float = 0.1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    conductance = 1 / (1e3 + 99e3 * torch.rand(*shape, dtype=torch.float64, generator=generator))
    conductance[torch.rand(*shape, generator=generator) < empty] = 0
    conductance[..., 0, 0] = 1e-4
    return conductance


def error(found: torch.Tensor, expected: np.ndarray | torch.Tensor) -> float:
    expected = torch.as_tensor(expected)
    return float((found - expected).abs().amax() / expected.abs().amax())


@pytest.mark.parametrize("drive", ["word_lines", "bit_lines"])
@pytest.mark.parametrize("wires", WIRES)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_what_a_nodal_solve_gives(shape: tuple[int, int], wires: tuple[float, ...], drive: str) -> None:
    conductance = cells(*shape)
    lines = shape[0] if drive == "word_lines" else shape[1]
    expected = nodal(conductance.numpy(), np.eye(lines), Case(*wires, drive=drive))
    # The nodal solve itself loses digits where wires conduct 1e12 times as well as cells.
    assert error(transfer_matrix(conductance, *wires, drive=drive), expected) < (1e-5 if wires[0] == 1e-9 else 1e-11)


@needs_ngspice
@pytest.mark.parametrize(("shape", "wires"), [((64, 64), (1.0, 1.0)), ((24, 50), (5.0, 2.0)), ((50, 24), (1.0, 5.0))])
def test_it_is_what_ngspice_gives(shape: tuple[int, int], wires: tuple[float, float], tmp_path: Path) -> None:
    conductance, voltages = cells(*shape), np.random.default_rng(0).uniform(-0.3, 0.5, shape[0])
    expected = ngspice(conductance.numpy(), voltages, Case(*wires, source=3.0, sense=1.0), tmp_path)
    found = transfer_matrix(conductance, *wires, 3.0, 1.0) @ torch.from_numpy(voltages)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * abs(expected).max())


def test_perfect_wires_leave_the_conductances() -> None:
    conductance = cells(12, 7)
    assert error(transfer_matrix(conductance, 0.0, 0.0), conductance.mT) < 1e-15


def test_small_resistances_change_conductances_in_proportion() -> None:
    conductance = cells(20, 20)
    changes = [error(transfer_matrix(conductance, r, r), conductance.mT) for r in (1e-6, 1e-4)]
    assert changes[1] / changes[0] == pytest.approx(100, rel=1e-3)


def test_arrays_in_a_batch_are_solved_as_if_alone() -> None:
    conductance = cells(2, 3, 10, 18)
    batch = transfer_matrix(conductance, 1.0, 2.0, 3.0, 4.0)
    alone = torch.stack([transfer_matrix(array, 1.0, 2.0, 3.0, 4.0) for array in conductance.flatten(0, 1)])
    torch.testing.assert_close(batch.flatten(0, 1), alone, rtol=1e-13, atol=0)


def test_more_resistance_lets_less_current_through() -> None:
    conductance = cells(30, 30, empty=0.0)
    totals = torch.stack([transfer_matrix(conductance, r, r).sum() for r in (0.0, 0.1, 1.0, 10.0, 100.0)])
    assert (totals.diff() < 0).all()


def test_float32_is_right_to_its_rounding() -> None:
    conductance = cells(64, 64)
    assert error(transfer_matrix(conductance.float(), 1.0, 1.0).double(), transfer_matrix(conductance, 1.0, 1.0)) < 2e-6


def test_its_gradient_is_right() -> None:
    conductance = (1e3 * cells(5, 4, empty=0.0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda g: transfer_matrix(g, 0.2, 0.1, 0.3, 0.05), conductance)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-cells(3, 3), 1.0, 1.0), "conductance: values between"),
        ((cells(3, 3) * float("nan"), 1.0, 1.0), "conductance: values between nan"),
        ((cells(3, 3)[0], 1.0, 1.0), r"conductance: shape \(3,\)"),
        ((cells(3, 3), -1.0, 1.0), "word_line: a resistance of -1.0 ohm"),
        ((cells(3, 3), 1.0, float("nan")), "bit_line: a resistance of nan ohm"),
        ((cells(3, 3), 1.0, 1.0, -2.0), "source: a resistance of -2.0 ohm"),
        ((cells(3, 3), 1.0, 1.0, 0.0, float("inf")), "sense: a resistance of inf ohm"),
        ((cells(3, 3), 1e18, 1e18), "no current arrives"),
    ],
)
def test_what_no_circuit_has_is_refused(arguments: tuple[torch.Tensor, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        transfer_matrix(*arguments)  # type: ignore[arg-type]


def test_an_unknown_drive_is_refused() -> None:
    with pytest.raises(InputError, match="drive is 'rows'"):
        transfer_matrix(cells(3, 3), 1.0, 1.0, drive="rows")  # type: ignore[arg-type]
