"""The stability of random clocks: against all ticks and orders written out, exact laws, and the simulator."""

import itertools
import math

import numpy as np
import pytest
import torch

from analogdp.analysis.stability import System, fixed_point
from analogdp.analysis.stability.random_clocks import almost_sure_growth, expected_growth, mean_square_growth
from analogdp.dynamics import Poisson, Simulation, Sweep
from analogdp.errors import InputError
from analogdp.streams import Stream
from tests.analysis.stability.conftest import normal

DT = 2e-7
PROBABILITY = -math.expm1(-0.2)


def ticking(scope="neuron", share=0.7, steps=100):
    return Poisson(1e6, DT, steps, None, scope=scope, share=share)


@pytest.fixture
def make_system(make_network):
    def make(layers=(3, 3, 2), gain=1.5, beta=0.3, chips=1, mismatch=None, **neuron):
        neuron = {"model": "dp", "alpha": 1.0, "beta": beta, "activation": "identity"} | neuron
        network = make_network(layers, neuron=neuron, network={"gain": gain}, chips=chips, mismatch=mismatch or {})
        system = System(network, normal(1, 2, layers[0]), normal(1, 2, layers[-1], seed=1), beta)
        return system, fixed_point(system).state

    return make


def maps(system, state, clock):
    """All maps of the first sample's deviations, with their probabilities."""
    jacobian = system.jacobian_matrix(state)[0, 0].numpy()
    unit, units = np.eye(len(jacobian)), system.network.sizes[1:]
    if isinstance(clock, Sweep):
        for order in itertools.permutations(range(len(units))):
            whole = unit
            for layer in order:
                jump, place = unit.copy(), system.places[layer]
                jump[place] = jacobian[place]
                whole = (jump @ jump if layer == len(units) - 1 else jump) @ whole
            yield 1 / math.factorial(len(units)), whole
        return
    names = [
        (layer, unit if clock.scope == "neuron" else 0) for layer, n in enumerate(units) for unit in [*range(n)] * 2
    ]
    clocks = sorted(set(names))
    for ticks in itertools.product((0, 1), repeat=len(clocks)):
        probability = math.prod(PROBABILITY if tick else 1 - PROBABILITY for tick in ticks)
        moved = np.array([ticks[clocks.index(name)] for name in names])
        yield probability, unit + clock.share * moved[:, None] * (jacobian - unit)


def radius(matrix):
    return np.abs(np.linalg.eigvals(matrix)).max()


CLOCKS = [ticking(), ticking("layer"), ticking("layer", 1.0), Sweep(1, None, "random")]
NAMES = ["neuron", "layer", "jumping layer", "orders"]


@pytest.mark.parametrize("clock", CLOCKS, ids=NAMES)
@pytest.mark.parametrize("neuron", [{}, {"alpha": 0.2, "activation": "tanh"}])
def test_the_growth_of_the_mean_and_of_the_mean_square_are_those_of_all_maps_written_out(make_system, clock, neuron):
    system, state = make_system(**neuron)
    all_maps = list(maps(system, state, clock))
    assert sum(probability for probability, _ in all_maps) == pytest.approx(1)
    mean = radius(sum(probability * own for probability, own in all_maps))
    square = radius(sum(probability * np.kron(own, own) for probability, own in all_maps))
    expected, root = expected_growth(system, state, clock), mean_square_growth(system, state, clock)
    assert expected.value[0, 0] == pytest.approx(mean, rel=1e-9)
    assert root.value[0, 0] == pytest.approx(math.sqrt(square), rel=1e-7)
    assert (root.error < 1e-6).all()


