"""What a fit leaves: the card, the table and the JSON."""

import json

import numpy as np
import pytest
import torch

from analogdp.devices import load_card
from analogdp.errors import ScenarioError
from analogdp.fitting import card_of, card_text
from analogdp.fitting.goodness import mean_steps
from analogdp.fitting.outcome import GOODNESS, figure_rows, goodness_rows, results
from analogdp.streams import Stream
from tests.fitting.samples import fit_of, traces

QUICK = ["constant", "soft_bounds", "power"]


@pytest.fixture
def written(tmp_path):
    """The card of a model's fit, through its file."""

    def make(model, **options):
        path = tmp_path / "fitted.yaml"
        path.write_text(card_text(card_of(fit_of(model), "fitted", "pulses.csv", **options)))
        return load_card(path)

    return make


@pytest.mark.parametrize("model", QUICK)
def test_the_card_loads_and_has_the_fitted_numbers_to_five_digits(written, model):
    card, population = written(model), fit_of(model).population
    assert card.model == model
    for name, value in population.settings.items():
        assert getattr(card.parameters, name) == value
    assert card.low == pytest.approx(population.low.value, rel=1e-4)
    assert card.high == pytest.approx(population.high.value, rel=1e-4)


@pytest.mark.parametrize("model", QUICK)
def test_devices_of_the_card_repeat_the_mean_trajectory(written, model):
    """Mean of 2000 devices of the card against the mean of the 6 measured ones, which scatter themselves."""
    device, measured = written(model).device(), traces(model)
    reads = np.array([trace.conductances for trace in measured])
    stream = Stream(3, "card", dtype=torch.float64)
    state = device.sample((2000,), stream.child("cells"))
    device.program(state, torch.full((1, 2000), reads[:, 0].mean(), dtype=torch.float64), stream.child("start"))
    course = [device.conductance(state).mean().item()]
    for number, direction in enumerate(measured[0].directions.tolist()):
        device.pulse(state, torch.full((1, 2000), direction, dtype=torch.float64), stream.child("write").at(number))
        course.append(device.conductance(state).mean().item())
    error = reads.std(axis=0, ddof=1) / np.sqrt(len(measured))
    assert np.abs(course - reads.mean(axis=0)).max() < 3 * error.max()
    assert np.abs(course - reads.mean(axis=0)).mean() < 0.05 * np.ptp(reads)


def test_the_card_says_what_the_user_stated_and_what_was_fitted(written):
    card = written("constant", material="HfO2", source="our lab, 2024")
    assert (card.material, card.source) == ("HfO2", "stated by the user: our lab, 2024")
    assert "540 pulses" in card.note or "1080 pulses" in card.note
    for word in ("6 devices in pulses.csv", "R2 of the mean step", "95 % intervals", "cycle_noise"):
        assert word in card.note


def test_a_card_without_statements_says_so(written):
    card = written("constant")
    assert card.material == "not stated"
    assert card.source == "traces in pulses.csv; nothing else stated by the user"


def test_a_bound_that_few_devices_reach_is_told(tmp_path):
    from analogdp.fitting.goodness import fitted

    fit = fitted("constant", traces("constant", pulses=40, sweeps=1, asymmetry=-0.2, step_spread=0.4))
    assert "upper bound is that of the" in card_of(fit, "few", "pulses.csv").note


def test_a_name_that_no_card_may_have_is_refused():
    with pytest.raises(ScenarioError, match="name"):
        card_of(fit_of("constant"), "two words", "pulses.csv")


def test_the_json_holds_every_figure_with_its_interval():
    fits = json.loads(results([fit_of("constant"), fit_of("soft_bounds")], "pulses.csv"))["fits"]
    assert [fit["model"] for fit in fits] == ["constant", "soft_bounds"]
    step = fits[0]["parameters"]["step"]
    assert step["interval_95"][0] < step["value"] < step["interval_95"][1]
    assert set(fit_of("constant").population.figures) <= set(fits[0]["parameters"])


def test_the_table_compares_with_the_first_fit():
    rows = goodness_rows([fit_of("constant"), fit_of("soft_bounds")])
    assert all(len(row) == len(GOODNESS) for row in rows)
    assert rows[0][3:5] == ["0.0", "0.0"]
    assert [row[0] for row in figure_rows(fit_of("constant")) if row[0] == "cycle_noise"] == ["cycle_noise"]


def test_mean_steps_of_the_true_model_lie_within_their_errors():
    _, measured, modelled, error, number = mean_steps(fit_of("soft_bounds").estimate)
    full = number > 20
    assert np.sqrt(np.mean(((measured - modelled) / error)[full] ** 2)) < 1.5


def test_a_criterion_counts_all_fitted_numbers():
    estimate = fit_of("power").estimate
    assert estimate.numbers == 4 * 6 + 2 + 2
    assert estimate.akaike == 2 * estimate.numbers - 2 * estimate.logarithm
    assert estimate.bayes == pytest.approx(estimate.numbers * np.log(6 * 180) - 2 * estimate.logarithm)
