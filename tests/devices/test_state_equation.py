"""What all models with a state equation do, against scipy's integration of their published equations."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate as scipy_integrate
from scipy import stats

from analogdp.devices import DeviceCard, load_card
from analogdp.devices.hysteresis import integrate
from analogdp.errors import InputError, ScenarioError
from analogdp.streams import Stream
from tests.devices.equations import CASES, Case, cells

STREAM = Stream(5, "write", dtype=torch.float64)
SHARES = (0.1, 0.3, 0.6, 0.9)
QUIET = [name for name in CASES if "none" not in name]
SHAPES = {
    "rectangular": lambda phase: 1.0,
    "triangular": lambda phase: 1 - abs(2 * phase - 1),
    "sine": lambda phase: np.sin(np.pi * phase),
}


def counts(*values: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor([values], dtype=dtype)


def follow(case: Case, start: float, voltage: Any, pieces: Any, bounds: tuple[float, float]) -> float:
    """The state at the last of the times, by scipy piece by piece, clamped at the bounds."""
    x, span = start, bounds[1] - bounds[0]
    for begin, end in pairwise(pieces):
        solved = scipy_integrate.solve_ivp(
            lambda s, u, begin=begin, end=end: [
                (end - begin)
                * case.flow(np.clip(bounds[0] + span * u[0], *bounds), voltage(begin + s * (end - begin)))
                / span
            ],
            (0, 1),
            [(x - bounds[0]) / span],
            method="LSODA",
            rtol=1e-9,
            atol=1e-11,
        )
        x = float(np.clip(bounds[0] + span * solved.y[0, -1], *bounds))
    return x


@pytest.mark.parametrize("name", CASES)
def test_pulses_move_the_state_as_scipy_says(name: str) -> None:
    """Five pulses up, then three down: within 2e-6 of the range."""
    case, device = CASES[name], CASES[name].device()
    state, times = cells(device, SHARES), [0, 5 * case.width, 8 * case.width]
    expected = [
        follow(case, x, lambda t: case.up if t < times[1] else case.down, times, device.bounds)
        for x in state.variables["state"][0].tolist()
    ]
    device.pulse(state, counts(5.0, 5.0, 5.0, 5.0), STREAM)
    device.pulse(state, counts(-3.0, -3.0, -3.0, -3.0), STREAM)
    error = (state.variables["state"][0] - torch.tensor(expected, dtype=torch.float64)).abs().max()
    assert error.item() < 2e-6 * (device.highest - device.lowest)


@pytest.mark.parametrize("shape", ["triangular", "sine"])
@pytest.mark.parametrize("name", ["ion drift, biolek", "vteam", "yakopcic", "stanford"])
def test_shaped_pulses_move_the_state_as_scipy_says(name: str, shape: str) -> None:
    """One pulse up: within 0.2 % of what it moves, and 2e-7 of the range."""
    case, device = CASES[name], CASES[name].device(shape)
    state = cells(device, SHARES)
    start = state.variables["state"][0].clone()
    wave, width = SHAPES[shape], case.width
    expected = torch.tensor(
        [
            follow(case, x, lambda t: case.up * wave(t / width), np.linspace(0, width, 21), device.bounds)
            for x in start.tolist()
        ],
        dtype=torch.float64,
    )
    device.pulse(state, counts(1.0, 1.0, 1.0, 1.0), STREAM)
    error = (state.variables["state"][0] - expected).abs()
    assert (error < 2e-3 * (expected - start).abs() + 2e-7 * (device.highest - device.lowest)).all()


@pytest.mark.parametrize("name", QUIET)
def test_a_state_follows_a_sine_as_scipy_says(name: str) -> None:
    """A period in which the state moves by much of its range: within 1e-3 of the range with 1000 steps."""
    case, device = CASES[name], CASES[name].device()
    # A state that comes so near to a point of rest that it rounds to it stays there: a shorter period keeps it off.
    stays = case.parameters.get("window") in ("joglekar", "prodromakis")
    period, amplitude = (1 if stays else 3) * device.crossing_time(), min(abs(case.up), abs(case.down))
    state = cells(device, (0.5,))

    def voltage(time: float) -> float:
        return amplitude * np.sin(2 * np.pi * time / period)

    track = integrate(device, state, voltage, period / 1000, 1000)[:, 0, 0]
    times = np.linspace(0, period, 21)
    x, expected = float(track[0]), [float(track[0])]
    for begin, end in pairwise(times):
        x = follow(case, x, voltage, np.linspace(begin, end, 3), device.bounds)
        expected.append(x)
    span = device.highest - device.lowest
    error = (track[::50] - torch.tensor(expected, dtype=torch.float64)).abs().max().item() / span
    moved = (track.max() - track.min()).item() / span
    assert moved > 0.05
    assert error < 1e-3


@pytest.mark.parametrize("name", CASES)
def test_a_programmed_conductance_is_read_back(name: str) -> None:
    case, device = CASES[name], CASES[name].device()
    wanted = torch.linspace(case.low, case.high, 9, dtype=torch.float64).unsqueeze(0)
    state = device.sample((9,), STREAM)
    device.program(state, wanted, STREAM)
    torch.testing.assert_close(device.conductance(state), wanted, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", CASES)
def test_a_conductance_beyond_a_cells_bounds_becomes_the_bound(name: str) -> None:
    device = CASES[name].device(bound_spread=0.05)
    state = device.sample((2,), STREAM)
    device.program(state, counts(0.0, 1.0), STREAM)
    ends = torch.stack((state.parameters["lower"], state.parameters["upper"]))
    assert ((state.variables["state"] == ends).sum(0) == 1).all()
    assert torch.isfinite(device.conductance(state)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_fractions_of_a_pulse_add_up(name: str, dtype: torch.dtype) -> None:
    device = CASES[name].device("triangular")
    whole, halves = cells(device, SHARES, dtype), cells(device, SHARES, dtype)
    device.pulse(whole, counts(1.0, -1.0, 30.0, -30.0, dtype=dtype), STREAM)
    for _ in range(2):
        device.pulse(halves, counts(0.5, -0.5, 15.0, -15.0, dtype=dtype), STREAM)
    error = (whole.variables["state"] - halves.variables["state"]).abs().max() / (device.highest - device.lowest)
    assert error.item() < (1e-12 if dtype == torch.float64 else 3e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_cells_without_a_pulse_keep_their_bits(name: str, dtype: torch.dtype) -> None:
    device = CASES[name].device(cycle_noise=0.3)
    state = cells(device, SHARES, dtype)
    before = state.variables["state"].clone()
    device.pulse(state, counts(0.0, 1.0, 0.0, -1.0, dtype=dtype), STREAM)
    assert (state.variables["state"] == before).tolist() == [[True, False, True, False]]
    assert state.variables["state"].dtype == dtype


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith(("joglekar", "prodromakis"))])
def test_a_cell_driven_to_its_bound_leaves_at_once_when_reversed(name: str) -> None:
    """Many pulses into the bound cost none on the way back, which begins as from the bound itself."""
    device = CASES[name].device()
    driven, placed = cells(device, (0.5,)), cells(device, (0.5,))
    device.pulse(driven, counts(1e6), STREAM)
    device.program(placed, counts(1.0), STREAM)
    before = device.conductance(driven)
    for state in (driven, placed):
        device.pulse(state, counts(-3.0), STREAM)
    assert (device.conductance(driven) < before).all()
    torch.testing.assert_close(driven.variables["state"], placed.variables["state"], rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", CASES)
def test_pulses_up_raise_and_pulses_down_lower_the_conductance(name: str) -> None:
    device = CASES[name].device()
    state = cells(device, (0.5, 0.5))
    before = device.conductance(state)
    device.pulse(state, counts(1.0, -1.0), STREAM)
    change = (device.conductance(state) - before)[0]
    assert change[0] > 0 > change[1]


@pytest.mark.parametrize("name", CASES)
def test_the_increment_is_what_a_pulse_does_at_mid_range(name: str) -> None:
    device = CASES[name].device()
    state = device.sample((2,), STREAM)
    torch.testing.assert_close(device.conductance(state), torch.full((1, 2), device.zero, dtype=torch.float64))
    before = device.conductance(state)
    device.pulse(state, counts(1.0, -1.0), STREAM)
    change = (device.conductance(state) - before)[0]
    assert device.increment == pytest.approx((change[0] - change[1]).item() / 2, rel=1e-6)


def test_cycle_noise_has_the_mean_and_spread_of_single_pulses() -> None:
    """VTEAM's state moves in proportion to the exposure; 40000 cells, intervals of five standard errors."""
    device = CASES["vteam, exponential"].device(cycle_noise=0.3)
    for pulses in (1.0, 4.0):
        state = cells(device, [0.9] * 40000)
        before = state.variables["state"].clone()
        device.pulse(state, torch.full_like(before, pulses), STREAM)
        moved = (before - state.variables["state"]) / 3e-9
        mean, spread = pulses * 0.01, 0.3 * 0.01 * pulses**0.5
        assert moved.mean().item() == pytest.approx(mean, abs=5 * spread / 200)
        assert moved.std().item() == pytest.approx(spread, rel=0.05)


