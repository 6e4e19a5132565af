"""One step of a clock as a linear map: a linear network in the simulator itself is what it is compared with."""

import itertools

import pytest
import torch

from analogdp import registry
from analogdp.analysis.stability import System, fixed_point, motion
from analogdp.analysis.stability.motion import (
    jumped,
    linear_step,
    row_products,
    shuffled_mean,
    step_map,
    transposed_rows,
)
from analogdp.dynamics import Continuous, Poisson, Simulation, Sweep
from analogdp.errors import InputError
from analogdp.streams import Stream
from tests.analysis.stability.conftest import normal

TAU = 1e-6


@pytest.fixture
def make_system(make_network):
    """A nudged network with two chips and three samples, and its fixed point."""

    def make(layers=(6, 5, 4, 3), activation="identity", **neuron):
        neuron = {"model": "dp", "alpha": 0.7, "beta": 0.3} | neuron | {"activation": activation}
        sections = {"chips": 2, "mismatch": {"tau": 0.1, "alpha": 0.05}}
        network = make_network(layers, neuron=neuron, **sections)
        system = System(network, normal(1, 3, layers[0]), normal(1, 3, layers[-1], seed=1), 0.3)
        point = fixed_point(system)
        assert point.found.all()
        return system, point.state

    return make


METHODS = ("exp_euler", "etd_ab2", "etd2rk", "euler", "heun", "rk4", "dopri5")
ORDERS = ("forward_backward", "forward", "odd_even", "random")
CLOCKS = [
    *(Continuous(registry.integrators.get(name), 0.2 * TAU, 20, None) for name in METHODS),
    *(Sweep(20, None, order) for order in ORDERS),
    *(Poisson(1e6, 0.2 * TAU, 20, None, scope=scope, share=0.8) for scope in ("neuron", "layer")),
]


@pytest.mark.parametrize("clock", CLOCKS, ids=[*METHODS, *ORDERS, "neuron", "layer"])
@pytest.mark.parametrize(("model", "most"), [("dp", motion.MOST_WRITTEN), ("dp_transposed", 0)])
def test_deviations_of_a_linear_network_move_as_in_the_simulator(make_system, monkeypatch, clock, model, most):
    monkeypatch.setattr(motion, "MOST_WRITTEN", most)
    system, rest = make_system(model=model)
    simulation = Simulation(system.network, clock)
    inputs, labels = system.field.presented
    stream = Stream(5, "ticks", (0, 1), dtype=torch.float64)
    simulation.present(inputs, labels, 0.3, stream, quiet=True)
    step, deviation = linear_step(system, rest, clock, stream), -rest
    for _ in range(20):
        simulation.advance(1)
        deviation = step(deviation)
    state = system.vector(simulation.state)
    # Dormand and Prince's own tolerance.
    assert (state - rest - deviation).abs().max() < (1e-5 if clock is CLOCKS[6] else 1e-11)


@pytest.mark.parametrize("most", [motion.MOST_WRITTEN, 0], ids=["matrix", "products"])
def test_rows_are_those_of_the_jacobian_and_their_transposed_is(make_system, monkeypatch, most):
    monkeypatch.setattr(motion, "MOST_WRITTEN", most)
    system, rest = make_system(activation="tanh")
    matrix, vector = system.jacobian_matrix(rest), normal(*rest.shape, seed=2)
    parts = zip(system.places, row_products(system, rest), transposed_rows(system, rest), strict=True)
    for place, row, column in parts:
        rows = matrix[..., place, :]
        assert torch.allclose(row(vector), (rows @ vector.unsqueeze(-1)).squeeze(-1), atol=1e-13)
        assert torch.allclose(column(vector[..., place]), (rows.mT @ vector[..., place, None]).squeeze(-1), atol=1e-13)


def test_the_mean_over_orders_is_that_of_all_orders(make_system):
    system, rest = make_system()
    rows, vector = row_products(system, rest), normal(*rest.shape, seed=2)
    ends = []
    for order in itertools.permutations(range(3)):
        end = vector
        for layer in order:
            end = jumped(system, rows, end, layer)
        ends.append(end)
    assert torch.allclose(shuffled_mean(system, rows)(vector), torch.stack(ends).mean(0), atol=1e-13)


def test_the_mean_of_random_clocks_is_that_of_many_ticks(make_system):
    system, rest = make_system()
    clock, vector = Poisson(1e6, 0.2 * TAU, 20, None, share=0.8), normal(*rest.shape, seed=2)
    drawn = linear_step(system, rest, clock, Stream(0, "many", (0, 1), dtype=torch.float64))
    ends = torch.stack([drawn(vector) for _ in range(1000)])
    error = (ends.mean(0) - step_map(system, rest, clock)(vector)) / (ends.std(0) / 1000**0.5)
    assert error.abs().max() < 4.5, "standard errors, of 150 numbers"


def test_a_method_with_a_memory_is_no_map(make_system):
    system, rest = make_system()
    clock = Continuous(registry.integrators.get("etd_ab2"), 0.2 * TAU, 20)
    with pytest.raises(InputError, match="depends on the one before; use exp_euler"):
        step_map(system, rest, clock)


def test_the_mean_over_orders_of_many_layers_is_refused(make_system):
    system, rest = make_system((3,) * 10)
    with pytest.raises(InputError, match=r"all orders of 9 layers is out of reach; allowed: up to 8 layers"):
        step_map(system, rest, Sweep(1, None, "random"))
