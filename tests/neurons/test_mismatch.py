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
    factors = mismatch.relative(2.0, Spread(std=std, distribution=distribution), (COUNT,), STREAM) / 2
    assert factors.mean().item() == pytest.approx(1, abs=5 * std / math.sqrt(COUNT))
    assert factors.std().item() == pytest.approx(std, rel=0.02)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_an_additive_spread_has_the_nominal_mean_and_the_std_asked_for(distribution):
    values = mismatch.additive(0.3, Spread(std=0.02, distribution=distribution), (COUNT,), STREAM)
    assert values.mean().item() == pytest.approx(0.3, abs=5 * 0.02 / math.sqrt(COUNT))
    assert values.std().item() == pytest.approx(0.02, rel=0.02)


def test_no_factor_is_zero_or_negative_however_wide_the_spread():
    factors = mismatch.relative(1.0, Spread(std=1.0), (COUNT,), STREAM)
    assert factors.min() == mismatch.SMALLEST_FACTOR


def test_without_spread_the_nominal_number_comes_back_unchanged():
    assert mismatch.relative(0.7, Spread(), (3,), STREAM) == 0.7
    assert mismatch.additive(0.7, Spread(), (3,), STREAM) == 0.7


def test_a_chip_has_the_same_mismatch_whichever_chips_are_drawn_with_it():
    together = mismatch.relative(1.0, Spread(std=0.1), (4,), Stream(5, "test", chips=(0, 1, 2)))
    alone = mismatch.relative(1.0, Spread(std=0.1), (4,), Stream(5, "test", chips=(1,)))
    assert torch.equal(together[1], alone[0])
