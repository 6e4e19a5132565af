"""What tells the pulsed models apart."""

import math

import pytest
import torch

from analogdp.devices import ConstantStep, LinearStep, SoftBounds, symmetry_point
from analogdp.devices.steps import ConstantStepSettings, LinearStepSettings, SoftBoundsSettings
from analogdp.streams import Stream

SHAPE = (1, 50, 80)


def stream(name: str) -> Stream:
    return Stream(2, name, dtype=torch.float64)


def pulses(count: float) -> torch.Tensor:
    return torch.full((1, *SHAPE), count, dtype=torch.float64)


def test_a_constant_step_is_the_same_everywhere() -> None:
    model = ConstantStep.build(ConstantStepSettings(step=0.01), 1e-6, 2e-6)
    state = model.sample(SHAPE, stream("cells"))
    model.pulse(state, pulses(30), stream("up"))
    model.pulse(state, pulses(-10), stream("down"))
    torch.testing.assert_close(state.variables["stored"], pulses(0.2))


def test_a_linear_step_loses_its_slope_at_the_bound() -> None:
    model = LinearStep.build(
        LinearStepSettings(step=0.01, upper=1.2, lower=-0.8, slope_up=0.25, slope_down=0.5), 1e-6, 2e-6
    )
    state = model.sample(SHAPE, stream("cells"))
    state.variables["stored"].fill_(0.6)
    model.pulse(state, pulses(1), stream("up"))
    torch.testing.assert_close(state.variables["stored"], pulses(0.6 + 0.01 * (1 - 0.25 * 0.5)))
    state.variables["stored"].fill_(-0.4)
    model.pulse(state, pulses(-1), stream("down"))
    torch.testing.assert_close(state.variables["stored"], pulses(-0.4 - 0.01 * (1 - 0.5 * 0.5)))


def test_slopes_vary_from_device_to_device() -> None:
    model = LinearStep.build(LinearStepSettings(step=0.01, slope_up=0.5, slope_up_spread=0.05), 1e-6, 2e-6)
    rate = model.sample(SHAPE, stream("cells")).parameters["rate_up"]
    assert rate.mean().item() == pytest.approx(0.5, abs=5 * 0.05 / math.sqrt(rate.numel()))
    assert rate.std().item() == pytest.approx(0.05, rel=5 / math.sqrt(2 * rate.numel()))


def test_a_leaking_cell_decays_to_weight_zero_with_its_lifetime() -> None:
    model = LinearStep.build(LinearStepSettings(step=0.01, lifetime=2.0), 1e-6, 2e-6)
    state = model.sample(SHAPE, stream("cells"))
    state.variables["stored"].fill_(0.5)
    model.relax(state, 1.0, stream("time"))
    torch.testing.assert_close(state.variables["stored"], pulses(0.5 * math.exp(-0.5)))


def test_each_chip_forgets_for_its_own_time() -> None:
    model = LinearStep.build(LinearStepSettings(step=0.01, lifetime=2.0), 1e-6, 2e-6)
    state = model.sample(SHAPE, Stream(2, "cells", (0, 1, 2), dtype=torch.float64))
    state.variables["stored"].fill_(0.5)
    model.relax(state, torch.tensor([0.0, 1.0, 4.0]), stream("time"))
    want = 0.5 * torch.exp(torch.tensor([0.0, -0.5, -2.0], dtype=torch.float64))
    torch.testing.assert_close(state.variables["stored"], want.view(-1, 1, 1, 1).expand(-1, *SHAPE))


def test_a_cell_without_lifetime_keeps_its_weight() -> None:
    model = LinearStep.build(LinearStepSettings(step=0.01), 1e-6, 2e-6)
    state = model.sample(SHAPE, stream("cells"))
    state.variables["stored"].fill_(0.5)
    model.relax(state, 1e9, stream("time"))
    assert torch.equal(state.variables["stored"], pulses(0.5))


def test_soft_bounds_are_approached_exponentially() -> None:
    model = SoftBounds.build(SoftBoundsSettings(step=0.1, upper=1.25, lower=-0.75), 1e-6, 2e-6)
    state = model.sample(SHAPE, stream("cells"))
    model.pulse(state, pulses(7), stream("up"))
    torch.testing.assert_close(state.variables["stored"], pulses(1.25 * (1 - (1 - 0.1 / 1.25) ** 7)))


def test_alternating_pulses_lead_soft_bounds_to_their_symmetry_point() -> None:
    settings = SoftBoundsSettings(step=0.01, step_spread=0.2, asymmetry_spread=0.2, upper_spread=0.1, lower_spread=0.1)
    model = SoftBounds.build(settings, 40e-6, 90e-6)
    state = model.sample(SHAPE, stream("cells"))
    for number in range(2000):
        model.pulse(state, pulses(1 if number % 2 else -1), stream("write"))
    torch.testing.assert_close(state.variables["stored"], symmetry_point(**state.parameters), rtol=0, atol=0.02)


def test_the_reference_lies_at_each_devices_symmetry_point_within_its_error() -> None:
    settings = SoftBoundsSettings(
        step=0.01, asymmetry_spread=0.1, upper_spread=0.1, reference="symmetry_point", reference_std=0.05
    )
    model = SoftBounds.build(settings, 40e-6, 90e-6)
    state = model.sample(SHAPE, stream("cells"))
    error = (model.reference(state, stream("reference")) - model.zero) / model.siemens - symmetry_point(
        **state.parameters
    )
    assert error.mean().item() == pytest.approx(0.0, abs=5 * 0.05 / math.sqrt(error.numel()))
    assert error.std().item() == pytest.approx(0.05, rel=5 / math.sqrt(2 * error.numel()))


def test_a_reference_at_zero_is_one_number_for_all_cells() -> None:
    model = SoftBounds.build(SoftBoundsSettings(step=0.01, upper=1.25, lower=-0.75), 40e-6, 90e-6)
    reference = model.reference(model.sample(SHAPE, stream("cells")), stream("reference"))
    assert reference.shape == (1, 1, 1, 1)
    assert reference.item() == pytest.approx(40e-6 + 0.75 * 25e-6)
