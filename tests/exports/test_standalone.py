"""The stages in numpy alone, against torch."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from analogdp.exports import standalone

IMAGES = torch.randn(5, 3, 7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
TORCH_POOLS = {
    "max": functional.max_pool2d,
    "average": functional.avg_pool2d,
    "quadratic_mean": lambda images, *window: functional.avg_pool2d(images.square(), *window).sqrt(),
}
TORCH_ACTIVATIONS = {
    "relu": torch.relu,
    "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
    "hard_sigmoid": lambda x: x.clamp(0, 1),
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
    "identity": lambda x: x,
    "step": lambda x: (x >= 0).double(),
}


def stage(**changes):
    """A stage of three channels of 7 x 7 with nothing in it."""
    shape, nothing = (3, 7, 7), {"activity_pool": None, "kernel": None, "drive_pool": None}
    ones, zeros = np.ones((1, 1)), np.zeros((1, 1))
    arrays = {"weight": ones, "slope": ones, "offset": zeros}
    shapes = {"below": shape, "read": shape, "drives": shape, "above": shape}
    return {**shapes, **nothing, "activation": {"name": "identity"}, "arrays": arrays, **changes}


@pytest.mark.parametrize("kind", sorted(TORCH_POOLS))
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (2, 1)])
def test_pools_are_torchs(kind, size, stride):
    found = standalone.pooled(IMAGES.flatten(1).numpy(), (3, 7, 7), {"kind": kind, "size": size, "stride": stride})
    expected = TORCH_POOLS[kind](IMAGES, size, stride).flatten(1)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("name", sorted(standalone.ACTIVATIONS))
def test_activations_are_torchs(name):
    drives = torch.linspace(-2, 2, 9, dtype=torch.float64).unsqueeze(0)
    section = {"name": name} | ({"slope": 0.2} if name == "leaky_relu" else {})
    found = standalone.neurons(stage(activation=section), drives.numpy())
    np.testing.assert_allclose(found, TORCH_ACTIVATIONS[name](drives), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_windows_are_those_of_a_convolution(stride, padding):
    kernels = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = functional.conv2d(IMAGES, kernels, stride=stride, padding=padding)
    kernel = {"channels": 4, "size": 3, "stride": stride, "padding": padding}
    own = stage(kernel=kernel, drives=expected.shape[1:], above=expected.shape[1:])
    matrix = kernels.flatten(1).numpy()
    found = standalone.answer([own], [lambda rows: rows @ matrix.T], IMAGES.flatten(1).numpy())
    np.testing.assert_allclose(found, expected.flatten(1), rtol=1e-12, atol=1e-12)


def test_bias_comes_before_normalisation_and_terms_of_neurons_are_added():
    arrays = {
        "bias": np.array([0.5, -0.5]),
        "gain": np.array([2.0, 3.0]),
        "shift": np.array([0.1, 0.2]),
        "weight": np.array([[0.25], [0.75]]),
        "slope": np.array([[1.0], [2.0]]),
        "offset": np.array([[0.0], [1.0]]),
    }
    shapes = dict.fromkeys(("below", "read", "drives", "above"), (2,))
    found = standalone.answer([stage(**shapes, arrays=arrays)], [lambda rows: rows], np.array([[1.0, 2.0]]))
    drives = np.array([2 * 1.5 + 0.1, 3 * 1.5 + 0.2])
    np.testing.assert_allclose(found, [0.25 * drives + 0.75 * 2 * (drives + 1)], rtol=1e-15)
