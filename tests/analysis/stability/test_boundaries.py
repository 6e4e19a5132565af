"""Theory against simulation: where the simulator's own deviations from rest begin to grow, without any Jacobian."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from analogdp.analysis.stability.critical import critical_beta
from analogdp.dynamics import Continuous, Euler, RungeKutta4, Simulation, Sweep
from analogdp.network import build
from analogdp.network.stacking import Replicas, build_together
from analogdp.streams import Stream

BELOW, ABOVE = (0.0, 0.25, 0.45), (0.55, 0.75, 1.0)
"""Asymmetries alpha of either sign of gamma = 2 alpha - 1."""
WAY, SHARES = (0.1, 0.6), (0.9, 0.93, 0.96, 0.98)
"""Of the predicted boundary: to where nudging is raised first, and where growth is measured then."""
ELSEWHERE = 1e-4
"""How much other labels differ, by which a simulation is brought a little beside where it would be at rest."""
GAINS = {2: 3.0, 3: 3.0, 4: 1.5, 5: 1.5}
"""Standard deviations of the weights times the square root of their number, so that networks of each depth have boundaries."""


@dataclass(frozen=True)
class Watch:
    """Time constants, or sweeps, after which few deviations are left, exponentials among these, and steps of the clock in one."""

    settled: int
    exponentials: int
    every: int


def watched(dynamics, network):
    if dynamics == "sweep":
        return Sweep(tolerance=None), Watch(20, 2, 1)
    return Continuous(RungeKutta4, network.fastest_tau / 4, 1, tolerance=None), Watch(40, 4, 4)


def growth(changes, exponentials):
    """Of the logarithm of changes ``(moments, numbers)`` from one moment to the next: Prony's method, by least squares."""
    rows = [np.stack(changes[moment : moment + exponentials], -1) for moment in range(len(changes) - exponentials)]
    steps, *_ = np.linalg.lstsq(np.concatenate(rows), np.concatenate(changes[exponentials:]), rcond=1e-12)
    return np.log(np.abs(np.roots([1, *-steps[::-1]])).max())


def simulated_growth(simulation, watch, chips):
    """By how much deviations grow in a time constant or sweep as a simulation goes on; of some chips."""
    simulation.advance(watch.settled * watch.every)
    states = []
    for _ in range(25):
        states.append(flat_state(simulation)[chips])
        simulation.advance(watch.every)
    changes = torch.stack(states).diff(dim=0).numpy()
    return [growth(changes[:, chip], watch.exponentials) for chip in range(changes.shape[1])]


def flat_state(simulation):
    """``(chips, numbers)``, of a single sample."""
    return torch.cat([layer.movedim(1, 0).flatten(1) for layer in simulation.state], -1)


def simulated_boundary(network, inputs, labels, dynamics, guess):
    """The beta of each chip at which growth changes its sign, by what it is at some shares of a finite guess."""
    clock, watch = watched(dynamics, network)
    simulation, chips = Simulation(network, clock), np.isfinite(guess)
    rates, beside = [], labels + ELSEWHERE * Stream(1, "beside", dtype=torch.float64).normal(labels.shape[1:])
    for number, share in enumerate(WAY + SHARES):
        beta = torch.from_numpy(np.where(chips, share * guess, 0.01)).reshape(-1, 1, 1)
        (simulation.switch if number else simulation.present)(inputs, beside, beta)
        simulation.advance(5 * watch.every)
        simulation.switch(inputs, labels, beta)
        if share in SHARES:
            rates.append(simulated_growth(simulation, watch, chips))
        else:
            simulation.advance(watch.settled * watch.every)
    return guess[chips] * [np.polyfit(own, SHARES, 2)[-1] for own in np.array(rates).T]


@pytest.fixture
def make_networks(make_scenario):
    """Random networks of several alphas side by side, with a sample for all of them."""

    def make(depth, activation, error, alphas):
        layers = (6, *(8,) * (depth - 1), 4)
        neuron = {"model": "dp", "activation": activation, "beta": 0.5}
        scenarios = [
            make_scenario(layers, neuron=neuron | {"alpha": alpha}, network={"gain": GAINS[depth]}, seed=depth)
            for alpha in alphas
        ]
        network = build_together(Replicas(tuple(scenarios)))
        inputs = 0.3 * Stream(depth, "inputs", dtype=torch.float64).normal((1, 6))
        free = Simulation(network, Sweep())
        free.present(inputs)
        labels = free.settle().prediction + error * Stream(depth, "labels", dtype=torch.float64).normal((1, 4))
        return network, inputs, labels

    return make


