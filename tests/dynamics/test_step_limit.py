import pytest
import torch

from analogdp import registry
from analogdp.dynamics import Continuous, Simulation, Sweep, refuse_unstable_step
from analogdp.errors import InputError


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def limited(make_network, **sections):
    """Three linear layers of DP dyads at alpha = 1, whose feedback has complex eigenvalues; stable in continuous time."""
    neuron = {"model": "dp", "alpha": 1.0, "beta": 0.3, "activation": "identity"}
    return make_network((6, 8, 8, 3), neuron=neuron, network={"gain": 1.2}, **sections)


def refuse(network, dt: float, integrator: str = "euler") -> None:
    clock = Continuous(registry.integrators.get(integrator), dt, 10)
    refuse_unstable_step(clock, network, random(5, 6), random(5, 3, seed=1), 0.3)


def limit_named(network) -> float:
    with pytest.raises(InputError, match=r"dynamics\.dt: 2e-06 s is too long for euler on this network") as refused:
        refuse(network, 2e-6)
    return float(str(refused.value).split("up to ")[1].split(" s")[0])


@pytest.mark.parametrize("sections", [{}, {"chips": 3, "mismatch": {"alpha": 0.05, "gain": 0.05}}])
def test_the_limit_that_the_message_names_separates_steps_that_settle_from_steps_that_explode(make_network, sections):
    network = limited(make_network, **sections)
    limit = limit_named(network)
    assert limit < 1.9e-6, "feedback makes it shorter than the leak's own limit"
    ends = {}
    for factor in (0.96, 1.04):
        simulation = Simulation(network, Continuous(registry.integrators.get("euler"), factor * limit, 3000, None))
        simulation.present(random(1, 5, 6), random(1, 5, 3, seed=1), 0.3)
        simulation.advance(3000)
        ends[factor] = torch.cat([layer.flatten() for layer in simulation.state]).abs().max().item()
    assert ends[0.96] < 100
    assert not ends[1.04] < 1e6
    refuse(network, 0.96 * limit)


def test_single_precision_converters_and_mismatched_time_constants_do_not_confuse_the_limit(make_network):
    crossbar = {"model": "crossbar", "device": "idealized", "weight_range": "20/sqrt(fan_in)"}
    plain, coarse = (
        limit_named(limited(make_network, synapse=crossbar | converter, run={"dtype": "float32"}))
        for converter in ({}, {"adc": {"bits": 4}, "dac": {"bits": 4}})
    )
    assert coarse == pytest.approx(plain, rel=0.01)
    plain = limit_named(limited(make_network))
    mismatched = limit_named(limited(make_network, mismatch={"tau": 0.1}))
    assert mismatched != plain
    assert mismatched == pytest.approx(plain, rel=0.2)


def test_an_unconditionally_stable_method_and_clocks_without_a_fixed_step_are_let_through(make_network):
    network = make_network((6, 8, 8, 3), neuron={"alpha": 0.0, "activation": "tanh"})
    refuse(network, 1e-4, "exp_euler")
    refuse(network, 1e-4, "dopri5")
    refuse_unstable_step(Sweep(), network, random(5, 6), random(5, 3), 0.3)


def test_a_feedback_path_of_its_own_has_a_limit_of_its_own(make_network):
    limits = {path: limit_named(limited(make_network, feedback=path)) for path in ("transposed", "random")}
    assert limits["random"] != limits["transposed"]


@pytest.mark.parametrize("tau", [0.0, float("nan")])
def test_a_time_constant_of_zero_or_none_is_refused(make_network, tau):
    network = make_network((6, 5, 3))
    network.layers[0].tau = torch.tensor([1e-6, tau], dtype=torch.float64)
    with pytest.raises(InputError, match="layer 1 has a time constant of"):
        Simulation(network, Continuous(registry.integrators.get("exp_euler"), 1e-7, 10))