@pytest.mark.parametrize(("scope", "share"), [("neuron", 0.7), ("neuron", 0.4), ("layer", 0.5)])
def test_every_growth_of_transposed_nudging_is_that_of_a_lone_neuron(make_system, scope, share):
    """Nilpotent: whatever beta and weights, products of triangular maps grow as their diagonals do."""
    system, state = make_system((3, 3, 3, 2), 1.2, 0.8, model="dp_transposed", alpha=0.3)
    clock = ticking(scope, share)
    expected, root = expected_growth(system, state, clock), mean_square_growth(system, state, clock)
    drawn = almost_sure_growth(system, state, clock, Stream(0, "lone", dtype=torch.float64), 2100)
    alone = 1 - PROBABILITY * share, math.sqrt(1 - PROBABILITY * (1 - (1 - share) ** 2)), (1 - share) ** PROBABILITY
    # Eigenvalues of a defective matrix are found to three digits, which their errors tell.
    assert ((expected.value - alone[0]).abs() <= expected.error).all()
    assert ((root.value - alone[1]).abs() <= root.error).all()
    assert root.error.max() < 0.05
    assert root.stable.all()
    # The slowest neuron of a finite time, not the mean one, is what a product of finite length shows.
    assert drawn.value == pytest.approx(alone[2], rel=0.06)


def test_transposed_nudging_comes_to_rest_for_good_when_neurons_jump(make_system):
    system, state = make_system((3, 3, 3, 2), 1.2, 0.8, model="dp_transposed", alpha=0.3)
    for clock in (ticking(share=1.0), Sweep(1, None, "random")):
        drawn = almost_sure_growth(system, state, clock, Stream(0, "rest", dtype=torch.float64), 420)
        assert drawn.high.max() == 0


@pytest.mark.parametrize("clock", CLOCKS, ids=NAMES)
def test_neither_the_mean_nor_almost_every_realisation_grows_faster_than_the_mean_square(make_system, clock):
    for neuron in ({"alpha": 1.0}, {"alpha": 0.2}, {"alpha": 0.6, "beta": 0.9}):
        system, state = make_system((4, 4, 4, 3), 1.3, **neuron)
        root = mean_square_growth(system, state, clock).value
        assert (expected_growth(system, state, clock).value <= root + 1e-9).all()
        drawn = almost_sure_growth(system, state, clock, Stream(1, "order", dtype=torch.float64), 420)
        assert (drawn.low <= root).all()
        assert (drawn.low <= drawn.value).all()
        assert (drawn.value <= drawn.high).all()


def test_a_network_can_be_stable_almost_surely_and_in_the_mean_but_not_in_the_mean_square(make_system):
    system, state = make_system((6, 8, 8, 3), beta=0.2)
    clock = ticking("layer", 0.5)
    drawn = almost_sure_growth(system, state, clock, Stream(2, "between", dtype=torch.float64), 2100)
    assert expected_growth(system, state, clock).stable.all()
    assert drawn.high.max() < 1
    assert mean_square_growth(system, state, clock).value.min() > 1.00005


def test_a_network_can_be_stable_in_the_mean_alone(make_system):
    system, state = make_system((6, 8, 8, 3))
    clock = ticking("layer", 1.0)
    drawn = almost_sure_growth(system, state, clock, Stream(2, "mean", dtype=torch.float64), 1050)
    assert expected_growth(system, state, clock).stable.all()
    assert drawn.low.min() > 1.01


@pytest.mark.parametrize("scope", ["neuron", "layer"])
def test_many_simulated_networks_grow_as_the_mean_and_the_mean_square_say(make_system, scope):
    """Of 4000 samples with clocks of their own the mean and the covariance after 40 steps, from those after 20."""
    system, state = make_system(beta=0.3)
    clock, samples, at = ticking(scope), 4000, state[:, :1]
    inputs, labels = (own[:, :1].expand(1, samples, -1) for own in system.field.presented)
    simulation = Simulation(system.network, clock)
    simulation.present(inputs, labels, 0.3, Stream(4, "many", dtype=torch.float64), quiet=True)
    second = sum(probability * np.kron(own, own) for probability, own in maps(system, state, clock))
    first = sum(probability * own for probability, own in maps(system, state, clock))
    mean, moments = -at[0, 0].numpy(), np.kron(at[0, 0].numpy(), at[0, 0].numpy())
    simulation.advance(30)
    for _ in range(30):
        mean, moments = first @ mean, second @ moments
    deviations = system.vector(simulation.state)[0] - at[0]
    squares = deviations.square().sum(-1)
    trace = moments.reshape(system.size, system.size).trace()
    assert abs(squares.mean() - trace) < 3.5 * squares.std() / samples**0.5
    errors = (deviations.mean(0) - torch.from_numpy(mean)) / (deviations.std(0) / samples**0.5)
    assert errors.abs().max() < 4


