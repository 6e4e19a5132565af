"""Devices with imperfections: trajectories in time, writes that restart them, faults that nothing moves, and wear."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from analogdp import library
from analogdp.devices import DeviceModel, DeviceState, ImperfectDevice, load_card
from analogdp.streams import Stream
from analogdp.synapses import Crossbar
from analogdp.synapses.base import LocalUpdate
from analogdp.synapses.settings import CrossbarSettings

DAY, HOUR = 86400.0, 3600.0
CELLS = (1, 100, 100)
MANY = (1, 250, 400)
AGING = {
    "drift": ("pcm_joshi", {}),
    "relaxation": ("rram_wan", {}),
    "retention": ("reram_sb", {"retention": {"lifetime": "1 day", "lifetime_spread": 0.5, "stretch": 0.6}}),
    "pulsed drift": ("ecram_li", {"drift": {"full_scale": "100 uS"}}),
    "several": (
        "rram_milo",
        {"drift": {}, "retention": {"lifetime": 1e6, "level": "60 uS"}, "programming_error": None},
    ),
}


def stream(name: str, dtype: torch.dtype = torch.float64) -> Stream:
    return Stream(17, name, dtype=dtype)


def device(card: str, **changes: Any) -> DeviceModel:
    return load_card(card, changes).device()


def cells(
    model: DeviceModel, share: float | None = None, shape: tuple[int, ...] = CELLS, dtype: torch.dtype = torch.float64
) -> DeviceState:
    """Cells that were programmed to one share of the range, or all over it."""
    state = model.sample(shape, stream("fabrication", dtype))
    shares = stream("wanted", dtype).uniform(shape) if share is None else torch.full((1, *shape), share, dtype=dtype)
    model.program(state, model.low + (model.high - model.low) * shares, stream("programming", dtype))
    return state


def bits(state: DeviceState) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in (state.variables | state.parameters).items()}


def half_of_the_cells(state: DeviceState) -> Tensor:
    """Pulse counts of 2 for every other cell and of 0 for the rest."""
    count = torch.zeros_like(next(iter(state.variables.values())))
    count[..., ::2] = 2
    return count


@pytest.mark.parametrize("name", AGING)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_time_is_a_trajectory_whatever_times_are_looked_at(name: str, dtype: torch.dtype) -> None:
    card, changes = AGING[name]
    model = device(card, **changes)
    at_once, in_steps = cells(model, dtype=dtype), cells(model, dtype=dtype)
    model.relax(at_once, DAY, stream("time"))
    for elapsed in (HOUR, 0.25 * HOUR, 22.75 * HOUR):
        model.relax(in_steps, elapsed, stream("other time"))
        model.conductance(in_steps)
    assert torch.equal(model.conductance(at_once), model.conductance(in_steps))
    assert not torch.equal(model.conductance(at_once), model.conductance(cells(model, dtype=dtype)))


def test_a_year_grows_by_microseconds() -> None:
    model = device("pcm_joshi")
    state = cells(model, dtype=torch.float32)
    model.relax(state, 3e7, stream("time"))
    for _ in range(1000):
        model.relax(state, 1e-5, stream("time"))
    assert state.variables["age"].max().item() == pytest.approx(3e7 + 0.01, abs=1e-4)


def test_chips_age_by_times_of_their_own() -> None:
    model = device("pcm_joshi")
    state = model.sample(CELLS, Stream(1, "cells", chips=(0, 1)))
    model.relax(state, torch.tensor([0.0, DAY]), stream("time"))
    assert state.variables["age"].amax((1, 2, 3)).tolist() == [0.0, DAY]


@pytest.mark.parametrize("card", ["pcm_joshi", "rram_wan"])
def test_a_chips_trajectory_does_not_depend_on_its_neighbours(card: str) -> None:
    model, found = device(card, faults={"stuck_on": 0.1}), []
    for chips in ((0, 1, 2), (1,)):
        own = Stream(3, "chips", chips=chips)
        state = model.sample(CELLS, own)
        model.program(state, torch.full((len(chips), *CELLS), 10e-6), own)
        model.pulse(state, torch.full((len(chips), *CELLS), 5.0), own)
        model.relax(state, HOUR, own)
        found.append(model.conductance(state)[chips.index(1)])
    assert torch.equal(*found)


@pytest.mark.parametrize("name", AGING)
def test_a_write_restarts_the_clock_of_the_written_cells_only(name: str) -> None:
    card, changes = AGING[name]
    model = device(card, **changes)
    state = cells(model)
    model.relax(state, DAY, stream("time"))
    before, shown = bits(state), model.conductance(state)
    model.pulse(state, half_of_the_cells(state), stream("write"))
    for key, value in (state.variables | state.parameters).items():
        assert torch.equal(value[..., 1::2], before[key][..., 1::2]), key
    assert torch.equal(model.conductance(state)[..., 1::2], shown[..., 1::2])
    assert (state.variables["age"][..., ::2] == 0).all()


def test_a_pulse_starts_from_what_time_has_left() -> None:
    retention = {"lifetime": "1 h", "level": "70 uS"}
    alike = {"cycle_noise": 0, "upper_spread": 0, "lower_spread": 0}
    model, quiet = (device("ecram_li", **alike, **changes) for changes in ({"retention": retention}, {}))
    state = cells(model)
    model.relax(state, HOUR, stream("time"))
    left = model.conductance(state)
    same = quiet.sample(CELLS, stream("fabrication"))
    quiet.program(same, left, stream("programming"))
    for own, cell in ((model, state), (quiet, same)):
        own.pulse(cell, torch.full_like(left, 20.0), stream("write"))
    torch.testing.assert_close(model.conductance(state), quiet.conductance(same), rtol=1e-9, atol=0)


@pytest.mark.parametrize("elapsed", [0.0, HOUR, 1e7])
def test_a_drifting_population_has_the_mean_and_spread_of_its_formula(elapsed: float) -> None:
    model = device("pcm_joshi", programming_error=None)
    state = cells(model, 0.4, MANY)
    model.relax(state, elapsed, stream("time"))
    found = model.conductance(state).flatten().numpy() * 1e6
    mean, std = (
        np.clip(-0.0155 * math.log(0.4) + 0.0244, 0.049, 0.1),
        np.clip(-0.0125 * math.log(0.4) - 0.0059, 0.008, 0.045),
    )
    logs, stretch = np.log(found / 10), math.log((elapsed + 20) / 20)
    assert logs.mean() == pytest.approx(-mean * stretch, abs=4 * std * stretch / math.sqrt(found.size) + 1e-12)
    assert logs.std() == pytest.approx(std * stretch, rel=4 / math.sqrt(2 * found.size), abs=1e-12)


@pytest.mark.parametrize("card", ["pcm_joshi", "rram_milo", "sonos_agrawal"])
def test_programming_and_every_write_after_it_miss_by_the_published_error(card: str) -> None:
    model = device(card, drift=None, flicker_noise=None)
    error = load_card(card).programming_error
    assert error is not None
    state = cells(model, 0.5, MANY)
    first = model.conductance(state)
    model.pulse(state, torch.full_like(first, 100.0), stream("write"))
    second = model.conductance(state)
    span = model.high - model.low
    for found, share in ((first, 0.5), (second, 0.6)):
        target = model.low + share * span
        spread = error.spread(torch.tensor([target], dtype=torch.float64), model.high).item()
        assert stats.kstest(found.flatten().numpy(), stats.norm(target, spread).cdf).pvalue > 0.01
    correlation = np.corrcoef(first.flatten().numpy(), second.flatten().numpy())[0, 1]
    assert abs(correlation) < 4 / math.sqrt(first.numel())


def test_pulses_of_open_loop_cells_have_no_programming_error() -> None:
    error = {"model": "independent", "size": "5 %"}
    with_error, without = device("ecram_li", programming_error=error), device("ecram_li")
    states = [cells(model) for model in (with_error, without)]
    without.program(states[1], with_error.conductance(states[0]), stream("programming"))
    for model, state in zip((with_error, without), states, strict=True):
        model.pulse(state, torch.full((1, *CELLS), 2.0, dtype=torch.float64), stream("write"))
    inside = (states[1].variables["stored"] - states[0].variables["stored"]).abs() < 1e-9
    assert inside.double().mean() > 0.9


def test_every_write_relaxes_anew() -> None:
    model = device("rram_wan")
    state = cells(model, 0.5, MANY)
    before = state.variables["relaxation"].clone()
    model.pulse(state, half_of_the_cells(state), stream("write"))
    after = state.variables["relaxation"]
    assert torch.equal(after[..., 1::2], before[..., 1::2])
    correlation = np.corrcoef(after[..., ::2].flatten().numpy(), before[..., ::2].flatten().numpy())[0, 1]
    assert abs(correlation) < 4 / math.sqrt(after[..., ::2].numel())


def test_reads_have_the_noise_of_the_present_conductance_and_time() -> None:
    model = device("pcm_joshi")
    state = cells(model)
    written = model.conductance(state)
    model.relax(state, HOUR, stream("time"))
    variance = model.read_variance(state)
    assert variance is not None
    q = np.minimum(0.0088 / np.maximum(written.numpy() / 25e-6, 1e-12) ** 0.65, 0.2)
    expected = (model.conductance(state).numpy() * q) ** 2 * math.log((HOUR + 20 + 250e-9) / (2 * 250e-9))
    np.testing.assert_allclose(variance.numpy(), expected, rtol=1e-10)
    assert model.noisy_reads
    assert model.read_time == pytest.approx(250e-9)


def test_two_reads_at_one_time_find_the_same_conductance() -> None:
    model = device("pcm_joshi")
    state = cells(model)
    model.relax(state, HOUR, stream("time"))
    assert torch.equal(model.conductance(state), model.conductance(state))


def write(model: DeviceModel, state: DeviceState) -> None:
    model.pulse(state, torch.full((1, *CELLS), -7.0, dtype=torch.float64), stream("write"))


def program(model: DeviceModel, state: DeviceState) -> None:
    model.program(state, torch.full((1, *CELLS), model.high, dtype=torch.float64), stream("write"))


def reset(model: DeviceModel, state: DeviceState) -> None:
    model.reset(state, torch.ones(1, *CELLS, dtype=torch.bool), stream("write"))


def wait(model: DeviceModel, state: DeviceState) -> None:
    model.relax(state, DAY, stream("time"))


@pytest.mark.parametrize("act", [write, program, reset, wait])
@pytest.mark.parametrize("card", ["reram_sb", "pcm_joshi", "rram_wan"])
def test_nothing_moves_a_stuck_cell(card: str, act: Callable[[DeviceModel, DeviceState], None]) -> None:
    model = device(card, drift={}, faults={"stuck_on": 0.2, "stuck_off": 0.2, "unformed": 0.1})
    state = cells(model)
    stuck = state.parameters["stuck"] >= 0
    before = model.conductance(state)
    act(model, state)
    changed = model.conductance(state) != before
    assert not changed[stuck].any()
    assert changed[~stuck].any()
    assert set(before[stuck].unique().tolist()) == {model.high, model.low, 0.0}


@pytest.mark.parametrize("card", ["rram_milo", "ecram_li"])
def test_the_range_shrinks_as_cells_are_written(card: str) -> None:
    model = device(card, endurance={"cycles": 1000, "exponent": 2}, programming_error=None)
    state = cells(model, 1.0)
    middle = (model.low + model.high) / 2
    fresh = model.conductance(state) - middle
    state.variables["writes"].fill_(1999)
    model.program(state, torch.full((1, *CELLS), 1.0, dtype=torch.float64), stream("write"))
    worn = model.conductance(state) - middle
    bound = state.parameters["upper"].mul(30e-6).add(40e-6 + 0.8276 * 30e-6 - middle) if card == "ecram_li" else fresh
    torch.testing.assert_close(worn, bound / (1 + 2.0**2), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("card", "changes"),
    [("rram_milo", {"programming_error": None}), ("reram_sb", {"write_noise": 0, "upper_spread": 0})],
)
def test_worn_cells_still_reach_what_is_within_their_window(card: str, changes: dict[str, Any]) -> None:
    model = device(card, endurance={"cycles": 100}, **changes)
    state = cells(model)
    state.variables["writes"].fill_(50)
    target = torch.full((1, *CELLS), 0.45 * model.low + 0.55 * model.high, dtype=torch.float64)
    model.program(state, target, stream("write"))
    torch.testing.assert_close(model.conductance(state), target, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("card", "writes"), [("reram_sb", 7), ("rram_milo", 1)])
def test_pulses_are_counted_and_a_closed_loop_write_is_one(card: str, writes: int) -> None:
    model = device(card, endurance={"cycles": 1e6})
    state = cells(model)
    write(model, state)
    assert (state.variables["writes"] == 1 + writes).all()


def test_endless_endurance_changes_no_cell() -> None:
    found = []
    for changes in ({}, {"endurance": {"cycles": 1e18}}):
        model = device("reram_sb", **changes)
        state = cells(model)
        write(model, state)
        found.append(model.conductance(state))
    torch.testing.assert_close(*found, rtol=1e-12, atol=0)


def test_a_reset_cell_starts_anew() -> None:
    model = device("pcm_joshi", programming_error=None)
    state = cells(model)
    model.relax(state, DAY, stream("time"))
    chosen = half_of_the_cells(state) > 0
    before = model.conductance(state)
    model.reset(state, chosen, stream("reset"))
    after = model.conductance(state)
    assert torch.equal(after[~chosen], before[~chosen])
    assert (after[chosen] == 0).all()
    assert (state.variables["age"][chosen] == 0).all()


@pytest.mark.parametrize("card", ["ecram_li", "pcm_joshi"])
def test_a_programmed_cell_starts_anew(card: str) -> None:
    model = device(card, drift={}, programming_error=None)
    state = cells(model)
    model.relax(state, DAY, stream("time"))
    wanted = torch.full((1, *CELLS), 0.5 * (model.low + model.high), dtype=torch.float64)
    model.program(state, wanted, stream("again"))
    torch.testing.assert_close(model.conductance(state), wanted, rtol=1e-9, atol=0)


def test_a_pulse_moves_a_worn_and_aged_cell_by_one_worn_step() -> None:
    alike = {f"{name}_spread": 0 for name in ("step", "asymmetry", "upper", "lower", "slope_up", "slope_down")}
    drift = {"exponent": 0.02, "exponent_spread": 0.0}
    model = device("ecram_li", drift=drift, endurance={"cycles": 1e6}, cycle_noise=0, **alike)
    state = cells(model, 0.8)
    state.variables["writes"].fill_(1e6)
    model.relax(state, DAY, stream("time"))
    before = model.conductance(state)
    model.pulse(state, torch.ones_like(before), stream("write"))
    moved = (model.conductance(state) - before) / model.increment
    torch.testing.assert_close(moved, torch.full_like(moved, 0.5), rtol=0.2, atol=0)


def test_a_given_voltage_sees_the_aged_and_faulty_cells() -> None:
    model = device("ecram_li", drift={}, faults={"stuck_off": 0.3})
    state = cells(model)
    model.relax(state, DAY, stream("time"))
    seen = model.conductance(state, torch.full((1, *CELLS), 0.3, dtype=torch.float64))
    torch.testing.assert_close(seen, model.conductance(state), rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("card", ["pcm_joshi", "rram_wan", "rram_milo", "sonos_agrawal"])
def test_conductances_stay_finite_and_not_negative(card: str) -> None:
    model = device(card, endurance={"cycles": 10}, faults={"unformed": 0.1}, retention={"lifetime": "1 s"})
    state = cells(model, dtype=torch.float32)
    for elapsed in (0.0, 1e-6, 1.0, 1e12):
        model.relax(state, elapsed, stream("time"))
        model.pulse(state, half_of_the_cells(state).mul_(-50), stream("write", torch.float32))
        shown = model.conductance(state)
        assert ((shown >= 0) & shown.isfinite()).all()


@pytest.mark.parametrize("name", library.names("devices"))
def test_every_shipped_device_can_be_imperfect(name: str) -> None:
    imperfections = {
        "drift": {"full_scale": load_card(name).high},
        "retention": {"lifetime": "1 day"},
        "faults": {"stuck_on": 0.1},
        "endurance": {"cycles": 100},
    }
    model = device(name, **imperfections)
    state = cells(model, 0.7, (1, 20, 20), torch.float32)
    written = model.conductance(state)
    model.relax(state, HOUR, stream("time"))
    before, aged = bits(state), model.conductance(state)
    model.pulse(state, half_of_the_cells(state), stream("write", torch.float32))
    assert (aged < written).double().mean() > 0.8
    for shown in (written, aged, model.conductance(state)):
        assert ((shown >= 0) & shown.isfinite()).all()
    for key, value in (state.variables | state.parameters).items():
        assert torch.equal(value[..., 1::2], before[key][..., 1::2]), key


def test_a_state_that_takes_a_name_of_the_imperfections_is_refused() -> None:
    model = device("ecram_li", drift={})
    assert isinstance(model, ImperfectDevice)
    inner = model.inner
    inner.sample = lambda shape, stream: DeviceState({"age": torch.zeros(1, *shape)})  # type: ignore[method-assign]
    with pytest.raises(TypeError, match="age"):
        model.sample(CELLS, stream("fabrication"))


@pytest.mark.parametrize(
    ("card", "pair"),
    [("pcm_joshi", "balanced"), ("rram_wan", "reference"), ("reram_sb", "balanced"), ("pcm_gst", "one_sided")],
)
def test_a_crossbar_of_imperfect_cells_learns_ages_and_comes_back_from_its_state(card: str, pair: str) -> None:
    device = {"card": card, "faults": {"stuck_off": "5 %"}, "endurance": {"cycles": 1e6}}
    settings = CrossbarSettings.model_validate({"device": device, "pair": pair})
    weights = torch.zeros(2, 6, 5)
    built = [Crossbar.build(settings, weights, Stream(seed, "crossbar", chips=(0, 1))) for seed in (1, 2)]
    own = Stream(1, "update", chips=(0, 1))
    pre, post = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(1)), torch.full((2, 3, 6), 0.1)
    built[0].apply_update(LocalUpdate(pre=pre, post=post), own)
    before = built[0].weights.clone()
    built[0].relax(DAY, own)
    assert built[0].volatile == (card != "reram_sb")
    assert torch.equal(built[0].weights, before) == (card == "reram_sb")
    built[1].load_state_dict(built[0].state_dict())
    assert torch.equal(built[1].weights, built[0].weights)
