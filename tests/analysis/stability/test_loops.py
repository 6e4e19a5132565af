"""Loop operators and their gain: numpy's products of weights and slopes are what they are compared with."""

import numpy as np
import pytest
import torch

from analogdp.analysis.stability import (
    System,
    fixed_point,
    gammas,
    largest_loop,
    linear_errors,
    linearise,
    loop_gain,
    loop_operators,
    output_strength,
)
from analogdp.analysis.stability.loops import output_closing
from tests.analysis.stability.conftest import normal
from tests.network.images import image_network


def weights_of(system: System) -> list[np.ndarray]:
    return [synapse.weights[0].numpy() for synapse in system.network.synapses]


def slopes_of(system: System, state: torch.Tensor, sample: int) -> list[np.ndarray]:
    """Of tanh at the free state."""
    return [1 - layer[0, 0, sample].numpy() ** 2 for layer in system.layers(state)[:-1]]


def test_loops_are_products_of_weights_and_slopes(nudged):
    system, state = nudged(at="free")
    found = loop_operators(linearise(system, state))
    assert found.shape == (2, 1, 2, 3, 3)
    _, second, third = weights_of(system)
    for sample in range(2):
        low, high = slopes_of(system, state, sample)
        ahead = third @ np.diag(high) @ second
        assert found[0, 0, sample].numpy() == pytest.approx(third @ np.diag(high) @ third.T)
        assert found[1, 0, sample].numpy() == pytest.approx(ahead @ np.diag(low) @ ahead.T)


def test_asymmetric_loops_hold_the_gamma_of_every_neuron_and_the_feedback_there_is(nudged):
    system, state = nudged(at="free", feedback="random", mismatch={"alpha": 0.1})
    found = loop_operators(linearise(system, state), asymmetric=True)[1, 0, 0].numpy()
    _, second, third = weights_of(system)
    paths = [path.weights[0].numpy() if path is not None else None for path in system.network.feedback_paths]
    low, high = slopes_of(system, state, 0)
    neuron = system.network.neurons[1]
    both = (neuron.push + neuron.pull)[0, 0].numpy()
    below = paths[1].T if paths[1].shape == second.shape else paths[1]
    above = paths[2].T if paths[2].shape == third.shape else paths[2]
    down = below @ np.diag(both * high) @ above
    gamma = gammas(system.network)[0][0].numpy()
    assert found == pytest.approx(third @ np.diag(high) @ second @ np.diag(gamma * low) @ down)


def test_loops_of_images_are_read_off_the_jacobian():
    layers = ["1x6x6", {"conv": 2, "pool": {}}, {"conv": 3, "kernel": 2}, 3]
    network = image_network(layers, neuron={"model": "dp", "alpha": 0.8, "beta": 0.3, "activation": "tanh"})
    system = System(network, normal(1, 2, 36), normal(1, 2, 3, seed=1), 0.3)
    near = linearise(system, fixed_point(system).state)
    whole = system.jacobian_matrix(near.state)
    last, below = system.places[-1], system.places[-2]
    # Two steps of the map: errors of the outputs go down to the layer below, and up again.
    twice = whole[..., last, below] @ whole[..., below, last]
    own = torch.block_diag(*[near.output.difference[0, 0, 0].diag(), near.output.difference[1, 0, 0].diag()])
    units = near.output.drive.shape[-1]
    signs = torch.cat([own[:units, :units], own[units:, units:]], 1)
    back = loop_operators(near, asymmetric=True)[0]
    for sample in range(2):
        drive = torch.cat([near.output.drive[0, 0, sample], near.output.drive[1, 0, sample]])
        assert torch.allclose(twice[0, sample], drive @ back[0, sample] @ signs, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.1, 0.9])
def test_with_one_gamma_the_loop_gain_is_gamma_times_beta_times_lambda(nudged, alpha):
    system, state = nudged(at="free", neuron={"alpha": alpha})
    near = linearise(system, state)
    wanted = 0.8 * output_strength(system.network, 0.3)[0, 0] * largest_loop(near)
    assert torch.allclose(loop_gain(near), wanted)


