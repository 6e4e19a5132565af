"""Bounds of the Lipschitz constant, against numpy's singular values and matrices written out."""

import numpy as np
import pytest
import torch

from analogdp.analysis.gradients import forward
from analogdp.analysis.lipschitz import is_linear_chain, jacobian_norm, spectral_product, weights_product
from analogdp.network import Network, build
from analogdp.network.norms import iterate, linear_part, pools_norm
from analogdp.scenario.schema import Scenario


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrices(network: Network, chip: int = 0):
    return [synapse.weights[chip].double().numpy() for synapse in network.synapses]


def convolutional(kind: str, size: int = 2, stride: int | None = None, of: str = "drive") -> Network:
    pool = {"kind": kind, "size": size, "stride": stride, "of": of}
    layers = ["1x8x8", {"conv": 3, "kernel": 3, "padding": 1, "pool": pool}, {"conv": 4, "kernel": 2, "stride": 2}, 10]
    sections = {"network": {"layers": layers}, "run": {"device": "cpu", "dtype": "float64"}}
    return build(Scenario.model_validate(sections))


def written_out(function, size: int):
    """The matrix of a linear function of ``(1, 1, size)``."""
    return np.stack([function(row.view(1, 1, -1)).flatten().numpy() for row in torch.eye(size, dtype=torch.float64)], 1)


def test_the_norm_of_the_product_of_weights_is_numpys(make_network):
    network = make_network((20, 12, 9, 5), chips=2)
    first, second, third = matrices(network, 1)
    expected = np.linalg.norm(third @ second @ first, 2)
    assert weights_product(network)[1].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("synapse", ["ideal", {"model": "crossbar", "device": "ecram_li", "dac": {"bits": 4}}])
def test_the_product_of_spectral_norms_is_numpys(make_network, synapse):
    network = make_network((20, 12, 9, 5), synapse=synapse)
    expected = np.prod([np.linalg.norm(matrix, 2) for matrix in matrices(network)])
    assert spectral_product(network).item() == pytest.approx(expected, rel=1e-5)


def test_the_norm_of_a_convolution_is_that_of_its_matrix():
    projection = convolutional("average").projections[0]
    passage = linear_part(projection)
    matrix = written_out(lambda x: passage.up(x, None, None, None, None), 64)
    squared = iterate(passage, random(1, 1, 64), 500)
    assert squared.item() == pytest.approx(np.linalg.norm(matrix, 2) ** 2, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "size", "stride", "bound"),
    [
        ("max", 2, None, 1),
        ("max", 3, 1, 3),
        ("average", 2, None, 0.5),
        ("average", 3, 2, 2 / 3),
        ("quadratic_mean", 2, 2, 0.5),
    ],
)
@pytest.mark.parametrize("of", ["drive", "activity"])
def test_the_norm_of_a_pool_is_bounded(kind, size, stride, bound, of):
    network = convolutional(kind, size, stride, of)
    assert np.prod([pools_norm(projection.wiring) for projection in network.projections]) == pytest.approx(bound)


def test_average_pools_are_part_of_the_product_of_weights():
    network = convolutional("average")
    free = convolutional("average")
    for layer in free.layers:
        layer.neuron.activation = lambda x: x
    matrix = written_out(lambda x: forward(free, x), 64)
    assert weights_product(network).item() == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-10)


def test_pools_that_are_not_linear_have_no_such_product():
    network = convolutional("max")
    assert not is_linear_chain(network)
    with pytest.raises(ValueError, match="average pools"):
        weights_product(network)


def test_the_largest_jacobian_is_numpys(make_network):
    network, inputs = make_network((20, 12, 9, 5), chips=2), random(6, 20)
    jacobians = torch.autograd.functional.jacobian(lambda x: forward(network, x.unsqueeze(0))[1], inputs)
    norms = [np.linalg.norm(jacobians[row, :, row].numpy(), 2) for row in range(6)]
    assert jacobian_norm(network, inputs)[1].item() == pytest.approx(max(norms), rel=1e-3)
    assert jacobian_norm(network, inputs, most=2)[1].item() == pytest.approx(max(norms[:2]), rel=1e-3)


def test_pools_are_part_of_the_product_of_norms():
    averages, largest = (spectral_product(convolutional(kind)).item() for kind in ("average", "max"))
    assert averages == pytest.approx(0.5 * largest)


@pytest.mark.parametrize("kind", ["max", "average", "quadratic_mean"])
def test_bounds_enclose_each_other(kind):
    network = convolutional(kind, 3, 2)
    assert jacobian_norm(network, random(30, 64)).item() < spectral_product(network).item()


@pytest.mark.parametrize("model", ["dp", "dp_transposed", "backpropagation", "predictive_coding"])
def test_the_product_of_norms_is_a_bound_where_neurons_have_different_gains(make_network, model):
    neuron = {"model": model, "activation": "identity"}
    network = make_network((6, 2, 2), neuron=neuron, mismatch={"gain": 0.3}, chips=20)
    bound, slope = spectral_product(network), jacobian_norm(network, random(2, 6))
    plain = spectral_product(make_network((6, 2, 2), neuron=neuron, chips=20))
    assert (slope <= bound * (1 + 1e-9)).all()
    assert not (slope <= plain).all(), "gains matter here"


def test_the_product_of_norms_counts_the_largest_gain_of_each_layer(make_network):
    network = make_network((20, 12, 5), mismatch={"gain": 0.3}, neuron={"model": "dp", "alpha": 0.3}, chips=2)
    gains = [(0.3 * own.gain[0, 1] + 0.7 * own.gain[1, 1]).max().item() for own in network.neurons]
    expected = np.prod([np.linalg.norm(matrix, 2) for matrix in matrices(network, 1)]) * np.prod(gains)
    assert spectral_product(network)[1].item() == pytest.approx(expected, rel=1e-5)


def test_the_product_of_weights_leaves_gains_out(make_network):
    plain, uneven = (make_network((20, 12, 5), mismatch={"gain": spread}) for spread in (0.0, 0.3))
    assert torch.equal(weights_product(uneven), weights_product(plain))


def test_a_normalisation_counts_with_the_slope_of_its_running_statistics():
    layers = ["1x4x4", {"conv": 3, "kernel": 2, "normalise": "batch"}, 10]
    sections = {"network": {"layers": layers}, "neuron": "backpropagation", "dynamics": "sweep"}
    data, run = {"name": "blobs", "inputs": 16}, {"device": "cpu", "dtype": "float64"}
    network = build(Scenario.model_validate({"data": data, "run": run, **sections}))
    normal = network.projections[0].normalisation
    # Variances as small as what keeps the root away from 0.
    normal.variance.copy_(torch.tensor([[0.0, 1e-5, 3e-5]]))
    normal.gain.copy_(torch.tensor([[1.0, 2.0, 0.5]]))
    slopes = normal.gain[0] / (normal.variance[0] + 1e-5).sqrt()
    plain = linear_part(network.projections[0])
    read = torch.nn.functional.conv2d(random(1, 1, 4, 4), network.synapses[0].weights[0].view(3, 1, 2, 2))
    expected = (read * slopes.view(1, 3, 1, 1)).flatten()
    found = plain.up(random(1, 1, 4, 4).view(1, 1, 16), None, None, None, None).flatten()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
