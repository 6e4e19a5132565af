"""Settling times: the law of chains and the linearised network against the simulator."""

import math

import pytest
import torch
from scipy.special import gammainc
from scipy.stats import gamma

from analogdp import registry
from analogdp.analysis.stability import System, fixed_point, free_state
from analogdp.analysis.stability.settling import asymptotic_steps, chain_settling_time, settling_steps, stages
from analogdp.analysis.stability.spectrum import spectrum
from analogdp.dynamics import Continuous, Poisson, Simulation, Sweep
from analogdp.errors import InputError
from tests.analysis.stability.conftest import normal

TAU = 1e-6


def exp_euler(dt, steps, tolerance=1e-3, every=1):
    return Continuous(registry.integrators.get("exp_euler"), dt, steps, tolerance, every)


@pytest.mark.parametrize(("layers", "taus"), [(3, 14.79), (16, 51.08)])
def test_the_known_settling_times_come_out(layers, taus):
    assert chain_settling_time(2 * layers - 1, 1e-3) == pytest.approx(taus, abs=0.02)
    assert chain_settling_time(2 * layers - 1, 1e-3, 2 * TAU) == pytest.approx(2 * TAU * taus, rel=0.002)


@pytest.mark.parametrize(("model", "more"), [("dp", 0), ("dp_transposed", 1)])
@pytest.mark.parametrize("layers", [2, 3, 5])
def test_the_lowest_error_of_a_linear_network_arrives_as_the_law_of_chains_says(make_network, model, more, layers):
    """One unit in each layer and gamma = 0: what the labels and what the input make of delta_1 are two chains."""
    alpha = 0.5 if model == "dp" else 0.3
    neuron = {"model": model, "alpha": alpha, "beta": 0.3, "activation": "identity"}
    neuron |= {"output": "linearised"} if model == "dp" else {}
    network = make_network((1, *(1,) * layers), neuron=neuron, network={"bias": False})
    assert stages(network) == 2 * layers - 1 + more
    simulation = Simulation(network, Continuous(registry.integrators.get("rk4"), TAU / 20, 800, None))
    ends, times = [], []
    # No label at all to drive it: delta_1 is what the input's error makes of it.
    simulation.present(normal(1, 1, 1), torch.zeros(1, 1, 1, dtype=torch.float64), 0.3)
    for step in range(1, 801):
        simulation.advance(1)
        plus, minus = simulation.state[0]
        ends.append((plus - minus).item())
        times.append(step / 20)
    arrived = torch.tensor(ends, dtype=torch.float64) / ends[-1]
    law = torch.from_numpy(gammainc(stages(network), times) / gammainc(stages(network), times[-1]))
    assert (arrived - law).abs().max() < 1e-5


@pytest.mark.parametrize("alpha", [0.3, 0.6, 1.0])
@pytest.mark.parametrize(
    "clock",
    [exp_euler(0.2 * TAU, 1000), exp_euler(0.2 * TAU, 1000, every=5), Sweep(300, 1e-3), Sweep(300, 1e-3, "odd_even")],
    ids=["time", "every fifth", "forward_backward", "odd_even"],
)
def test_linear_networks_settle_at_the_very_step_that_was_predicted(make_network, alpha, clock):
    neuron = {"model": "dp", "alpha": alpha, "beta": 0.3, "activation": "identity"}
    network = make_network((6, 8, 8, 3), neuron=neuron, network={"gain": 0.8}, chips=2, mismatch={"tau": 0.1})
    inputs, labels = normal(1, 5, 6), normal(1, 5, 3, seed=1)
    system = System(network, inputs, labels, 0.3)
    predicted = settling_steps(system, fixed_point(system).state, clock)
    simulation = Simulation(network, clock)
    simulation.present(inputs, labels, 0.3)
    settled = simulation.settle()
    assert (predicted.chips > 0).all()
    assert torch.equal(predicted.chips, settled.chip_steps)
    assert torch.equal(predicted.samples, settled.settled_after)


@pytest.mark.parametrize("model", ["dp", "dp_transposed"])
@pytest.mark.parametrize("clock", [exp_euler(0.2 * TAU, 1000), Sweep(300, 1e-3)], ids=["time", "sweep"])
def test_tanh_networks_settle_within_a_seventh_of_the_predicted_steps(make_network, model, clock):
    neuron = {"model": model, "alpha": 0.3, "beta": 0.3, "activation": "tanh"}
    network = make_network((6, 8, 8, 3), neuron=neuron, chips=2)
    inputs, labels = normal(1, 5, 6), normal(1, 5, 3, seed=1)
    system = System(network, inputs, labels, 0.3)
    predicted = settling_steps(system, fixed_point(system).state, clock).chips
    simulation = Simulation(network, clock)
    simulation.present(inputs, labels, 0.3)
    taken = simulation.settle().chip_steps
    assert ((predicted - taken).abs() <= (taken / 7).clamp_min(1)).all()


