"""An input that is a linear dyad itself, against a network that has one more layer, and against autograd."""

import pytest
import torch

from analogdp import registry
from analogdp.analysis.gradients import input_gradients
from analogdp.data import load
from analogdp.dynamics import Continuous, ExponentialEuler, Simulation, Sweep
from analogdp.learning import Trainer
from analogdp.network import build
from analogdp.scenario.schema import Scenario

CLOCKS = [
    *(Sweep(300, order=order) for order in ("forward_backward", "forward")),
    Continuous(ExponentialEuler, 0.5e-6, 800),
]


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def settle(network, clock, beta=0.3):
    sizes, simulation = network.sizes, Simulation(network, clock)
    simulation.present(random(1, 3, sizes[0]), random(1, 3, sizes[-1], seed=1), beta)
    simulation.settle()
    return simulation


@pytest.mark.parametrize("clock", CLOCKS, ids=["forward_backward", "forward", "continuous"])
@pytest.mark.parametrize("alpha", [0.2, 0.9])
def test_a_moved_input_is_one_more_layer_of_linear_dyads(make_network, alpha, clock):
    neuron = {"model": "dp", "alpha": alpha, "beta": 0.3, "activation": "identity"}
    moved = make_network((6, 5, 4), neuron={**neuron, "input_strength": 1.0}, network={"gain": 0.6})
    deeper = make_network((6, 6, 5, 4), neuron=neuron)
    deeper.synapses[0].weight.data.copy_(torch.eye(6).expand_as(deeper.synapses[0].weight))
    deeper.layers[0].bias.zero_()
    for own, twin, layer, other in zip(
        moved.synapses, deeper.synapses[1:], moved.layers, deeper.layers[1:], strict=True
    ):
        twin.weight.data.copy_(own.weight)
        other.bias.copy_(layer.bias)
    ours, theirs = settle(moved, clock), settle(deeper, clock)
    tolerance = 1e-11 if clock.timestep is None else 2e-3
    for one, other in zip(ours.state, theirs.state[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)
    read = ours.field.local_messages()[0]
    torch.testing.assert_close(read, deeper.neurons[0].upward(theirs.state[0]), rtol=tolerance, atol=tolerance)


def left(simulation, sweeps):
    """How far the last of some more sweeps moves any state."""
    largest = torch.empty(simulation.network.chips, simulation.state[0].shape[2], dtype=torch.float64)
    simulation.advance(sweeps, largest)
    return largest.max().item()


@pytest.mark.parametrize("damping", ["contraction", "majoriser", 2.0])
@pytest.mark.parametrize("alpha", [0.3, 0.9])
def test_a_damped_input_rests_where_one_without_damping_does(make_network, alpha, damping):
    neuron = {"model": "dp", "alpha": alpha, "beta": 0.3, "input_strength": 0.7}
    plain, damped = (
        make_network((6, 5, 4), neuron={**neuron, "damping": own}, network={"gain": 0.6}, dynamics="sweep")
        for own in ("none", damping)
    )
    ours, theirs = settle(damped, Sweep(300)), settle(plain, Sweep(300))
    assert left(theirs, 1) < 1e-13
    torch.testing.assert_close(ours.field.local_messages()[0], theirs.field.local_messages()[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(ours.state[0], theirs.state[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("damping", "strength", "sweeps"),
    [("contraction", 1.0, 300), ("contraction", 3.0, 300), ("majoriser", 1.0, 600), ("majoriser", 3.0, 2000)],
)
def test_inputs_that_strong_weights_move_settle_only_with_damping(make_network, damping, strength, sweeps):
    rest = {}
    for own in ("none", damping):
        neuron = {"model": "dp", "alpha": 1.0, "beta": 0.5, "damping": own, "input_strength": strength}
        network = make_network((8, 6, 4), neuron=neuron, network={"gain": 2.0}, dynamics="sweep")
        assert torch.linalg.matrix_norm(network.synapses[0].weights, 2) ** 2 > 2
        rest[own] = left(settle(network, Sweep(1), beta=0.5), sweeps)
    assert rest[damping] < 1e-12
    assert not rest["none"] < 0.01


@pytest.mark.parametrize(("damping", "factor", "shift"), [("majoriser", 1.0, 0.0), ("contraction", 0.5, 0.5)])
def test_the_damping_of_the_input_follows_the_lowest_weights_times_its_strength(make_network, damping, factor, shift):
    neuron = {"model": "dp", "alpha": 1.0, "damping": damping, "input_strength": 3.0}
    network = make_network((8, 6, 4), neuron=neuron, network={"gain": 2.0}, dynamics="sweep")
    squared = torch.linalg.matrix_norm(network.synapses[0].weights, 2).item() ** 2
    found = network.neurons[0].input_damping.strength.item()
    assert found == pytest.approx(1.05 * 3.0 * squared * factor - shift, rel=1e-3)


def test_a_damped_input_is_the_same_beside_chips_that_take_longer(make_network):
    neuron = {"model": "dp", "alpha": 1.0, "damping": "majoriser", "input_strength": 1.0}
    sections = {"neuron": neuron, "network": {"gain": 1.5}, "mismatch": {"gain": 0.3}, "chips": 3, "dynamics": "sweep"}
    clock, inputs = Sweep(300, tolerance=1e-3), random(1, 3, 6)
    read = {}
    for chips in ((0, 1, 2), (0,), (1,), (2,)):
        network = make_network((6, 5, 4), only_chips=chips, **sections)
        simulation = Simulation(network, clock)
        simulation.present(inputs, random(1, 3, 4, seed=1), 0.5)
        settling = simulation.settle()
        moved = simulation.field.moved(inputs, network.neurons[0].downward(settling.state[0]))
        read |= {
            (len(chips), chip): (own, steps) for chip, own, steps in zip(chips, moved, settling.chip_steps, strict=True)
        }
    assert len({int(read[3, chip][1]) for chip in range(3)}) > 1
    for chip in range(3):
        torch.testing.assert_close(read[3, chip][0], read[1, chip][0], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_input_moves_along_the_gradient_of_its_loss(make_network, alpha):
    beta, strength = 1e-6, 3.0
    neuron = {"model": "dp", "alpha": alpha, "beta": beta, "activation": "tanh", "input_strength": strength}
    network = make_network((6, 5, 4), neuron=neuron)
    simulation = settle(network, Sweep(3), beta)
    inputs, targets = random(1, 3, 6), random(1, 3, 4, seed=1)
    way = (simulation.field.local_messages()[0] - inputs) / beta
    expected = -strength * (2 * alpha - 1) * input_gradients(network, inputs, targets)
    torch.testing.assert_close(way, expected, rtol=1e-4, atol=1e-7)


def test_a_free_network_leaves_its_input_where_it_is(make_network):
    network = make_network((6, 5, 4), neuron={"model": "dp", "alpha": 0.2, "input_strength": 2.0})
    simulation = Simulation(network, Sweep(3))
    simulation.present(random(1, 3, 6))
    simulation.settle()
    assert torch.equal(simulation.field.local_messages()[0], random(1, 3, 6))


def test_the_targets_that_autograd_sees_move_the_input_too(make_network):
    network = make_network((6, 5, 4), neuron={"model": "dp", "alpha": 0.2, "beta": 0.3, "input_strength": 1.0})
    simulation = settle(network, Sweep(200))
    targets = simulation.field.targets([layer.unbind() for layer in simulation.state])
    for one, other in zip(targets, simulation.state, strict=True):
        torch.testing.assert_close(torch.stack(tuple(one)), other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("neuron", "words"),
    [
        ({"model": "dp", "input_strength": 1.0}, "not asymmetric"),
        ({"model": "dp_transposed", "input_strength": 1.0}, "unknown key"),
    ],
)
def test_an_input_that_could_not_move_is_refused(neuron, words):
    with pytest.raises(ValueError, match=words):
        Scenario.model_validate({"neuron": neuron})


def trainer(make_scenario, **sections):
    scenario = make_scenario((64, 12, 10), dynamics="sweep", **sections)
    network = build(scenario)
    made = registry.trainers.get(scenario.learning.mode)(scenario, network, load(scenario.data, 0))
    assert isinstance(made, Trainer)
    return made


@pytest.mark.parametrize("neuron", ["backpropagation", {"model": "dp_transposed", "alpha": 1.0, "beta": 1e-5}])
def test_adversarial_training_learns_from_inputs_moved_uphill(make_scenario, neuron):
    sections = {"neuron": neuron, "learning": {"adversarial_step": 0.5, "optimizer": "sgd", "rate": 1.0, "batch": 20}}
    attacked = trainer(make_scenario, **sections)
    inputs, targets, _ = attacked.dataset.training(attacked._batch(0, 0), attacked._stream.at(0).child("samples"))
    expected = inputs + 0.5 * input_gradients(attacked.network, inputs, targets)
    attacked.advance()
    read = attacked.simulation.field.local_messages()[0]
    torch.testing.assert_close(read, expected, rtol=1e-4, atol=1e-6)


def test_a_run_with_a_moved_input_learns_from_where_it_was_moved(make_scenario):
    neuron = {"model": "dp", "alpha": 0.0, "input_strength": 5.0}
    made = trainer(make_scenario, neuron=neuron, learning={"batch": 20})
    rows = made.dataset.training(made._batch(0, 0), made._stream.at(0).child("samples"))
    _, signals = made._settle(rows[0], rows[1], made._stream.at(0).child("settling"))
    moved = rows[0] - 5.0 * (signals[0][0] * made.network.neurons[0].beta) @ made.network.synapses[0].weights
    torch.testing.assert_close(signals[0][1], moved, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(moved, rows[0], atol=1e-3)


class Looks:
    """A watcher that counts how often samples were presented."""

    every = 10**6

    def __init__(self):
        self.times = 0

    def look(self, simulation):
        self.times += 1


def test_nobody_watches_the_attack_but_its_steps_count(make_scenario):
    plain, attacked = (
        trainer(make_scenario, neuron="dp_transposed", learning={"batch": 20, "adversarial_step": step})
        for step in (0.0, 0.5)
    )
    looks = Looks()
    attacked.watch = lambda update: looks
    steps = [made.advance().settle_steps for made in (plain, attacked)]
    assert looks.times == 1
    assert steps[1] == 2 * steps[0]
    assert attacked.evaluate()[0]["settle_steps_mean"] == steps[1]


def test_cells_lose_what_they_do_not_retain_during_the_attack_too(make_scenario, monkeypatch):
    passed = []
    monkeypatch.setattr(Trainer, "_pass_time", lambda self, steps, stream: passed.append(steps.tolist()))
    for step in (0.0, 0.5):
        trainer(make_scenario, neuron="dp_transposed", learning={"batch": 20, "adversarial_step": step}).advance()
    assert passed[1] == [2 * passed[0][0]]


def test_an_adversarial_batch_is_estimated_to_settle_twice(make_scenario):
    scenarios = [make_scenario(dynamics="sweep", learning={"adversarial_step": step}) for step in (0.0, 0.5)]
    once, twice = (own.learning.evaluations(own) for own in scenarios)
    assert twice == 2 * once


def moves(made, moment="attack"):
    """By how much an attack moves the inputs of the first batch."""
    inputs, targets, _ = made.dataset.training(made._batch(0, 0), made._stream.at(0).child("samples"))
    return made._attacked(inputs, targets, made._stream.at(0).child(moment))[0] - inputs


def test_converters_do_not_clip_the_adversarial_gradient(make_scenario):
    learning = {"adversarial_step": 0.5, "batch": 20}
    neuron, crossbar = {"model": "dp_transposed", "beta": 0.01}, {"model": "crossbar", "device": "ecram_li"}
    exact, converted = (
        moves(trainer(make_scenario, neuron=neuron, synapse={**crossbar, **own}, learning=learning))
        for own in ({}, {part: {"bits": 10, "range": "calibrated"} for part in ("dac", "adc")})
    )
    # Ranges are percentiles: what is beyond them is clipped, here and while settling.
    assert (converted - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_read_of_the_adversarial_gradient_has_noise_as_all_reads_have(make_scenario, noise, monkeypatch):
    crossbar = {"model": "crossbar", "device": "ecram_li", "adc": {"bits": 10, "noise": noise}}
    learning = {"adversarial_step": 0.5, "batch": 20}
    made = trainer(make_scenario, neuron="dp_transposed", synapse=crossbar, learning=learning)
    # The settling itself without noise, so that all of it is the read's.
    present = made.simulation.present
    monkeypatch.setattr(made.simulation, "present", lambda *samples: present(*samples[:3]))
    first, again, other = (moves(made, moment) for moment in ("one", "one", "two"))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (noise == 0)
