"""Populations of devices whose values are known with errors."""

import numpy as np
import pytest

from analogdp.fitting.populations import Figure, mean_and_spread, population
from tests.fitting.samples import fit_of


def test_values_without_errors_have_their_usual_mean_and_spread():
    values = np.array([1.0, 1.2, 0.7, 1.4])
    mean, spread = mean_and_spread(values, np.zeros(4))
    assert mean.value == pytest.approx(values.mean())
    assert spread.value == pytest.approx(values.std(ddof=1))


def test_equal_errors_are_taken_out_of_the_spread():
    values = np.array([1.0, 1.2, 0.7, 1.4])
    spread = mean_and_spread(values, np.full(4, 0.04))[1]
    assert spread.value == pytest.approx(np.sqrt(values.var(ddof=1) - 0.04))


def test_differences_that_errors_explain_are_no_spread():
    assert mean_and_spread(np.array([1.0, 1.1, 0.9]), np.full(3, 0.09))[1].value == 0.0


def test_a_value_with_a_large_error_hardly_counts():
    mean, _ = mean_and_spread(np.array([1.0, 1.1, 0.9, 5.0]), np.array([1e-4, 1e-4, 1e-4, 100.0]))
    assert mean.value == pytest.approx(1.0, abs=0.02)


def test_spreads_and_their_errors_are_right_on_average():
    """400 populations of 12 devices with unequal errors: mean t^2 within 3 of its own standard errors."""
    generator = np.random.default_rng(5)
    variances = generator.uniform(0.01, 0.09, 12)
    found = [
        mean_and_spread(generator.normal(3.0, 0.2, 12) + generator.normal(0, np.sqrt(variances)), variances)
        for _ in range(400)
    ]
    squares = np.array([spread.value**2 for _, spread in found])
    means = np.array([(mean.value - 3.0) / mean.error for mean, _ in found])
    # Cutting negative squares at 0 adds a little.
    assert squares.mean() == pytest.approx(0.04, abs=3 * squares.std() / 20 + 0.004)
    assert np.sqrt((means**2).mean()) == pytest.approx(1.0, abs=0.15)


def test_the_spread_of_one_device_is_not_known():
    mean, spread = mean_and_spread(np.array([2.0]), np.array([0.25]))
    assert (mean.value, mean.error, spread.value, spread.error) == (2.0, 0.5, 0.0, np.inf)


def test_an_interval_is_1_96_errors_wide_on_either_side():
    assert Figure(1.0, 0.1).interval == pytest.approx((0.804, 1.196))


def test_the_larger_of_both_steps_is_the_cards_and_the_other_follows_from_the_asymmetry():
    fit = fit_of("soft_bounds")
    made = population(fit.estimate).settings
    steps = np.exp(fit.estimate.own[:, :2]).mean(axis=0)
    assert made["step"] == pytest.approx(steps.max(), rel=0.05)
    assert made["step"] * (1 - made["asymmetry"]) == pytest.approx(steps[1], rel=0.05)
