"""What all pulsed devices do: one vectorised pass equals pulse after pulse, within bounds, and only where there are pulses."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from analogdp.devices import DeviceState, PulsedDevice
from analogdp.devices.steps import ConstantStep, LinearStep, SoftBounds
from analogdp.streams import Stream

CELLS = (1, 100, 100)
MODELS: dict[str, tuple[type[PulsedDevice], dict[str, Any]]] = {
    "constant": (ConstantStep, {"step": 0.0005, "cycle_noise": 0.6}),
    "linear": (LinearStep, {"step": 0.001, "cycle_noise": 1.0, "slope_up": 0.4, "slope_down": 0.7}),
    "linear additive": (
        LinearStep,
        {"step": 0.001, "cycle_noise": 0.5, "cycle_noise_form": "additive", "slope_up": 0.4, "slope_down": 0.7},
    ),
    "soft bounds": (SoftBounds, {"step": 0.05, "cycle_noise": 0.4}),
    "soft bounds additive": (SoftBounds, {"step": 0.002, "cycle_noise": 3.75, "cycle_noise_form": "additive"}),
    "huge steps": (SoftBounds, {"step": 0.6, "cycle_noise": 0.2}),
}

AT_A_BOUND: list[tuple[str, dict[str, Any], float, float]] = [
    ("constant", {"cycle_noise": 0.3}, 0.03, 0.03),
    ("constant", {"cycle_noise": 0.6}, 0.03, 0.03),
    ("constant", {"cycle_noise": 2.0}, 0.11, 0.11),
    ("linear", {"step": 2.8e-4, "cycle_noise": 2.0}, 0.11, 0.11),
    ("linear", {"step": 0.002, "cycle_noise": 2.0}, 0.11, 0.4),
    ("linear additive", {"step": 0.002}, 0.11, 0.11),
    ("linear additive", {"step": 0.002, "slope_up": 1.0, "slope_down": 1.0}, 0.11, 0.5),
    ("soft bounds", {"step": 0.02}, 0.02, 0.02),
    ("soft bounds additive", {}, 1.1, 1.4),
]
"""Models, and how far in steps mean and spread may be from the loop at a bound: up to 30 pulses and with 300."""


def device(name: str, **changes: Any) -> PulsedDevice:
    model, parameters = MODELS[name]
    return model.build(model.Settings.model_validate(parameters | changes), 40e-6, 90e-6)


def stream(name: str, dtype: torch.dtype = torch.float64) -> Stream:
    return Stream(11, name, dtype=dtype)


def cells(model: PulsedDevice, weight: float, dtype: torch.dtype = torch.float64) -> DeviceState:
    state = model.sample(CELLS, stream("fabrication", dtype))
    for variable in state.variables.values():
        variable.fill_(weight)
    return state


def pulse_by_pulse(model: PulsedDevice, state: DeviceState, direction: int, pulses: int) -> Tensor:
    """The stored weights after ``pulses`` single pulses, each stopped at the bounds: an independent loop."""
    own, noise = state.parameters, model.parameters.cycle_noise
    weight = state.variables["stored"].clone()
    step = own["step_up"] if direction > 0 else own["step_down"]
    slope = model.slope(own, torch.full_like(weight, float(direction > 0)))
    for number in range(pulses):
        xi = stream("loop").at(direction, number).normal(CELLS)
        distance = 1.0 if slope is None else 1 - slope * weight
        change = distance + noise * xi if model.additive else distance * (1 + noise * xi)
        weight = torch.minimum(torch.maximum(weight + step * change, own["lower"]), own["upper"])
    return weight


def assert_alike(ours: Tensor, loop: Tensor, std_tolerance: float) -> None:
    """Equal means within five standard errors of their difference, and equal spreads."""
    error = math.sqrt((ours.var() + loop.var()).item() / ours.numel())
    assert ours.mean().item() == pytest.approx(loop.mean().item(), abs=5 * error + 1e-9)
    assert ours.std().item() == pytest.approx(loop.std().item(), rel=std_tolerance, abs=1e-9)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("pulses", [1, 3, 50, 1000])
@pytest.mark.parametrize("name", MODELS)
def test_many_pulses_at_once_have_the_mean_and_spread_of_the_loop(name: str, pulses: int, direction: int) -> None:
    model = device(name)
    state = cells(model, 0.1)
    loop = pulse_by_pulse(model, state, direction, pulses)
    count = torch.full((1, *CELLS), float(direction * pulses), dtype=torch.float64)
    model.pulse(state, count, stream("write"))
    # Spreads come with a standard error of 1 %; distributions cut by a bound are less exact.
    assert_alike(state.variables["stored"], loop, 0.05 if name != "huge steps" else 1.0)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("below", [0, 5, 50])
@pytest.mark.parametrize("pulses", [3, 30, 300])
@pytest.mark.parametrize(("name", "changes", "error", "late_error"), AT_A_BOUND)
def test_pulses_towards_a_bound_leave_the_scatter_of_the_loop(
    name: str, changes: dict[str, Any], error: float, late_error: float, pulses: int, below: int, direction: int
) -> None:
    model = device(name, **changes)
    step = model.parameters.nominal_step
    state = cells(model, direction * (1 - below * step))
    loop = pulse_by_pulse(model, state, direction, pulses) / step
    model.pulse(state, torch.full((1, *CELLS), float(direction * pulses), dtype=torch.float64), stream("write"))
    ours = state.variables["stored"] / step
    allowed = late_error if pulses == 300 else error
    # Five standard errors of what the samples themselves scatter come on top.
    chance = 5 * math.sqrt((ours.var() + loop.var()).item() / ours.numel())
    assert ours.mean().item() == pytest.approx(loop.mean().item(), abs=allowed + chance)
    assert ours.std().item() == pytest.approx(loop.std().item(), abs=allowed + chance)


def test_a_noisy_cell_pulsed_off_its_bound_leaves_it_as_in_the_loop() -> None:
    model = device("linear", cycle_noise=4.0)
    state = cells(model, -1.0)
    loop = pulse_by_pulse(model, state, 1, 30) / 0.001
    model.pulse(state, torch.full((1, *CELLS), 30.0, dtype=torch.float64), stream("write"))
    assert (state.variables["stored"] / 0.001).mean().item() == pytest.approx(loop.mean().item(), rel=0.01)


@pytest.mark.parametrize("pulses", [1, 3, 50, 300])
def test_cells_shaken_at_their_bound_drift_off_it_as_in_the_loop(pulses: int) -> None:
    model = device("soft bounds additive")
    state = cells(model, 1.0)
    loop = pulse_by_pulse(model, state, 1, pulses)
    model.pulse(state, torch.full((1, *CELLS), float(pulses), dtype=torch.float64), stream("write"))
    ours = state.variables["stored"]
    assert (1 - ours.mean()).item() == pytest.approx((1 - loop.mean()).item(), rel=0.08)


def test_one_pulse_has_the_distribution_of_one_pulse() -> None:
    model = device("soft bounds", step_spread=0.2, upper_spread=0.1)
    state = cells(model, 0.3)
    own = state.parameters
    xi = stream("write").child("cycle").normal(CELLS)
    want = 0.3 + own["step_up"] * (1 - 0.3 / own["upper"]) * (1 + 0.4 * xi)
    model.pulse(state, torch.ones(1, *CELLS, dtype=torch.float64), stream("write"))
    torch.testing.assert_close(state.variables["stored"], torch.minimum(want, own["upper"]))


@pytest.mark.parametrize("name", MODELS)
def test_cells_without_pulses_keep_their_bits(name: str) -> None:
    model = device(name, step_spread=0.3, upper_spread=0.2, lower_spread=0.2, write_noise=3.0)
    state = cells(model, 0.0, torch.float32)
    model.pulse(state, torch.full((1, *CELLS), 7.0), stream("first", torch.float32))
    before = {key: tensor.clone() for key, tensor in state.variables.items()}
    count = torch.zeros(1, *CELLS)
    count[..., ::2] = -3.0
    model.pulse(state, count, stream("second", torch.float32))
    for key, tensor in state.variables.items():
        assert torch.equal(tensor[..., 1::2], before[key][..., 1::2])
        assert (tensor[..., ::2] != before[key][..., ::2]).double().mean() > 0.9


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [1e6, -1e6, 2.0])
def test_no_cell_leaves_its_own_bounds_or_falls_below_zero_conductance(name: str, count: float) -> None:
    model = device(name, step_spread=0.5, upper_spread=0.4, lower_spread=0.6, write_noise=5.0)
    state = cells(model, 0.0, torch.float32)
    model.pulse(state, torch.full((1, *CELLS), count), stream("write", torch.float32))
    stored, own = state.variables["stored"], state.parameters
    assert ((stored >= own["lower"]) & (stored <= own["upper"])).all()
    assert model.conductance(state).min().item() >= 0.0


def test_conductance_is_linear_in_the_nominal_range() -> None:
    model = device("constant", upper=1.25, lower=-0.75)
    state = cells(model, 1.25)
    assert model.conductance(state).mean().item() == pytest.approx(90e-6)
    state.variables["stored"].fill_(-0.75)
    assert model.conductance(state).mean().item() == pytest.approx(40e-6)
    assert model.zero == pytest.approx(40e-6 + 0.75 * 25e-6)
    assert model.increment == pytest.approx(0.0005 * 25e-6)


def test_programming_reaches_what_a_device_can_hold_and_its_bound_otherwise() -> None:
    model = device("constant", upper_spread=0.3)
    state = cells(model, 0.0)
    model.program(state, torch.full((1, *CELLS), 90e-6, dtype=torch.float64), stream("program"))
    want = state.parameters["upper"].clamp(max=1.0)
    torch.testing.assert_close(state.variables["stored"], want)


def test_write_noise_shows_beside_the_stored_weight_with_its_nominal_spread() -> None:
    model = device("constant", write_noise=56.0)
    state = cells(model, 0.0)
    model.pulse(state, torch.ones(1, *CELLS, dtype=torch.float64), stream("write"))
    shown = state.variables["visible"] - state.variables["stored"]
    count = shown.numel()
    assert shown.mean().item() == pytest.approx(0.0, abs=5 * 0.028 / math.sqrt(count))
    assert shown.std().item() == pytest.approx(0.028, rel=5 / math.sqrt(2 * count))


@pytest.mark.parametrize(
    ("name", "changes"),
    [("soft bounds additive", {"write_noise": 2.0}), ("constant", {"step": 0.05, "cycle_noise": 2.0})],
)
def test_a_chip_written_alone_ends_with_the_same_bits(name: str, changes: dict[str, Any]) -> None:
    model = device(name, step_spread=0.3, upper_spread=0.2, **changes)
    results = []
    for chips in ((4,), (1, 4, 9)):
        own = Stream(5, "cells", chips)
        state = model.sample(CELLS, own)
        model.pulse(state, torch.full((len(chips), *CELLS), 15.0), own.at(1))
        results.append(model.conductance(state)[chips.index(4)])
    assert torch.equal(*results)


def test_a_chip_of_few_writes_does_not_depend_on_its_neighbours() -> None:
    model = device("constant", step_spread=0.3, write_noise=2.0)
    results = []
    for chips in ((4,), (1, 4, 9)):
        own = Stream(5, "cells", chips)
        state, count = model.sample(CELLS, own), torch.full((len(chips), *CELLS), 2.0)
        count[chips.index(4)] = 0.0
        count[chips.index(4), ..., ::20] = -3.0
        before = model.conductance(state)
        model.pulse(state, count, own.at(1))
        assert torch.equal(model.conductance(state)[count == 0], before[count == 0])
        results.append(model.conductance(state)[chips.index(4)])
    assert torch.equal(*results)


@pytest.mark.parametrize("name", MODELS)
def test_few_written_cells_move_like_many(name: str) -> None:
    model = device(name)
    sparse, dense = cells(model, 0.1), cells(model, 0.1)
    count = torch.zeros(1, *CELLS, dtype=torch.float64)
    count[..., ::20] = 7.0
    model.pulse(sparse, count, stream("write"))
    model.pulse(dense, torch.full_like(count, 7.0), stream("write"))
    few, all_cells = sparse.variables["stored"][..., ::20], dense.variables["stored"]
    error = 5 * all_cells.std().item()
    assert few.mean().item() == pytest.approx(all_cells.mean().item(), abs=error / math.sqrt(few.numel()) + 1e-9)
    assert few.std().item() == pytest.approx(all_cells.std().item(), rel=5 / math.sqrt(2 * few.numel()))
