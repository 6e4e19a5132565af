"""Loops under a sine: pinched, narrower at higher frequencies, and odd where the device is."""

import numpy as np
import pytest
import torch

from analogdp.devices import load_card
from analogdp.devices.hysteresis import Hysteresis, hysteresis, integrate
from analogdp.errors import InputError
from analogdp.streams import Stream
from tests.devices.equations import CASES, cells

NAMES = ["ion drift, biolek", "vteam", "yakopcic", "stanford"]


def loop(name: str, faster: float = 1.0, steps: int = 400, amplitude: float | None = None) -> Hysteresis:
    case, device = CASES[name], CASES[name].device()
    amplitude = max(abs(case.up), abs(case.down)) if amplitude is None else amplitude
    return hysteresis(device, amplitude, faster / (10 * device.crossing_time()), steps=steps)


def area(found: Hysteresis, steps: int = 400) -> float:
    """Of both lobes of the second period, relative to the rectangle around them."""
    voltage, current = found.voltage[steps:].numpy(), found.current[steps:, 0].numpy()
    half = steps // 2
    lobes = [np.trapezoid(current[part], voltage[part]) for part in (slice(0, half + 1), slice(half, None))]
    return float(np.abs(lobes).sum() / np.ptp(voltage) / np.ptp(current))


@pytest.mark.parametrize("name", NAMES)
def test_no_current_flows_at_zero_volts(name: str) -> None:
    found = loop(name)
    pinched = found.voltage == 0
    assert pinched.sum() == 5
    assert (found.current[pinched] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_loop_is_narrower_at_higher_frequencies_and_at_last_a_line(name: str) -> None:
    slow, fast, fastest = (area(loop(name, faster)) for faster in (1.0, 100.0, 1e6))
    assert slow > fast > fastest
    assert slow > 0.02
    assert fastest < 1e-3


def test_a_fast_loop_of_an_ohmic_cell_is_a_straight_line() -> None:
    found = loop("ion drift, biolek", 1e6)
    torch.testing.assert_close(found.current[:, 0], found.voltage / 8050, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["ion drift, joglekar", "ion drift, prodromakis"])
def test_a_symmetric_cell_has_an_odd_loop(name: str) -> None:
    """In a charge-controlled memristor the second half period retraces the charge of the first: i(T - t) = -i(t)."""
    device = CASES[name].device()
    found = hysteresis(device, 1.0, 1 / device.crossing_time(), periods=1)
    torch.testing.assert_close(found.current.flip(0), -found.current, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("name", "amplitude"), [("vteam", 0.02), ("yakopcic", 0.15)])
def test_a_cell_stays_below_its_threshold(name: str, amplitude: float) -> None:
    found = loop(name, amplitude=amplitude)
    assert (found.state == found.state[0]).all()


def test_a_constant_voltage_moves_a_cell_as_pulses_of_the_same_time() -> None:
    case, device = CASES["yakopcic"], CASES["yakopcic"].device()
    pulsed, held = cells(device, (0.2, 0.7)), cells(device, (0.2, 0.7))
    device.pulse(pulsed, torch.full((1, 2), 20.0, dtype=torch.float64), Stream(0, "write"))
    integrate(device, held, lambda time: case.up, case.width, 20)
    torch.testing.assert_close(held.variables["state"], pulsed.variables["state"], rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["ion drift, joglekar", "ion drift, biolek"])
def test_halving_the_step_divides_the_error_by_four(name: str) -> None:
    device = CASES[name].device()
    rate = 40 / device.crossing_time()
    amplitude = CASES[name].up
    ends = []
    for steps in (80, 160, 320):
        state = cells(device, (0.25,))
        for step in range(steps):
            voltage = amplitude * ((step + 0.5) / steps) ** 2
            device.advance(state, torch.tensor(voltage, dtype=torch.float64), 20 / rate / steps)
        ends.append(state.variables["state"].item())
    assert (ends[0] - ends[1]) / (ends[1] - ends[2]) == pytest.approx(4.0, rel=0.1)


def test_chips_are_fabricated_on_their_own() -> None:
    device = load_card("yakopcic_example").device()
    both, one = (hysteresis(device, 0.3, 70.0, periods=1, steps=50, chips=chips) for chips in (2, 1))
    assert both.state.shape == (51, 2)
    torch.testing.assert_close(both.state[:, :1], one.state, rtol=1e-2, atol=0)
    assert (both.state[-1, 0] - both.state[-1, 1]).abs() > 1e-4


@pytest.mark.parametrize(
    ("card", "changes", "said"),
    [
        ("reram_sb", {}, "needs a bare model with a state equation"),
        ("stanford_pku_hfox", {"amplitude": 3.0}, "the largest valid voltage is 1.991 V"),
        ("vteam_example", {"amplitude": 0.0}, "amplitude: 0 is out of range; allowed: above 0"),
        ("vteam_example", {"frequency": -1.0}, "frequency: -1 is out of range"),
        ("vteam_example", {"steps": 3}, "steps: 3 is out of range; allowed: at least 20"),
    ],
)
def test_what_cannot_be_simulated_is_refused(card: str, changes: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said.replace(".", r"\.")):
        hysteresis(load_card(card).device(), **{"amplitude": 0.1, "frequency": 1.0, **changes})  # type: ignore[arg-type]