@pytest.mark.parametrize(("parameter", "quantity"), [("rate_spread", "rate"), ("threshold_spread", "threshold")])
def test_devices_differ_by_a_lognormal_rate_and_threshold(parameter: str, quantity: str) -> None:
    device = CASES["yakopcic"].device(**{parameter: 0.2})
    drawn = device.sample((20000,), STREAM).parameters[quantity].log()[0].numpy()
    assert stats.kstest(drawn, stats.norm(0, 0.2).cdf).pvalue > 0.01


def test_devices_lack_a_half_normal_part_of_the_range_at_each_end() -> None:
    device = CASES["stanford"].device(bound_spread=0.1)
    parameters = device.sample((20000,), STREAM).parameters
    span = 1.5e-9
    for missing in (parameters["lower"] - 0.2e-9, 1.7e-9 - parameters["upper"]):
        assert stats.kstest((missing[0] / span).numpy(), stats.halfnorm(0, 0.1).cdf).pvalue > 0.01


@pytest.mark.parametrize("name", ["vteam", "yakopcic"])
def test_a_pulse_on_devices_with_own_thresholds_is_that_of_the_equation(name: str) -> None:
    case, device = CASES[name], CASES[name].device(threshold_spread=0.02, rate_spread=0.1)
    state = cells(device, [0.5] * 20)
    own = {key: value[0].tolist() for key, value in state.parameters.items()}
    start = state.variables["state"][0].tolist()
    device.pulse(state, torch.ones_like(state.variables["state"]), STREAM)
    thresholds = ("v_on", "v_off", "v_p", "v_n")
    for cell, x in enumerate(start):
        scaled = {key: value * own["threshold"][cell] for key, value in case.parameters.items() if key in thresholds}
        mine = Case(case.model, case.parameters | scaled, 0, 0, case.up, case.down, case.width)
        width = case.width * own["rate"][cell]
        end = follow(mine, x, lambda t: case.up, [0, width], device.bounds)
        assert state.variables["state"][0, cell].item() == pytest.approx(end, abs=1e-6 * device.highest)


