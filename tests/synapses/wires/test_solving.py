"""Single reads: both methods against each other and a sparse nodal solve, node voltages, gradients and warm starts."""

import numpy as np
import pytest
import torch

from analogdp.errors import InputError, RunError
from analogdp.synapses.wires import Solution, solve, transfer_matrix
from tests.synapses.wires.nodal import Case, nodal
from tests.synapses.wires.test_transfer import cells, error

METHODS = ["transfer_matrix", "conjugate_gradients"]
DRIVES = ["word_lines", "bit_lines"]
WIRES = [(1.0, 2.0, 50.0, 5.0), (0.0, 0.0, 0.0, 0.0), (0.0, 3.0, 0.0, 0.0), (2.0, 0.0, 1.0, 0.0)]


def vectors(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 0.3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("drive", DRIVES)
@pytest.mark.parametrize("wires", WIRES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (13, 21), (21, 8)])
def test_currents_are_those_of_a_nodal_solve(
    shape: tuple[int, int], wires: tuple[float, ...], drive: str, method: str
) -> None:
    conductance, voltages = cells(*shape), vectors(3, shape[0] if drive == "word_lines" else shape[1])
    found = solve(conductance, voltages, *wires, drive=drive, method=method).currents
    assert error(found, nodal(conductance.numpy(), voltages.mT.numpy(), Case(*wires, drive=drive)).T) < 1e-10


@pytest.mark.parametrize("drive", DRIVES)
def test_both_methods_agree_on_every_node(drive: str) -> None:
    conductance = cells(2, 37, 50)
    voltages = vectors(2, 5, 37 if drive == "word_lines" else 50)
    direct, iterated = (solve(conductance, voltages, 1.0, 2.0, 3.0, 4.0, drive=drive, method=m) for m in METHODS)
    for name in ("currents", "word_nodes", "bit_nodes", "device_voltages"):
        assert error(getattr(iterated, name), getattr(direct, name)) < 1e-10, name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("drive", DRIVES)
def test_no_node_loses_current(drive: str, method: str) -> None:
    conductance, ends = cells(11, 14), {"word_lines": (30.0, 7.0), "bit_lines": (7.0, 30.0)}[drive]
    voltages = vectors(2, 11 if drive == "word_lines" else 14)
    solution = solve(conductance, voltages, 1.5, 2.5, 30.0, 7.0, drive=drive, method=method)
    current = conductance * (solution.word_nodes - solution.bit_nodes)
    zero = torch.zeros(2, 1, dtype=torch.float64)
    left = voltages if drive == "word_lines" else zero
    below = zero if drive == "word_lines" else voltages
    word = torch.cat((left[..., None].expand(-1, 11, -1), solution.word_nodes), -1).diff(dim=-1).neg()
    word = word / torch.tensor([1.5 + ends[0]] + [1.5] * 13)
    bit = torch.cat((solution.bit_nodes, below[:, None].expand(-1, -1, 14)), -2).diff(dim=-2).neg()
    bit = bit / torch.tensor([2.5] * 10 + [2.5 + ends[1]])[:, None]
    assert error(word - torch.nn.functional.pad(word[..., 1:], (0, 1)), current) < 1e-9
    assert error(bit - torch.nn.functional.pad(bit[..., :-1, :], (0, 0, 1, 0)), current) < 1e-9


