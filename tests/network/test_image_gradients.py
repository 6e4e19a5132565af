"""What networks of images learn from against the gradients that autograd finds in torch.nn."""

import pytest
import torch

from analogdp.data import Dataset
from analogdp.learning import Trainer
from analogdp.learning import trainer as trainer_module
from tests.network.images import image_network, image_scenario, random, torch_twin

BATCH = 5
NETWORKS = {
    "max of drives": [{"conv": 3, "pool": {}}, {"conv": 2, "kernel": 2, "padding": 1}],
    "average of drives": [{"conv": 3, "stride": 2, "padding": 1}, {"conv": 4, "pool": {"kind": "average"}}],
    "quadratic mean of drives": [{"conv": 3, "pool": {"kind": "quadratic_mean"}}, 6],
    "max of activities": [{"conv": 3, "pool": {"of": "activity"}}, {"conv": 2, "kernel": 2}],
    "average of activities": [{"conv": 3}, {"conv": 2, "pool": {"of": "activity", "kind": "average"}}, 5],
    "quadratic mean of activities": [{"conv": 3, "pool": {"of": "activity", "kind": "quadratic_mean"}}, 5],
}


def trainer_of(layers, learning=None, **sections):
    """A trainer on one batch, its network with small random biases, and that batch."""
    scenario = image_scenario(
        ["2x8x7", *layers, 3],
        dynamics="sweep",
        learning={"optimizer": "sgd", "rate": 1.0, "batch": BATCH, "epochs": 1, **(learning or {})},
        **sections,
    )
    network = image_network(["2x8x7", *layers, 3], **sections)
    inputs, targets = random(BATCH, 112, seed=5), random(BATCH, 3, seed=6)
    data = Dataset("random", inputs, targets, None, inputs, targets, None)
    return Trainer(scenario, network, data), inputs, targets


def gradients(network, chip, inputs, targets):
    """Those of the mean loss by the weights and biases of one chip, layer after layer."""
    twin = torch_twin(network, chip)
    loss = (twin(inputs) - targets).square().sum(1).mean() / 2
    parts = [part.weights for part in twin]
    found = torch.autograd.grad(loss, [own for part in parts for own in (part.weight, part.bias)])
    return found[::2], found[1::2]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("chips", [1, 2])
def test_a_sweep_at_a_small_beta_gives_autograds_gradients(name, alpha, chips):
    """Differences are of the order of rounding over beta: no dyad crosses a kink at 1e-6."""
    neuron = {"model": "dp_transposed", "alpha": alpha, "beta": 1e-6}
    trainer, inputs, targets = trainer_of(NETWORKS[name], neuron=neuron, chips=chips)
    network = trainer.network
    before = [synapse.weights.clone() for synapse in network.synapses]
    biases = [layer.bias.clone() for layer in network.layers]
    expected = [gradients(network, chip, inputs, targets) for chip in range(chips)]
    trainer.advance()
    for number, (synapse, layer) in enumerate(zip(network.synapses, network.layers, strict=True)):
        for chip in range(chips):
            by_weights, by_bias = (own[number] for own in expected[chip])
            moved, shifted = (before[number] - synapse.weights)[chip], (biases[number] - layer.bias)[chip, 0]
            torch.testing.assert_close(moved, by_weights.flatten(1), rtol=1e-5, atol=1e-8)
            torch.testing.assert_close(shifted, by_bias, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ["max of activities", "quadratic mean of drives", "average of activities"])
def test_sums_of_changes_are_those_of_their_rows(name):
    trainer, inputs, targets = trainer_of(NETWORKS[name])
    trainer.simulation.present(inputs.unsqueeze(0), targets.unsqueeze(0), 0.5)
    settling = trainer.simulation.settle()
    rows, sums = trainer._signals(inputs.unsqueeze(0), settling), trainer._sums(inputs.unsqueeze(0), settling)
    assert trainer._summed == [own.wiring.kernel is not None for own in trainer.network.projections]
    for layer, (one, other) in enumerate(zip(rows, sums, strict=True)):
        (update,), drive = trainer._asked(layer, one, BATCH)
        (same,), own = trainer._asked(layer, other, BATCH)
        torch.testing.assert_close(same.post.mT @ same.pre, update.post.mT @ update.pre, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(own, drive, rtol=1e-12, atol=1e-14)


def test_a_chip_learns_from_the_slopes_of_the_moment_when_it_settled(monkeypatch):
    """Chips settle at moments of their own; what they learn does not depend on how long others go on."""
    monkeypatch.setattr(trainer_module, "refuse_unstable_step", lambda *arguments: None)
    layers = ["1x6x6", {"conv": 3}, {"conv": 2, "kernel": 1, "pool": {"kind": "quadratic_mean"}}, 3]
    settle = {"tolerance": 0.02, "check_every": 1}
    sections = {"chips": 3, "mismatch": {"tau": 0.3}, "neuron": {"activation": "tanh"}, "dynamics": {"settle": settle}}
    data = Dataset("random", random(4, 36), random(4, 3, seed=1), None, random(4, 36), random(4, 3, seed=1), None)
    changes = {}
    for chips in (None, (0,), (1,), (2,)):
        run = {"only_chips": chips} if chips else {}
        scenario = image_scenario(layers, learning={"optimizer": "sgd", "batch": 4, "epochs": 1}, run=run, **sections)
        network = image_network(layers, run=run, **sections)
        before = network.synapses[1].weights.clone()
        Trainer(scenario, network, data).advance()
        changes[chips] = network.synapses[1].weights - before
    for chip in range(3):
        torch.testing.assert_close(changes[None][chip], changes[chip,][0], rtol=1e-12, atol=1e-15)
