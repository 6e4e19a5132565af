"""Nudged networks as systems of equations: numpy's difference quotients are what derivatives are compared with."""

import numpy as np
import pytest
import torch

from analogdp.analysis.stability import System, fixed_point
from analogdp.errors import InputError
from tests.analysis.stability.conftest import normal
from tests.network.images import image_network

NETWORKS = {
    "dp": {},
    "dp, cross-entropy, proximal": {"network": {"loss": "cross_entropy"}},
    "dp_transposed, cross-entropy": {"neuron": {"model": "dp_transposed"}, "network": {"loss": "cross_entropy"}},
    "mismatch on two chips": {"chips": 2, "mismatch": {"push": 0.1, "gain": {"std": 0.1, "compartments": 0.05}}},
    "random feedback": {"feedback": "random"},
    "relu": {"neuron": {"activation": "relu", "alpha": 0.3}},
}


def quotients(system: System, state: torch.Tensor, width: float = 1e-6) -> np.ndarray:
    """d target / d state by central differences, without autograd."""
    columns = []
    for unit in np.eye(system.size):
        ahead, behind = (
            system.targets(state + sign * width * torch.from_numpy(unit)).detach().numpy() for sign in (1, -1)
        )
        columns.append((ahead - behind) / (2 * width))
    return np.stack(columns, -1)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_jacobian_is_what_differences_of_targets_say(nudged, name):
    system, state = nudged(**NETWORKS[name])
    assert system.jacobian_matrix(state).numpy() == pytest.approx(quotients(system, state), abs=2e-8)


@pytest.mark.parametrize("name", ["dp", "random feedback"])
def test_products_with_the_jacobian_are_those_with_the_matrix(nudged, name):
    system, state = nudged(**NETWORKS[name])
    vector = normal(*state.shape, seed=5)
    wanted = (system.jacobian_matrix(state) @ vector.unsqueeze(-1)).squeeze(-1)
    assert torch.allclose(system.jacobian(state)(vector), wanted, atol=1e-13)


def test_time_constants_lie_where_their_neurons_do(nudged):
    system, _ = nudged(mismatch={"tau": {"std": 0.1, "compartments": 0.1}})
    second = torch.as_tensor(system.network.layers[1].tau)
    assert torch.equal(system.layers(system.tau)[1], second)
    assert torch.equal(system.tau, system.vector(system.layers(system.tau)))


def test_the_jacobian_of_images_is_what_differences_of_targets_say():
    layers = ["1x6x6", {"conv": 2, "pool": {"kind": "average"}}, {"conv": 2, "kernel": 2}, 3]
    network = image_network(layers, neuron={"model": "dp", "alpha": 0.8, "beta": 0.3, "activation": "tanh"})
    system = System(network, normal(1, 2, 36), normal(1, 2, 3, seed=1), 0.3)
    state = fixed_point(system).state
    assert system.jacobian_matrix(state).numpy() == pytest.approx(quotients(system, state), abs=2e-8)


def test_neurons_that_are_no_dyads_are_refused(make_network):
    network = make_network((6, 5, 3), neuron={"model": "backpropagation"}, dynamics="sweep")
    with pytest.raises(InputError, match=r"neuron\.model"):
        System(network, normal(1, 2, 6), normal(1, 2, 3), 0.3)
