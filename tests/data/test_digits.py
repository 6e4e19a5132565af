"""The embedded digits."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from analogdp import data
from analogdp.data.digits import DigitsSettings


def test_both_parts_together_are_scikit_learns_digits_with_brightness_up_to_one():
    loaded = data.load(DigitsSettings(), seed=3)
    together = torch.cat((loaded.train_inputs[:], loaded.test_inputs[:])).numpy()
    bunch = load_digits()
    assert together.min() == 0
    assert together.max() == 1
    ours = sorted(map(tuple, np.column_stack((together * 16, torch.cat((loaded.train_labels, loaded.test_labels))))))
    theirs = sorted(map(tuple, np.column_stack((bunch.data.astype(np.float32), bunch.target))))
    assert ours == theirs


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_every_class_is_divided_by_the_wanted_fraction(fraction):
    loaded = data.load(DigitsSettings(test_fraction=fraction), seed=0)
    test, train = (torch.bincount(labels, minlength=10) for labels in (loaded.test_labels, loaded.train_labels))
    assert torch.all((test - fraction * (test + train)).abs() <= 0.5)


def test_the_seed_decides_the_split():
    first, again, other = (data.load(DigitsSettings(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.test_inputs[:], again.test_inputs[:])
    assert not torch.equal(first.test_inputs[:], other.test_inputs[:])


def test_the_section_knows_the_sizes_without_loading():
    settings = DigitsSettings(test_fraction=0.25)
    loaded = data.load(settings, seed=0)
    assert settings.sizes() == (loaded.train_inputs.shape[1], loaded.train_targets.shape[1])
    train, test = settings.samples()
    assert train + test == len(loaded.train_inputs) + len(loaded.test_inputs)
    assert abs(test - len(loaded.test_inputs)) <= 5
