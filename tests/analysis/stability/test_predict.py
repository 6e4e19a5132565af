"""What theory says of samples beforehand: the simulator is what it is compared with."""

import pytest
import torch

from analogdp import registry
from analogdp.analysis.stability import predict
from analogdp.dynamics import Continuous, Simulation, Sweep
from analogdp.dynamics.axons import AxonSettings
from analogdp.errors import InputError
from tests.analysis.stability.conftest import normal
from tests.network.images import image_network

TAU = 1e-6
LINEAR = {"model": "dp", "activation": "identity", "output": "linearised"}
CLOCKS = {
    "continuous": lambda steps: Continuous(registry.integrators.get("exp_euler"), 0.2 * TAU, steps, 1e-4, 1),
    "sweep": lambda steps: Sweep(steps, 1e-4),
}


def samples(network):
    inputs, *_, outputs = network.sizes
    return normal(1, 2, inputs), torch.softmax(normal(1, 2, outputs, seed=1), -1)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("alpha", [0.1, 0.9])
def test_growth_is_that_of_errors_in_the_simulator(make_network, clock, alpha):
    """Of a linear network, within 1e-3, on either side of stability."""
    network = make_network((6, 5, 4, 3), neuron=LINEAR | {"alpha": alpha, "beta": 1.5})
    found = predict(network, CLOCKS[clock](10), *samples(network), 1.5)
    simulation = Simulation(network, Sweep(1, None) if clock == "sweep" else CLOCKS[clock](1))
    simulation.present(*samples(network), 1.5)
    lengths, count = [], 20 if clock == "sweep" else 400
    simulation.advance(count)
    for _ in range(2):
        before = torch.cat([layer.flatten(3) for layer in simulation.state], -1).clone()
        simulation.advance(1)
        after = torch.cat([layer.flatten(3) for layer in simulation.state], -1)
        lengths.append((after - before).norm(dim=(0, 3)))
        simulation.advance(2 * count - 1)
    real = found.leading.imag.abs() < 1e-9
    growth = (lengths[1] / lengths[0]) ** (1 / (2 * count))
    assert torch.allclose(growth[real], found.growth[real], rtol=1e-3)
    assert torch.equal((growth < 1)[real], found.stable[real])
    assert bool(real.any()) or alpha > 0.5


@pytest.mark.parametrize("clock", CLOCKS)
def test_steps_are_about_those_that_samples_take(make_network, clock):
    """Within a factor of two, of stable networks whose slowest mode decides."""
    network = make_network((6, 5, 4, 3), neuron={"model": "dp", "alpha": 0.2, "beta": 0.4, "activation": "tanh"})
    found = predict(network, CLOCKS[clock](2000), *samples(network), 0.4)
    simulation = Simulation(network, CLOCKS[clock](2000))
    simulation.present(*samples(network), 0.4)
    taken = simulation.settle().settled_after
    assert found.stable.all()
    assert bool(found.at_rest.all())
    ratio = found.steps / taken
    assert ratio.min() > 0.5
    assert ratio.max() < 2


def test_at_the_free_state_linear_networks_are_what_they_are_at_rest(make_network):
    network = make_network((6, 5, 4, 3), chips=2, neuron=LINEAR | {"alpha": 0.2, "beta": 0.4}, mismatch={"alpha": 0.05})
    rest, free = (predict(network, CLOCKS["continuous"](10), *samples(network), 0.4, at=at) for at in ("rest", "free"))
    assert rest.way == free.way == "loops"
    assert bool(rest.at_rest.all())
    assert not free.at_rest.any()
    for name in ("growth", "loop_gain", "stable", "certificate", "converged"):
        assert torch.allclose(getattr(rest, name).double(), getattr(free, name).double())


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_certificate_is_never_given_to_what_is_unstable(make_network, clock):
    """Over many random networks of both signs of gamma, of which some have one."""
    neuron = LINEAR | {"beta": 0.9}
    shares = []
    for alpha in (0.0, 0.3, 0.8):
        network = make_network((6, 5, 4, 3), chips=100, neuron=neuron | {"alpha": alpha}, mismatch={"alpha": 0.2})
        found = predict(network, CLOCKS[clock](10), *samples(network), 0.9, at="free")
        assert bool((found.stable | ~found.certificate).all())
        assert torch.equal(found.certificate, found.loop_gain < 1)
        shares.append(found.certificate.double().mean().item())
    assert max(shares) > 0.2


def test_no_certificate_is_given_where_theory_does_not_reach(make_network):
    """At the nudged fixed point of curved neurons, and for time constants that differ within a layer."""
    neuron = LINEAR | {"alpha": 0.4, "beta": 0.1}
    clock = CLOCKS["continuous"](10)
    plain, mismatched = (make_network((6, 5, 3), neuron=neuron, mismatch=own) for own in ({}, {"tau": 0.1}))
    curved = make_network((6, 5, 3), neuron=neuron | {"activation": "tanh"})
    assert bool(predict(plain, clock, *samples(plain), 0.1).certificate.all())
    assert not predict(curved, clock, *samples(plain), 0.1).certificate.any()
    assert not predict(mismatched, clock, *samples(plain), 0.1).certificate.any()
    assert bool(predict(mismatched, Sweep(), *samples(plain), 0.1).certificate.all())


