"""The window that closes with the number of writes."""

import pytest
import torch

from analogdp.devices.endurance import Endurance

WEAR = Endurance(cycles=1e6, exponent=0.7)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("writes", "left"), [(0.0, 1.0), (1e6, 0.5), (1e4, 1 / (1 + 0.01**0.7)), (1e9, 1 / (1 + 1000**0.7))]
)
def test_the_window_is_half_closed_after_the_cycles(writes: float, left: float) -> None:
    assert WEAR.window(tensor(writes)).item() == pytest.approx(left, rel=1e-12)


def test_fresh_undoes_worn() -> None:
    cells, writes = tensor(1e-6, 10e-6, 20e-6), tensor(0, 1e5, 1e7)
    back = WEAR.fresh(WEAR.worn(cells, writes, 10e-6), writes, 10e-6)
    torch.testing.assert_close(back, cells, rtol=1e-12, atol=0)


def test_a_worn_cell_reaches_what_its_window_leaves() -> None:
    reached = WEAR.within(tensor(0.0, 8e-6, 20e-6), tensor(1e6, 1e6, 1e6), 10e-6, 10e-6)
    torch.testing.assert_close(reached, tensor(5e-6, 8e-6, 15e-6), rtol=1e-12, atol=0)