def test_the_exponent_is_that_of_a_simulated_network_with_the_same_ticks(make_system):
    """An unstable linear network leaves its fixed point by the exponent."""
    system, state = make_system((6, 8, 8, 3), 1.5)
    clock, stream = ticking("layer", 1.0), Stream(7, "same", dtype=torch.float64)
    drawn = almost_sure_growth(system, state, clock, stream, 630)
    simulation = Simulation(system.network, clock)
    simulation.present(*system.field.presented, 0.3, stream, quiet=True)
    logs = []
    for steps in (30, 600):
        simulation.advance(steps)
        logs.append((system.vector(simulation.state) - state).norm(dim=-1).log())
    # Two vectors turn to the same direction, so only the first steps differ.
    assert torch.allclose(((logs[1] - logs[0]) / 600).exp(), drawn.value, rtol=5e-3)


def test_a_chip_s_exponent_does_not_depend_on_its_neighbours(make_system):
    clock, network = ticking(), {"layers": (4, 4, 3), "chips": 3}
    system, state = make_system(**network)
    alone, own = make_system(**{**network, "chips": 1})
    stream = Stream(0, "chips", (0, 1, 2), dtype=torch.float64)
    all_chips = almost_sure_growth(system, state, clock, stream, 210).value[:1]
    one = almost_sure_growth(alone, own, clock, stream.of_chips(slice(0, 1)), 210).value
    assert torch.allclose(all_chips, one, rtol=1e-12)


def test_large_states_clocks_that_are_not_random_and_too_few_steps_are_refused(make_system):
    system, state = make_system((3, 60, 50))
    with pytest.raises(InputError, match="a state of 220 numbers takes 48400 moments; allowed: up to 200 numbers"):
        mean_square_growth(system, state, ticking())
    small, rest = make_system()
    with pytest.raises(InputError, match="Sweep is not random; use poisson"):
        mean_square_growth(small, rest, Sweep(1, None))
    with pytest.raises(InputError, match="Sweep is not random; use poisson"):
        almost_sure_growth(small, rest, Sweep(1, None), Stream(0, "x"))
    with pytest.raises(InputError, match="steps: 5 are too few"):
        almost_sure_growth(small, rest, ticking(), Stream(0, "x"), 5)


def test_outputs_that_follow_their_own_mean_jump_twice_in_the_mean_square_of_random_orders(make_system):
    """Transposed, with a gamma of their own by mismatch; against all orders written out."""
    system, state = make_system(model="dp_transposed", alpha=0.5, beta=2.0, mismatch={"push": 0.4})
    clock = Sweep(1, None, "random")
    square = sum(weight * np.kron(whole, whole) for weight, whole in maps(system, state, clock))
    found = mean_square_growth(system, state, clock).value[0, 0].item()
    assert found == pytest.approx(math.sqrt(radius(square)), rel=1e-7)


def test_a_drawn_product_of_equal_maps_grows_as_one_of_them(make_system):
    """A layer alone has a single order."""
    system, state = make_system((3, 2), model="dp_transposed", alpha=0.5, beta=2.0, mismatch={"push": 0.4})
    clock = Sweep(1, None, "random")
    [(_, whole)] = maps(system, state, clock)
    found = almost_sure_growth(system, state, clock, Stream(0, "ticks", system.network.chip_indices), 4200)
    assert found.value[0, 0].item() == pytest.approx(radius(whole), rel=1e-3)


def test_the_error_of_a_growth_of_zero_is_a_number(make_system):
    system, state = make_system((3, 2), model="dp_transposed", alpha=0.0)
    assert mean_square_growth(system, state, Sweep(1, None, "random")).error.isfinite().all()
