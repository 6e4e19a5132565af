import numpy as np
import pytest
import torch

from analogdp.analysis.stability import System, fixed_point, linearise
from analogdp.analysis.stability.certificates import proven_stable, small_gain
from analogdp.analysis.stability.loops import loop_gain
from analogdp.streams import Stream


@pytest.fixture
def near(make_network):
    """A random network linearised where it is at rest, or nearly so: ``near(beta, neuron=...)``."""

    def make(beta, error=1.0, layers=(5, 7, 6, 8, 3), **sections):
        network = make_network(layers, network={"gain": 1.3}, **sections)
        inputs = Stream(1, "inputs", network.chip_indices, dtype=torch.float64).normal((12, layers[0]))
        labels = error * Stream(2, "labels", network.chip_indices, dtype=torch.float64).normal((12, layers[-1]))
        system = System(network, inputs, labels, beta)
        return linearise(system, fixed_point(system).state)

    return make


def radii(near):
    """Of the Jacobian: that of the synchronous map."""
    return np.abs(np.linalg.eigvals(near.system.jacobian_matrix(near.state).numpy())).max(-1)


def test_the_small_gain_of_one_hidden_layer_is_the_norm_of_its_loop(near):
    """N has a single number there, |C W diag(kappa) W^T|, and so has a network of DP with linear neurons gamma."""
    found = near(0.3, layers=(5, 7, 3), neuron={"model": "dp", "alpha": 0.8, "activation": "identity"})
    weights = found.system.network.synapses[1].weights[0].numpy()
    strength = 0.3 / ((1 + 0.8 * 0.3) * (1 - 0.2 * 0.3))
    expected = np.linalg.norm(strength * 0.6 * weights @ weights.T, 2)
    np.testing.assert_allclose(small_gain(found).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("model", ["dp", "dp_transposed"])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("beta", [0.02, 0.1, 0.4])
def test_what_is_proven_stable_is_stable_where_slopes_differ(near, model, alpha, beta):
    """By the spectral radius of numpy: the map is the least stable of the three dynamics."""
    found = near(beta, error=3.0, neuron={"model": model, "alpha": alpha, "activation": "tanh"})
    assert (radii(found)[proven_stable(found).numpy()] < 1).all()


def test_some_networks_whose_slopes_differ_are_proven_stable_and_some_are_not(near):
    neuron = {"model": "dp", "alpha": 0.3, "activation": "tanh"}
    assert proven_stable(near(0.02, neuron=neuron)).all()
    assert not proven_stable(near(0.4, neuron=neuron)).all()


def test_the_loop_gain_alone_would_vouch_for_an_unstable_network_whose_slopes_differ(near):
    """Saturated compartments stop the loops that it counts, and open others."""
    found = near(0.5, error=5.0, neuron={"model": "dp", "alpha": 0.0, "activation": "tanh"})
    wrong = (loop_gain(found).numpy() < 1) & (radii(found) > 1)
    assert wrong.any()
    assert not proven_stable(found).numpy()[wrong].any()


def test_mismatched_dyads_are_proven_stable_only_if_they_are(near):
    found = near(0.3, neuron={"model": "dp_transposed", "alpha": 0.5}, mismatch={"push": 0.1, "pull": 0.1}, chips=5)
    assert (radii(found)[proven_stable(found).numpy()] < 1).all()


def test_nothing_is_proven_where_time_constants_differ_within_a_layer(near):
    found = near(0.01, neuron={"model": "dp", "alpha": 0.3, "activation": "tanh"}, mismatch={"tau": 0.1})
    assert not proven_stable(found).any()


def test_what_is_proven_of_a_chip_does_not_depend_on_its_neighbours(near):
    """One of them has a time constant of its own."""
    found = near(0.02, neuron={"model": "dp", "alpha": 0.3, "activation": "tanh"}, chips=2)
    layer = found.system.network.layers[1]
    found.system.tau = found.system.tau.expand(2, 1, -1).clone()
    found.system.tau[1, 0, layer.units] *= 1.1
    assert proven_stable(found)[0].all()
    assert not proven_stable(found)[1].any()


def test_nothing_is_proven_where_the_compartments_of_transposed_outputs_answer_in_two_ways(near):
    mismatch = {"gain": {"std": 0.1, "compartments": 0.05}}
    found = near(0.01, neuron={"model": "dp_transposed", "alpha": 0.5}, mismatch=mismatch, chips=2)
    assert small_gain(found).isinf().all()
    assert not proven_stable(found).any()


@pytest.mark.parametrize("push", [0.25, 0.45])
def test_transposed_outputs_that_keep_themselves_going_are_never_proven_stable_if_they_are_not(near, push):
    """The outputs' own loop, which their small gain 1 / (1 - kept) counts, is as large as half of what would be too much."""
    neuron = {"model": "dp_transposed", "alpha": 0.5, "activation": "tanh"}
    unstable = 0
    for beta in (0.5, 1, 2, 3, 4, 6):
        found = near(beta, error=0.3, layers=(5, 4, 3), neuron=neuron, mismatch={"push": push}, chips=4)
        radius, proven = radii(found), proven_stable(found).numpy()
        assert (radius[proven] < 1).all()
        unstable += (radius > 1).sum()
    assert unstable
