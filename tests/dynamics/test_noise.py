import math

import pytest
import torch

from analogdp.dynamics import Continuous, ExponentialEuler, Simulation
from analogdp.dynamics.noise import Fluctuations
from analogdp.errors import ScenarioError
from analogdp.network import Field
from analogdp.scenario.noise import NoiseSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

STREAM = Stream(3, "noise", dtype=torch.float64)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fluctuations(field: Field, timestep: float | None = 0.2e-6, **settings) -> Fluctuations:
    noise = Fluctuations(field, NoiseSettings.model_validate(settings), timestep, 1e-6, normals=1)
    noise.start(STREAM)
    return noise


@pytest.mark.parametrize(("timestep", "correlation"), [(None, 0.0), (0.2e-6, math.exp(-0.2))])
@pytest.mark.parametrize("name", ["nudging", "asymmetry"])
def test_nudging_fluctuates_with_the_std_and_correlation_asked_for(make_network, name, timestep, correlation):
    field = Field(make_network((64, 4, 10)), batch=4000)
    noise = fluctuations(field, timestep, **{name: 0.1})
    values = []
    for step in range(30):
        noise.load(step)
        assert noise.apply() is None, "no membrane noise was asked for"
        values.append(field.nudging_factor - 1 if name == "nudging" else field.neurons[-1].mix - 0.5)
    values = torch.stack(values).squeeze(-1).squeeze(1)
    assert values.std().item() == pytest.approx(0.1, rel=0.02)
    lagged = (values[1:] * values[:-1]).mean() / values.square().mean()
    assert lagged.item() == pytest.approx(correlation, abs=0.02)


@pytest.mark.parametrize("model", ["dp", "dp_transposed"])
def test_a_shifted_asymmetry_is_that_of_neurons_made_with_it(make_network, model):
    neuron = {"model": model, "beta": 0.3, "activation": "tanh"}
    one, other = (make_network((6, 5, 3), neuron=neuron | {"alpha": alpha}) for alpha in (0.4, 0.55))
    state, message = random(2, 1, 4, 5), random(1, 4, 5, seed=1)
    shifted = one.neurons[0].at_asymmetry(torch.full((1, 4, 1), 0.15, dtype=torch.float64))
    expected = other.neurons[0]
    torch.testing.assert_close(shifted.target(message, message, state), expected.target(message, message, state))
    torch.testing.assert_close(shifted.upward(state), expected.upward(state))
    out, ends = random(2, 1, 4, 3), random(1, 4, 3, seed=2)
    shifted = one.neurons[-1].at_asymmetry(torch.full((1, 4, 1), 0.15, dtype=torch.float64))
    torch.testing.assert_close(
        shifted.output_target(ends, ends + 1, 0.3, out), other.neurons[-1].output_target(ends, ends + 1, 0.3, out)
    )


def simulated(network, steps: int, batch: int = 400, stream: Stream = STREAM, **settings) -> torch.Tensor:
    clock = Continuous(ExponentialEuler, 0.2e-6, steps, tolerance=None)
    simulation = Simulation(network, clock, NoiseSettings.model_validate(settings), tau=1e-6)
    simulation.present(torch.zeros(1, batch, network.sizes[0], dtype=torch.float64), stream=stream)
    return simulation.settle().state[0].clone()


def free_leaks(make_network, units: int = 20):
    """A layer of linear neurons that nothing drives: their state is filtered noise and nothing else."""
    return make_network((3, units, 2), neuron={"activation": "identity"}, network={"gain": 0.0, "bias": False})


def test_common_noise_moves_the_compartments_together(make_network):
    """16,000 samples each: std within 4 error bars, correlation by the shares of variance."""
    state = simulated(free_leaks(make_network), 60, 800, membrane=0.03, common=0.04)
    plus, minus = state[0].flatten(), state[1].flatten()
    assert plus.std().item() == pytest.approx(0.05, rel=4 / math.sqrt(2 * plus.numel()))
    assert torch.corrcoef(torch.stack((plus, minus)))[0, 1].item() == pytest.approx(16 / 25, abs=0.02)


def test_coloured_noise_gives_the_membrane_the_filtered_variance(make_network):
    """std^2 c / (c + tau) in continuous time; piecewise constant over dt by the exact sum of the discrete recursion."""
    std, correlation, dt = 0.1, 3e-6, 0.2e-6
    state = simulated(free_leaks(make_network), 150, 800, coloured={"std": std, "correlation": correlation})
    keep, decay = math.exp(-dt / 1e-6), math.exp(-dt / correlation)
    discrete = std**2 * (1 - keep) ** 2 / (1 - keep**2) * (1 + keep * decay) / (1 - keep * decay)
    assert state.var().item() == pytest.approx(discrete, rel=0.04)
    assert discrete == pytest.approx(std**2 * 3 / 4, rel=0.06)
    plus, minus = state[0].flatten(), state[1].flatten()
    assert abs(torch.corrcoef(torch.stack((plus, minus)))[0, 1].item()) < 0.04


