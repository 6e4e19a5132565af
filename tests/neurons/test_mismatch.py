"""Draws of mismatch against the distributions that scipy and closed forms know."""

import math

import pytest
import torch
from scipy import stats

from analogdp.network.build import build
from analogdp.neurons import DualPropagation, DualPropagationTransposed, LeastSquares, mismatch
from analogdp.scenario.mismatch import WIDEST, MismatchSettings, Spread
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

STREAM = Stream(seed=5, name="test", dtype=torch.float64)
COUNT = 100_000
LIKELY = 1e-3
"""What is drawn from the distribution in question has a p-value above this in all but one of a thousand seeds."""


def dyads(model=DualPropagationTransposed, alpha=0.3, mismatch=None):
    settings = MismatchSettings.model_validate(mismatch)
    return model.build(model.Settings(alpha=alpha), LeastSquares(), settings, 20_000, STREAM)


def truncated_normal(mean, std, lowest, highest=math.inf):
    return stats.truncnorm((lowest - mean) / std, (highest - mean) / std, mean, std)


@pytest.mark.parametrize("distribution", ["normal", "lognormal", "uniform"])
@pytest.mark.parametrize("std", [0.05, 0.2])
def test_a_relative_spread_has_mean_one_and_the_std_asked_for(distribution, std):
    factors = mismatch.relative(2.0, Spread(std=std, distribution=distribution), 1, COUNT, STREAM) / 2
    assert factors.mean().item() == pytest.approx(1, abs=5 * std / math.sqrt(COUNT))
    assert factors.std().item() == pytest.approx(std, rel=0.02)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_an_additive_spread_has_the_nominal_mean_and_the_std_asked_for(distribution):
    values = mismatch.additive(0.3, Spread(std=0.02, distribution=distribution), 1, COUNT, STREAM)
    assert values.mean().item() == pytest.approx(0.3, abs=5 * 0.02 / math.sqrt(COUNT))
    assert values.std().item() == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize("draw", [mismatch.additive, mismatch.relative])
def test_compartments_share_their_neurons_deviation_and_differ_by_their_own(draw):
    values = draw(1.0, Spread(std=0.1, compartments=0.01), 2, COUNT, STREAM)
    assert values.shape == (2, 1, 1, COUNT)
    plus, minus = values.flatten(1)
    assert plus.std().item() == pytest.approx(math.hypot(0.1, 0.01), rel=0.02)
    assert (plus - minus).std().item() == pytest.approx(0.01 * math.sqrt(2), rel=0.02)


def test_without_their_own_spread_compartments_are_equal():
    plus, minus = mismatch.relative(1.0, Spread(std=0.1), 2, 50, STREAM)
    assert torch.equal(plus, minus)


@pytest.mark.parametrize("distribution", ["normal", "lognormal", "uniform"])
def test_the_compartments_of_a_network_differ_in_tau_by_the_distribution_declared(distribution):
    """Against scipy's distribution of one factor, by Kolmogorov-Smirnov, on 5000 neurons of 1 us."""
    spread = {"compartments": "200 ns", "distribution": distribution}
    network = {"layers": [64, 5000, 10], "bias": False}
    scenario = Scenario.model_validate(
        {"network": network, "mismatch": {"tau": spread}, "run": {"dtype": "float64", "device": "cpu"}}
    )
    plus, minus = (tau.flatten().numpy() / 1e-6 for tau in build(scenario).layers[0].tau)
    log_std = math.sqrt(math.log1p(0.2**2))
    expected = {
        "normal": truncated_normal(1, 0.2, mismatch.SMALLEST_FACTOR),
        "lognormal": stats.lognorm(log_std, scale=math.exp(-(log_std**2) / 2)),
        "uniform": stats.uniform(1 - 0.2 * math.sqrt(3), 0.4 * math.sqrt(3)),
    }[distribution]
    for factors in (plus, minus):
        assert stats.kstest(factors, expected.cdf).pvalue > LIKELY
    assert abs(stats.pearsonr(plus, minus).statistic) < 5 / math.sqrt(5000)


