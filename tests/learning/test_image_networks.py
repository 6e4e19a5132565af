"""Networks of images with everything else that a scenario may have."""

import os

import pytest
import torch

from analogdp.data import Dataset, load
from analogdp.data.files import DATA_VARIABLE
from analogdp.learning import Trainer
from analogdp.learning import always_on as always_on_module
from analogdp.learning import trainer as trainer_module
from analogdp.learning.always_on import AlwaysOnTrainer
from analogdp.network import build
from analogdp.scenario import Scenario
from tests.network.images import random

LAYERS = [
    "1x8x8",
    {"conv": 3, "stride": 2, "pool": {"of": "activity", "size": 2, "stride": 1, "kind": "quadratic_mean"}},
    {"conv": 4, "kernel": 2, "padding": 1, "pool": {}},
    10,
]
CROSSBAR = {"model": "crossbar", "device": "ecram_mo"}
NOISY = {
    "model": "crossbar",
    "device": {"card": "ecram_mo", "read_noise": 0.02, "read_time": "1 us"},
    "dac": {"range": "calibrated"},
    "adc": {"range": "calibrated"},
    "tile": "5x2",
}
SHORT = {"clock": "continuous", "settle": {"at_most": "4 us"}}
DELAYED = {
    "threshold": {"bottom_up": 0.01, "top_down": 0.001},
    "delay": {"bottom_up": "0.4 us", "top_down": "0.4 us"},
}
ALWAYS_ON = {"mode": "always_on", "batch": 2, "dwell": "4 us", "write_every": "1 us"}
VARIANTS = {
    "sweep": {"dynamics": "sweep"},
    "sweeps in a random order": {"dynamics": {"clock": "sweep", "order": "random"}},
    "continuous": {"dynamics": SHORT},
    "stages in a step": {"dynamics": {**SHORT, "integrator": "etd2rk"}},
    "noise": {
        "synapse": NOISY,
        "noise": {"membrane": 0.01, "nudging": 0.02, "asymmetry": 0.01},
        "mismatch": {"tau": 0.05, "alpha": 0.02},
        "dynamics": SHORT,
    },
    "fluctuating cells": {
        "synapse": CROSSBAR,
        "noise": {"conductance": {"std": 0.01, "correlation": "4 us"}},
        "dynamics": SHORT,
    },
    "rows one by one": {"synapse": {**CROSSBAR, "write": {"accumulate": "sample"}}, "dynamics": "sweep"},
    "wires": {"synapse": {**CROSSBAR, "wires": {"word_line": 5, "bit_line": 5}}, "dynamics": "sweep"},
    "delayed events": {"dynamics": {**SHORT, "axons": DELAYED}},
    "random clocks": {"dynamics": {**SHORT, "clock": "poisson"}},
    "always on": {"dynamics": SHORT, "synapse": CROSSBAR, "learning": ALWAYS_ON},
    "feedback that learns": {"feedback": "kolen_pollack", "dynamics": "sweep"},
    "feedback through cells": {"feedback": "kolen_pollack", "synapse": CROSSBAR, "dynamics": "sweep"},
    "fixed feedback": {"feedback": "random", "dynamics": "sweep"},
}


def trainer_of(**sections):
    learning = {"epochs": 1, "batch": 8, **sections.pop("learning", {})}
    scenario = Scenario.model_validate(
        {
            "data": {"name": "digits", "train_limit": 48, "test_limit": 8},
            "network": {"layers": LAYERS},
            "run": {"device": "cpu"},
            "learning": learning,
            **sections,
        }
    )
    kind = AlwaysOnTrainer if learning.get("mode") == "always_on" else Trainer
    return kind(scenario, build(scenario), load(scenario.data, scenario.seed))


@pytest.fixture
def any_step(monkeypatch):
    """Looking for the longest stable step takes most of the time, and is tested elsewhere."""
    for module in (trainer_module, always_on_module):
        monkeypatch.setattr(module, "refuse_unstable_step", lambda *arguments: None)


@pytest.mark.usefixtures("any_step")
@pytest.mark.parametrize("name", VARIANTS)
def test_convolutions_learn_with_it_and_a_restored_trainer_goes_on_with_the_same_bits(name):
    whole, resumed = trainer_of(**VARIANTS[name]), trainer_of(**VARIANTS[name])
    before = [synapse.weights.clone() for synapse in whole.network.synapses]
    for _ in range(2):
        whole.advance()
    resumed.restore({part: tensor.clone() for part, tensor in whole.tensors().items()})
    for trainer in (whole, resumed):
        trainer.advance()
    for part, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[part]), part
    for old, synapse in zip(before, whole.network.synapses, strict=True):
        assert torch.isfinite(synapse.weights).all()
        assert not torch.equal(old, synapse.weights)
    assert whole.evaluate() == resumed.evaluate()


@pytest.mark.skipif(DATA_VARIABLE not in os.environ, reason=f"no ${DATA_VARIABLE}")
def test_lenet5_learns_mnist():
    """1280 samples shown twice; a network that guesses is right in one of ten."""
    scenario = Scenario.model_validate(
        {
            "data": {"name": "mnist", "train_limit": 1280, "test_limit": 500},
            "network": {"architecture": "lenet5"},
            "dynamics": "sweep",
            "learning": {"epochs": 2, "batch": 32, "rate": 2e-3},
            "run": {"device": "cpu"},
        }
    )
    trainer = Trainer(scenario, build(scenario), load(scenario.data, scenario.seed))
    for _ in range(trainer.total_updates):
        trainer.advance()
    assert trainer.evaluate()[0]["test_accuracy"] > 0.8


@pytest.mark.slow
def test_vgg16_makes_a_training_step_on_images_of_the_size_of_cifars():
    scenario = Scenario.model_validate(
        {
            "data": "cifar10",
            "network": {"architecture": "vgg16"},
            "dynamics": "sweep",
            "learning": {"epochs": 1, "batch": 2, "optimizer": "sgd"},
            "run": {"device": "cpu"},
        }
    )
    inputs = random(2, 3072).float()
    part = (inputs, torch.tensor([3, 7]))
    data = Dataset.of_classes("random", tuple("0123456789"), part, part, (3, 32, 32))
    trainer = Trainer(scenario, build(scenario), data)
    before = [synapse.weights.clone() for synapse in trainer.network.synapses]
    assert torch.isfinite(torch.tensor(trainer.advance().loss))
    changed = [not torch.equal(old, own.weights) for old, own in zip(before, trainer.network.synapses, strict=True)]
    assert all(changed)
