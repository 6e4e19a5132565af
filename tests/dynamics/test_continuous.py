import pytest
import torch

from analogdp import registry
from analogdp.dynamics import Continuous, Simulation, Sweep
from analogdp.dynamics.continuous import ContinuousSettings
from analogdp.dynamics.integrators import RungeKutta4
from analogdp.errors import InputError, ScenarioError
from analogdp.network import Network
from analogdp.scenario.noise import NoiseSettings
from analogdp.scenario.schema import Scenario


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def settle(network: Network, clock, nudging: float = 0.4) -> Simulation:
    simulation = Simulation(network, clock)
    sizes = network.sizes
    simulation.present(random(1, 3, sizes[0]), random(1, 3, sizes[-1], seed=1), nudging)
    simulation.settle()
    return simulation


@pytest.mark.parametrize("model", ["dp", "dp_transposed"])
@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_sweeps_and_every_integrator_settle_at_the_same_fixed_point(make_network, model, alpha):
    network = make_network(
        (6, 5, 4, 3), neuron={"model": model, "alpha": alpha, "beta": 0.3, "activation": "tanh"}, network={"gain": 0.7}
    )
    swept = settle(network, Sweep(sweeps=60)).state
    for integrator in ("exp_euler", "euler", "rk4"):
        clock = Continuous(registry.integrators.get(integrator), 0.2e-6, 600, tolerance=None)
        for ours, theirs in zip(settle(network, clock).state, swept, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_defaults_of_time_follow_tau_and_depth():
    scenario = Scenario.model_validate({"neuron": {"tau": "2 us"}, "network": {"layers": [64, 8, 8, 10]}})
    dynamics = scenario.dynamics
    assert isinstance(dynamics, ContinuousSettings)
    assert dynamics.dt == pytest.approx(0.4e-6)
    assert dynamics.settle.at_most == pytest.approx(40e-6)
    assert dynamics.most_steps() == 100


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"dynamics": {"integrator": "rk4"}, "noise": {"membrane": 0.1}}, "rk4 takes no noise"),
        ({"dynamics": {"integrator": "euler", "dt": "2.1 us"}}, "allowed: up to 2e-06 s"),
        ({"dynamics": {"dt": "1 us", "settle": {"at_most": "0.1 us"}}}, "shorter than one time step"),
        ({"dynamics": {"settle": {"tolerance": None, "check_every": 3}}}, "nobody looks at convergence"),
        ({"dynamics": {"integrator": "rk4", "axons": {"delay": 1e-6}}}, "rk4 looks at the neurons between two steps"),
        ({"dynamics": {"rtol": 1e-3}}, "exp_euler takes steps of dt, without an error estimate"),
    ],
)
def test_contradictory_dynamics_are_refused_with_the_reason(sections, message):
    with pytest.raises((ScenarioError, ValueError), match=message):
        Scenario.model_validate(sections)


def test_the_default_tolerance_is_in_proportion_to_beta():
    tolerances = [Scenario.model_validate({"neuron": {"beta": beta}}).dynamics.settle.tolerance for beta in (0.5, 0.01)]
    assert tolerances == [1e-3, 2e-5]


def test_a_step_too_long_for_the_fastest_neuron_is_refused_before_anything_runs(make_network):
    network = make_network(mismatch={"tau": 0.3})
    limit = 2 * network.fastest_tau
    Simulation(network, Continuous(registry.integrators.get("euler"), 0.99 * limit, 10))
    with pytest.raises(InputError, match=r"dynamics\.dt: .* fastest neuron"):
        Simulation(network, Continuous(registry.integrators.get("euler"), 1.01 * limit, 10))
    Simulation(network, Continuous(registry.integrators.get("exp_euler"), 5 * limit, 10))


def test_runge_kutta_counts_four_evaluations_a_step():
    dynamics = Scenario.model_validate({"dynamics": {"integrator": "rk4"}}).dynamics
    assert dynamics.evaluations() == RungeKutta4.evaluations * dynamics.most_steps()


def test_a_time_constant_that_is_not_positive_is_refused_with_its_layer(make_network):
    network = make_network()
    network.layers[1].tau = torch.tensor([1e-6, -1e-7], dtype=torch.float64)
    with pytest.raises(InputError, match=r"layer 2 has a time constant of -1e-07 s; allowed: above 0"):
        Simulation(network, Continuous(registry.integrators.get("exp_euler"), 1e-7, 10))


def test_runge_kutta_refuses_membrane_noise_from_python(make_network):
    simulation = Simulation(make_network((6, 5, 3)), Continuous(RungeKutta4, 1e-7, 10), NoiseSettings(membrane=0.1))
    with pytest.raises(InputError, match=r"noise\.membrane"):
        simulation.present(random(1, 3, 6))


def test_error_tolerances_finer_than_the_numbers_are_refused():
    with pytest.raises((ScenarioError, ValueError), match="1e-10 is finer than float32 resolves; allowed: from 1e-06"):
        Scenario.model_validate({"dynamics": {"integrator": "dopri5", "rtol": 1e-10}})
