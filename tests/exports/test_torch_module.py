"""A network as torch's own modules: against the package's forward pass, in both precisions."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from analogdp.analysis.gradients import forward
from analogdp.api import open_run
from analogdp.errors import InputError, ScenarioError
from analogdp.exports.base import export_network, exporter
from analogdp.exports.torch_module import torch_module
from analogdp.network import build
from analogdp.scenario import Scenario
from tests.small_runs import small_run

POOLS = [("max", "activity"), ("average", "drive"), ("quadratic_mean", "activity")]
NORMALISED = {
    "neuron": "backpropagation",
    "dynamics": {"clock": "sweep", "order": "forward_backward"},
}
DENSE = (64, 12, 10)


def images(pool, of, normalise=None):
    first = {"conv": 3, "padding": 1, "pool": {"kind": pool, "of": of}, "normalise": normalise}
    return ("1x8x8", first, {"conv": 4, "kernel": 2, "stride": 2}, 12, 10)


def network_of(layers=DENSE, dtype="float64", **sections):
    network = {"layers": layers, **sections.pop("network", {})}
    scenario = Scenario.model_validate(
        {"data": "digits", "network": network, "run": {"device": "cpu", "dtype": dtype}, **sections}
    )
    made, generator = build(scenario), torch.Generator().manual_seed(3)
    for layer in made.layers:
        if layer.bias is not None:
            layer.bias.copy_(0.1 * torch.randn(layer.bias.shape, generator=generator))
    for own in made.normalisations.values():
        for name in ("gain", "offset", "mean", "variance"):
            values = getattr(own, name).detach()
            values.add_(0.3 * torch.rand(values.shape, generator=generator))
    return scenario, made


def largest_difference(network, module):
    x = torch.rand(9, network.sizes[0], generator=torch.Generator().manual_seed(7), dtype=network.dtype)
    expected = forward(network, x.unsqueeze(0))[0]
    found = module(x)
    assert found.dtype == expected.dtype
    return ((found - expected).abs().max() / expected.abs().max()).item()


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


def test_a_file_holds_the_state_dict_and_says_of_what(tmp_path):
    scenario, network = network_of()
    path = tmp_path / "model.safetensors"
    assert export_network(network, scenario, exporter("safetensors"), path) == [path]
    module = torch_module(network)
    assert module.load_state_dict(load_file(path))
    assert largest_difference(network, module) < 1e-12
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert (metadata["format"], metadata["format_version"]) == ("analogdp-torch-module", "1")
    assert json.loads(metadata["modules"])[1] == {
        "name": "1",
        "class": "Linear",
        "description": "in_features=64, out_features=12, bias=True",
    }
    assert "dp_transposed" in metadata["scenario"]


def test_one_chip_of_several_has_to_be_named(tmp_path):
    scenario, network = network_of(chips=2)
    with pytest.raises(ScenarioError, match="safetensors holds one chip"):
        export_network(network, scenario, exporter("safetensors"), tmp_path / "a.safetensors")
    export_network(network, scenario, exporter("safetensors", chip=1), tmp_path / "b.safetensors")
    weights = load_file(tmp_path / "b.safetensors")["1.weight"]
    assert torch.equal(weights, network.synapses[0].weights[1])


def test_neurons_that_settle_under_what_comes_from_above_are_refused(tmp_path):
    scenario, network = network_of(neuron="hopfield", learning={"mode": "equilibrium_propagation"})
    with pytest.raises(InputError, match="settle under what comes from above"):
        export_network(network, scenario, exporter("safetensors"), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


APART = {"synapse": {"model": "crossbar", "adc": {"bits": 8}}, "mismatch": {"gain": {"std": 0.0, "compartments": 0.1}}}


def test_a_file_names_what_it_lacks_of_the_run(tmp_path):
    scenario, network = network_of(**APART)
    with pytest.raises(ScenarioError, match=r"send down .*; to export without: lossy=\[messages\]"):
        export_network(network, scenario, exporter("safetensors"), tmp_path / "model.safetensors")
    export_network(network, scenario, exporter("safetensors", lossy="messages"), tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata()["without"] == "messages, converters"


def test_a_result_is_refused_as_the_file_is(tmp_path):
    result = open_run(small_run(tmp_path, **APART))
    with pytest.raises(ScenarioError, match=r"send down .*; to export without: lossy=\[messages\]"):
        result.to_torch()
    module = result.to_torch(lossy=["messages"])
    assert largest_difference(result.network, module) < 1e-12