def test_push_and_pull_that_do_not_add_up_to_one_scale_the_loops(nudged):
    """p + q != 1: K_m becomes (p + q)^(m - 1) K_m, and the output's beta is multiplied by it, too."""
    system, state = nudged(at="free", neuron={"output": "linearised"})
    for neuron in system.network.neurons:
        neuron.push, neuron.pull, neuron.minus_pull = 1.2, 0.3, -0.3
    near = linearise(system, state)
    gamma = 0.8 * 1.2 - 0.2 * 0.3
    plain, found = loop_operators(near), loop_operators(near, asymmetric=True)
    for m in (1, 2):
        assert torch.allclose(found[m - 1], gamma * 1.5 ** (m - 1) * plain[m - 1])
    assert torch.allclose(output_strength(system.network, 0.3), torch.tensor(0.45, dtype=torch.float64))


@pytest.mark.parametrize(
    "sections",
    [
        {"mismatch": {"alpha": 0.2}, "neuron": {"alpha": 0.5}},
        {"feedback": "random"},
        {"network": {"loss": "cross_entropy"}},
        {"neuron": {"model": "dp_transposed", "alpha": 0.5}, "mismatch": {"alpha": 0.2}},
    ],
)
def test_the_loop_gain_bounds_the_closed_loop_at_every_phase(nudged, sections):
    """For gammas of either sign, feedback of its own, and any Hessian: by the eigenvalues of the whole Jacobian."""
    system, state = nudged(at="free", **sections)
    near = linearise(system, state)
    eigenvalues = np.abs(np.linalg.eigvals(system.jacobian_matrix(state).numpy())).max(-1)
    gain = loop_gain(near).numpy()
    # A loop below 1 has no eigenvalue at or outside the circle; scaled so that it is just below, that is sharp.
    assert ((gain >= 1) | (eigenvalues < 1)).all()
    operators = loop_operators(near, asymmetric=True)
    h = torch.exp(1j * torch.linspace(0, torch.pi, 40, dtype=torch.float64))
    closing = output_closing(near)
    for turn in h:
        total = sum(turn ** (2 * m) * own for m, own in enumerate(operators, start=1))
        if closing.at_mean:
            total = closing.through.unsqueeze(-1) * total * turn
        loop = total @ closing.gain.to(total) + turn * closing.own
        assert (torch.linalg.eigvals(loop).abs().amax(-1) <= torch.from_numpy(gain) * (1 + 1e-9)).all()


@pytest.mark.parametrize("neuron", [{"alpha": 0.2}, {"alpha": 0.9}, {"model": "dp_transposed", "alpha": 0.7}])
@pytest.mark.parametrize("mismatch", [{}, {"alpha": 0.05}])
def test_errors_of_linear_networks_follow_from_their_loops(nudged, neuron, mismatch):
    """Claim 7: delta_L = (1 + gamma beta sum K)^-1 beta (y - a_ff)."""
    system, state = nudged(neuron={"activation": "identity", **neuron}, mismatch=mismatch)
    inputs, labels = system.field.presented
    plain = inputs
    for layer, synapse in zip(system.network.layers, system.network.synapses, strict=True):
        plain = plain @ synapse.weights.mT + layer.bias
    plus, minus = system.layers(state)[-1]
    assert torch.allclose(linear_errors(linearise(system, state), labels - plain), plus - minus)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_linear_transposed_dyads_hold_the_gradients_of_backpropagation(nudged, alpha):
    system, state = nudged(neuron={"model": "dp_transposed", "alpha": alpha, "activation": "identity"})
    inputs, labels = system.field.presented
    drives, active = [], inputs
    for layer, synapse in zip(system.network.layers, system.network.synapses, strict=True):
        active = (active @ synapse.weights.mT + layer.bias).requires_grad_()
        drives.append(active)
    gradients = torch.autograd.grad((active - labels).square().sum() / 2, drives)
    for (plus, minus), gradient in zip(system.layers(state), gradients, strict=True):
        assert torch.allclose(plus - minus, -0.3 * gradient, atol=1e-12)


@pytest.mark.parametrize("beta", [0.5, 5.0])
def test_the_loop_gain_counts_the_loop_of_the_outputs_themselves(nudged, beta):
    """Transposed, with a gamma by mismatch, and nothing below: the radius of numpy itself, as all else is diagonal."""
    neuron = {"model": "dp_transposed", "alpha": 0.5, "beta": beta}
    system, state = nudged((6, 3), at="free", chips=4, neuron=neuron, mismatch={"push": 0.3})
    radius = np.abs(np.linalg.eigvals(system.jacobian_matrix(state).numpy())).max(-1)
    assert loop_gain(linearise(system, state)).numpy() == pytest.approx(radius, rel=1e-9)
