"""Nonlinearity labels, and the curves of potentiation and depression that they stand for."""

import numpy as np
import pytest
import torch

from analogdp.devices.neurosim import NeuroSim, NeuroSimSettings, curvature
from analogdp.streams import Stream

CELLS = (1, 2, 3)
PULSES = 64


def stream(name: str) -> Stream:
    return Stream(1, name, dtype=torch.float64)


@pytest.mark.parametrize("label", [0.01, 0.5, 2.4, 4.88, 9.0])
def test_the_curve_of_a_label_is_that_far_from_straight(label: float) -> None:
    x, k = np.linspace(0, 1, 1_000_001), curvature(label)
    assert 10.1015 * np.max((1 - np.exp(-k * x)) / (1 - np.exp(-k)) - x) == pytest.approx(label, rel=1e-5)
    assert curvature(-label) == -k


@pytest.mark.parametrize(("up", "down"), [(2.4, -4.88), (0.0, 0.0), (-1.0, 3.0)])
def test_pulses_go_through_the_curves_of_the_literature(up: float, down: float) -> None:
    model = NeuroSim.build(NeuroSimSettings(pulses=PULSES, nonlinearity_up=up, nonlinearity_down=down), 1e-6, 2e-6)
    state = model.sample(CELLS, stream("cells"))
    stored, a_up, a_down = state.variables["stored"], curvature(up), curvature(down)
    for done in (1, 20, PULSES):
        stored.fill_(-1.0)
        model.pulse(state, torch.full((1, *CELLS), float(done), dtype=torch.float64), stream("up"))
        want = 2 * np.expm1(-a_up * done / PULSES) / np.expm1(-a_up) - 1
        np.testing.assert_allclose(stored.numpy(), want, atol=1e-6)
        # Depression runs down the curve that rises with P: w = B (1 - exp(-P / A)) + w_min from P_max on.
        stored.fill_(1.0)
        model.pulse(state, torch.full((1, *CELLS), float(-done), dtype=torch.float64), stream("down"))
        want = 2 * np.expm1(-a_down * (1 - done / PULSES)) / np.expm1(-a_down) - 1
        np.testing.assert_allclose(stored.numpy(), want, atol=1e-6)


def test_each_device_has_the_curve_of_its_own_range() -> None:
    settings = NeuroSimSettings(pulses=PULSES, nonlinearity_up=3.0, upper_spread=0.2, lower_spread=0.2)
    model = NeuroSim.build(settings, 40e-6, 90e-6)
    state = model.sample((1, 20, 20), stream("cells"))
    own = state.parameters
    state.variables["stored"].copy_(own["lower"])
    span = own["upper"] - own["lower"]
    own["step_up"].mul_(span / 2)
    model.pulse(state, torch.full((1, 1, 20, 20), float(PULSES), dtype=torch.float64), stream("up"))
    torch.testing.assert_close(state.variables["stored"], own["upper"], rtol=0, atol=0.01)
