import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from analogdp.analysis.stability import System, fixed_point
from analogdp.analysis.stability.critical import critical_alpha, critical_beta
from analogdp.errors import InputError
from analogdp.network import build
from analogdp.streams import Stream


@pytest.fixture
def make_case(make_scenario):
    """A random network and two samples: ``make_case(layers, gain, neuron=...)``."""

    def make(layers=(5, 8, 7, 3), gain=1.5, **sections):
        network = build(make_scenario(layers, network={"gain": gain}, **sections))
        inputs = Stream(1, "inputs", network.chip_indices, dtype=torch.float64).normal((2, layers[0]))
        labels = Stream(2, "labels", network.chip_indices, dtype=torch.float64).normal((2, layers[-1]))
        return network, inputs, labels

    return make


def largest_loop(network):
    """Lambda of a linear network, by numpy: of the sum of Phi Phi^T."""
    total, phi = 0.0, np.eye(network.sizes[-1])
    for synapse in reversed(network.synapses[1:]):
        phi = phi @ synapse.weights[0].numpy()
        total = total + phi @ phi.T
    return np.linalg.eigvalsh(total)[-1]


def proximal_strength(alpha, beta):
    return beta / ((1 + alpha * beta) * (1 - (1 - alpha) * beta))


@pytest.mark.parametrize("alpha", [0.0, 0.55, 1.0])
def test_sweeps_of_a_linear_network_lose_stability_where_g_lambda_is_one(make_case, alpha):
    """At every alpha, and below 1/2 everything else does, too; to 1e-4, as precise as the search is."""
    network, inputs, labels = make_case(neuron={"model": "dp", "alpha": alpha, "activation": "identity"})
    excess = lambda beta: abs(2 * alpha - 1) * proximal_strength(alpha, beta) * largest_loop(network) - 1  # noqa: E731
    limit = 100.0 if alpha == 1 else 1 / (1 - alpha)
    expected = brentq(excess, 1e-6, limit * (1 - 1e-9))
    found = critical_beta(network, inputs, labels, "sweep")
    np.testing.assert_allclose(found.value, expected, rtol=1e-4)
    np.testing.assert_allclose(found.certified, expected, rtol=1e-4)
    for dynamics in ("ode", "map"):
        other = critical_beta(network, inputs, labels, dynamics).value
        assert (torch.isclose(other, found.value, rtol=1e-4) if alpha < 0.5 else other > found.value).all()


def test_the_loss_of_stability_is_told_by_kind_and_frequency(make_case):
    """A real eigenvalue below 1/2, a pair above; in a single loop of depth m it turns at tan(pi / 2m) / tau."""
    network, inputs, labels = make_case((1, 1, 1, 1, 1), neuron={"model": "dp", "alpha": 0.5, "activation": "identity"})
    for synapse in network.synapses:
        synapse.weights.fill_(1.5)
    neurons = network.layers[0].neuron
    for shift, turns in ((-0.5, False), (0.5, True)):
        network.layers[0].neuron = neurons.at_asymmetry(torch.tensor(shift, dtype=torch.float64))
        found = critical_beta(network, inputs, labels, "ode")
        assert (found.turns == turns).all()
        expected = math.tan(math.pi / 6) / (2 * math.pi * network.fastest_tau) if turns else 0.0
        np.testing.assert_allclose(found.frequency, expected, rtol=1e-4)
        np.testing.assert_allclose(found.eigenvalue.real, 1, atol=1e-4)
    alternating = critical_beta(network, inputs, labels, "sweep")
    np.testing.assert_allclose(alternating.frequency, 0.5, rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_transposed_nudging_at_alpha_0_and_1_is_stable_as_far_as_one_looks(make_case, alpha):
    """Proven for all dynamics, as no loop is closed."""
    network, inputs, labels = make_case(neuron={"model": "dp_transposed", "alpha": alpha, "activation": "tanh"})
    found = critical_beta(network, inputs, labels, "map")
    assert not found.crosses.any()
    assert found.value.isinf().all()
    assert (found.certified == found.searched).all()
    assert (found.searched > 99).all()


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "dynamics"), [(0.1, "sweep"), (0.9, "map")])
def test_a_curved_network_is_stable_just_below_its_boundary_and_not_just_above(make_case, alpha, dynamics):
    """By numpy, from the Jacobian of the simulator's targets at the fixed point, on either side by 0.1 %."""
    layers = (5, 8, 8, 8, 8, 3)
    network, inputs, labels = make_case(layers, 1.4, neuron={"model": "dp", "alpha": alpha, "activation": "tanh"})
    labels = 0.3 * labels
    found = critical_beta(network, inputs, labels, dynamics)
    assert found.crosses.any()
    assert (found.certified <= found.value).all()
    counted = (found.crosses & ~found.lost).numpy()
    for side in (-1, 1):
        state = None
        for share in (0.2, 0.4, 0.6, 0.8, 0.9, 1 + 1e-3 * side):
            beta = share * found.value.nan_to_num(posinf=0.1)
            system = System(network, inputs, labels, beta.unsqueeze(-1))
            state = fixed_point(system, state).state
        excess = largest_excess(system, state, dynamics)
        assert (np.sign(excess[counted]) == side).all()


