"""A network as torch's own modules: against the package's forward pass, in both precisions."""

import pytest
import torch
from torch import nn

from analogdp.api import open_run
from analogdp.errors import ScenarioError
from analogdp.exports.torch_module import torch_module
from tests.exports.torch_networks import APART, largest_difference, network_of
from tests.small_runs import small_run

POOLS = [("max", "activity"), ("average", "drive"), ("quadratic_mean", "activity")]
NORMALISED = {
    "neuron": "backpropagation",
    "dynamics": {"clock": "sweep", "order": "forward_backward"},
}


def images(pool, of, normalise=None):
    first = {"conv": 3, "padding": 1, "pool": {"kind": pool, "of": of}, "normalise": normalise}
    return ("1x8x8", first, {"conv": 4, "kernel": 2, "stride": 2}, 12, 10)


CASES = [
    {"synapse": "ideal"},
    {"synapse": "crossbar"},
    {"synapse": {"model": "crossbar", "wires": {"word_line": 50.0}}},
    {"network": {"bias": False}},
    *({"layers": images(*pool), "synapse": "ideal"} for pool in POOLS),
    {"layers": images("max", "drive", "batch"), "synapse": "ideal", **NORMALISED},
    {"mismatch": {"offset": 0.05, "gain": {"std": 0.1, "compartments": 0.1}, "alpha": 0.02}},
    {"layers": images("average", "activity"), "synapse": "ideal", "mismatch": {"offset": 0.05}},
]


@pytest.mark.parametrize("sections", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-6), ("float64", 1e-12)])
def test_the_module_answers_as_the_network(sections, dtype, error):
    _, network = network_of(dtype=dtype, **sections)
    assert largest_difference(network, torch_module(network)) < error


@pytest.mark.parametrize(
    "activation", ["relu", {"name": "leaky_relu", "slope": 0.3}, "hard_sigmoid", "tanh", "logistic", "identity", "step"]
)
def test_every_activation_is_there(activation):
    _, network = network_of(neuron={"model": "dp_transposed", "activation": activation})
    assert largest_difference(network, torch_module(network)) < 1e-12


def test_gains_of_membranes_are_of_drive_and_offset_together():
    mismatch = {"gain": {"std": 0.3, "compartments": 0.1}, "offset": {"std": 0.3, "compartments": 0.1}}
    _, network = network_of(neuron={"model": "threshold", "activation": "logistic"}, mismatch=mismatch)
    assert largest_difference(network, torch_module(network)) < 1e-12


def test_a_network_without_mismatch_is_of_torchs_own_modules():
    _, network = network_of(images("max", "activity"), synapse="ideal")
    kinds = (
        nn.Flatten,
        nn.Unflatten,
        nn.Conv2d,
        nn.ReLU,
        nn.MaxPool2d,
        nn.Conv2d,
        nn.ReLU,
        nn.Flatten,
        nn.Linear,
        nn.ReLU,
    )
    assert tuple(map(type, torch_module(network))) == (*kinds, nn.Linear)


def test_images_and_flat_samples_are_taken():
    _, network = network_of(images("max", "activity"), synapse="ideal")
    module, x = torch_module(network), torch.rand(3, 1, 8, 8, dtype=torch.float64)
    assert torch.equal(module(x), module(x.flatten(1)))


def test_the_global_generator_is_left_alone():
    _, network = network_of()
    before = torch.get_rng_state()
    torch_module(network)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_result_is_refused_as_the_file_is(tmp_path):
    result = open_run(small_run(tmp_path, **APART))
    with pytest.raises(ScenarioError, match=r"send down .*; to export without: lossy=\[messages\]"):
        result.to_torch()
    module = result.to_torch(lossy=["messages"])
    assert largest_difference(result.network, module) < 1e-12
