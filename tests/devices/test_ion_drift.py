"""What is particular to linear ion drift."""

import pytest
import torch

from analogdp.streams import Stream
from tests.devices.equations import CASES, cells

STREAM = Stream(5, "write", dtype=torch.float64)


def pulsed_from_the_upper_bound(window: str) -> float:
    device = CASES[f"ion drift, {window}"].device()
    state = cells(device, (1.0,))
    device.pulse(state, torch.tensor([[-50.0]], dtype=torch.float64), STREAM)
    return state.variables["state"].item()


@pytest.mark.parametrize("window", ["joglekar", "prodromakis"])
def test_a_window_of_zero_at_both_ends_keeps_a_cell_at_its_bound_for_ever(window: str) -> None:
    assert pulsed_from_the_upper_bound(window) == 1.0


@pytest.mark.parametrize("window", ["biolek", "none"])
def test_other_windows_let_a_cell_leave_its_bound(window: str) -> None:
    assert pulsed_from_the_upper_bound(window) < 0.999


def test_the_drift_is_that_of_the_first_memristor() -> None:
    """1e-14 m^2/(V s) * 100 ohm / (10 nm)^2 = 1e4 per coulomb; 1 V over 8050 ohm at x = 1/2."""
    device = CASES["ion drift, none"].device()
    flow = device.flow(cells(device, (0.5,)), torch.tensor(1.0, dtype=torch.float64))
    assert flow.item() == pytest.approx(1e4 / 8050)
