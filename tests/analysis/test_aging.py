"""Networks whose cells are left alone: what becomes of them, and what compensation brings back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.analysis import Aging, Moment
from analogdp.analysis.aging import MOST_GAIN, _gains, age, in_seconds
from analogdp.data import Dataset, load
from analogdp.dynamics import Diverged, Simulation
from analogdp.errors import InputError, RunError
from analogdp.learning.evaluation import Evaluation, evaluate
from analogdp.network import Network
from analogdp.network.feedback import named_synapses
from analogdp.scenario import Scenario
from analogdp.streams import Stream
from analogdp.synapses import Crossbar

HOUR, DAY, YEAR = 3600.0, 86400.0, 31_557_600.0
Aged = Callable[..., tuple[Aging, Network]]

QUICK = {"dt": "0.5 us", "settle": {"tolerance": None, "at_most": "6 us"}}
QUIET = {"card": "pcm_joshi", "programming_error": None, "flicker_noise": None}
UNIFORM_DRIFT = {**QUIET, "drift": {"start": "20 s", "exponent": 0.06, "exponent_spread": 0}}
UNIFORM_LOSS = {**QUIET, "drift": None, "retention": {"lifetime": "2 days"}}
FORGETFUL = {"card": "capacitor", "lifetime": "1 day"}


@pytest.fixture
def aged(make_scenario: Callable[..., Scenario], make_network: Callable[..., Network]) -> Aged:
    """``aged(device, DAY, chips=2)``: an untrained network of a card's cells in pairs, and how it did."""

    def make(
        device: dict[str, Any],
        *after: float,
        pair: str = "balanced",
        only_chips: tuple[int, ...] | None = None,
        sections: dict[str, Any] | None = None,
        **options: Any,
    ) -> tuple[Aging, Network]:
        crossbar = {"model": "crossbar", "device": device, "pair": pair}
        chosen = {"chips": 2, "dynamics": QUICK, "synapse": crossbar, **(sections or {})}
        scenario = make_scenario((16, 12, 4), **chosen)
        network = make_network((16, 12, 4), only_chips, **chosen)
        return age(scenario, network, blobs(scenario), after, **options), network

    return make


def blobs(scenario: Scenario) -> Dataset:
    return load(scenario.data, scenario.seed)


def cells(network: Network) -> torch.Tensor:
    """All cells of pairs of two programmable ones in siemens, ``(chips, cells)``."""
    tables = [synapse.conductances() for synapse in named_synapses(network).values()]
    return torch.cat([cell.flatten(1) for table in tables if table for cell in (table.plus, table.minus)], 1)


def test_uniform_drift_follows_its_power_law(aged: Aged) -> None:
    found, _ = aged(UNIFORM_DRIFT, HOUR, DAY)
    for moment in found.moments:
        expected = ((moment.after + 20) / 20) ** -0.06 - 1
        assert moment.conductance_change == pytest.approx([expected] * 2, abs=1e-12)


@pytest.mark.parametrize("feedback", ["transposed", "random"])
def test_cells_with_a_lifetime_decay_to_weight_zero_on_every_path(aged: Aged, feedback: str) -> None:
    found, network = aged(FORGETFUL, 2 * DAY, pair="one_sided", sections={"feedback": {"path": feedback}})
    crossbar = network.synapses[0]
    assert isinstance(crossbar, Crossbar)
    before, zero = cells(network).numpy(), crossbar.device.zero
    later = zero + (before - zero) * np.exp(-2)
    assert found.moments[1].conductance_change == pytest.approx(later.sum(1) / before.sum(1) - 1, abs=1e-12)


def test_a_day_is_the_same_at_once_and_by_way_of_an_hour(aged: Aged) -> None:
    found, network = aged({"card": "pcm_joshi"}, HOUR, DAY)
    before = cells(network).sum(1)
    for elapsed, moment in zip((HOUR, DAY - HOUR), found.moments[1:], strict=True):
        for synapse in named_synapses(network).values():
            synapse.relax(elapsed, Stream(1, "time", (0, 1)))
        assert moment.conductance_change == pytest.approx((cells(network).sum(1) / before - 1).tolist(), abs=1e-12)


def test_numbers_do_not_depend_on_which_other_times_are_asked_for(aged: Aged) -> None:
    noise = {"noise": {"membrane": 0.02}}
    (several, _), (alone, _) = (
        aged({"card": "pcm_joshi"}, HOUR, DAY, YEAR, sections=noise),
        aged({"card": "pcm_joshi"}, DAY, sections=noise),
    )
    assert alone.moments == (several.moments[0], several.moments[2])


