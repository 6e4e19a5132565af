"""The network as a function, against networks that torch's own layers make."""

import pytest
import torch
from torch import nn

from analogdp.analysis.gradients import forward, input_gradients, loss_gradients
from analogdp.dynamics import Simulation, Sweep
from analogdp.errors import InputError
from analogdp.network import Network, build
from analogdp.scenario.schema import Scenario

LENET = [
    "1x8x8",
    {"conv": 3, "kernel": 3, "padding": 1, "pool": {"kind": "max", "size": 2, "of": "drive"}},
    {"conv": 4, "kernel": 3, "pool": {"kind": "average", "size": 2, "of": "activity"}},
    10,
]


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_hot(batch, classes):
    return torch.eye(classes, dtype=torch.float64)[torch.arange(batch) % classes].unsqueeze(0)


def dense_twin(network: Network, chip: int = 0) -> nn.Sequential:
    """The network of one chip from torch's layers."""
    parts: list[nn.Module] = []
    for synapse, layer in zip(network.synapses, network.layers, strict=True):
        linear = nn.Linear(synapse.inputs, synapse.outputs).double()
        linear.weight.data.copy_(synapse.weights[chip])
        linear.bias.data.copy_(layer.bias[chip, 0])
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def convolutional_twin(network: Network) -> nn.Sequential:
    first, second, last = network.synapses
    one, two, three = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3), nn.Linear(4, 10)
    for module, synapse, layer in zip((one, two, three), (first, second, last), network.layers, strict=True):
        module.double()
        module.weight.data.copy_(synapse.weights[0].view_as(module.weight))
        module.bias.data.copy_(layer.bias[0, 0])
    shape = nn.Unflatten(1, (1, 8, 8))
    return nn.Sequential(shape, one, nn.MaxPool2d(2), nn.ReLU(), two, nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), three)


@pytest.fixture
def lenet() -> Network:
    sections = {"network": {"layers": LENET}, "run": {"device": "cpu", "dtype": "float64"}}
    network = build(Scenario.model_validate(sections))
    for number, layer in enumerate(network.layers):
        layer.bias.copy_(0.1 * random(*layer.bias.shape, seed=number))
    return network


def test_gradients_of_a_normalised_network_see_the_statistics_of_their_batch():
    layers = [6, {"dense": 5, "normalise": "batch"}, 4]
    run = {"device": "cpu", "dtype": "float64"}
    data = {"name": "blobs", "inputs": 6, "classes": 4}
    sections = {"data": data, "network": {"layers": layers}, "neuron": "backpropagation", "dynamics": "sweep"}
    network = build(Scenario.model_validate({**sections, "run": run}))
    inputs, targets = random(1, 7, 6), one_hot(7, 4)
    one, two = (synapse.weights[0].clone().requires_grad_() for synapse in network.synapses)
    hidden = nn.functional.batch_norm(inputs[0] @ one.T, None, None, training=True, eps=1e-5).relu()
    (0.5 * (hidden @ two.T - targets[0]).square().sum(1).mean()).backward()
    for found, expected in zip(loss_gradients(network, inputs, targets), (one.grad, two.grad), strict=True):
        torch.testing.assert_close(found[0], expected, rtol=1e-9, atol=1e-12)


def test_gradients_of_a_dense_network_are_those_of_torchs_layers(make_network):
    network, inputs, targets = make_network((64, 12, 9, 10)), random(1, 5, 64), one_hot(5, 10)
    twin = dense_twin(network)
    loss = (twin(inputs[0]) - targets[0]).square().sum(1).mean() / 2
    loss.backward()
    for ours, linear in zip(loss_gradients(network, inputs, targets), twin[::2], strict=True):
        torch.testing.assert_close(ours[0], linear.weight.grad, rtol=1e-12, atol=1e-14)


def test_gradients_of_a_convolutional_network_are_those_of_torchs_layers(lenet):
    inputs, targets = random(1, 5, 64), one_hot(5, 10)
    twin = convolutional_twin(lenet)
    (((twin(inputs[0]) - targets[0]).square().sum(1).mean()) / 2).backward()
    modules = [module for module in twin if isinstance(module, nn.Conv2d | nn.Linear)]
    for ours, module in zip(loss_gradients(lenet, inputs, targets), modules, strict=True):
        torch.testing.assert_close(ours[0], module.weight.grad.flatten(1), rtol=1e-11, atol=1e-14)


def test_each_chip_has_gradients_of_its_own(make_network):
    sections = {"mismatch": {"gain": 0.1, "offset": 0.1}, "neuron": {"activation": "tanh"}}
    both = make_network((64, 8, 10), chips=2, **sections)
    alone = make_network((64, 8, 10), only_chips=(1,), chips=2, **sections)
    inputs, targets = random(1, 5, 64), one_hot(5, 10)
    for together, own in zip(
        loss_gradients(both, inputs, targets), loss_gradients(alone, inputs, targets), strict=True
    ):
        torch.testing.assert_close(together[1], own[0], rtol=1e-12, atol=1e-14)


def test_gradients_by_inputs_are_those_of_torchs_layers(make_network):
    network, inputs, targets = (
        make_network((64, 12, 10), network={"loss": "cross_entropy"}),
        random(1, 5, 64),
        one_hot(5, 10),
    )
    moved = inputs[0].clone().requires_grad_()
    nn.functional.cross_entropy(dense_twin(network)(moved), targets[0].argmax(1), reduction="sum").backward()
    torch.testing.assert_close(input_gradients(network, inputs, targets)[0], moved.grad, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    "sections",
    [
        {"neuron": {"alpha": 0.3}, "mismatch": {"gain": 0.1, "offset": 0.1}},
        {"neuron": {"model": "dp", "activation": "tanh"}},
        {"neuron": {"model": "lpom"}, "dynamics": {"clock": "sweep"}},
        {"neuron": {"model": "backpropagation", "activation": "logistic"}},
        {"neuron": "predictive_coding", "dynamics": "sweep"},
    ],
    ids=["mismatched", "dp", "lpom", "backpropagation", "predictive_coding"],
)
def test_the_forward_pass_is_where_the_free_network_settles(make_network, sections):
    network, inputs = make_network((64, 12, 9, 10), **sections), random(1, 5, 64)
    simulation = Simulation(network, Sweep(3))
    simulation.present(inputs)
    settled = network.neurons[-1].upward(simulation.settle().state[-1])
    torch.testing.assert_close(forward(network, inputs), settled, rtol=1e-12, atol=1e-13)


def test_neurons_without_a_forward_pass_are_refused(make_network):
    network = make_network((64, 8, 10), neuron="hopfield", learning="equilibrium_propagation")
    with pytest.raises(InputError, match="no forward pass"):
        forward(network, random(1, 2, 64))