@pytest.mark.parametrize("sizes", [(6, 5, 3), (64, 8, 10)])
@pytest.mark.parametrize(
    ("activation", "certified"), [("identity", True), ("relu", False), ("leaky_relu", False), ("tanh", False)]
)
def test_the_free_state_vouches_for_linear_networks_alone(make_network, activation, certified, sizes):
    """Of ReLU no kink is crossed there, though nudging may cross one; loops are too weak to matter in all of them."""
    network = make_network(
        sizes, neuron={"model": "dp_transposed", "alpha": 0.3, "beta": 0.01, "activation": activation}
    )
    found = predict(network, Sweep(), *samples(network), 0.01, at="free")
    assert bool((found.loop_gain < 1).all())
    assert bool((found.certificate == certified).all())


@pytest.mark.parametrize(("pool", "certified"), [("average", True), ("max", False), ("quadratic_mean", False)])
def test_of_pools_only_linear_ones_let_the_free_state_vouch(pool, certified):
    neuron = {"model": "dp", "alpha": 0.6, "beta": 0.01, "activation": "identity"}
    network = image_network(["1x6x6", {"conv": 2, "pool": {"kind": pool}}, 3], neuron=neuron)
    found = predict(network, Sweep(), *samples(network), 0.01, at="free")
    assert bool((found.loop_gain < 1).all())
    assert bool((found.certificate == certified).all())


def test_at_rest_networks_with_kinks_are_vouched_for_where_none_is_crossed(make_network):
    """Weakly nudged, hardly any compartments lie on different sides of a kink."""
    network = make_network(
        (6, 5, 3), neuron={"model": "dp_transposed", "alpha": 0.3, "beta": 1e-6, "activation": "relu"}
    )
    found = predict(network, Sweep(), *samples(network), 1e-6, at="rest")
    assert bool(found.at_rest.all())
    assert bool(found.certificate.all())


@pytest.mark.parametrize("name", sorted(set(registry.integrators.names()) - {"exp_euler"}))
def test_only_exponential_and_adaptive_steps_are_certified(make_network, name):
    """Of steps of 1.5 tau, at which other methods grow on their own or with a loop of less than 1."""
    network = make_network((6, 5, 4, 3), neuron=LINEAR | {"alpha": 0.6, "beta": 0.3})
    integrators = [registry.integrators.get(own) for own in ("exp_euler", name)]
    certain, other = (
        predict(network, Continuous(own, 1.5 * TAU, 10, None), *samples(network), 0.3) for own in integrators
    )
    assert bool(certain.certificate.all())
    assert bool(other.certificate.all()) == integrators[1].adaptive


def test_sweeps_of_random_order_are_not_certified(make_network):
    network = make_network((6, 5, 4, 3), neuron=LINEAR | {"alpha": 0.6, "beta": 0.3})
    fixed, random = (predict(network, Sweep(order=own), *samples(network), 0.3) for own in ("forward", "random"))
    assert bool(fixed.certificate.all())
    assert not random.certificate.any()


def test_samples_whose_fixed_point_is_not_found_are_looked_at_free(make_network):
    neuron = {"model": "dp", "alpha": 0.0, "beta": 0.9, "activation": "tanh", "output": "linearised"}
    network = make_network((6, 5, 4, 3), neuron=neuron, network={"gain": 3.0})
    inputs, labels = normal(1, 20, 6), torch.softmax(normal(1, 20, 3, seed=1), -1)
    rest, free = (predict(network, Sweep(1, 1e-3), inputs, labels, 0.9, at=at) for at in ("rest", "free"))
    missing = ~rest.at_rest
    assert bool(missing.any())
    assert torch.allclose(rest.loop_gain[missing], free.loop_gain[missing])
    assert bool(torch.isinf(rest.steps[~rest.stable]).all())


def test_what_is_left_out_of_account_is_named(make_network):
    network = make_network((6, 5, 3), neuron={"model": "dp", "alpha": 0.4, "beta": 0.1})
    axons = AxonSettings.model_validate({"delay": 0.2 * TAU, "threshold": {"bottom_up": 0.01}})
    clock = Continuous(registry.integrators.get("exp_euler"), 0.2 * TAU, 10, None, axons=axons)
    found = predict(network, clock, *samples(network), 0.1)
    assert found.ignored == ("dynamics.axons.delay", "dynamics.axons.threshold")
    assert bool(found.steps.isnan().all())
    assert predict(network, Sweep(), *samples(network), 0.1).ignored == ()


def test_neurons_that_are_no_dyads_are_refused(make_network):
    network = make_network((6, 5, 3), neuron={"model": "backpropagation"}, dynamics="sweep")
    with pytest.raises(InputError, match=r"neuron\.model"):
        predict(network, Sweep(), *samples(network), 0.1)