def test_numbers_do_not_depend_on_which_compensations_are_tried(aged: Aged) -> None:
    every, _ = aged({"card": "pcm_joshi"}, DAY)
    one, _ = aged({"card": "pcm_joshi"}, DAY, compensations=("column",))
    assert one.moments[1].loss == {"column": every.moments[1].loss["column"]}


def test_a_chip_does_not_depend_on_its_neighbours(aged: Aged) -> None:
    both, _ = aged({"card": "pcm_joshi"}, DAY)
    alone, _ = aged({"card": "pcm_joshi"}, DAY, only_chips=(1,))
    assert alone.chips == (1,)
    for one, of_two in zip(alone.moments, both.moments, strict=True):
        for name, losses in one.loss.items():
            assert losses[0] == pytest.approx(of_two.loss[name][1], rel=1e-12)


@pytest.mark.parametrize("device", [UNIFORM_DRIFT, UNIFORM_LOSS], ids=["drift", "retention"])
@pytest.mark.parametrize("pair", ["balanced", "one_sided"])
def test_compensation_undoes_what_all_cells_lose_alike(aged: Aged, device: dict[str, Any], pair: str) -> None:
    found, _ = aged(device, DAY, pair=pair)
    before, after = (moment.loss for moment in found.moments)
    assert after["global"] == pytest.approx(before["none"], rel=1e-10)
    assert after["column"] == pytest.approx(before["none"], rel=1e-10)
    assert after["none"] != pytest.approx(before["none"], rel=1e-3)


def test_the_global_gain_is_the_ratio_of_all_currents_and_that_of_a_column_its_own(aged: Aged) -> None:
    _, network = aged(UNIFORM_DRIFT, HOUR)
    synapses = dict(list(named_synapses(network).items())[:1])
    (name,) = synapses
    gains = _gains(synapses, {name: torch.tensor([[1.0, 6.0]])}, {name: torch.tensor([[1.0, 2.0]])})
    assert gains["global"][0][1].tolist() == [[pytest.approx(7 / 3)]]
    assert gains["column"][0][1].tolist() == [[1.0, 3.0]]


def test_at_the_end_of_training_there_is_nothing_to_compensate(aged: Aged) -> None:
    found, _ = aged({"card": "pcm_joshi"}, DAY)
    first = found.moments[0]
    assert (first.after, first.conductance_change) == (0.0, (0.0, 0.0))
    assert first.loss["none"] == first.loss["global"] == first.loss["column"]


def test_the_network_comes_back_as_it_was(aged: Aged, make_network: Callable[..., Network]) -> None:
    _, network = aged({"card": "pcm_joshi"}, DAY)
    fresh = make_network(
        (16, 12, 4), chips=2, synapse={"model": "crossbar", "device": {"card": "pcm_joshi"}, "pair": "balanced"}
    )
    ours, untouched = network.state_dict(), fresh.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in untouched.items())
    x = torch.ones(2, 1, 16, dtype=torch.float64)
    torch.testing.assert_close(network.synapses[0].forward(x), fresh.synapses[0].forward(x), rtol=0, atol=0)


