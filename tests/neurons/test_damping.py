"""Damped dual propagation (Hoier & Zach 2024, App. F): its fixed points, where it converges, and the energy that it lowers."""

import pytest
import torch

from analogdp.dynamics import Simulation, Sweep
from analogdp.network import Network, build
from analogdp.network.norms import WARM_ITERATIONS
from analogdp.neurons import DualPropagation, LeastSquares
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

STREAM = Stream(seed=1, name="layer", chips=(0, 1), dtype=torch.float64)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dyads(asymmetry, damping, activation="relu", **spread):
    settings = DualPropagation.Settings(alpha=asymmetry, beta=0.6, activation=activation, damping=damping)
    return DualPropagation.build(settings, LeastSquares(), MismatchSettings(**spread), 6, STREAM)


def present(network: Network, clock: Sweep, batch=3, beta=0.5) -> Simulation:
    simulation = Simulation(network, clock)
    sizes = network.sizes
    labels = torch.eye(sizes[-1], dtype=torch.float64)[torch.arange(batch) % sizes[-1]]
    simulation.present(random(1, batch, sizes[0]), labels.unsqueeze(0), beta)
    return simulation


def residual(simulation: Simulation, sweeps: int) -> float:
    """How far the last of some more sweeps moves any state."""
    largest = torch.empty(simulation.network.chips, simulation.state[0].shape[2], dtype=torch.float64)
    simulation.advance(sweeps, largest)
    return largest.max().item()


