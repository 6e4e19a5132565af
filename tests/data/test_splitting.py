"""Dividing samples into training and test samples."""

import pytest
import torch

from analogdp import data
from analogdp.data.splitting import random_split, stratified_split
from analogdp.scenario.schema import Scenario


def test_a_split_by_classes_is_a_partition():
    labels = torch.tensor([0, 1, 0, 1, 1, 0, 0, 2])
    train, test = stratified_split(labels, 0.5, seed=0)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(8))
    # Half of four zeros, three ones and a single two, rounded to even.
    assert torch.bincount(labels[test], minlength=3).tolist() == [2, 2, 0]


def test_a_split_of_numbers_is_a_partition_by_the_seed():
    train, test = random_split(50, 0.3, seed=4)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(50))
    assert len(test) == 15
    assert torch.equal(test, random_split(50, 0.3, seed=4)[1])
    assert not torch.equal(test, random_split(50, 0.3, seed=5)[1])


def test_a_fifth_is_tested_on_unless_another_share_is_wanted():
    assert Scenario().data.test_fraction == 0.2
    assert Scenario(data={"name": "digits", "test_fraction": 0.5}).data.samples() == (899, 898)


def test_where_the_rest_of_a_draw_is_tested_on_there_is_no_other_split():
    section = Scenario(data={"name": "digits", "draw": 100, "test": "rest"}).data
    assert section.test_fraction is None
    assert section.counts() == (100, 1796)
    loaded = data.load(section, 0)
    different = len(torch.unique(loaded.train_inputs[:], dim=0))
    assert len(loaded.test_inputs) == 1797 - different
    with pytest.raises(ValueError, match=r"data.test_fraction: with test: rest, all samples"):
        Scenario(data={"name": "digits", "draw": 100, "test": "rest", "test_fraction": 0.1})