def test_factors_are_truncated_without_piling_up_at_the_bound():
    factors = mismatch.relative(1.0, Spread(std=1.0), 1, COUNT, STREAM).flatten().numpy()
    assert factors.min() > mismatch.SMALLEST_FACTOR
    assert stats.kstest(factors, truncated_normal(1, 1, mismatch.SMALLEST_FACTOR).cdf).pvalue > LIKELY


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_truncation_takes_at_most_three_percent_off_the_widest_spread_that_a_scenario_may_have(distribution):
    std = WIDEST[distribution]
    factors = mismatch.relative(1.0, Spread(std=std, distribution=distribution), 1, COUNT, STREAM)
    assert factors.mean().item() == pytest.approx(1, abs=0.03)
    assert factors.std().item() == pytest.approx(std, rel=0.03)


@pytest.mark.parametrize(
    ("nominal", "std", "highest"), [(0.0, 0.1, math.inf), (0.1, 0.1, math.inf), (0.0, 1.0, 1.0), (0.9, 0.2, 1.0)]
)
def test_gains_and_shares_have_the_truncated_normal_distribution(nominal, std, highest):
    values = mismatch.bounded(nominal, Spread(std=std), COUNT, STREAM, highest).flatten().numpy()
    assert values.min() >= 0
    assert values.max() <= highest
    assert stats.kstest(values, truncated_normal(nominal, std, 0, highest).cdf).pvalue > LIKELY


def test_a_uniform_share_is_uniform_over_what_of_its_range_is_physical():
    values = mismatch.bounded(1.0, Spread(std=0.1, distribution="uniform"), COUNT, STREAM, 1.0).flatten().numpy()
    width = 0.1 * math.sqrt(3)
    assert stats.kstest(values, stats.uniform(1 - width, width).cdf).pvalue > LIKELY


def test_a_lognormal_gain_has_the_nominal_mean_and_an_absolute_std():
    values = mismatch.bounded(0.2, Spread(std=0.1, distribution="lognormal"), COUNT, STREAM).flatten().numpy()
    log_std = math.sqrt(math.log1p(0.5**2))
    expected = stats.lognorm(log_std, scale=0.2 * math.exp(-(log_std**2) / 2))
    assert (expected.mean(), expected.std()) == pytest.approx((0.2, 0.1))
    assert stats.kstest(values, expected.cdf).pvalue > LIKELY


def test_truncation_leaves_the_bits_of_what_lies_inside():
    free = 0.1 + 0.1 * STREAM.normal((1, COUNT))
    values = mismatch.bounded(0.1, Spread(std=0.1), COUNT, STREAM)
    inside = free >= 0
    assert 0.8 < inside.double().mean() < 0.9
    assert torch.equal(values[inside], free[inside])


@pytest.mark.parametrize("nominal", [-0.1, 1.1])
def test_a_nominal_value_outside_its_physical_range_is_refused(nominal):
    with pytest.raises(ValueError, match="outside 0 to 1"):
        mismatch.bounded(nominal, Spread(std=0.1), 3, STREAM, 1.0)


@pytest.mark.parametrize("draw", [mismatch.additive, mismatch.relative])
def test_without_spread_the_nominal_number_comes_back_unchanged(draw):
    assert draw(0.7, Spread(), 2, 3, STREAM) == 0.7


def test_a_chip_has_the_same_mismatch_whichever_chips_are_drawn_with_it():
    """Spreads so wide that most chips redraw, some more often than others."""
    spreads = {
        "tau": {"std": 0.33, "compartments": 0.33},
        "alpha": 0.5,
        "gain": {"std": 0.57, "compartments": 0.57, "distribution": "uniform"},
        "offset": {"std": 0.1, "compartments": 0.1},
    }
    scenario = Scenario.model_validate({"chips": 8, "network": {"layers": [64, 40, 10]}, "mismatch": spreads})
    together, alone = build(scenario), build(scenario, chips=(5,))
    for all_eight, one in zip(together.layers, alone.layers, strict=True):
        assert torch.equal(all_eight.tau[:, 5], one.tau[:, 0])
        for name in ("push", "pull", "mix"):
            assert torch.equal(getattr(all_eight.neuron, name)[5], getattr(one.neuron, name)[0])
        for name in ("gain", "offset"):
            assert torch.equal(getattr(all_eight.neuron, name)[:, 5], getattr(one.neuron, name)[:, 0])


