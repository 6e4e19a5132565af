"""The inference network as a safetensors file, against the network and its torch module."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from analogdp.errors import InputError, ScenarioError
from analogdp.exports.base import export_network, exporter
from analogdp.exports.torch_module import torch_module
from tests.exports.torch_networks import APART, largest_difference, network_of


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


def test_a_file_names_what_it_lacks_of_the_run(tmp_path):
    scenario, network = network_of(**APART)
    with pytest.raises(ScenarioError, match=r"send down .*; to export without: lossy=\[messages\]"):
        export_network(network, scenario, exporter("safetensors"), tmp_path / "model.safetensors")
    export_network(network, scenario, exporter("safetensors", lossy="messages"), tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata()["without"] == "messages, converters"
