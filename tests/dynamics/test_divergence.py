import pytest
import torch

from analogdp.dynamics.divergence import LARGEST_STATE, beyond_bounds, is_bounded


@pytest.mark.parametrize("value", [1.01 * LARGEST_STATE, -1.01 * LARGEST_STATE, float("inf"), float("nan")])
def test_one_bad_number_is_noticed_and_its_chip_named(value):
    layer = torch.zeros(2, 3, 4, 5)
    assert bool(is_bounded(layer))
    layer[1, 2, 0, 3] = value
    assert not bool(is_bounded(layer))
    assert beyond_bounds(layer).tolist() == [False, False, True]
