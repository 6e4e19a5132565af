"""Transient growth: bounds against each other, against matrices with known answers, and against the simulator."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from analogdp import registry
from analogdp.analysis.stability import System, fixed_point
from analogdp.analysis.stability.transients import (
    _kreiss,
    amplification,
    found_amplification,
    generator,
    kreiss_constant,
    numerical_abscissa,
    step_matrix,
)
from analogdp.dynamics import Continuous, Simulation, Sweep
from analogdp.errors import InputError
from tests.analysis.stability.conftest import normal

TAU = 1e-6


@pytest.fixture
def make_system(make_network):
    def make(layers=(4, 4, 4, 3), gain=1.2, beta=0.3, chips=1, mismatch=None, **neuron):
        neuron = {"model": "dp", "alpha": 0.8, "beta": beta, "activation": "identity"} | neuron
        network = make_network(layers, neuron=neuron, network={"gain": gain}, chips=chips, mismatch=mismatch or {})
        system = System(network, normal(1, 2, layers[0]), normal(1, 2, layers[-1], seed=1), beta)
        return system, fixed_point(system).state

    return make


def transposed(make_system, gain=1.5, beta=1.0):
    """The documented example: DP^T, alpha = 0, six layers, all of whose eigenvalues are -1 / tau."""
    return make_system((8, 8, 8, 8, 8, 8, 4), gain, beta, model="dp_transposed", alpha=0.0)


@pytest.mark.parametrize("clock", [None, Sweep(1, None), Sweep(1, None, "forward")], ids=["flow", "sweep", "forward"])
@pytest.mark.parametrize("neuron", [{}, {"alpha": 0.4, "activation": "tanh"}, {"model": "dp_transposed", "alpha": 0.3}])
def test_kreiss_s_constant_bounds_the_amplification_from_both_sides(make_system, clock, neuron):
    system, state = make_system((3, 3, 3, 2), 1.0, **neuron)
    largest = amplification(system, state[:, :1].expand_as(state), clock)
    constant = kreiss_constant(system, state, clock)
    assert largest.proven.all()
    assert (constant[:, 0] <= largest.value[:, 0] * (1 + 1e-6)).all()
    assert (largest.value <= math.e * system.size * constant).all()
    assert (constant >= 1).all()


@pytest.mark.parametrize("size", [2.0, 5.0, 50.0])
def test_kreiss_s_constant_of_a_jordan_block_is_found_on_the_real_axis(size):
    """[[-1, m], [0, -1]]: on the real axis x ||(x + 1 - N)^-1|| is known, and that is where it is largest."""
    block = np.array([[-1.0, size], [0.0, -1.0]])
    x = np.geomspace(1e-3, 1e3, 200_001)
    half = size / (x + 1) / 2
    on_axis = x / (x + 1) * (half + np.sqrt(half**2 + 1))
    assert _kreiss(block, discrete=False) == pytest.approx(max(1.0, on_axis.max()), rel=1e-6)


def test_the_amplification_of_a_flow_is_the_largest_norm_of_the_matrix_exponential(make_system):
    system, state = make_system((5, 5, 5, 5, 3), 1.4, model="dp_transposed", alpha=0.0)
    found, matrix = amplification(system, state), generator(system, state)[0, 0].numpy()
    times = np.linspace(0, 10 * TAU, 401)
    step, power, norms = expm(times[1] * matrix), np.eye(system.size), []
    for _ in times:
        norms.append(np.linalg.norm(power, 2))
        power = step @ power
    assert found.value[0, 0] == pytest.approx(max(norms), rel=1e-4)
    assert found.at[0, 0] == pytest.approx(times[np.argmax(norms)], abs=0.03 * TAU)


def test_the_amplification_of_steps_is_the_largest_norm_of_their_powers(make_system):
    system, state = make_system(mismatch={"tau": 0.2}, chips=2)
    clock = Continuous(registry.integrators.get("exp_euler"), 0.3 * TAU, 1, None)
    found, matrices = amplification(system, state, clock), step_matrix(system, state, clock).numpy()
    for chip in range(2):
        norms = [np.linalg.norm(np.linalg.matrix_power(matrices[chip, 0], n), 2) for n in range(60)]
        assert found.value[chip, 0] == pytest.approx(max(norms), rel=1e-12)
        assert found.at[chip, 0] == np.argmax(norms)


def test_transposed_nudging_amplifies_although_every_eigenvalue_is_one_leak(make_system):
    """The numbers that the documentation states."""
    system, state = transposed(make_system)
    assert np.linalg.eigvals(generator(system, state)[0, 0].numpy() * TAU).real.max() < -0.7, (
        "-1, found to eps^(1 / 12)"
    )
    found = amplification(system, state)
    assert found.proven.all()
    assert found.value.min() > 5
    assert numerical_abscissa(system, state).min() * TAU > 1


def test_the_simulator_amplifies_the_deviation_that_was_found(make_system):
    """From the fixed point pushed along the leading singular vector of exp(tA) the network moves that far away."""
    system, state = transposed(make_system)
    found = amplification(system, state)
    time = float(found.at[0, 0])
    _, sizes, right = np.linalg.svd(expm(time * generator(system, state)[0, 0].numpy()))
    steps = 400
    simulation = Simulation(system.network, Continuous(registry.integrators.get("rk4"), time / steps, steps, None))
    simulation.present(*system.field.presented, 1.0)
    pushed = state + torch.from_numpy(right[0])
    for layer, own in zip(simulation.state, system.layers(pushed), strict=True):
        layer.copy_(own)
    simulation.advance(steps)
    away = (system.vector(simulation.state) - state)[0, 0].norm()
    assert away == pytest.approx(sizes[0], rel=1e-6)
    assert away == pytest.approx(float(found.value[0, 0]), rel=1e-4)


@pytest.mark.parametrize("clock", [None, Sweep(1, None, "forward")], ids=["flow", "sweep"])
@pytest.mark.parametrize("example", [{}, {"model": "dp_transposed", "alpha": 0.2, "gain": 1.5}])
def test_what_is_found_without_matrices_is_a_bound_from_below_and_nearly_the_largest(make_system, clock, example):
    system, state = make_system((5, 5, 5, 3), mismatch={"tau": 0.1}, **example)
    largest, found = amplification(system, state, clock), found_amplification(system, state, clock, most=32)
    assert not found.proven.any()
    assert (found.value <= largest.value * (1 + 1e-5)).all()
    assert (found.value >= 0.9 * largest.value).all()


def test_the_numerical_abscissa_is_the_slope_of_the_norm_at_the_beginning(make_system):
    system, state = make_system(mismatch={"tau": 0.2})
    matrix, short = generator(system, state)[0, 0].numpy(), 1e-6 * TAU
    slope = (np.linalg.norm(expm(short * matrix), 2) - 1) / short
    assert numerical_abscissa(system, state)[0, 0] == pytest.approx(slope, rel=1e-4)


def test_what_grows_for_good_has_no_bound(make_system):
    system, state = make_system(gain=1.5, beta=0.6, alpha=0.1)
    for clock in (None, Sweep(1, None)):
        assert amplification(system, state, clock).value.tolist() == [[math.inf] * 2]
        assert kreiss_constant(system, state, clock).tolist() == [[math.inf] * 2]


def test_a_limit_of_steps_that_is_too_short_is_told(make_system):
    system, state = transposed(make_system)
    found = amplification(system, state, most=20)
    assert not found.proven.any()
    assert (found.value < amplification(system, state).value).all()


def test_states_that_are_too_large_and_clocks_that_cannot_go_back_are_refused(make_system):
    system, state = make_system((3, 60, 50))
    with pytest.raises(InputError, match=r"a state of 220 numbers is too large for matrices; allowed: up to 200"):
        amplification(system, state)
    with pytest.raises(InputError, match="only sweeps of a fixed order, or the flow"):
        found_amplification(system, state, Sweep(1, None, "random"))