@pytest.mark.parametrize("count", [1, 40])
def test_auto_reads_as_the_transfer_matrix_does(count: int) -> None:
    conductance, voltages = cells(20, 30), vectors(count, 20)
    expected = voltages @ transfer_matrix(conductance, 1.0, 1.0).mT
    assert error(solve(conductance, voltages, 1.0, 1.0).currents, expected) < 1e-10


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("drive", DRIVES)
@pytest.mark.parametrize("output", ["currents", "word_nodes", "bit_nodes"])
def test_gradients_are_right(output: str, drive: str, method: str) -> None:
    conductance = (1e3 * cells(2, 4, 3, empty=0.0)).requires_grad_()
    voltages = vectors(2, 2, 4 if drive == "word_lines" else 3).requires_grad_()

    def read(g: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        solution = solve(g, v, 0.2, 0.1, 0.3, 0.05, drive=drive, method=method, tolerance=1e-14)
        return getattr(solution, output)

    assert torch.autograd.gradcheck(read, (conductance, voltages))


@pytest.mark.parametrize("as_solution", [True, False])
def test_a_warm_start_needs_fewer_iterations(as_solution: bool) -> None:
    conductance, voltages = cells(64, 64), vectors(2, 64)
    before = solve(conductance, voltages, 1.0, 1.0, method="conjugate_gradients")
    changed = conductance * (1 + 1e-4 * cells(64, 64, seed=2) / 1e-4)
    cold = solve(changed, voltages, 1.0, 1.0, method="conjugate_gradients", tolerance=1e-8)
    warm = solve(changed, voltages, 1.0, 1.0, tolerance=1e-8, initial=before if as_solution else before.device_voltages)
    assert warm.iterations < cold.iterations
    assert error(warm.currents, cold.currents) < 1e-7


@pytest.mark.parametrize("factor", [0.0, 1e-15, 1e-25])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_voltages_that_vanish_can_be_solved_from_those_before(dtype: torch.dtype, factor: float) -> None:
    conductance, voltages = cells(16, 10).to(dtype), vectors(3, 16).to(dtype)
    first = solve(conductance, voltages, 1.0, 1.0, method="conjugate_gradients")
    later = voltages * torch.tensor([[1.0], [factor], [1.0]], dtype=dtype)
    found = solve(conductance, later, 1.0, 1.0, method="conjugate_gradients", initial=first)
    expected = solve(conductance, later, 1.0, 1.0, method="transfer_matrix")
    torch.testing.assert_close(found.currents, expected.currents, rtol=1e-4, atol=0.0)


def test_a_vector_is_solved_as_if_alone() -> None:
    conductance, voltages = cells(3, 20, 20), vectors(3, 4, 20)
    batch = solve(conductance, voltages, 1.0, 1.0, method="conjugate_gradients").currents
    alone = [
        solve(g, v[None], 1.0, 1.0, method="conjugate_gradients").currents
        for g, vs in zip(conductance, voltages, strict=True)
        for v in vs
    ]
    assert error(batch, torch.stack(alone).reshape(batch.shape)) < 1e-11


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_array_has_the_bits_that_it_has_alone(dtype: torch.dtype) -> None:
    factors = torch.tensor([1.0, 0.01, 30.0], dtype=dtype)[:, None, None]
    conductance, voltages = factors * cells(3, 20, 20).to(dtype), vectors(3, 4, 20).to(dtype)
    together = solve(conductance, voltages, 1.0, 1.0, method="conjugate_gradients").currents
    for array in range(3):
        alone = solve(conductance[array], voltages[array], 1.0, 1.0, method="conjugate_gradients").currents
        assert torch.equal(together[array], alone)


@pytest.mark.parametrize("method", METHODS)
def test_float32_is_right_to_its_tolerance(method: str) -> None:
    conductance, voltages = cells(64, 64), vectors(2, 64)
    found = solve(conductance.float(), voltages.float(), 1.0, 1.0, method=method)
    assert found.currents.dtype == torch.float32
    assert error(found.currents.double(), solve(conductance, voltages, 1.0, 1.0).currents) < 1e-5


def test_iterations_that_do_not_converge_say_so() -> None:
    with pytest.raises(RunError, match=r"30 x 30 cells stopped after \d+ iterations with a relative residual of"):
        solve(cells(30, 30), vectors(1, 30), 1.0, 1.0, method="conjugate_gradients", tolerance=1e-30)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conductance": -cells(4, 3)}, "conductance: values between"),
        ({"voltages": vectors(2, 3)}, r"voltages: shape \(2, 3\).*takes \(batch, 4\)"),
        ({"voltages": vectors(4)}, r"voltages: shape \(4,\)"),
        ({"voltages": vectors(2, 4).float()}, "voltages: torch.float32"),
        ({"voltages": vectors(2, 4) * np.nan}, "voltages: not all are finite"),
        ({"bit_line": -1.0}, "bit_line: a resistance of -1.0 ohm"),
        ({"method": "magic"}, "method is 'magic'"),
        ({"tolerance": 0.0}, "tolerance: 0.0"),
        ({"initial": vectors(2, 3, 3)}, r"initial: device voltages of shape \(2, 3, 3\)"),
        ({"word_line": 1e18, "bit_line": 1e18, "method": "transfer_matrix"}, "no current arrives"),
    ],
)
def test_bad_input_is_named(changes: dict[str, object], message: str) -> None:
    arguments = {"conductance": cells(4, 3), "voltages": vectors(2, 4), "word_line": 1.0, "bit_line": 1.0}
    with pytest.raises(InputError, match=message):
        solve(**(arguments | changes))  # type: ignore[arg-type]


def test_a_solution_cannot_be_changed() -> None:
    solution = solve(cells(3, 3), vectors(1, 3), 1.0, 1.0)
    assert isinstance(solution, Solution)
    with pytest.raises(AttributeError):
        solution.iterations = 3  # type: ignore[misc]