def test_push_pull_and_mixing_have_their_own_spreads_where_they_are_given_and_that_of_alpha_elsewhere():
    neuron = dyads(alpha=0.3, mismatch={"alpha": 0.02, "push": 0.05, "mixing": 0})
    assert neuron.push.std().item() == pytest.approx(0.05, rel=0.03)
    assert neuron.pull.std().item() == pytest.approx(0.02, rel=0.03)
    assert neuron.mix == 0.3


def test_push_pull_and_mixing_are_drawn_from_streams_of_their_own():
    """The draws of one do not change when the spread of another does, and stay what they are from version to version."""
    alone, together = dyads(mismatch={"push": 0.05}), dyads(mismatch={"alpha": 0.02, "push": 0.05})
    assert torch.equal(alone.push, together.push)
    for name, nominal in (("pull", 0.3), ("mix", 0.3)):
        expected = nominal + 0.02 * STREAM.child(name).normal((1, 20_000))
        assert torch.equal(getattr(together, name), expected)


@pytest.mark.parametrize("model", [DualPropagation, DualPropagationTransposed])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_push_pull_and_mixing_keep_their_physical_ranges_however_wide_the_spread(model, alpha):
    neuron = dyads(model, alpha, mismatch={"alpha": 0.5})
    assert min(values.min() for values in (neuron.push, neuron.pull, neuron.mix)) >= 0
    assert neuron.mix.max() <= 1
    assert min(neuron.push.max(), neuron.pull.max()) > 1


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_gains_that_are_off_and_mixing_at_its_end_leave_the_loop_of_transposed_dyads_unbiased(alpha):
    """Half-normal deviates of w and of the gain that is off have the mean sqrt(2 / pi) std; they cancel in w p - (1 - w) q."""
    std = 0.02
    neuron = dyads(alpha=alpha, mismatch={"alpha": std})
    off, deviation = (neuron.pull, neuron.mix) if alpha == 0 else (neuron.push, 1 - neuron.mix)
    assert off.mean().item() == pytest.approx(math.sqrt(2 / math.pi) * std, rel=0.03)
    assert deviation.mean().item() == pytest.approx(math.sqrt(2 / math.pi) * std, rel=0.03)
    loop = neuron.mix * neuron.push - (1 - neuron.mix) * neuron.pull
    assert abs(loop.mean().item()) < std**2 + 5 * std / math.sqrt(20_000)


@pytest.mark.parametrize("distribution", ["normal", "lognormal"])
def test_a_gain_far_above_its_nominal_value_is_exceeded_as_rarely_as_by_a_normal_deviate(distribution):
    """Against scipy's tail of the normal distribution at two standard deviations."""
    spread = Spread(std=0.1, distribution=distribution)
    values = mismatch.bounded(0.4, spread, COUNT, STREAM)
    share = (values > mismatch.far_above(0.4, spread, 2)).double().mean().item()
    assert share == pytest.approx(stats.norm.sf(2), rel=0.05)


@pytest.mark.parametrize(
    ("mismatch", "limit"),
    [
        ({"alpha": 0.05}, r"s- .* below 1, 4 standard deviations"),
        ({"alpha": 0.05, "pull": 0}, None),
        ({"pull": 0.05}, r"s- .* below 1, 4 standard deviations"),
        ({"push": 0.05}, None),
        ({"pull": {"std": 0.05, "distribution": "lognormal"}}, r"s- .* below 0.9[78]\d*, 4 standard deviations"),
    ],
)
def test_the_strongest_nudging_follows_the_spread_of_each_gain(mismatch, limit):
    sections = {"neuron": {"model": "dp", "alpha": 0.2, "beta": 1.1}, "mismatch": mismatch}
    if limit is None:
        assert Scenario.model_validate(sections).neuron.beta == 1.1
    else:
        with pytest.raises(ValueError, match=limit):
            Scenario.model_validate(sections)