def test_networks_that_grow_never_settle(make_network):
    neuron = {"model": "dp", "alpha": 0.0, "beta": 0.6, "activation": "identity"}
    network = make_network((6, 8, 8, 3), neuron=neuron, network={"gain": 1.5})
    system = System(network, normal(1, 2, 6), normal(1, 2, 3, seed=1), 0.6)
    found = settling_steps(system, fixed_point(system).state, exp_euler(0.2 * TAU, 100))
    assert (found.samples == -1).all()
    assert (found.chips == -1).all()


def test_a_start_at_rest_has_settled_at_the_first_look(make_network):
    network = make_network((6, 5, 3), neuron={"alpha": 0.3, "activation": "tanh"})
    system = System(network, normal(1, 2, 6), normal(1, 2, 3, seed=1), 0.3)
    rest = fixed_point(system).state
    found = settling_steps(system, rest, exp_euler(0.2 * TAU, 100, every=5), start=rest)
    assert found.samples.tolist() == [[5, 5]]


def test_a_prediction_without_any_tolerance_is_refused(make_network):
    network = make_network((6, 5, 3), neuron={"alpha": 0.3, "activation": "tanh"})
    system = System(network, normal(1, 2, 6), normal(1, 2, 3, seed=1), 0.3)
    with pytest.raises(InputError, match="with null nothing settles; name the tolerance"):
        settling_steps(system, system.rest(), Sweep(5, None))


@pytest.mark.parametrize("stages", [1, 3, 5, 31])
def test_without_any_loop_the_estimate_is_the_last_time_of_a_chains_velocity(stages):
    leak = math.exp(-0.1)
    (steps,) = asymptotic_steps(torch.tensor([leak], dtype=torch.float64), 1e-3, stages, leak)
    assert gamma.pdf(float(steps) * 0.1, stages) == pytest.approx(1e-3, rel=0.02)
    assert float(steps) * 0.1 > stages - 1


def test_the_slowest_mode_decides_the_estimate_where_it_is_slow():
    (steps,) = asymptotic_steps(torch.tensor([0.999], dtype=torch.float64), 1e-3, 5, math.exp(-0.2))
    slope = math.log(0.999)
    rate = slope / -0.2
    assert float(steps) == pytest.approx((math.log(1e-3 / rate) + 4 * math.log1p(-rate)) / slope, rel=1e-6)


def test_growth_of_one_or_more_never_settles_and_none_takes_the_transit_and_a_look():
    growth = torch.tensor([0.0, 1.0, 1.2]).double()
    assert asymptotic_steps(growth, 1e-3, 5, transit=3).tolist() == [4, math.inf, math.inf]
    assert asymptotic_steps(growth[1:], 1e-3, 5, 0.8).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize("alpha", [0.25, 0.75])
@pytest.mark.parametrize("clock", [exp_euler(0.2 * TAU, 3000), Sweep(300, 1e-3)], ids=["time", "sweep"])
def test_the_estimate_is_within_half_of_what_the_linear_network_takes(make_network, alpha, clock):
    neuron = {"model": "dp", "alpha": alpha, "beta": 0.3, "activation": "identity"}
    network = make_network((6, 8, 8, 4), neuron=neuron, chips=6)
    system = System(network, normal(1, 3, 6), normal(1, 3, 4, seed=1), 0.3)
    rest = fixed_point(system).state
    growth, error = spectrum(system, rest, clock).growth, (rest - free_state(system)).abs().amax(-1)
    leak = 0.0 if isinstance(clock, Sweep) else math.exp(-0.2)
    estimated = asymptotic_steps(growth, 1e-3, stages(network), leak, error=error)
    taken = settling_steps(system, rest, clock).chips
    settles = taken > 0
    assert settles.sum() >= 4
    ratio = estimated.amax(1)[settles] / taken[settles]
    assert ratio.min() > 0.75
    assert ratio.max() < 1.5


def test_random_clocks_are_predicted_in_the_mean_and_take_longer(make_network):
    neuron = {"model": "dp_transposed", "alpha": 0.3, "beta": 0.3, "activation": "identity"}
    network = make_network((6, 8, 8, 3), neuron=neuron)
    inputs, labels = normal(1, 20, 6), normal(1, 20, 3, seed=1)
    system = System(network, inputs, labels, 0.3)
    clock = Poisson(1e6, 0.2 * TAU, 1000, 1e-3, 1)
    predicted = settling_steps(system, fixed_point(system).state, clock).chips
    simulation = Simulation(network, clock)
    simulation.present(inputs, labels, 0.3)
    taken = simulation.settle().chip_steps
    assert 1.0 < (taken / predicted).item() < 2.5