def test_divergence_says_when_and_under_which_compensation_and_leaves_the_network_as_it_was(
    make_scenario: Callable[..., Scenario], make_network: Callable[..., Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {"dynamics": QUICK, "synapse": {"model": "crossbar", "device": UNIFORM_DRIFT, "pair": "balanced"}}
    scenario, network = make_scenario((16, 12, 4), **chosen), make_network((16, 12, 4), **chosen)
    x = torch.ones(1, 1, 16, dtype=torch.float64)
    before = network.synapses[0].forward(x)

    def failing(simulation: Simulation, *rest: Any) -> Evaluation:
        if not torch.equal(simulation.network.synapses[0].forward(x), before):
            raise Diverged(3, 1e-6, 1, 0)
        return evaluate(simulation, *rest)

    monkeypatch.setattr("analogdp.analysis.aging.evaluate", failing)
    with pytest.raises(RunError, match="86400 s after training, compensation column: the dynamics diverged"):
        age(scenario, network, blobs(scenario), (DAY,), compensations=("column",))
    assert torch.equal(network.synapses[0].forward(x), before)


@pytest.fixture
def gains(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """All gains that crossbars are given, ``(chips, lines)`` each."""
    seen: list[torch.Tensor] = []
    compensate = Crossbar.compensate

    def listening(crossbar: Crossbar, gain: torch.Tensor | None) -> None:
        if gain is not None:
            seen.append(gain.clone())
        compensate(crossbar, gain)

    monkeypatch.setattr(Crossbar, "compensate", listening)
    return seen


def test_averaging_a_hundred_reads_makes_the_error_of_a_gain_ten_times_smaller(
    aged: Aged, gains: list[torch.Tensor]
) -> None:
    noisy = {**UNIFORM_DRIFT, "read_noise": 0.02, "read_time": "1 us"}
    right, errors = ((DAY + 20) / 20) ** 0.06, []
    for reads in (1, 100):
        gains.clear()
        aged(noisy, DAY, reads=reads, compensations=("column",), sections={"chips": 10})
        errors.append((torch.cat(gains, 1) - right).square().mean().sqrt().item())
    # 160 lines each: the estimate of either deviation is good to 1 / sqrt(320), 6 %; four of both together are 32 %.
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.32)


def test_a_line_that_has_lost_its_current_is_not_amplified_without_bounds(
    aged: Aged, gains: list[torch.Tensor]
) -> None:
    found, _ = aged({**UNIFORM_LOSS, "retention": {"lifetime": "1 s"}}, YEAR)
    assert all(torch.equal(gain, torch.full_like(gain, MOST_GAIN)) for gain in gains)
    assert np.isfinite([*found.moments[1].loss.values()]).all()
    assert found.moments[1].conductance_change == (-1.0, -1.0)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ("1 day", (DAY,)),
        (2.5, (2.5,)),
        (["1 hour, 1 day", "2 min"], (120.0, HOUR, DAY)),
        (("60 s", "1 min", 60), (60.0,)),
        ("1 month", (YEAR / 12,)),
        ("3 years", (3 * YEAR,)),
        ("2 weeks", (14 * DAY,)),
        ("90", (90.0,)),
    ],
)
def test_times_are_read_in_the_words_of_users(after: object, seconds: tuple[float, ...]) -> None:
    assert in_seconds(after) == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("1 fortnite", "unknown unit 'fortnite'"),
        ("1 V", "'1 V' is not a time"),
        ("soon", "'soon' is no quantity"),
        ("1 day,", "is no quantity"),
        ("0 s", "0 s is out of range"),
        ("-1 day", "-86400 s is out of range"),
        (float("nan"), "nan s is out of range"),
        ("1e13 s", "up to 1e\\+12 s"),
        ([], "there is no time"),
        ([None], "after: "),
    ],
)
def test_what_is_no_time_is_refused(after: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        in_seconds(after)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("synapse", "said"),
    [
        ({"model": "ideal"}, "ideal weights do not change in time.*drift, relaxation, retention.*lifetime"),
        ({"model": "crossbar", "device": "reram_sb"}, "cells of card 'reram_sb' do not change in time"),
    ],
)
def test_weights_that_do_not_change_in_time_are_refused(
    make_scenario: Callable[..., Scenario], make_network: Callable[..., Network], synapse: dict[str, Any], said: str
) -> None:
    scenario, network = make_scenario((16, 12, 4), synapse=synapse), make_network((16, 12, 4), synapse=synapse)
    with pytest.raises(InputError, match=said):
        age(scenario, network, blobs(scenario), (DAY,))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"compensations": ("magic",)}, "compensation: 'magic' is unknown; there are none, global, column"),
        ({"compensations": ()}, "at least one of none, global, column"),
        ({"reads": 0}, "reads: 0 is out of range; average 1 to 1000"),
    ],
)
def test_a_compensation_or_measurement_that_there_is_not_is_refused(
    aged: Aged, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        aged({"card": "pcm_joshi"}, DAY, **options)


KEPT = Aging(
    (0, 1),
    3,
    ("none", "column"),
    (
        Moment(0.0, (0.0, 0.0), {"none": (0.1, 0.2), "column": (0.1, 0.2)}, {}),
        Moment(DAY, (-0.3, -0.4), {"none": (0.3, 0.4), "column": (0.1, 0.2)}, {}),
    ),
)


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "aging.json"
    path.write_text(KEPT.to_json())
    assert Aging.read(path) == KEPT
    assert Aging.read(tmp_path / "none.json") is None


@pytest.mark.parametrize("text", ["", "[]", '{"moments": 3}', '{"moments": [{"after": 1}]}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "aging.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"aging\.json: damaged"):
        Aging.read(path)
