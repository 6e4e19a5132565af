"""What is particular to the Stanford-PKU model: heat, field, noise of the gap, and the end of its validity."""

import math

import numpy as np
import pytest
import torch

from analogdp.devices import load_card
from analogdp.errors import InputError, ScenarioError
from analogdp.streams import Stream
from tests.devices.equations import CASES, STANFORD, cells

CASE = CASES["stanford"]
NOISE = {"gap_noise": 0.02, "gap_noise_time": 1e-9}


def volts(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_filament_heats_with_the_dissipated_power() -> None:
    device = CASE.device()
    gaps, voltage = torch.tensor([0.2e-9, 0.7e-9, 1.7e-9], dtype=torch.float64), 1.3
    power = voltage * STANFORD["i_0"] * np.exp(-gaps.numpy() / 0.25e-9) * math.sinh(voltage / 0.25)
    np.testing.assert_allclose(device.heat(gaps, volts(voltage)).numpy(), 298 + 2.1e3 * power, rtol=1e-12)


def test_hot_surroundings_speed_up_a_cold_filament() -> None:
    """At a wide gap the Arrhenius factor of 298 K against 358 K, hops included."""
    slow, fast = (CASE.device(temperature=kelvin, thermal_resistance=0.0) for kelvin in (298.0, 358.0))
    flows = [device.flow(cells(device, (0.9,)), volts(1.4)).item() for device in (slow, fast)]
    gap = 0.2 + 0.9 * 1.5
    lever = (16 - 0.8 * gap**3) * 0.25e-9 * 1.4 / 12e-9
    rates = [math.exp(-0.6 / kt) * math.sinh(lever / kt) for kt in (8.617333262e-5 * t for t in (298.0, 358.0))]
    assert flows[1] / flows[0] == pytest.approx(rates[1] / rates[0], rel=1e-6)


def test_no_ion_hops_below_the_smallest_field() -> None:
    device = CASE.device(**NOISE)
    state = cells(device, (0.0, 0.9))
    threshold = 1.4e9 * 12e-9 / (16 - 0.8 * 0.2**3)
    for voltage, moves in ((0.999 * threshold, [False, False]), (1.001 * threshold, [True, False])):
        assert (device.flow(state, volts(voltage)) != 0)[0].tolist() == moves
        assert (device.diffusion(state.variables["state"], volts(voltage)) != 0)[0].tolist() == moves


def diffused(steps: int, voltage: float = 1.06, seconds: float = 2e-9) -> torch.Tensor:
    """Gaps of many cells after some time in ``steps`` steps, which all began at 0.3 nm and hardly drift."""
    device = CASE.device(**NOISE, velocity=1e-6, smallest_field=0.0)
    state = cells(device, [0.1 / 1.5] * 20000)
    for step in range(steps):
        device.advance(state, volts(voltage), seconds / steps, Stream(1, "noise", dtype=torch.float64).at(step))
    return state.variables["state"][0]


@pytest.mark.parametrize("steps", [1, 4, 32])
def test_the_spread_of_the_gap_does_not_depend_on_the_time_step(steps: int) -> None:
    """delta_g sqrt(dt) per root second times the onset with temperature; 5 standard errors of a deviation are 2.5 %."""
    heat = 298 + 2.1e3 * 1.06 * 1e-3 * math.exp(-0.3 / 0.25) * math.sinh(1.06 / 0.25)
    onset = 1 / (1 + math.exp((450 - heat) / 500))
    assert diffused(steps).std().item() == pytest.approx(0.02 * math.sqrt(1e-9 * 2e-9) * onset, rel=0.025)


def test_pulses_spread_the_gap_by_the_root_of_their_number() -> None:
    device = CASE.device(**NOISE, velocity=1e-6)
    spreads = []
    for count in (1.0, 4.0):
        state = cells(device, [0.4] * 20000)
        device.pulse(state, torch.full_like(state.variables["state"], count), Stream(1, "noise", dtype=torch.float64))
        spreads.append(state.variables["state"].std().item())
    assert spreads[1] / spreads[0] == pytest.approx(2.0, rel=0.05)


def test_pulses_spread_the_gap_as_long_as_they_last() -> None:
    """20 pulses of 0.1 ns; 5 standard errors of a deviation are 2.5 %, and the heat changes a little on the way."""
    device = CASE.device(**NOISE, velocity=1e-6)
    state = cells(device, [0.4] * 20000)
    device.pulse(state, torch.full_like(state.variables["state"], 20.0), Stream(1, "noise", dtype=torch.float64))
    onset = 1 / (1 + math.exp((450 - device.heat(torch.tensor([0.8e-9]).double(), volts(1.4)).item()) / 500))
    expected = 0.02 * math.sqrt(1e-9 * 20 * 0.1e-9) * onset
    assert state.variables["state"].std().item() == pytest.approx(expected, rel=0.04)


def test_noise_leaves_the_gap_within_its_bounds() -> None:
    device = CASE.device(gap_noise=20.0)
    state = cells(device, [0.02] * 1000)
    device.pulse(state, torch.full_like(state.variables["state"], 3.0), Stream(1, "noise", dtype=torch.float64))
    assert state.variables["state"].min() >= 0.2e-9
    assert state.variables["state"].max() <= 1.7e-9


def test_the_largest_voltage_heats_the_narrowest_gap_to_the_hottest_allowed() -> None:
    device = CASE.device()
    gap = torch.tensor([0.2e-9], dtype=torch.float64)
    assert device.heat(gap, volts(device.largest_voltage)).item() == pytest.approx(3000.0)


def test_the_largest_voltage_is_finite_in_single_precision() -> None:
    device = CASE.device(thermal_resistance=0.0)
    state = cells(device, (0.0, 1.0), torch.float32)
    limit = torch.tensor(device.largest_voltage)
    assert torch.isfinite(device.flow(state, limit)).all()
    assert torch.isfinite(device.current(state, limit)).all()


def test_a_voltage_beyond_the_equations_is_told_the_largest() -> None:
    with pytest.raises(InputError, match=r"3 V is beyond .* the largest valid voltage is 1\.991 V"):
        CASE.device().check_voltage(-3.0 * -1)
    with pytest.raises(ScenarioError, match=r"write_pulse.down: -2.5 V is beyond .* 1\.991 V"):
        load_card("stanford_pku_hfox", {"write_pulse": {"up": 1.4, "down": -2.5, "width": 1e-9}})
