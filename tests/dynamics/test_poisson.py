import math

import pytest
import torch

from analogdp.dynamics import Continuous, ExponentialEuler, Poisson, Simulation
from analogdp.errors import AnalogdpWarning, ScenarioError
from analogdp.scenario.noise import NoiseSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

STREAM = Stream(2, "clock", dtype=torch.float64)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def begun(network, clock, stream=STREAM, noise=None, batch=3, quiet=None) -> Simulation:
    simulation = Simulation(network, clock, noise)
    sizes = network.sizes
    simulation.present(random(1, batch, sizes[0]), random(1, batch, sizes[-1], seed=1), 0.3, stream, quiet)
    return simulation


@pytest.mark.parametrize("scope", ["neuron", "layer"])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_random_clocks_come_to_the_fixed_point_of_continuous_time(make_network, scope, share):
    network = make_network((6, 5, 4, 3), neuron={"activation": "tanh", "alpha": 0.3})
    clock = Poisson(1e6, 0.2e-6, 3000, tolerance=None, scope=scope, share=share)
    wanted = begun(network, Continuous(ExponentialEuler, 0.2e-6, 1000, tolerance=None)).settle()
    for ours, theirs in zip(begun(network, clock).settle().state, wanted.state, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("scope", ["neuron", "layer"])
def test_a_clock_ticks_at_its_rate_and_moves_both_compartments_of_a_neuron(make_network, scope):
    """Waiting times are geometric: a state that has never moved is left with probability exp(-rate t); 4 error bars."""
    network = make_network((6, 500, 3), neuron={"activation": "identity"})
    clock = Poisson(0.5e6, 0.1e-6, 100, scope=scope)
    simulation = begun(network, clock, batch=400)
    simulation.advance(20)
    plus, minus = simulation.state[0] != 0
    assert torch.equal(plus, minus)
    independent = plus.numel() if scope == "neuron" else 400
    still = 1 - plus.to(torch.float64).mean().item()
    expected = math.exp(-0.5e6 * 20 * 0.1e-6)
    assert still == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / independent))


def test_a_jump_lands_on_the_target_and_a_relaxation_goes_its_share(make_network):
    network = make_network((6, 5, 3), neuron={"activation": "identity"})
    moves = {}
    for share in (1.0, 0.25):
        simulation = begun(network, Poisson(1e6, 0.5e-6, 10, share=share))
        simulation.advance(1)
        moves[share] = simulation.state[0].clone()
        target = simulation.field._drive[0]
        ticked = moves[share][0] != 0
        torch.testing.assert_close(moves[share][0][ticked], share * target[ticked])
        assert 0 < ticked.to(torch.float64).mean() < 1
    torch.testing.assert_close(moves[0.25], 0.25 * moves[1.0])


def test_ticks_are_the_same_alone_as_among_other_chips_and_when_the_noise_is_off(make_network):
    clock = Poisson(1e6, 0.2e-6, 30, tolerance=None)
    states = {}
    for chips in ((0, 1, 2), (1,)):
        network = make_network((6, 5, 3), chips=3, only_chips=chips)
        stream = Stream(2, "clock", chips=chips, dtype=torch.float64)
        states[chips] = [state.clone() for state in begun(network, clock, stream).settle().state]
    for many, alone in zip(states[0, 1, 2], states[(1,)], strict=True):
        assert torch.equal(many[:, 1], alone[:, 0])
        assert not torch.equal(many[:, 1], many[:, 0])
    network = make_network((6, 5, 3))
    one, other = begun(network, clock, quiet=True), begun(network, clock, quiet=False)
    one.advance(7)
    other.advance(7)
    assert all(torch.equal(a, b) for a, b in zip(one.state, other.state, strict=True))


def test_membranes_that_jump_take_the_whole_stationary_noise_at_every_tick(make_network):
    network = make_network((3, 40, 2), neuron={"activation": "identity"}, network={"gain": 0.0, "bias": False})
    for share in (1.0, 0.2):
        clock = Poisson(1e6, 0.5e-6, 100, tolerance=None, share=share)
        simulation = begun(network, clock, noise=NoiseSettings(membrane=0.1), batch=400)
        state = simulation.settle().state[0]
        assert state.std().item() == pytest.approx(0.1, rel=4 / math.sqrt(2 * state.numel()))


def test_an_integrator_with_a_random_clock_is_refused_with_the_reason():
    with pytest.raises((ScenarioError, ValueError), match=r"integrator.*'dopri5' cannot be used: a random clock"):
        Scenario.model_validate({"dynamics": {"clock": "poisson", "integrator": "dopri5"}})


def test_the_default_rate_is_one_tick_in_a_time_constant():
    dynamics = Scenario.model_validate({"neuron": {"tau": "2 us"}, "dynamics": "poisson"}).dynamics
    assert dynamics.rate == pytest.approx(0.5e6)
    assert Scenario.model_validate({"dynamics": {"clock": "poisson", "rate": "3 MHz", "dt": 1e-8}}).dynamics.rate == 3e6


def test_every_presentation_has_ticks_of_its_own_that_only_its_stream_decides(make_network):
    network, clock, ends = make_network((6, 5, 3)), Poisson(1e6, 0.2e-6, 30, tolerance=None), []
    simulation = Simulation(network, clock)
    for stream in (STREAM, STREAM.at(1), STREAM, None, STREAM.at(2), None):
        simulation.present(random(1, 3, 6), random(1, 3, 3, seed=1), 0.3, stream)
        simulation.advance(4)
        ends.append(simulation.state[0].clone())
    assert torch.equal(ends[0], ends[2])
    assert not torch.equal(ends[0], ends[1])
    assert torch.equal(ends[3], ends[5])


def test_clocks_that_tick_at_almost_every_step_are_warned_of_and_slow_ones_get_their_time():
    with pytest.warns(AnalogdpWarning, match=r"dynamics\.dt should be below 5e-10 s"):
        Scenario.model_validate({"dynamics": {"clock": "poisson", "rate": "1 GHz"}})
    slow = Scenario.model_validate(
        {"network": {"layers": [64, 8, 10]}, "dynamics": {"clock": "poisson", "rate": "10 kHz"}}
    )
    assert slow.dynamics.settle.at_most == pytest.approx(1.6e-3)


@pytest.mark.parametrize("clock", ["poisson", "sweep"])
def test_mismatch_of_time_constants_is_refused_where_neurons_do_not_move_with_them(clock):
    with pytest.raises((ScenarioError, ValueError), match=rf"mismatch\.tau.*clock: {clock} moves neurons without"):
        Scenario.model_validate({"dynamics": clock, "mismatch": {"tau": 0.05}})
