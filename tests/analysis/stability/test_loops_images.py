"""Loop operators of convolutional networks with pools: the same network in torch.nn and its autograd are the check."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from analogdp.analysis.stability import System, free_state, linearise, loop_operators
from analogdp.analysis.stability.gammas import gammas
from tests.network.images import image_network, random, torch_twin

NETWORKS = {
    "largest drives": [{"conv": 2, "padding": 1, "pool": {}}, {"conv": 3, "kernel": 2}],
    "mean drives, strides": [
        {"conv": 3, "stride": 2, "padding": 1},
        {"conv": 2, "kernel": 2, "pool": {"kind": "average"}},
    ],
    "largest activities": [{"conv": 2}, {"conv": 3, "kernel": 2, "pool": {"of": "activity", "kind": "max"}}],
    "mean activities": [{"conv": 2}, {"conv": 2, "kernel": 1, "pool": {"of": "activity", "kind": "average"}}, 5],
    "quadratic means": [{"conv": 3, "pool": {"kind": "quadratic_mean"}}, 6],
}
CHIPS, SAMPLES, OUTPUTS = 2, 2, 4


@pytest.fixture(params=NETWORKS)
def images(request):
    """A network of two chips with a spread of alpha, and its system at the free state."""
    neuron = {"model": "dp", "alpha": 0.7, "beta": 0.2, "activation": "tanh"}
    layers = ["1x6x6", *NETWORKS[request.param], OUTPUTS]
    network = image_network(layers, neuron=neuron, chips=CHIPS, mismatch={"alpha": 0.1})
    for number, synapse in enumerate(network.synapses):
        synapse.weights.add_(0.1 * random(*synapse.weights.shape, seed=number))
    inputs, labels = random(1, SAMPLES, 36), torch.softmax(random(1, SAMPLES, OUTPUTS, seed=1), -1)
    return network, System(network, inputs, labels, 0.2), inputs[0]


def ways_up(twin, sample):
    """Of each hidden layer, the lowest first: its activities, and d a_L / d s by autograd."""
    found, shown = [], sample[None]
    for below, above in pairwise(range(len(twin) + 1)):
        shown = twin[below:above](shown)
        if above < len(twin):
            found.append((shown[0].detach(), torch.autograd.functional.jacobian(twin[above:], shown)[0, :, 0]))
    return found


def expected_loops(network, inputs, gamma):
    """Phi gamma f' Phi^T, the topmost hidden layer first; ``gamma`` is of every layer's neurons on every chip."""
    loops = []
    for chip in range(CHIPS):
        twin = torch_twin(network, chip, nn.Tanh)
        of_samples = [
            [
                way @ torch.diag(own[chip] * (1 - activity.square())) @ way.T
                for (activity, way), own in zip(ways_up(twin, sample), gamma, strict=False)
            ]
            for sample in inputs
        ]
        loops.append(torch.stack([torch.stack(own[::-1]) for own in of_samples], 1))
    return torch.stack(loops, 1)


def test_loops_are_products_of_slopes_from_the_topmost_layer_down(images):
    network, system, inputs = images
    found = loop_operators(linearise(system, free_state(system)))
    ones = [torch.ones(CHIPS, units, dtype=torch.float64) for units in network.sizes[1:]]
    assert torch.allclose(found, expected_loops(network, inputs, ones), rtol=1e-9, atol=1e-14)


def test_asymmetric_loops_weigh_every_unit_by_its_gamma(images):
    network, system, inputs = images
    for neuron in network.neurons:
        neuron.pull = 1 - neuron.push
        neuron.minus_pull = -neuron.pull
    system = System(network, inputs[None], system.field.presented[1], 0.2)
    found = loop_operators(linearise(system, free_state(system)), asymmetric=True)
    assert torch.allclose(found, expected_loops(network, inputs, gammas(network)), rtol=1e-9, atol=1e-14)
