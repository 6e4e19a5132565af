import numpy as np
import pytest
import torch

from analogdp.analysis.alignment import alignment_angles, angle, sum_of_products
from analogdp.analysis.gradients import loss_gradients
from analogdp.dynamics import Simulation, Sweep
from analogdp.learning.plasticity import make_rule
from analogdp.synapses.base import LocalUpdate


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def angles(network, beta=0.5, sweeps=1):
    """Of the network's own rule on a batch, ``(synapses, chips)``."""
    inputs, targets = random(1, 8, network.sizes[0]), random(1, 8, network.sizes[-1], seed=1)
    simulation = Simulation(network, Sweep(sweeps))
    simulation.present(inputs, targets, beta)
    state = simulation.settle().state
    messages = [inputs.expand(network.chips, -1, -1)]
    messages += [neuron.upward(own) for neuron, own in zip(network.neurons[:-1], state[:-1], strict=True)]
    rule = make_rule("contrastive_hebbian", 1.0, network)
    parts = enumerate(zip(network.neurons, state, messages, strict=True))
    updates = [rule.updates(k, neuron.learning_signal(own), below, 8) for k, (neuron, own, below) in parts]
    return alignment_angles(network, inputs, targets, updates)


def test_angles_are_those_of_numpy():
    one, other = random(2, 3, 4), random(2, 3, 4, seed=1)
    a, b = one.flatten(1).numpy(), other.flatten(1).numpy()
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(angle(one, other).numpy(), np.degrees(np.arccos(cosines)), rtol=1e-12)


def test_small_angles_are_not_lost_in_single_precision():
    one = torch.tensor([[1.0, 0.0]])
    assert angle(one, torch.tensor([[1.0, 1e-5]])).item() == pytest.approx(np.degrees(1e-5), rel=1e-5)


def test_what_is_zero_has_no_angle():
    assert angle(random(1, 3), torch.zeros(1, 3)).isnan().all()


@pytest.mark.parametrize("model", ["dp_transposed", "backpropagation"])
def test_linear_transposed_dyads_and_backpropagation_go_along_the_gradient(make_network, model):
    network = make_network((12, 8, 7, 5), neuron={"model": model, "activation": "identity"})
    assert angles(network).max() < 1e-5


def test_asymmetric_dyads_go_another_way_which_a_weak_nudge_makes_the_same(make_network):
    strong, weak = (
        angles(make_network((12, 8, 7, 5), neuron={"model": "dp", "alpha": 1.0, "beta": beta}), beta, 200)
        for beta in (0.5, 1e-6)
    )
    assert strong[0].item() > 1
    assert weak.max() < 1e-3


def test_every_chip_has_its_own_angles(make_network):
    sections = {"mismatch": {"alpha": 0.1}, "neuron": {"alpha": 0.3}, "chips": 3}
    found = angles(make_network((12, 8, 5), **sections))
    assert found.shape == (2, 3)
    assert found[0].unique().numel() == 3


def test_below_neurons_that_jump_there_is_no_gradient_to_compare_with(make_network):
    neuron = {"model": "untied", "activation": "step", "modulator": "rectangle"}
    found = angles(make_network((12, 8, 5), neuron=neuron))
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


def test_updates_of_several_polarities_are_added():
    one, other = (
        LocalUpdate(random(1, 2, 3), random(1, 2, 4)),
        LocalUpdate(random(1, 2, 3, seed=1), random(1, 2, 4, seed=2)),
    )
    expected = one.post[0].T @ one.pre[0] + other.post[0].T @ other.pre[0]
    torch.testing.assert_close(sum_of_products([one, other])[0], expected, rtol=1e-13, atol=1e-14)


def test_updates_that_shrink_weights_are_refused():
    with pytest.raises(ValueError, match="shrinks"):
        sum_of_products([LocalUpdate(random(1, 2, 3), random(1, 2, 4), decay=torch.ones(1, 3))])


def test_the_gradient_is_that_of_the_mean_loss(make_network):
    """By finite differences of one weight."""
    network, inputs, targets = make_network((6, 5, 4)), random(1, 3, 6), random(1, 3, 4, seed=1)
    gradient = loss_gradients(network, inputs, targets)[0][0, 2, 1].item()
    weight, losses = network.synapses[0].weight.data, []
    for shift in (1e-6, -2e-6):
        weight[0, 2, 1] += shift
        simulation = Simulation(network, Sweep())
        simulation.present(inputs)
        losses.append(network.loss.value(simulation.settle().prediction, targets).mean().item())
    assert gradient == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-6, abs=1e-9)