def largest_excess(system, state, dynamics):
    jacobian = system.jacobian_matrix(state).numpy()
    if dynamics == "ode":
        return np.linalg.eigvals(jacobian).real.max(-1) - 1
    if dynamics == "sweep":
        sweep = np.broadcast_to(np.eye(system.size), jacobian.shape).copy()
        for place in (*system.places, *reversed(system.places)):
            sweep[..., place, :] = jacobian[..., place, :] @ sweep
        jacobian = sweep
    return np.abs(np.linalg.eigvals(jacobian)).max(-1) - 1


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_the_critical_alpha_of_linear_sweeps_solves_g_lambda_one(make_case, end):
    network, inputs, labels = make_case(neuron={"model": "dp", "alpha": 0.6, "beta": 0.4, "activation": "identity"})
    excess = lambda alpha: abs(2 * alpha - 1) * proximal_strength(alpha, 0.4) * largest_loop(network) - 1  # noqa: E731
    found = critical_alpha(network, inputs, labels, 0.4, end, "sweep")
    np.testing.assert_allclose(found.value, brentq(excess, 0.5, end), rtol=1e-4)
    np.testing.assert_allclose(found.certified, found.value, rtol=1e-4)


@pytest.mark.slow
def test_a_critical_beta_at_the_critical_alpha_is_the_beta_it_was_sought_at(make_case):
    """For a curved network with mismatch on several chips, whose nominal alpha is said."""
    sections = {"mismatch": {"push": 0.02, "mixing": 0.02}, "chips": 2}
    neuron = {"model": "dp", "alpha": 0.5, "beta": 0.2, "activation": "tanh"}
    network, inputs, labels = make_case((5, 8, 8, 3), 1.4, neuron=neuron, **sections)
    labels = 0.2 * labels
    alpha = critical_alpha(network, inputs, labels, 0.2, 1.0, "sweep", alpha=0.5).value
    assert alpha.isfinite().any()
    chip, sample = map(int, alpha.isfinite().nonzero()[0])
    for layer in network.layers:
        layer.neuron = layer.neuron.at_asymmetry(alpha[chip, sample] - 0.5)
    assert critical_beta(network, inputs, labels, "sweep").value[chip, sample] == pytest.approx(0.2, rel=1e-3)


def test_the_search_for_alpha_ends_where_proximal_outputs_have_no_solution(make_case):
    """(1 - alpha) beta < 1."""
    network, inputs, labels = make_case((5, 3), 0.1, neuron={"model": "dp", "alpha": 0.5, "beta": 1.6})
    found = critical_alpha(network, inputs, labels, 1.6, 0.0)
    np.testing.assert_allclose(found.searched, 1 - 1 / 1.6, atol=1e-5)


def test_alpha_is_refused_where_it_is_not_known_or_nudging_too_strong(make_case):
    network, inputs, labels = make_case(neuron={"model": "dp", "alpha": 0.5}, mismatch={"mixing": 0.02})
    with pytest.raises(InputError, match="mismatch of mixing"):
        critical_alpha(network, inputs, labels, 0.5, 0.0)
    with pytest.raises(InputError, match=r"beta: 2\.5 is too strong"):
        critical_alpha(network, inputs, labels, 2.5, 0.0, alpha=0.5)


def test_outputs_alone_are_stable_at_any_nudging(make_case):
    network, inputs, labels = make_case((5, 3), neuron={"model": "dp", "alpha": 0.2})
    found = critical_beta(network, inputs, labels)
    assert not found.crosses.any()
    assert (found.certified == found.searched).all()


def test_unknown_dynamics_are_refused(make_case):
    with pytest.raises(InputError, match="known: ode, map, sweep"):
        critical_beta(*make_case(), "sweeps")
