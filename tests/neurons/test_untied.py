import pytest
import torch
from torch.nn import functional

from analogdp import registry
from analogdp.dynamics import Continuous, ExponentialEuler, Simulation, Sweep
from analogdp.learning.plasticity import make_rule
from analogdp.network import Network, build
from analogdp.scenario.schema import Scenario

SMOOTH = [name for name in registry.activations.names() if name != "step"]
CONVOLUTIONAL = (
    "2x9x9",
    {"conv": 4, "kernel": 3, "padding": 1, "pool": {"kind": "quadratic_mean", "of": "activity"}},
    {"conv": 5, "kernel": 2, "stride": 2, "pool": {"kind": "max", "size": 2, "stride": 1}},
    6,
    3,
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def signals(network: Network, clock, x, y) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weight and bias gradients that the local rule makes of a settled batch, for each layer."""
    simulation = Simulation(network, clock)
    beta = network.neurons[-1].beta
    simulation.present(x, y, beta)
    state = simulation.settle().state
    rule, found = make_rule("contrastive_hebbian", 1.0, network), []
    messages = [x, *(n.upward(own) for n, own in zip(network.neurons[:-1], state[:-1], strict=True))]
    parts = zip(simulation.field.passages, network.neurons, state, messages, strict=True)
    for index, (passage, neuron, own, message) in enumerate(parts):
        (update,) = rule.updates(index, *passage.rows(neuron.learning_signal(own), message), x.shape[1])
        found.append((-update.post.mT @ update.pre, -update.post.sum(1, keepdim=True)))
    return found


def gradients(network: Network, x, y) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The same by autograd, through the network written out in torch's own functions."""
    weights = [synapse.weights.detach().clone().requires_grad_() for synapse in network.synapses]
    biases = [layer.bias.detach().clone().requires_grad_() for layer in network.layers]
    signal = x[0]
    for index, projection in enumerate(network.projections):
        wiring, weight, bias = projection.wiring, weights[index][0], biases[index][0, 0]
        if index > 0:
            signal = network.neurons[index - 1].activation(signal)
        if wiring.activity_pool:
            signal = functional.avg_pool2d(signal.square(), wiring.activity_pool.size).sqrt()
        if kernel := wiring.kernel:
            filters = weight.view(kernel.channels, -1, kernel.size, kernel.size)
            signal = functional.conv2d(signal.view(-1, *wiring.read), filters, bias, kernel.stride, kernel.padding)
        else:
            signal = functional.linear(signal.flatten(1), weight, bias)
        if pool := wiring.drive_pool:
            signal = functional.max_pool2d(signal, pool.size, pool.stride)
    network.loss.value(signal, y[0]).mean().backward()
    return [(weight.grad, bias.grad) for weight, bias in zip(weights, biases, strict=True)]


def make(layers, activation, loss) -> Network:
    """Backpropagating neurons in a network of some layers, with biases that are not zero."""
    inputs = 162 if layers is CONVOLUTIONAL else layers[0]
    network = build(
        Scenario.model_validate(
            {
                "data": {"name": "blobs", "inputs": inputs, "classes": 3},
                "network": {"layers": layers, "loss": loss},
                "neuron": {"model": "backpropagation", "activation": activation},
                "dynamics": "sweep",
                "run": {"device": "cpu", "dtype": "float64"},
            }
        )
    )
    for index, layer in enumerate(network.layers):
        layer.bias.copy_(0.1 * random(*layer.bias.shape, seed=index))
    return network


@pytest.mark.parametrize("loss", ["least_squares", "cross_entropy"])
@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("layers", [(6, 5, 4, 3), CONVOLUTIONAL], ids=["dense", "convolutional"])
def test_a_sweep_of_backpropagation_gives_the_gradients_of_autograd(layers, activation, loss):
    network = make(layers, activation, loss)
    x, y = random(1, 7, network.sizes[0]), torch.softmax(random(1, 7, 3, seed=1), -1)
    for ours, theirs in zip(signals(network, Sweep(1), x, y), gradients(network, x, y), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


def test_continuous_neurons_come_to_rest_at_the_same_gradients():
    network = make(CONVOLUTIONAL, "tanh", "cross_entropy")
    x, y = random(1, 7, 162), torch.softmax(random(1, 7, 3, seed=1), -1)
    clock = Continuous(ExponentialEuler, dt=0.5e-6, steps=200, tolerance=None)
    for ours, theirs in zip(signals(network, clock, x, y), signals(network, Sweep(1), x, y), strict=True):
        torch.testing.assert_close(ours[0], theirs[0], rtol=1e-9, atol=1e-12)