@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_a_pushed_compartment_jumps_as_equation_50_says_with_its_own_push(alpha):
    neuron, a, d, state = dyads(alpha, 3.0), random(2, 3, 6), random(2, 3, 6, seed=1), random(2, 2, 3, 6, seed=2)
    plus, minus = neuron.target(a, d, state)
    torch.testing.assert_close(plus, torch.relu((a + 3 * state[0] + alpha * d) / 4), rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(minus, torch.relu((a + 3 * state[1] - (1 - alpha) * d) / 4), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("alpha", "free"), [(1.0, 1), (0.0, 0)])
def test_a_compartment_that_is_never_pushed_is_the_forward_activation(alpha, free):
    neuron, a = dyads(alpha, 3.0), random(2, 3, 6)
    target = neuron.target(a, random(2, 3, 6, seed=1), random(2, 2, 3, 6, seed=2))
    assert torch.equal(target[free], torch.relu(a))


def test_samples_that_nobody_pushes_jump_at_once():
    neuron, a, d, state = dyads(0.5, 3.0), random(2, 3, 6), random(2, 3, 6, seed=1), random(2, 2, 3, 6, seed=2)
    d[:, 1] = 0
    plus, _ = neuron.target(a, d, state)
    assert torch.equal(plus[:, 1], torch.relu(a[:, 1]))
    assert not torch.equal(plus[:, 0], torch.relu(a[:, 0]))


@pytest.mark.parametrize("mismatch", [{}, {"gain": 0.1, "offset": 0.1, "alpha": 0.05}], ids=["nominal", "mismatched"])
def test_results_are_the_same_with_a_buffer_and_in_place(mismatch):
    neuron, a, d, state = (
        dyads(0.4, 3.0, **mismatch),
        random(2, 3, 6),
        random(2, 3, 6, seed=1),
        random(2, 2, 3, 6, seed=2),
    )
    expected, out = torch.stack(neuron.target(a, d, state)), torch.empty_like(state)
    neuron.target(a, d, state, out.unbind())
    assert torch.equal(out, expected)
    neuron.target(a, d, state, state.unbind())
    assert torch.equal(state, expected)


@pytest.mark.parametrize("damping", ["contraction", "majoriser", 2.5])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("activation", ["relu", "hard_sigmoid", "identity"])
def test_fixed_points_are_those_without_damping(make_network, activation, alpha, damping):
    sections = {"mismatch": {"gain": 0.05, "offset": 0.05}, "network": {"gain": 0.5}}
    neuron = {"model": "dp", "alpha": alpha, "beta": 0.3, "activation": activation}
    plain, damped = (
        make_network((6, 5, 4, 4, 3), neuron={**neuron, "damping": own}, dynamics="sweep", **sections)
        for own in ("none", damping)
    )
    settled = [present(network, Sweep(300), beta=0.3) for network in (plain, damped)]
    assert residual(settled[0], 300) < 1e-13
    residual(settled[1], 300)
    for ours, theirs in zip(settled[1].state, settled[0].state, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


def loop_gain(network: Network, beta: float) -> float:
    """g Lambda of a linear network at alpha = 1: beta_eff times the largest eigenvalue of sum_m W_L..W_(k+1) (..)^T."""
    weights = [synapse.weights[0] for synapse in network.synapses]
    forward, total = torch.eye(weights[-1].shape[0], dtype=torch.float64), 0.0
    for matrix in reversed(weights[1:]):
        forward = forward @ matrix
        total = total + forward @ forward.T
    return beta / (1 + beta) * torch.linalg.eigvalsh(total)[-1].item()


@pytest.mark.parametrize("beta", [0.05, 0.1, 0.15, 0.4, 0.8])
@pytest.mark.parametrize("damping", ["none", "contraction", "majoriser"])
def test_sweeps_diverge_where_the_loop_gain_is_above_1_unless_they_are_damped(make_network, beta, damping):
    neuron = {"model": "dp", "alpha": 1.0, "beta": beta, "activation": "identity", "damping": damping}
    network = make_network((6, 7, 7, 5), neuron=neuron, network={"gain": 1.3}, dynamics="sweep")
    gain = loop_gain(network, beta)
    assert abs(gain - 1) > 0.05, "not too near to the border to tell"
    simulation = present(network, Sweep(1), beta=beta)
    early, late = residual(simulation, 20), residual(simulation, 300)
    assert (late < early) == (gain < 1 or damping != "none")


@pytest.mark.parametrize("order", ["forward_backward", "forward", "odd_even", "random"])
def test_rectified_networks_of_strong_weights_settle_only_with_damping(make_network, order):
    neuron, clock = {"model": "dp", "alpha": 1.0, "beta": 0.5}, Sweep(1, order=order)
    left = {}
    for damping in ("none", "contraction", "majoriser"):
        sections = {"neuron": {**neuron, "damping": damping}, "network": {"gain": 1.6}, "dynamics": "sweep"}
        left[damping] = residual(present(make_network((64, 8, 8, 10), **sections), clock, batch=5), 500)
    assert left["none"] > 0.01
    assert max(left["contraction"], left["majoriser"]) < 1e-9


def energy(network: Network, simulation: Simulation, beta: float) -> torch.Tensor:
    """beta l(s_L) + sum_k |s_k|^2/2 - s_k^T a_k + max_u (u^T a_k - |u|^2/2) over u >= 0 below, written without neurons."""
    field, total = simulation.field, 0.0
    below = field.local_messages()[0][0]
    last = len(network.layers) - 1
    for number, (synapse, layer, state) in enumerate(
        zip(network.synapses, network.layers, simulation.state, strict=True)
    ):
        own, drive = state[0, 0], below @ synapse.weights[0].T + layer.bias[0]
        best = drive if number == last else drive.clamp(min=0)
        total = total + (own.square() / 2 - own * drive + best * drive - best.square() / 2).sum(1)
        below = own
    label = torch.eye(own.shape[1], dtype=torch.float64)[torch.arange(len(own)) % own.shape[1]]
    return total + beta / 2 * (own - label).square().sum(1)


@pytest.mark.parametrize("gain", [0.8, 1.6, 2.5])
def test_damped_forward_sweeps_of_an_lpom_never_raise_its_energy(make_network, gain):
    network = make_network(
        (64, 12, 9, 10), neuron={"model": "lpom", "beta": 0.5}, network={"gain": gain}, dynamics="sweep"
    )
    simulation = present(network, Sweep(1, order="forward"), batch=5)
    simulation.advance(2)
    energies = [energy(network, simulation, 0.5)]
    for _ in range(60):
        simulation.advance(1)
        energies.append(energy(network, simulation, 0.5))
    falls = torch.stack(energies).diff(dim=0)
    assert falls.max() <= 1e-12 * energies[0].max()
    assert falls[0].max() < 0


def test_without_damping_the_energy_rises_where_weights_are_strong(make_network):
    sections = {"neuron": {"model": "lpom", "damping": "none"}, "network": {"gain": 2.5}, "dynamics": "sweep"}
    network = make_network((64, 12, 9, 10), **sections)
    simulation = present(network, Sweep(1, order="forward"), batch=5)
    energies = []
    for _ in range(20):
        simulation.advance(1)
        energies.append(energy(network, simulation, 0.5))
    assert torch.stack(energies).diff(dim=0).max() > 0.01


@pytest.mark.parametrize(("model", "alpha"), [("lpom", 1.0), ("inverted_lpom", 0.0)])
def test_lifted_machines_are_damped_dual_propagation_at_its_ends(make_network, model, alpha):
    named = make_network(neuron={"model": model}, dynamics="sweep")
    spelt = make_network(neuron={"model": "dp", "alpha": alpha, "damping": "majoriser"}, dynamics="sweep")
    for ours, theirs in zip(
        present(named, Sweep(5)).settle().state, present(spelt, Sweep(5)).settle().state, strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("rule", "norms"), [("majoriser", 1.0), ("contraction", 0.5)])
def test_damping_follows_the_norms_of_weights_that_change_batch_by_batch(make_network, rule, norms):
    network = make_network((6, 20, 15, 4), neuron={"model": "dp", "damping": rule}, dynamics="sweep", chips=2)
    simulation = present(network, Sweep(1))
    for step in range(30):
        for number, synapse in enumerate(network.synapses):
            synapse.weight.data.add_(0.01 * random(*synapse.weight.shape, seed=10 * step + number))
        inputs = random(1, 3, 6)
        simulation.present(inputs, random(1, 3, 4), 0.5)
    for layer, above in zip(network.layers[:-1], network.synapses[1:], strict=True):
        squared = torch.linalg.matrix_norm(above.weights, 2).square()
        wanted = (squared - (1 if rule == "contraction" else 0)) * norms
        assert (layer.neuron.damping.strength.flatten() >= wanted).all()
        assert (layer.neuron.damping.strength.flatten() <= 1.1 * wanted + 0.1).all()


def test_pools_count_in_damping_with_the_square_of_their_norm():
    pool = {"kind": "average", "size": 2, "of": "drive"}
    layers = ["1x6x6", {"conv": 2, "kernel": 3, "padding": 1}, {"conv": 3, "kernel": 1, "pool": pool}, 10]
    sections = {"network": {"layers": layers}, "run": {"device": "cpu", "dtype": "float64"}}
    scenario = {"data": {"name": "blobs", "inputs": 36}, "neuron": {"model": "lpom"}, "dynamics": "sweep", **sections}
    network = build(Scenario.model_validate(scenario))
    # A kernel of one pixel has the norm of its matrix of channels; averages of four pixels halve lengths.
    channels = torch.linalg.matrix_norm(network.synapses[1].weights[0], 2).item()
    found = network.neurons[0].damping.strength.item()
    assert found == pytest.approx(1.05 * (channels / 2) ** 2, rel=1e-3)


def test_directions_are_part_of_the_checkpoint(make_network):
    sections = {"neuron": {"model": "lpom"}, "dynamics": "sweep"}
    network, other = make_network((6, 5, 4), **sections), make_network((6, 5, 4), **sections)
    network.synapses[1].weight.data.copy_(random(1, 4, 5))
    network.norms.follow(WARM_ITERATIONS)
    other.load_state_dict(network.state_dict())
    for one in (network, other):
        one.norms.follow()
    assert torch.equal(network.neurons[0].damping.strength, other.neurons[0].damping.strength)


def test_convolutions_and_pools_are_damped_by_the_norm_of_all_between_two_layers():
    pool = {"kind": "max", "size": 2, "of": "drive"}
    layers = ["1x8x8", {"conv": 2, "kernel": 3, "pool": pool}, {"conv": 3, "kernel": 2}, 10]
    sections = {"network": {"layers": layers, "gain": 1.2}, "run": {"device": "cpu", "dtype": "float64"}}
    network = build(Scenario.model_validate({"neuron": {"model": "lpom"}, "dynamics": "sweep", **sections}))
    simulation = present(network, Sweep(1), batch=2)
    early, late = residual(simulation, 20), residual(simulation, 60)
    assert late < early / 10


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            {"neuron": {"model": "dp", "damping": "majoriser", "activation": "tanh"}},
            "would move the fixed point of tanh",
        ),
        ({"neuron": {"model": "lpom"}, "dynamics": "continuous"}, "time constant 1 \\+ L times as long"),
        ({"neuron": {"model": "lpom"}, "feedback": "random"}, "feedback.path: transposed"),
        ({"neuron": {"model": "lpom", "alpha": 0.5}}, "alpha"),
        ({"neuron": {"model": "dp", "damping": 0}}, "damping"),
        ({"neuron": {"model": "dp", "damping": "strong"}}, "damping"),
    ],
)
def test_what_damping_does_not_go_with_is_refused(sections, words):
    with pytest.raises(ValueError, match=words):
        Scenario.model_validate({"dynamics": "sweep", **sections})


def test_damped_networks_take_thirty_sweeps_unless_told_otherwise():
    scenario = Scenario.model_validate({"neuron": {"model": "lpom"}, "dynamics": "sweep"})
    assert scenario.dynamics.sweeps == 30
