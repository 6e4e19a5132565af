import pytest
import torch

from analogdp.dynamics import Diverged, Simulation, Sweep
from analogdp.errors import InputError
from analogdp.network import Network
from analogdp.scenario.noise import NoiseSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream

ORDERS = ("forward_backward", "forward", "odd_even", "random")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def settle(network: Network, clock: Sweep, nudging: float = 0.4, stream: Stream | None = None) -> Simulation:
    simulation = Simulation(network, clock)
    sizes = network.sizes
    simulation.present(random(1, 3, sizes[0]), random(1, 3, sizes[-1], seed=1), nudging, stream)
    simulation.settle()
    return simulation


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 1.0])
def test_one_sweep_of_a_linear_transposed_network_is_its_fixed_point(make_network, alpha):
    network = make_network((6, 5, 4, 3), neuron={"alpha": alpha, "activation": "identity"})
    one, many = settle(network, Sweep(1)), settle(network, Sweep(20))
    for a, b in zip(one.state, many.state, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def test_a_sweep_stops_when_its_changes_are_below_the_tolerance(make_network):
    network = make_network(neuron={"model": "dp", "alpha": 0.6, "beta": 0.2, "activation": "tanh"})
    simulation = settle(network, Sweep(sweeps=100, tolerance=1e-6))
    assert 1 < simulation.step < 100


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("model", ["dp", "dp_transposed"])
def test_all_orders_come_to_the_same_fixed_point(make_network, order, model):
    network = make_network(
        (6, 5, 4, 4, 3), neuron={"model": model, "alpha": 0.4, "beta": 0.3, "activation": "tanh"}, network={"gain": 0.7}
    )
    wanted, found = settle(network, Sweep(200)), settle(network, Sweep(200, order=order))
    for ours, theirs in zip(found.state, wanted.state, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("order", "sweeps"), [("forward_backward", 1), ("forward", 4), ("odd_even", 3)])
def test_errors_come_down_one_layer_with_every_forward_sweep_and_all_layers_with_a_backward_one(
    make_network, order, sweeps
):
    """Four layers of linear dyads: the lowest one's difference appears with the sweep said, and not before."""
    network = make_network((6, 5, 4, 4, 3), neuron={"activation": "identity"})
    for taken in range(1, sweeps + 1):
        lowest = settle(network, Sweep(taken, order=order)).state[0]
        assert bool((lowest[0] != lowest[1]).any()) == (taken >= sweeps)


def test_a_random_order_is_drawn_anew_for_every_sweep_and_is_the_same_for_the_same_stream(make_network):
    network = make_network((6, 5, 4, 4, 3))
    clock = Sweep(3, order="random")
    streams = [Stream(1, "settling", dtype=torch.float64).at(index) for index in (0, 0, 1, 2, 3, 4)]
    first, again, *others = ([state.clone() for state in settle(network, clock, stream=one).state] for one in streams)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(first[0], other[0]) for other in others)


def test_a_sweep_refuses_membrane_noise_from_python(make_network):
    network = make_network((6, 5, 3))
    simulation = Simulation(network, Sweep(), NoiseSettings(membrane=0.1))
    with pytest.raises(InputError, match="no time"):
        simulation.present(random(1, 3, 6), stream=Stream(0, "noise", dtype=torch.float64))


@pytest.mark.parametrize(("order", "sweeps"), [("forward_backward", 1), ("forward", 6), ("random", 6)])
def test_the_default_number_of_sweeps_lets_errors_reach_the_lowest_layer(order, sweeps):
    sections = {"network": {"layers": [64, 8, 8, 10]}, "dynamics": {"clock": "sweep", "order": order}}
    assert Scenario.model_validate(sections).dynamics.sweeps == sweeps


@pytest.mark.parametrize("order", ORDERS)
def test_what_was_presented_before_does_not_matter(make_network, order):
    network = make_network((6, 5, 4, 4, 3))
    simulation = Simulation(network, Sweep(1, order=order))
    stream, ends = Stream(1, "settling", dtype=torch.float64), []
    for seed in (0, 5, 0):
        simulation.present(random(1, 3, 6, seed=seed), random(1, 3, 3, seed=seed + 1), 0.4, stream)
        ends.append([state.clone() for state in simulation.settle().state])
    assert all(torch.equal(one, other) for one, other in zip(ends[0], ends[2], strict=True))
    assert not torch.equal(ends[0][0], ends[1][0])


def test_a_random_order_differs_from_sweep_to_sweep(make_network):
    """Of eight layers' 40,320 orders, ten sweeps hardly draw one twice."""
    network, orders = make_network((3, *([2] * 8))), []
    simulation = Simulation(network, Sweep(10, order="random"))
    simulation.present(random(1, 1, 3), stream=Stream(1, "settling", dtype=torch.float64))
    field = simulation.field
    field.read_bottom_up = lambda index: orders[-1].append(index)  # type: ignore[method-assign]
    for _ in range(10):
        orders.append([])
        simulation.advance(1)
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len({tuple(order) for order in orders}) > 8


@pytest.mark.parametrize("order", ORDERS)
def test_divergence_of_a_sweep_is_located_where_single_sweeps_find_it(make_network, order):
    network = make_network(
        (6, 5, 4, 3), neuron={"model": "dp", "alpha": 1.0, "beta": 3.0, "activation": "identity"}, network={"gain": 3.0}
    )
    simulation, stream = Simulation(network, Sweep(60, order=order)), Stream(1, "settling", dtype=torch.float64)
    batches = [(random(1, 3, 6, seed=seed), random(1, 3, 3, seed=seed + 1), 3.0, stream) for seed in (0, 4)]
    simulation.present(*batches[1])
    simulation.advance(2)
    simulation.present(*batches[0])
    while max(layer.abs().max() for layer in simulation.state) <= 1e6:
        simulation.advance(1)
    expected = simulation.step
    simulation.present(*batches[0])
    with pytest.raises(Diverged) as diverged:
        simulation.settle()
    assert diverged.value.step == expected
