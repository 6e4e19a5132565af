"""What becomes of samples in the simulator, on networks whose fate is known."""

import math

import numpy as np
import pytest
import torch

from analogdp import registry
from analogdp.analysis.stability.outcomes import OUTCOMES, judge, observe
from analogdp.dynamics import Simulation
from analogdp.streams import Stream

LAYERS = (16, 12, 12, 6)
WEAK, STRONG = 0.9, 1.1
"""Loop gains, on either side of the boundary at 1."""


def named(kind):
    return {OUTCOMES[number] for number in kind.flatten().tolist()}


def loop(network):
    """The largest eigenvalue of the sum of a linear network's loop operators."""
    passed, total = np.eye(LAYERS[-1]), 0
    for synapse in reversed(list(network.synapses)[1:]):
        passed = passed @ synapse.weights[0].numpy()
        total = total + passed @ passed.T
    return np.linalg.eigvalsh(total).max()


def fate(make_scenario, make_network, gain, clock="continuous", alpha=0.0, noise=None, chips=1, **sections):
    """What becomes of four samples of a linear network, nudged so that its loop gain is ``gain`` (alpha is 0 or 1)."""
    neuron = {"model": "dp", "alpha": alpha, "activation": "identity"}
    effective = gain / loop(make_network(LAYERS, neuron=neuron))
    beta = effective / (1 + effective) if alpha == 0 else effective / (1 - effective)
    choice = {"clock": clock, **({} if clock == "sweep" else {"dt": "0.2 us", "settle": {"at_most": "60 us"}})}
    sections = {
        "dynamics": choice,
        "neuron": {**neuron, "beta": beta},
        "noise": noise or {},
        "chips": chips,
        **sections,
    }
    scenario = make_scenario(LAYERS, **sections)
    network = make_network(LAYERS, **sections)
    clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
    numbers = Stream(5, "samples", dtype=torch.float64)
    inputs, labels = numbers.normal((4, LAYERS[0])), numbers.child("labels").normal((4, LAYERS[-1]))
    stream = Stream(1, "fate", network.chip_indices, dtype=network.dtype)
    return observe(network, clock, inputs, labels, beta, stream, noise=scenario.noise, tau=scenario.neuron.tau)


@pytest.mark.parametrize("clock", ["continuous", "sweep"])
def test_a_linear_network_is_stable_just_below_the_boundary_and_diverges_just_above(make_scenario, make_network, clock):
    assert fate(make_scenario, make_network, WEAK, clock).stable.all()
    assert named(fate(make_scenario, make_network, STRONG, clock).kind) == {"diverged"}


def test_a_real_eigenvalue_grows_as_fast_as_linear_theory_says(make_scenario, make_network):
    """At alpha = 0 and growth p of the ODE: 1 = g Lambda sum_m h^2m / Lambda; here all loops together are bracketed."""
    found = fate(make_scenario, make_network, STRONG)
    rate = found.growth.mean().item() / 0.2  # per tau
    assert (1 + rate) ** 2 < STRONG < (1 + rate) ** 4


def test_sweeps_converge_as_fast_as_the_loop_gain_says(make_scenario, make_network):
    """Of a linear forward-backward sweep the error shrinks by g Lambda."""
    found = fate(make_scenario, make_network, 0.7, "sweep", alpha=1.0)
    assert named(found.kind) == {"settled"}
    np.testing.assert_allclose(found.growth[found.growth.isfinite()], math.log(0.7), rtol=1e-3)


def test_steps_to_settle_are_those_of_the_simulation(make_scenario, make_network):
    found = fate(make_scenario, make_network, 0.3)
    scenario = make_scenario(LAYERS, neuron={"model": "dp", "alpha": 0.0, "activation": "identity"})
    assert named(found.kind) == {"settled"}
    assert (found.steps % scenario.dynamics.settle.check_every == 0).all()
    assert (found.steps > 0).all()


def test_a_sample_settles_when_simulation_settle_says_so(make_scenario, make_network):
    neuron = {"model": "dp_transposed", "alpha": 0.3, "beta": 0.5, "activation": "tanh"}
    scenario, network = make_scenario(neuron=neuron), make_network(neuron=neuron)
    clock = registry.clocks.get("continuous").build(scenario.dynamics)
    inputs = Stream(2, "inputs", dtype=torch.float64).normal((5, 64))
    labels = torch.eye(10, dtype=torch.float64)[None, :5]
    found = observe(network, clock, inputs, labels, 0.5, Stream(0, "stream", dtype=torch.float64))
    simulation = Simulation(network, clock)
    simulation.present(inputs, labels, 0.5)
    assert torch.equal(found.steps, simulation.settle(whole=True).settled_after)


def test_with_noise_a_stable_network_forgets_its_start_and_an_unstable_one_does_not(make_scenario, make_network):
    noise = {"membrane": 0.3}
    weak = fate(make_scenario, make_network, 0.5, noise=noise)
    assert named(weak.kind) == {"settled"}
    assert (weak.growth < 0).all()
    strong = fate(make_scenario, make_network, 1.5, noise=noise)
    assert named(strong.kind) == {"diverged"}
    assert (strong.growth > 0).all()


def test_noise_in_time_does_not_move_the_growth_of_a_linear_network(make_scenario, make_network):
    quiet, noisy = (fate(make_scenario, make_network, 1.5, noise=noise) for noise in ({}, {"membrane": 0.3}))
    torch.testing.assert_close(noisy.growth, quiet.growth, rtol=0.03, atol=0)


