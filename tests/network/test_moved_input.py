"""An input that is a linear dyad itself, against a network that has one more layer, and against autograd."""

import pytest
import torch

from analogdp import registry
from analogdp.analysis.gradients import input_gradients
from analogdp.data import load
from analogdp.dynamics import Continuous, ExponentialEuler, Simulation, Sweep
from analogdp.learning import Trainer
from analogdp.network import build
from analogdp.scenario.schema import Scenario

CLOCKS = [
    *(Sweep(300, order=order) for order in ("forward_backward", "forward")),
    Continuous(ExponentialEuler, 0.5e-6, 800),
]


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def settle(network, clock, beta=0.3):
    sizes, simulation = network.sizes, Simulation(network, clock)
    simulation.present(random(1, 3, sizes[0]), random(1, 3, sizes[-1], seed=1), beta)
    simulation.settle()
    return simulation


@pytest.mark.parametrize("clock", CLOCKS, ids=["forward_backward", "forward", "continuous"])
@pytest.mark.parametrize("alpha", [0.2, 0.9])
def test_a_moved_input_is_one_more_layer_of_linear_dyads(make_network, alpha, clock):
    neuron = {"model": "dp", "alpha": alpha, "beta": 0.3, "activation": "identity"}
    moved = make_network((6, 5, 4), neuron={**neuron, "input_strength": 1.0}, network={"gain": 0.6})
    deeper = make_network((6, 6, 5, 4), neuron=neuron)
    deeper.synapses[0].weight.data.copy_(torch.eye(6).expand_as(deeper.synapses[0].weight))
    deeper.layers[0].bias.zero_()
    for own, twin, layer, other in zip(
        moved.synapses, deeper.synapses[1:], moved.layers, deeper.layers[1:], strict=True
    ):
        twin.weight.data.copy_(own.weight)
        other.bias.copy_(layer.bias)
    ours, theirs = settle(moved, clock), settle(deeper, clock)
    tolerance = 1e-11 if clock.timestep is None else 2e-3
    for one, other in zip(ours.state, theirs.state[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)
    read = ours.field.local_messages()[0]
    torch.testing.assert_close(read, deeper.neurons[0].upward(theirs.state[0]), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_input_moves_along_the_gradient_of_its_loss(make_network, alpha):
    beta, strength = 1e-6, 3.0
    neuron = {"model": "dp", "alpha": alpha, "beta": beta, "activation": "tanh", "input_strength": strength}
    network = make_network((6, 5, 4), neuron=neuron)
    simulation = settle(network, Sweep(3), beta)
    inputs, targets = random(1, 3, 6), random(1, 3, 4, seed=1)
    way = (simulation.field.local_messages()[0] - inputs) / beta
    expected = -strength * (2 * alpha - 1) * input_gradients(network, inputs, targets)
    torch.testing.assert_close(way, expected, rtol=1e-4, atol=1e-7)


def test_a_free_network_leaves_its_input_where_it_is(make_network):
    network = make_network((6, 5, 4), neuron={"model": "dp", "alpha": 0.2, "input_strength": 2.0})
    simulation = Simulation(network, Sweep(3))
    simulation.present(random(1, 3, 6))
    simulation.settle()
    assert torch.equal(simulation.field.local_messages()[0], random(1, 3, 6))


def test_the_targets_that_autograd_sees_move_the_input_too(make_network):
    network = make_network((6, 5, 4), neuron={"model": "dp", "alpha": 0.2, "beta": 0.3, "input_strength": 1.0})
    simulation = settle(network, Sweep(200))
    targets = simulation.field.targets([layer.unbind() for layer in simulation.state])
    for one, other in zip(targets, simulation.state, strict=True):
        torch.testing.assert_close(torch.stack(tuple(one)), other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("neuron", "words"),
    [
        ({"model": "dp", "input_strength": 1.0}, "not asymmetric"),
        ({"model": "dp_transposed", "input_strength": 1.0}, "unknown key"),
    ],
)
def test_an_input_that_could_not_move_is_refused(neuron, words):
    with pytest.raises(ValueError, match=words):
        Scenario.model_validate({"neuron": neuron})


def trainer(make_scenario, **sections):
    scenario = make_scenario((64, 12, 10), dynamics="sweep", **sections)
    network = build(scenario)
    made = registry.trainers.get(scenario.learning.mode)(scenario, network, load(scenario.data, 0))
    assert isinstance(made, Trainer)
    return made


@pytest.mark.parametrize("neuron", ["backpropagation", {"model": "dp_transposed", "alpha": 1.0, "beta": 1e-5}])
def test_adversarial_training_learns_from_inputs_moved_uphill(make_scenario, neuron):
    sections = {"neuron": neuron, "learning": {"adversarial_step": 0.5, "optimizer": "sgd", "rate": 1.0, "batch": 20}}
    attacked = trainer(make_scenario, **sections)
    inputs, targets, _ = attacked.dataset.training(attacked._batch(0, 0), attacked._stream.at(0).child("samples"))
    expected = inputs + 0.5 * input_gradients(attacked.network, inputs, targets)
    attacked.advance()
    read = attacked.simulation.field.local_messages()[0]
    torch.testing.assert_close(read, expected, rtol=1e-4, atol=1e-6)


def test_a_run_with_a_moved_input_learns_from_where_it_was_moved(make_scenario):
    neuron = {"model": "dp", "alpha": 0.0, "input_strength": 5.0}
    made = trainer(make_scenario, neuron=neuron, learning={"batch": 20})
    rows = made.dataset.training(made._batch(0, 0), made._stream.at(0).child("samples"))
    _, signals = made._settle(rows[0], rows[1], made._stream.at(0).child("settling"))
    moved = rows[0] - 5.0 * (signals[0][0] * made.network.neurons[0].beta) @ made.network.synapses[0].weights
    torch.testing.assert_close(signals[0][1], moved, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(moved, rows[0], atol=1e-3)