EVERYTHING = {
    "membrane": 0.02,
    "common": 0.01,
    "coloured": {"std": 0.01, "correlation": 2e-6},
    "nudging": 0.1,
    "asymmetry": 0.05,
    "conductance": {"std": 0.05, "correlation": 5e-6},
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_noise_is_the_same_alone_as_among_other_chips_and_differs_between_chips(make_network, name):
    ends = {}
    for chips in ((0, 1, 2), (1,)):
        network = make_network((6, 5, 3), chips=3, only_chips=chips)
        clock = Continuous(ExponentialEuler, 0.2e-6, 40, tolerance=None)
        simulation = Simulation(network, clock, NoiseSettings.model_validate({name: EVERYTHING[name]}), tau=1e-6)
        stream = Stream(3, "noise", chips=chips, dtype=torch.float64)
        simulation.present(random(1, 4, 6), random(1, 4, 3, seed=1), 0.5, stream)
        ends[chips] = [state.clone() for state in simulation.settle().state]
    for many, alone in zip(ends[0, 1, 2], ends[(1,)], strict=True):
        assert torch.equal(many[:, 1], alone[:, 0])
        assert not torch.equal(many[:, 1], many[:, 0])


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_noise_acts_and_is_gone_when_the_next_samples_are_presented_quietly(make_network, name):
    network = make_network((6, 5, 3))
    clock = Continuous(ExponentialEuler, 0.2e-6, 40, tolerance=None)
    ends = []
    simulation = Simulation(network, clock, NoiseSettings.model_validate({name: EVERYTHING[name]}), tau=1e-6)
    for quiet in (True, False, True):
        simulation.present(random(1, 4, 6), random(1, 4, 3, seed=1), 0.5, STREAM, quiet=quiet)
        ends.append([state.clone() for state in simulation.settle().state])
    assert simulation.noisy
    for first, noisy, last in zip(*ends, strict=True):
        assert torch.equal(first, last)
        assert not torch.equal(first, noisy)


def test_chunks_of_steps_and_a_restored_state_change_no_bit_of_a_noisy_run(make_network):
    network = make_network((6, 5, 3))
    clock = Continuous(ExponentialEuler, 0.2e-6, 40, tolerance=None)

    def begun() -> Simulation:
        simulation = Simulation(network, clock, NoiseSettings.model_validate(EVERYTHING), tau=1e-6)
        simulation.present(random(1, 4, 6), random(1, 4, 3, seed=1), 0.5, STREAM)
        return simulation

    whole, chunked, resumed = begun(), begun(), begun()
    whole.advance(90)
    for steps in (1, 7, 64, 18):
        chunked.advance(steps)
    before = begun()
    before.advance(33)
    resumed.restore({name: tensor.clone() for name, tensor in before.tensors().items()})
    resumed.advance(57)
    for simulation in (chunked, resumed):
        assert simulation.step == 90
        for one, other in zip(whole.state, simulation.state, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["membrane", "common", "coloured", "conductance"])
def test_noise_that_needs_time_is_refused_by_a_sweep(name):
    with pytest.raises((ScenarioError, ValueError), match=rf"noise\.{name}.*no time in which it could act"):
        Scenario.model_validate({"dynamics": "sweep", "noise": {name: EVERYTHING[name]}})


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (
            {"coloured": {"correlation": "0.3 us"}},
            r"coloured\.correlation: 3e-07 s is shorter than two time steps of 2e-07",
        ),
        ({"conductance": {"std": 0.1, "correlation": "1 us"}}, r"1e-06 s is too short .* allowed: from 1\.13e-06 s"),
        ({"conductance": {"std": 0.9, "correlation": "5 us"}}, r"5e-06 s is too short"),
    ],
)
def test_fluctuations_faster_than_the_time_step_are_refused_with_the_limit(noise, message):
    with pytest.raises((ScenarioError, ValueError), match=message):
        Scenario.model_validate({"noise": noise, "dynamics": {"dt": "0.2 us"}})


@pytest.mark.parametrize("integrator", ["etd_ab2", "rk4", "dopri5"])
@pytest.mark.parametrize(
    "sections",
    [
        {"noise": {"nudging": 0.1}},
        {"noise": {"coloured": {"std": 0.01}}},
        {"synapse": {"model": "crossbar", "device": {"card": "idealized", "read_noise": 0.01, "read_time": 1e-6}}},
    ],
)
def test_methods_that_rest_on_smooth_solutions_refuse_every_fluctuation(integrator, sections):
    with pytest.raises((ScenarioError, ValueError), match=rf"{integrator} takes no noise"):
        Scenario.model_validate({"dynamics": {"integrator": integrator}} | sections)


def test_coloured_noise_is_stationary_from_the_first_step_on(make_network):
    """The first step moves a free membrane from rest by (1 - exp(-z)) times the current; 4 error bars."""
    state = simulated(free_leaks(make_network), 1, 800, coloured={"std": 0.1, "correlation": 50e-6})
    share = 1 - math.exp(-0.2)
    assert state.std().item() == pytest.approx(0.1 * share, rel=4 / math.sqrt(2 * state.numel()))


def test_cells_fluctuate_for_reads_in_both_directions_and_of_the_input(make_network):
    network = make_network((6, 5, 3), neuron={"activation": "identity"})
    field = Field(network, batch=2)
    field.clamp(random(1, 2, 6), random(1, 2, 3, seed=1), 0.4)
    field(random(field.layout.size, seed=2))
    quiet = [drive.clone() for drive in (*field._drive, field._feedback[0])]
    field.shown = [2 * synapse.weights for synapse in network.synapses]
    field(random(field.layout.size, seed=2))
    biases = [layer.bias for layer in network.layers]
    for before, now, bias in zip(quiet, (*field._drive, field._feedback[0]), (*biases, 0.0), strict=True):
        torch.testing.assert_close(now - bias, 2 * (before - bias))