def test_a_chip_that_diverges_leaves_the_others_alone(make_scenario, make_network):
    """Mismatch differs from chip to chip, and so does their fate at the boundary; each is as it is alone."""
    sections = {
        "mismatch": {"alpha": 0.1},
        "neuron": {"model": "dp", "alpha": 0.1, "beta": 0.3, "activation": "identity"},
    }
    dynamics = {"settle": {"at_most": "200 us"}}
    scenario = make_scenario(LAYERS, chips=6, dynamics=dynamics, **sections)
    clock = registry.clocks.get("continuous").build(scenario.dynamics)
    inputs, labels = torch.ones(1, 2, 16, dtype=torch.float64), torch.ones(1, 2, 6, dtype=torch.float64)

    def found(chips):
        network = make_network(LAYERS, only_chips=chips, chips=6, dynamics=dynamics, **sections)
        return observe(network, clock, inputs, labels, 0.3, Stream(1, "fate", chips, dtype=torch.float64))

    together = found(tuple(range(6)))
    assert {"settled", "diverged"} <= named(together.kind)
    alone = torch.cat([found((chip,)).kind for chip in range(6)])
    assert torch.equal(together.kind, alone)


TIME = torch.arange(0, 100, 5)
COURSES = {
    "settled": lambda t: torch.exp(-t / 10),
    "approaching": lambda t: torch.exp(-t / 40) * (1.3 + torch.cos(t)),
    "oscillating": lambda t: 1.3 + torch.cos(t / 3),
    "diverged": lambda t: 0.1 * torch.exp(t / 50),
}


@pytest.mark.parametrize("outcome", COURSES)
def test_a_course_is_named_after_how_it_ends(outcome):
    distances = COURSES[outcome](TIME.double()).view(-1, 1, 1)
    assert named(judge(distances, TIME, torch.ones(1, 1), 1e-3).kind) == {outcome}


def test_growth_that_has_saturated_is_no_divergence():
    distances = torch.exp((TIME.double() - 70) / 10).clamp_max(1.0).view(-1, 1, 1)
    assert named(judge(distances, TIME, torch.ones(1, 1), 1e-3).kind) == {"oscillating"}


def test_a_sample_that_is_near_but_moves_away_has_not_settled():
    distances = 1e-6 * torch.exp(TIME.double() / 50).view(-1, 1, 1)
    assert named(judge(distances, TIME, torch.ones(1, 1), 1e-3).kind) == {"diverged"}


def test_rounding_is_no_growth():
    distances = 1e-16 * torch.exp(TIME.double() / 50).view(-1, 1, 1)
    assert named(judge(distances, TIME, torch.ones(1, 1), 1e-3).kind) == {"settled"}


def test_who_is_near_only_because_messages_have_not_arrived_has_not_settled():
    distances = torch.exp(-TIME.double() / 12).view(-1, 1, 1)
    hasty = judge(distances, TIME, torch.ones(1, 1), 1e-3, patience=20)
    assert named(hasty.kind) == {"approaching"}
    assert (hasty.steps == -1).all()


@pytest.mark.parametrize("extent", [math.nan, math.inf, 2e6])
def test_numbers_beyond_the_bounds_are_a_divergence(extent):
    distances = torch.exp(-TIME.double() / 10).view(-1, 1, 1)
    assert named(judge(distances, TIME, torch.full((1, 1), extent), 1e-3).kind) == {"diverged"}


@pytest.mark.parametrize("course", COURSES)
def test_of_few_looks_only_what_has_settled_or_left_the_bounds_is_known(course):
    distances, few = COURSES[course](TIME[:4].double()).view(-1, 1, 1), TIME[:4]
    assert named(judge(distances, few, torch.ones(1, 1), 1e-3).kind) == {"undecided"}
    assert named(judge(distances, few, torch.ones(1, 1), 10.0).kind) == {"settled"}
    assert named(judge(distances, few, torch.full((1, 1), math.inf), 1e-3).kind) == {"diverged"}


@pytest.mark.parametrize("outcome", COURSES)
def test_in_too_short_a_time_there_has_to_be_a_trend(outcome):
    distances = COURSES[outcome](TIME.double()).view(-1, 1, 1)
    found = judge(distances, TIME, torch.ones(1, 1), 1e-3, least=torch.tensor([[100.0]]))
    assert named(found.kind) == {"undecided" if outcome == "oscillating" else outcome}
    assert bool(found.decided.all()) == (outcome != "oscillating")


@pytest.mark.parametrize("tau", [0.0, 0.2])
def test_neurons_too_slow_for_the_time_leave_their_fate_open_and_each_chip_its_own(make_scenario, make_network, tau):
    sections = {"neuron": {"model": "dp", "alpha": 0.3, "tau": 1.0}, "chips": 3, "mismatch": {"tau": tau}}
    dynamics = {"dt": "0.2 us", "settle": {"at_most": "60 us"}}
    scenario = make_scenario(LAYERS, dynamics=dynamics, **sections)
    clock = registry.clocks.get("continuous").build(scenario.dynamics)
    network = make_network(LAYERS, dynamics=dynamics, **sections)
    inputs, labels = torch.ones(1, 2, 16, dtype=torch.float64), torch.ones(1, 2, 6, dtype=torch.float64)
    found = observe(network, clock, inputs, labels, 0.5, Stream(1, "fate", range(3), dtype=torch.float64))
    assert named(found.kind) == {"undecided"}
