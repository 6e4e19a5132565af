import math

import pytest
import torch

from analogdp.neurons import mismatch
from analogdp.scenario.schema import Spread
from analogdp.streams import Stream

STREAM = Stream(seed=5, name="test", dtype=torch.float64)
COUNT = 200_000


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


def test_no_factor_is_zero_or_negative_however_wide_the_spread():
    factors = mismatch.relative(1.0, Spread(std=1.0), 1, COUNT, STREAM)
    assert factors.min() == mismatch.SMALLEST_FACTOR


@pytest.mark.parametrize("draw", [mismatch.additive, mismatch.relative])
def test_without_spread_the_nominal_number_comes_back_unchanged(draw):
    assert draw(0.7, Spread(), 2, 3, STREAM) == 0.7


def test_a_chip_has_the_same_mismatch_whichever_chips_are_drawn_with_it():
    spread = Spread(std=0.1, compartments=0.1)
    together = mismatch.relative(1.0, spread, 2, 4, Stream(5, "test", chips=(0, 1, 2)))
    alone = mismatch.relative(1.0, spread, 2, 4, Stream(5, "test", chips=(1,)))
    assert torch.equal(together[:, 1], alone[:, 0])