@pytest.mark.parametrize("name", ["vteam", "stanford"])
def test_each_device_flows_at_its_own_rate_and_within_its_own_bounds(name: str) -> None:
    case, device = CASES[name], CASES[name].device(rate_spread=0.3, bound_spread=0.1)
    state = cells(device, [0.5] * 50)
    x, up = state.variables["state"].clone(), torch.tensor(case.up, dtype=torch.float64)
    nominal = [case.flow(each, case.up) for each in x[0].tolist()]
    torch.testing.assert_close(device.flow(state, up)[0] / state.parameters["rate"][0], counts(*nominal)[0])
    for voltage, bound in ((case.up, "lower"), (case.down, "upper")):
        for _ in range(20):
            device.advance(state, torch.tensor(voltage, dtype=torch.float64), 1e6 * case.width)
        assert torch.equal(state.variables["state"], state.parameters[bound])


def test_a_device_does_not_depend_on_which_others_are_simulated() -> None:
    device = CASES["stanford"].device(rate_spread=0.2, cycle_noise=0.2, gap_noise=0.02)
    both, alone = Stream(9, "x", (0, 1), dtype=torch.float64), Stream(9, "x", (1,), dtype=torch.float64)
    ends = []
    for stream in (both, alone):
        state = device.sample((5,), stream)
        device.pulse(state, torch.full_like(state.variables["state"], 2.0), stream.child("write"))
        ends.append(state.variables["state"][-1])
    assert torch.equal(*ends)


def test_a_change_of_conductance_from_outside_is_read_back() -> None:
    device = CASES["stanford"].device()
    state = cells(device, SHARES)
    before = device.conductance(state)
    device.transform(state, lambda g: 0.5 * g)
    torch.testing.assert_close(device.conductance(state), 0.5 * before)


