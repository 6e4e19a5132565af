"""What is particular to VTEAM."""

import math

import pytest
import torch

from tests.devices.equations import CASES, cells


@pytest.mark.parametrize("voltage", [-0.2, -0.1, 0.0, 0.01, 0.02])
def test_nothing_moves_up_to_the_thresholds(voltage: float) -> None:
    device = CASES["vteam"].device()
    assert device.flow(cells(device, (0.2, 0.8)), torch.tensor(voltage, dtype=torch.float64)).abs().max() == 0


@pytest.mark.parametrize(("voltage", "expected"), [(0.04, 5e-4), (-0.4, -10.0)])
def test_twice_the_threshold_moves_the_state_at_its_nominal_speed(voltage: float, expected: float) -> None:
    device = CASES["vteam"].device()
    flow = device.flow(cells(device, (0.5,)), torch.tensor(voltage, dtype=torch.float64))
    assert flow.item() == pytest.approx(expected)


@pytest.mark.parametrize(("name", "expected"), [("vteam", 525.0), ("vteam, exponential", math.sqrt(50 * 1000))])
def test_the_resistance_half_way_is_the_mean_of_its_kind(name: str, expected: float) -> None:
    device = CASES[name].device()
    assert 1 / device.conductance(cells(device, (0.5,))).item() == pytest.approx(expected)
