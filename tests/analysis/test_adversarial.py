import pytest
import torch

from analogdp.analysis.adversarial import accuracy_under_attack, fgsm, pgd
from analogdp.data import load
from analogdp.dynamics import Simulation, Sweep
from analogdp.errors import InputError
from analogdp.learning import evaluate
from analogdp.streams import Stream


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def samples():
    return random(1, 7, 64), torch.eye(10, dtype=torch.float64)[torch.arange(7)].unsqueeze(0)


def by_hand(network, inputs, targets):
    """The gradient of each sample's least-squares loss by its inputs, layer by layer."""
    activities, drives = [inputs[0]], []
    for synapse, layer in zip(network.synapses, network.layers, strict=True):
        drives.append(activities[-1] @ synapse.weights[0].T + layer.bias[0])
        activities.append(drives[-1].clamp(min=0))
    error = drives[-1] - targets[0]
    for number in range(len(drives) - 1, 0, -1):
        error = (error @ network.synapses[number].weights[0]) * (drives[number - 1] > 0)
    return error @ network.synapses[0].weights[0]


def test_fgsm_moves_along_the_sign_of_a_gradient_written_by_hand(make_network, samples):
    network, (inputs, targets) = make_network((64, 12, 9, 10)), samples
    expected = inputs[0] + 0.1 * by_hand(network, inputs, targets).sign()
    assert torch.equal(fgsm(network, inputs, targets, 0.1)[0], expected)
    assert torch.equal(fgsm(network, inputs, targets, 0.1, (0, 1))[0], expected.clamp(0, 1))


def test_pgd_takes_steps_along_such_signs_and_goes_back_into_its_ball(make_network, samples):
    network, (inputs, targets) = make_network((64, 12, 10)), samples
    moved = inputs
    for _ in range(3):
        moved = moved + 0.06 * by_hand(network, moved, targets).sign()
        moved = moved.clamp(inputs - 0.1, inputs + 0.1).clamp(0, 1)
    found = pgd(network, inputs, targets, 0.1, (0, 1), steps=3, step_size=0.06)
    torch.testing.assert_close(found, moved, rtol=1e-13, atol=1e-14)


def test_a_random_start_is_that_of_the_stream(make_network, samples):
    network, (inputs, targets) = make_network((64, 12, 10)), samples
    streams = [Stream(seed, "attack", dtype=torch.float64) for seed in (0, 0, 1)]
    first, again, other = (pgd(network, inputs, targets, 0.1, stream=one, steps=1) for one in streams)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_attacks_on_several_chips_are_each_their_own(make_network, samples):
    sections = {"mismatch": {"gain": 0.1}, "chips": 2}
    both, alone = make_network((64, 12, 10), **sections), make_network((64, 12, 10), only_chips=(1,), **sections)
    moved = pgd(both, *samples, 0.1)
    assert moved.shape == (2, 7, 64)
    assert torch.equal(moved[1], pgd(alone, *samples, 0.1)[0])


@pytest.fixture
def trained(make_scenario, make_network):
    """A network that knows its blobs: least squares from the features of a random layer."""
    scenario = make_scenario((64, 40, 10))
    network, data = make_network((64, 40, 10)), load(scenario.data, 0)
    features = (data.train_inputs[:].double() @ network.synapses[0].weights[0].T + network.layers[0].bias[0]).clamp(
        min=0
    )
    known = torch.cat((features, torch.ones(len(features), 1, dtype=torch.float64)), 1)
    ridge = known.T @ known + 0.1 * torch.eye(known.shape[1], dtype=torch.float64)
    fitted = torch.linalg.solve(ridge, known.T @ data.train_targets[:].double()).T
    network.synapses[1].weight.data[0] = fitted[:, :-1]
    network.layers[1].bias.data[0] = fitted[:, -1]
    return network, data


def test_accuracy_without_strength_is_that_of_the_test_and_falls_with_it(trained):
    network, data = trained
    simulation = Simulation(network, Sweep())
    test = evaluate(simulation, data.test_inputs, data.test_targets, data.test_labels, None)
    assert test.accuracy is not None
    strengths = [accuracy_under_attack(network, data, "fgsm", strength).item() for strength in (0.0, 0.05, 0.3)]
    assert strengths[0] == test.accuracy.item() > 0.8
    assert strengths[0] >= strengths[1] > strengths[2]


def test_many_steps_are_at_least_as_strong_as_one(trained):
    network, data = trained
    one, many = (accuracy_under_attack(network, data, attack, 0.05).item() for attack in ("fgsm", "pgd"))
    assert many <= one


def test_only_so_many_samples_are_attacked(trained):
    network, data = trained
    share = accuracy_under_attack(network, data, "fgsm", 0.3, samples=4).item()
    assert share * 4 == int(share * 4)


def test_neurons_that_jump_have_no_gradient_to_attack_along(make_network, make_scenario):
    network = make_network((64, 8, 10), neuron={"model": "untied", "activation": "step", "modulator": "rectangle"})
    with pytest.raises(InputError, match="zero below neurons that jump"):
        accuracy_under_attack(network, load(make_scenario((64, 8, 10)).data, 0), "fgsm", 0.1)


def test_a_random_start_is_on_either_side_of_the_inputs(make_network, samples):
    network, (inputs, targets) = make_network((64, 12, 10)), samples
    moves = (
        pgd(network, inputs, targets, 0.1, stream=Stream(0, "attack", dtype=torch.float64), steps=1, step_size=0.0)
        - inputs
    )
    count = moves.numel()
    assert abs((moves < 0).sum().item() - count / 2) < 4 * (count / 4) ** 0.5
    assert -0.1 <= moves.min() < -0.09
    assert 0.09 < moves.max() <= 0.1