@pytest.mark.parametrize("scheme", ["half", "third"])
def test_a_part_of_the_voltage_disturbs_as_the_flow_says(scheme: str) -> None:
    case = CASES["ion drift, biolek"]
    share = {"half": 1 / 2, "third": 1 / 3}[scheme]
    assert case.device().disturbance(scheme) == pytest.approx((share, share))
    assert CASES["yakopcic"].device().disturbance(scheme) == (0.0, 0.0)


def card(model: str, **changes: Any) -> DeviceCard:
    name = {"ion_drift": "ion_drift_tio2", "stanford_pku": "stanford_pku_hfox"}.get(model, f"{model}_example")
    return load_card(name, changes)


@pytest.mark.parametrize(
    ("model", "changes", "said"),
    [
        ("ion_drift", {"write_pulse": None}, "write_pulse: is required by a model with a state equation"),
        ("ion_drift", {"r_on": "20 kohm"}, "r_off: 16000 ohm is not above r_on, 20000 ohm"),
        ("ion_drift", {"thickness": 10}, "thickness: 10 is out of range; allowed: above 0, at most 1e-06"),
        ("ion_drift", {"thickness": "10 V"}, "thickness: '10 V' is not a length"),
        ("ion_drift", {"high": "0.1 S"}, "high: 0.1 S is out of range; allowed: 6.25e-05 S to 0.01 S"),
        ("ion_drift", {"window": "jogleker"}, "did you mean 'joglekar'"),
        ("vteam", {"v_on": "0.2 V"}, "v_on: '0.2 V' is out of range; allowed: at least -100, below 0"),
        ("vteam", {"v_off": "-0.2 V"}, "v_off: '-0.2 V' is out of range; allowed: above 0"),
        ("vteam", {"x_on": "5 nm"}, "x_off: 3e-09 m is not above x_on, 5e-09 m"),
        ("vteam", {"k_on": 10}, "k_on: 10 is out of range; allowed: at least -1e+09, below 0"),
        ("yakopcic", {"v_n": "-0.15 V"}, "v_n: '-0.15 V' is out of range; allowed: above 0"),
        ("yakopcic", {"x_p": 1.5}, "x_p: 1.5 is out of range; allowed: at least 0, below 1"),
        ("ion_drift", {"threshold_spread": "1 %"}, "threshold_spread: 0.01: this model has no threshold voltages"),
        ("stanford_pku", {"threshold_spread": 0.1}, "threshold_spread: 0.1: this model has no threshold voltages"),
        ("stanford_pku", {"gap_min": "2 nm"}, "gap_max: 1.7e-09 m is not above gap_min, 2e-09 m"),
    ],
)
def test_a_bad_parameter_is_told_with_its_range(model: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        card(model, **changes)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("pulse", "said"),
    [
        (
            {"up": -0.3, "down": -0.3},
            "write_pulse.up: -0.3 V does not raise the conductance at mid-range; change its sign",
        ),
        ({"up": 0.3, "down": -0.1}, "write_pulse.down: -0.1 V does nothing to the conductance at mid-range"),
        (
            {"up": 90.0, "down": -0.3},
            "write_pulse.up: 90 V is beyond what the model's equations are for; the largest valid",
        ),
    ],
)
def test_a_write_pulse_that_does_not_write_is_refused(pulse: dict[str, float], said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        card("yakopcic", write_pulse={**pulse, "width": 20e-6})
    assert said in str(caught.value)


def test_a_model_built_without_a_write_pulse_says_what_is_missing() -> None:
    device = CASES["vteam"].device()
    with pytest.raises(InputError, match="write_pulse: is required"):
        type(device).build(device.parameters, 1e-3, 20e-3)


def test_counts_that_are_hardly_numbers_move_nothing() -> None:
    device, stream = load_card("vteam_example").device(), Stream(0, "tiny")
    state = device.sample((1, 20, 20), stream)
    before = state.variables["state"].clone()
    for count in (1e-45, 1e-38, 1e-30):
        device.pulse(state, torch.full_like(before, count), stream)
    torch.testing.assert_close(state.variables["state"], before, rtol=1e-6, atol=0)


def test_a_count_that_is_no_number_makes_the_state_none() -> None:
    device, stream = load_card("vteam_example").device(), Stream(0, "nan")
    state = device.sample((1, 2, 2), stream)
    for _ in range(2):
        device.pulse(state, torch.full((1, 1, 2, 2), torch.nan), stream)
    assert state.variables["state"].isnan().all()
