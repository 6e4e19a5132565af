"""Torch models as layers of a scenario: what is read of them, and what is refused with which words."""

import pytest
import torch
from torch import nn

from analogdp.errors import InputError
from analogdp.exports.torch_module import QuadraticMeanPool2d
from analogdp.imports.torch_models import read_model


class Own(nn.Module):
    def forward(self, x):
        return x


def refusal(*modules):
    with pytest.raises(InputError) as caught:
        read_model(nn.Sequential(*modules))
    return str(caught.value)


def test_layers_activation_and_weights_are_read_through_nested_sequences():
    inner = nn.Sequential(nn.Linear(6, 5), nn.LeakyReLU(0.3))
    model = nn.Sequential(nn.Flatten(), inner, nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 2, bias=False)))
    found = read_model(model)
    assert found.layers == (6, 5, 2)
    assert found.activation == {"name": "leaky_relu", "slope": 0.3}
    assert torch.equal(found.weights[0].weights, inner[0].weight.detach().double())
    assert found.weights[1].bias is None
    assert found.notes == ("2.0 (Dropout) does nothing in evaluation, and was left out",)


def test_a_pool_is_of_drives_or_of_activities_by_its_place():
    model = nn.Sequential(
        *(nn.Unflatten(1, (1, 12, 12)), nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.Tanh()),
        *(nn.Conv2d(2, 3, 3, stride=2), nn.Tanh(), QuadraticMeanPool2d(2, 1), nn.Flatten(), nn.Linear(3, 4)),
    )
    assert read_model(model).layers == (
        "1x12x12",
        {
            "conv": 2,
            "kernel": 3,
            "stride": 1,
            "padding": 1,
            "pool": {"kind": "max", "size": 2, "stride": 2, "of": "drive"},
        },
        {
            "conv": 3,
            "kernel": 3,
            "stride": 2,
            "padding": 0,
            "pool": {"kind": "quadratic_mean", "size": 2, "stride": 1, "of": "activity"},
        },
        4,
    )


@pytest.mark.parametrize("affine", [True, False])
def test_batch_normalisation_is_folded_with_its_own_epsilon(affine):
    torch.manual_seed(0)  # torch's own initialisation
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, eps=0.1, affine=affine), nn.Linear(5, 2)).double()
    model(torch.rand(30, 6, dtype=torch.float64))
    model.eval()
    own, x = read_model(model).weights[0], torch.rand(4, 6, dtype=torch.float64)
    torch.testing.assert_close(x @ own.weights.T + own.bias, model[1](model[0](x)), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("module", "settings"),
    [
        (nn.ReLU(), {"name": "relu"}),
        (nn.Tanh(), {"name": "tanh"}),
        (nn.Sigmoid(), {"name": "logistic"}),
        (nn.Hardtanh(0, 1), {"name": "hard_sigmoid"}),
        (nn.Identity(), {"name": "identity"}),
    ],
)
def test_activations_are_those_of_scenarios(module, settings):
    assert read_model(nn.Sequential(nn.Linear(3, 2), module, nn.Linear(2, 2))).activation == settings


LINEAR, IMAGES = nn.Linear(4, 4), nn.Conv2d(1, 2, 3)


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        (
            (LINEAR, nn.GELU(), nn.Sequential(Own())),
            "1 (GELU), 2.0 (Own): not supported; supported: Sequential, Linear",
        ),
        ((LINEAR, nn.ReLU(), LINEAR, nn.Tanh(), LINEAR), "they differ (0: 1: ReLU(); 2: 3: Tanh())"),
        ((LINEAR, nn.ReLU(), LINEAR, LINEAR), "they differ (0: 1: ReLU(); 2: no activation)"),
        ((LINEAR, nn.ReLU()), "1: ReLU(): outputs are linear neurons"),
        ((LINEAR, nn.ReLU(), nn.BatchNorm1d(4), LINEAR), "2: BatchNorm1d"),
        ((LINEAR, nn.BatchNorm1d(4, track_running_stats=False), LINEAR), "without running statistics"),
        ((nn.BatchNorm1d(4), LINEAR), "0: BatchNorm1d"),
        ((LINEAR, nn.Hardtanh(-1, 1), LINEAR), "scenarios have Hardtanh(0, 1)"),
        ((LINEAR, nn.Softmax(0)), "classes lie along dim=1"),
        ((LINEAR, nn.Softmax(1), LINEAR), "a softmax comes last"),
        ((IMAGES, nn.Linear(2, 2)), "images come in; put Flatten before it"),
        ((nn.Unflatten(1, (1, 2, 2)), LINEAR), "images come in; put Flatten before it"),
        ((nn.Flatten(), IMAGES), "put Unflatten(1, (channels, height, width)) before it"),
        ((LINEAR, IMAGES), "convolutions come before layers of units"),
        ((nn.Conv2d(1, 2, (3, 5)), nn.Flatten(), LINEAR), "square windows"),
        ((nn.Conv2d(2, 2, 3, groups=2), nn.Flatten(), LINEAR), "without groups and dilation"),
        ((IMAGES, nn.MaxPool2d(2, padding=1), nn.Flatten(), LINEAR), "nothing around the image"),
        ((IMAGES, nn.AvgPool2d(2, ceil_mode=True), nn.Flatten(), LINEAR), "nothing around the image"),
        ((IMAGES, nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Flatten(), LINEAR), "one pool follows each convolution"),
        ((nn.Flatten(2), LINEAR), "start_dim=1, end_dim=-1"),
        ((nn.ReLU(), LINEAR), "a layer of weights comes first"),
        ((nn.ReLU6(), LINEAR), "0 (ReLU6): not supported"),
        ((nn.Flatten(),), "has no layers of weights"),
    ],
)
def test_what_does_not_go_is_named_with_its_place(modules, words):
    assert words in refusal(*modules)


def test_a_module_that_is_code_is_told_to_give_its_state_dict():
    with pytest.raises(InputError, match=r"Own: not supported.*give its state_dict with a scenario"):
        read_model(Own())