@pytest.mark.slow
@pytest.mark.parametrize("dynamics", ["ode", "sweep"])
@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("activation", "error", "alphas"),
    [("identity", 1.0, BELOW + ABOVE), ("tanh", 0.0, BELOW + ABOVE), ("tanh", 0.2, (0.75, 0.9, 1.0))],
)
def test_the_simulator_loses_stability_within_a_percent_of_the_predicted_beta(
    make_networks, dynamics, depth, activation, error, alphas
):
    """With an error of 0 the state at rest is the free one at any beta."""
    network, inputs, labels = make_networks(depth, activation, error, alphas)
    predicted = critical_beta(network, inputs, labels, dynamics).value[:, 0].numpy()
    simulated = simulated_boundary(network, inputs, labels, dynamics, predicted)
    np.testing.assert_allclose(simulated, predicted[np.isfinite(predicted)], rtol=0.01)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_a_single_loop_loses_stability_in_continuous_time_at_its_known_gain(make_scenario, depth):
    """4, 2.37, 1.88 and 1.65 are cos(pi / 2m)^(-2m): a chain of units of which only the lowest is asymmetric."""
    known = {2: 4.0, 3: 2.37, 4: 1.88, 5: 1.65}[depth]
    neuron = {"model": "dp", "output": "linearised", "activation": "identity", "alpha": 0.5}
    network = build(make_scenario((1,) * (depth + 2), neuron=neuron))
    for synapse in network.synapses:
        synapse.weights.fill_(0.7)
    lowest = network.layers[0]
    lowest.neuron = lowest.neuron.at_asymmetry(torch.tensor(0.5, dtype=torch.float64))
    gain = 0.7 ** (2 * depth)
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    simulated = gain * simulated_boundary(network, one, one, "ode", np.array([1.02 * known / gain]))
    assert simulated.item() == pytest.approx(math.cos(math.pi / (2 * depth)) ** (-2 * depth), rel=1e-3)
    assert simulated.item() == pytest.approx(known, abs=0.005)


def test_one_hidden_layer_is_stable_in_continuous_time_at_any_nudging_above_a_half(make_networks):
    """Though forward-backward sweeps of the same networks diverge."""
    network, inputs, labels = make_networks(2, "identity", 1.0, ABOVE)
    assert not critical_beta(network, inputs, labels, "ode").crosses.any()
    clock, watch = watched("ode", network)
    simulation = Simulation(network, clock)
    simulation.present(inputs, labels, torch.tensor([2.0, 3.0, 4.0], dtype=torch.float64).reshape(-1, 1, 1))
    residual = torch.empty(3, 1, dtype=torch.float64)
    simulation.advance(100 * watch.every, residual)
    assert critical_beta(network, inputs, labels, "sweep").crosses.all()
    assert residual.max() < 1e-9 * flat_state(simulation).abs().max()


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize(("alphas", "helps"), [(BELOW, False), (ABOVE, True)])
def test_damped_jumps_are_stable_for_longer_only_above_a_half(make_networks, share, alphas, helps):
    """Below, a real eigenvalue crosses 1 whatever the share of the way; above, a pair of complex ones."""
    network, inputs, labels = make_networks(4, "identity", 1.0, alphas)
    boundary = critical_beta(network, inputs, labels, "map").value[:, 0]
    simulation = Simulation(network, Continuous(Euler, share * network.fastest_tau, 1, tolerance=None))
    rates = []
    for side in (0.99, 1.01):
        simulation.present(inputs, labels, side * boundary.reshape(-1, 1, 1))
        rates.append(simulated_growth(simulation, Watch(200, 4, 1), np.full(3, True)))
    assert max(rates[0]) < 0
    assert (min(rates[1]) > 0) == (share == 1 or not helps)


@pytest.mark.slow
def test_a_state_at_rest_ends_where_it_is_predicted_to(make_networks):
    """Two of them meet there: a simulation that follows one in small steps of beta leaves for another within two percent."""
    network, inputs, labels = make_networks(2, "tanh", 0.2, (0.55,))
    predicted = critical_beta(network, inputs, labels, "ode")
    assert predicted.lost.all()
    clock, watch = watched("ode", network)
    simulation, states = Simulation(network, clock), []
    for number, share in enumerate((0.5, 0.9, 0.97, 0.99, 1.01)):
        beta = share * predicted.value.reshape(-1, 1, 1)
        (simulation.switch if number else simulation.present)(inputs, labels, beta)
        simulation.advance(400 * watch.every)
        states.append(flat_state(simulation))
    moved = torch.stack(states).diff(dim=0).norm(dim=-1).flatten()
    assert moved[-1] > 3 * moved[-2]
