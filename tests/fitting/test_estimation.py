"""Fits find the truth of simulated devices, within the confidence that they state."""

import numpy as np
import pytest

from analogdp.errors import InputError
from analogdp.fitting import compare
from analogdp.fitting.estimation import fit
from analogdp.fitting.families import FAMILIES, chosen_models
from analogdp.fitting.goodness import fitted
from tests.fitting.samples import HIGH, LOW, TRUTHS, fit_of, traces

NEAR = 3.3
"""Standard errors that one of the hundred numbers here may be off."""
SHAPES = {
    "linear": ("slope_up", "slope_down"),
    "exponential": ("factor_up", "factor_down", "exponent_up", "exponent_down"),
    "power": ("exponent_up", "exponent_down"),
    "neurosim": ("nonlinearity_up", "nonlinearity_down"),
}


def siemens_per_weight(population):
    figures = population.figures
    return (population.high.value - population.low.value) / (figures["upper"].value - figures["lower"].value)


@pytest.mark.parametrize("model", FAMILIES)
def test_bounds_are_found(model):
    population = fit_of(model).population
    assert abs(population.low.value - LOW) < NEAR * population.low.error
    assert abs(population.high.value - HIGH) < NEAR * population.high.error
    assert population.low.error < 0.15 * (HIGH - LOW)


@pytest.mark.parametrize("model", ["constant", "soft_bounds"])
def test_the_step_in_siemens_is_found(model):
    population = fit_of(model).population
    step = population.figures["step"]
    unit = siemens_per_weight(population) / ((HIGH - LOW) / 2)
    assert abs(step.value * unit - TRUTHS[model]["step"]) < NEAR * step.error * unit
    assert step.error < 0.15 * step.value


@pytest.mark.parametrize(
    ("model", "name"),
    [(model, name) for model, names in SHAPES.items() for name in names],
)
def test_the_shape_is_found(model, name):
    figure = fit_of(model).population.figures[name]
    assert abs(figure.value - TRUTHS[model][name]) < NEAR * figure.error


def test_the_nodes_of_a_piecewise_law_lie_on_the_true_one():
    fit = fit_of("piecewise")
    for name in ("steps_up", "steps_down"):
        nodes = np.array(fit.population.settings[name])
        want = np.interp(np.linspace(0, 1, len(nodes)), np.linspace(0, 1, 5), TRUTHS["piecewise"][name])
        errors = np.array([fit.population.figures[f"{name}[{place}]"].error for place in range(len(nodes))])
        # Where the truth bends between two nodes, one straight line cannot follow.
        assert np.all(np.abs(nodes - want) < NEAR * errors + 0.2)


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("name", ["step_spread", "upper_spread", "lower_spread", "asymmetry_spread"])
def test_spreads_between_devices_are_found(model, name):
    figure = fit_of(model).population.figures[name]
    assert abs(figure.value - TRUTHS[model].get(name, 0.0)) < NEAR * figure.error


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("name", ["cycle_noise", "write_noise"])
def test_both_noises_are_told_apart(model, name):
    figure = fit_of(model).population.figures[name]
    step = fit_of(model).population.figures.get("step")
    truth = TRUTHS[model][name]
    if name == "write_noise" and step is not None:
        truth *= TRUTHS[model]["step"] * (HIGH - LOW) / 2 / siemens_per_weight(fit_of(model).population) / step.value
    # The filter takes the noise of a step at the mean of where the cell may be.
    assert abs(figure.value - truth) < NEAR * figure.error + 0.05 * truth


@pytest.mark.parametrize("model", FAMILIES)
def test_a_fit_of_the_true_model_predicts_every_pulse_as_well_as_it_says(model):
    fit = fit_of(model)
    assert fit.surprise == pytest.approx(1.0, abs=4 * np.sqrt(2 / fit.estimate.reads.number))
    assert fit.correlation == pytest.approx(0.0, abs=4 / np.sqrt(fit.estimate.reads.number))
    assert fit.course_score > 0.9


@pytest.mark.parametrize(("cycle", "write"), [(0.0, 1.0), (1.0, 0.0)])
def test_a_noise_that_is_not_there_is_not_found(cycle, write):
    figures = fitted("soft_bounds", traces("soft_bounds", cycle_noise=cycle, write_noise=write)).population.figures
    for name, truth in (("cycle_noise", cycle), ("write_noise", write)):
        assert figures[name].value == pytest.approx(truth, rel=0.15, abs=0.05)


@pytest.mark.parametrize("form", ["multiplicative", "additive"])
def test_the_form_of_the_cycle_noise_is_found(form):
    assert fit("soft_bounds", traces("soft_bounds", cycle_noise=0.8, cycle_noise_form=form)).form == form


@pytest.mark.parametrize("model", ["constant", "soft_bounds"])
def test_the_true_model_is_told_from_a_clearly_different_one(model):
    fits = compare(["constant", "soft_bounds"], traces(model, devices=3))
    assert fits[0].model == model


def test_traces_without_any_noise_are_fitted():
    fit = fitted("soft_bounds", traces("soft_bounds", devices=3, cycle_noise=0.0, write_noise=0.0))
    assert fit.course_score == pytest.approx(1.0, abs=1e-6)


def test_a_single_device_is_fitted_without_a_spread():
    fit = fitted("soft_bounds", traces("soft_bounds", devices=1))
    assert fit.population.figures["step_spread"].value == 0.0
    assert fit.course_score > 0.9


def test_an_unknown_model_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"'soft_bound'.*did you mean 'soft_bounds'"):
        chosen_models(["soft_bound"])
    with pytest.raises(InputError, match="unknown model 'vteam'"):
        fit("vteam", traces("constant", devices=1))


def test_all_models_are_asked_for_by_one_word():
    assert chosen_models(["linear", "all"]) == list(FAMILIES)
    assert chosen_models(["power", "power", "linear"]) == ["power", "linear"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["soft_bounds", "exponential", "piecewise"])
def test_the_true_model_is_found_among_all(model):
    assert compare(list(FAMILIES), traces(model))[0].model == model
