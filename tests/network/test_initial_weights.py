import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from analogdp.errors import InputError
from analogdp.network import build


@pytest.fixture
def model():
    torch.manual_seed(1)  # torch's own initialisation knows no other generator
    made = nn.Sequential(
        nn.Linear(64, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10, bias=False), nn.BatchNorm1d(10)
    ).double()
    made(torch.rand(50, 64, dtype=torch.float64))
    for layer in (made[1], made[4]):
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    return made.eval()


@pytest.fixture
def with_weights(make_scenario, tmp_path):
    def make(tensors, **sections):
        path = tmp_path / "weights.safetensors"
        save_file(tensors, path)
        network = {"weights": path, **sections.pop("network", {})}
        return make_scenario((64, 12, 10), synapse="ideal", network=network, **sections)

    return make


def test_batch_normalisation_is_folded_into_weights_and_biases(model, with_weights):
    network = build(with_weights(model.state_dict(), chips=2))
    x = torch.rand(7, 64, dtype=torch.float64)
    hidden = torch.relu(x @ network.synapses[0].weights[1].T + network.layers[0].bias[1])
    outputs = hidden @ network.synapses[1].weights[1].T + network.layers[1].bias[1]
    torch.testing.assert_close(outputs, model(x), rtol=0, atol=1e-13)


def test_a_file_without_biases_leaves_them_at_zero(with_weights):
    tensors = {"0.weight": torch.rand(12, 64), "1.weight": torch.rand(10, 12)}
    assert not any(layer.bias.any() for layer in build(with_weights(tensors)).layers)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.full((12, 64), torch.nan), r"0\.weight holds numbers that are infinite or none"),
        (torch.zeros(12, 64, dtype=torch.int32), r"0\.weight is of type torch.int32"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(tensor, words, with_weights):
    with pytest.raises(InputError, match=words):
        build(with_weights({"0.weight": tensor, "1.weight": torch.zeros(10, 12)}))


def test_a_file_that_is_gone_is_said_to_be(with_weights, tmp_path):
    scenario = with_weights({"0.weight": torch.zeros(12, 64), "1.weight": torch.zeros(10, 12)})
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors: cannot be read"):
        build(scenario)


def test_a_gain_of_random_weights_beside_a_file_is_refused(with_weights):
    with pytest.raises(ValidationError, match="2 is of random weights"):
        with_weights({"0.weight": torch.zeros(12, 64), "1.weight": torch.zeros(10, 12)}, network={"gain": 2.0})
