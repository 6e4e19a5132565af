"""Crossbars of convolutions in ``conductances.h5``: a reader can fold their matrices back."""

import h5py
import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from analogdp.errors import InputError
from analogdp.exports import read_conductances
from analogdp.exports.hdf5 import write_conductances
from tests.network.images import image_network, image_scenario, random

LAYERS = [
    "2x6x5",
    {"conv": 3, "kernel": 2, "padding": 1, "pool": {"of": "activity", "kind": "average"}},
    {"conv": 4, "kernel": 2, "pool": {"size": 1}},
    3,
]
SECTIONS = {"synapse": {"model": "crossbar", "device": "ecram_mo"}, "feedback": "random", "chips": 2}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "conductances.h5"
    network = image_network(LAYERS, **SECTIONS)
    write_conductances(path, network, image_scenario(LAYERS, **SECTIONS))
    return network, path


def test_the_wiring_comes_back_as_it_was(exported):
    network, path = exported
    read = read_conductances(path)
    assert [crossbar.wiring for crossbar in read.crossbars] == [
        None if own.wiring.plain else own.wiring for own in network.projections
    ]
    assert read.feedback[1].wiring == network.projections[1].wiring


def test_kernels_of_the_file_convolve_as_the_network_does(exported):
    network, path = exported
    first, passage = read_conductances(path)[0], network.projections[0].passage(2)
    message = random(2, 2, 60)
    drives = passage.up(message, None, None, None, None)
    for chip in range(2):
        kernels, images = torch.tensor(first.kernels[chip]), message[chip].view(2, 2, 6, 5)
        expected = conv2d(images, kernels, padding=first.wiring.kernel.padding).flatten(1)
        torch.testing.assert_close(drives[chip], expected, rtol=1e-10, atol=1e-12)


def test_kernels_of_a_feedback_path_are_those_of_a_transposed_convolution(exported):
    network, path = exported
    back = read_conductances(path).feedback[1]
    weights = network.feedback_paths[1].weights.mT.reshape(2, 4, 3, 2, 2)
    np.testing.assert_allclose(back.kernels, weights.numpy(), rtol=1e-12)


def test_a_matrix_has_no_kernels_and_biases_are_those_of_channels(exported):
    _, path = exported
    read = read_conductances(path)
    assert read[0].biases.shape == (2, 3)
    with pytest.raises(InputError, match="layer 2 is no convolution"):
        read[2].kernels  # noqa: B018


def test_normalisations_are_written_with_their_statistics(tmp_path):
    layers = ["1x4x4", {"conv": 2, "normalise": "batch"}, 3]
    sections = {
        "synapse": {"model": "crossbar", "device": "ecram_mo"},
        "neuron": "backpropagation",
        "dynamics": "sweep",
    }
    network = image_network(layers, **sections)
    path = write_conductances(tmp_path / "c.h5", network, image_scenario(layers, **sections))
    with h5py.File(path) as file:
        group = file["normalisations/0"]
        assert set(group) == {"gain", "offset", "mean", "variance"}
        assert group["variance"].shape == (1, 2)
        assert file["synapses/0"].attrs["normalised"]
