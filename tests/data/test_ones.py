"""Are most of these bits ones?"""

import numpy as np
import pytest
import torch

from analogdp import data, registry
from analogdp.data.ones import OnesSettings
from analogdp.network import build
from analogdp.scenario.schema import Scenario


@pytest.mark.parametrize(("dimension", "least"), [(2, 2), (7, 5), (10, 8), (100, 71)])
def test_more_than_70_percent_ones_are_the_second_class(dimension, least):
    loaded = data.load(OnesSettings(dimension=dimension), 0)
    ones = loaded.train_inputs[:].sum(1)
    assert loaded.train_inputs[:].unique().tolist() == [0, 1]
    assert torch.equal(loaded.train_labels, (ones >= least).long())
    assert torch.equal(loaded.train_targets[:], loaded.train_labels[:, None].float())


def test_every_number_of_ones_is_equally_likely():
    """100,000 samples of 10 bits: each of 11 numbers within 4.5 standard deviations of a binomial number."""
    loaded = data.load(OnesSettings(train_count=100_000), 1)
    counts = np.bincount(loaded.train_inputs[:].sum(1).long().numpy(), minlength=11)
    assert np.abs(counts - 1e5 / 11).max() < 4.5 * np.sqrt(1e5 * 10 / 121)


def test_the_seed_decides_the_samples_and_both_parts_differ():
    first, again, other = (data.load(OnesSettings(), seed) for seed in (1, 1, 2))
    assert torch.equal(first.train_inputs[:], again.train_inputs[:])
    assert not torch.equal(first.train_inputs[:], other.train_inputs[:])
    assert not torch.equal(first.train_inputs[:], first.test_inputs[:])


def test_a_single_output_means_the_second_class_above_one_half():
    outputs, labels = torch.tensor([[[0.49], [0.51], [0.6], [-2.0]]]), torch.tensor([0, 1, 0, 1])
    assert data.Dataset.correct(outputs, labels).tolist() == [[True, True, False, False]]


def test_a_single_unit_learns_it():
    scenario = Scenario(
        data={"name": "ones", "dimension": 10},
        network={"layers": (10, 1)},
        neuron={"activation": "identity"},
        dynamics="sweep",
        learning={"epochs": 20, "rate": 0.01},
        run={"device": "cpu"},
    )
    trainer = registry.trainers.get("settle_then_update")(scenario, build(scenario), data.load(scenario.data, 0))
    before = trainer.evaluate()[0]["test_accuracy"]
    for _ in range(trainer.total_updates):
        progress = trainer.advance()
    assert progress.accuracy is not None
    # A single linear unit comes as far as least squares do, solved outright.
    inputs, tests = (
        torch.cat((part[:], torch.ones(1000, 1)), 1)
        for part in (trainer.dataset.train_inputs, trainer.dataset.test_inputs)
    )
    best = torch.linalg.lstsq(inputs, trainer.dataset.train_targets[:]).solution
    wanted = trainer.dataset.correct(tests @ best, trainer.dataset.test_labels).double().mean().item()
    found = trainer.evaluate()[0]["test_accuracy"]
    assert found == pytest.approx(wanted, abs=0.03)
    assert found > before + 0.1
