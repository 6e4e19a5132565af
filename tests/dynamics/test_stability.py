import numpy as np
import pytest
import torch

from analogdp.dynamics.adaptive import DormandPrince
from analogdp.dynamics.integrators import (
    Euler,
    ExponentialAdamsBashforth2,
    ExponentialEuler,
    ExponentialRungeKutta2,
    Heun,
    RungeKutta4,
    StochasticRungeKutta,
)
from analogdp.dynamics.stability import (
    extreme_eigenvalues,
    jacobian_product,
    largest_stable_step,
    stable_step_limit,
)
from analogdp.network import Field
from analogdp.streams import Stream

FIXED = [
    Euler,
    ExponentialAdamsBashforth2,
    ExponentialEuler,
    ExponentialRungeKutta2,
    Heun,
    RungeKutta4,
    StochasticRungeKutta,
]


def random(*shape, seed=0):
    return Stream(seed, "stability test", dtype=torch.float64).normal(shape)[0]


def growth(method, field, like, tau, dt, steps=400):
    """How much a small deviation from rest grows in a step, in the long run, of a linear field."""
    integrator, state = method(like, dt, tau), random(like.numel(), seed=3)
    sizes = []
    for _ in range(steps):
        integrator.step(state, field(state, 0.0), field, 0.0, None)
        sizes.append(state.norm().item())
    # Over the second half, so that what dies out first has done so; complex pairs turn while they grow.
    return (max(sizes[-50:]) / max(sizes[steps // 2 - 50 : steps // 2])) ** (2 / steps)


def linear(matrix):
    return lambda state, time: matrix @ state


# The table: limits in z = dt / tau


@pytest.mark.parametrize("gamma", [-2.0, 0.0, 0.5])
@pytest.mark.parametrize(
    ("method", "limit"), [(Euler, 2.0), (Heun, 2.0), (StochasticRungeKutta, 2.0), (RungeKutta4, 2.7852936)]
)
def test_a_classical_method_is_stable_up_to_its_limit_over_one_minus_gamma(method, limit, gamma):
    step = largest_stable_step(method, np.array([gamma]), tau=3.0)
    assert step == pytest.approx(3.0 * limit / (1 - gamma), rel=1e-6)


def test_euler_follows_a_turning_network_up_to_the_step_of_the_closed_form():
    """|1 + z (gamma - 1)| = 1 at z = 2 (1 - Re gamma) / |1 - gamma|^2."""
    gamma = np.array([0.3 + 2.0j, 0.3 - 2.0j, -0.5])
    expected = 2 * 0.7 / abs(1 - gamma[0]) ** 2
    assert largest_stable_step(Euler, gamma, 1.0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("method", "inside", "outside"),
    [
        (ExponentialEuler, (-0.999, 0.999, 0.99j), (-1.001, 0.5 + 1.1j)),
        (ExponentialAdamsBashforth2, (-0.333, 0.999), (-0.334, -0.9)),
        (ExponentialRungeKutta2, (-0.999, 0.999), (-1.001, -1.2)),
    ],
)
def test_an_exponential_method_takes_any_step_for_eigenvalues_within_its_stiff_limits(method, inside, outside):
    assert largest_stable_step(method, np.array(inside), 1.0) is None
    for gamma in outside:
        assert largest_stable_step(method, np.array([gamma]), 1.0) is not None


def test_an_adaptive_method_takes_any_step_of_a_stable_network():
    assert largest_stable_step(DormandPrince, np.array([-50.0, 0.9 + 30j]), 1.0) is None


@pytest.mark.parametrize("method", [*FIXED, DormandPrince])
def test_no_step_is_stable_where_the_network_itself_is_not(method):
    assert largest_stable_step(method, np.array([0.2, 1.1]), 1.0) == 0.0


# Networks


def feedback_network(gain, seed=5):
    """A random linear network of 30 neurons, with complex eigenvalues, whose real parts stay below 0.5."""
    matrix = gain * random(30, 30, seed=seed) / 30**0.5
    return matrix + (0.5 - torch.linalg.eigvals(matrix).real.max().item()) * torch.eye(30, dtype=torch.float64)


@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize("spread", [False, True])
def test_deviations_die_out_just_below_the_limit_and_grow_just_above(method, spread):
    """By 3% to either side, of the linear network itself; with time constants that differ by up to a factor of three.

    The limit of an exponential method is on the safe side then, so only what is below is looked at.
    """
    tau = torch.linspace(1.0, 3.0, 30, dtype=torch.float64) if spread else 1.0
    field, like = linear(feedback_network(1.5)), torch.zeros(30, dtype=torch.float64)
    limit = stable_step_limit(method, field, like, tau)
    assert limit is not None
    assert growth(method, field, like, tau, 0.97 * limit) < 1
    if method.largest_step is not None or not spread:
        assert growth(method, field, like, tau, 1.03 * limit) > 1


def test_a_slow_neuron_does_not_shorten_the_step_of_a_classical_method():
    """Euler's limit of two uncoupled neurons, 2 tau / (1 - gamma) each: that of the one with gamma -9 is 2 ms, of the other 1."""
    field = linear(torch.diag(torch.tensor([-9.0, -1.0], dtype=torch.float64)))
    tau = torch.tensor([10e-3, 1e-3], dtype=torch.float64)
    assert stable_step_limit(Euler, field, torch.zeros_like(tau), tau) == pytest.approx(1e-3, rel=1e-6)


def test_an_exponential_method_is_refused_a_step_that_its_slow_neurons_alone_would_not_stand():
    """Neurons of gamma -3 are stable under exponential Euler up to ln 2 of their own time constant; fast ones stand any step."""
    field = linear(torch.diag(torch.tensor([-3.0, 0.0], dtype=torch.float64)))
    tau = torch.tensor([5.0, 1.0], dtype=torch.float64)
    limit = stable_step_limit(ExponentialEuler, field, torch.zeros_like(tau), tau)
    assert limit is not None
    assert limit <= 5 * np.log(2)


@pytest.fixture
def dyadic_field(make_network):
    """The field of a settled batch: ``dyadic_field(model, gain)`` has weights ``gain`` times as large as usual."""

    def make(model, gain, alpha, activation="tanh", layers=(6, 7, 5, 4)):
        neuron = {"model": model, "alpha": alpha, "beta": 0.9, "activation": activation}
        network = make_network(layers, neuron=neuron)
        for synapse in network.synapses:
            synapse.weights.mul_(gain)
        field = Field(network, 2)
        inputs, label = random(1, 2, layers[0]), torch.softmax(random(1, 2, layers[-1], seed=1), -1)
        field.clamp(inputs, label, 0.9)
        state = field.new_state()
        for _ in range(3000):
            state.lerp_(field(state, 0.0), 0.05)
        return field, state

    return make


@pytest.mark.parametrize("method", FIXED)
def test_the_limit_of_a_dyadic_network_with_feedback_is_where_its_deviations_grow(dyadic_field, method):
    """DP at alpha = 0.9 nudges asymmetrically, which closes a loop; around its rest, 3% to either side."""
    field, rest = dyadic_field("dp", gain=1.3, alpha=0.9, activation="identity")
    tau = field.network.fastest_tau
    limit = stable_step_limit(method, field, rest, tau)

    def deviations(state, time):
        return field(rest + state, time) - rest

    assert limit is not None
    assert growth(method, deviations, rest, tau, 0.97 * limit) < 1
    assert growth(method, deviations, rest, tau, 1.03 * limit) > 1


def test_no_step_is_stable_for_a_dyadic_network_whose_loop_gain_is_too_large(dyadic_field):
    """And a state that has run away is no reason to believe otherwise."""
    field, runaway = dyadic_field("dp", gain=2.0, alpha=0.9, activation="identity")
    assert runaway.abs().max() > 1e6
    assert stable_step_limit(ExponentialEuler, field, runaway, 1e-6) == 0.0
    with pytest.raises(ValueError, match="not finite"):
        stable_step_limit(ExponentialEuler, field, runaway * torch.inf, 1e-6)


def test_transposed_nudging_leaves_only_the_leak_to_limit_the_step(dyadic_field):
    """Its Jacobian is nilpotent, whatever the weights: eigenvalues zero, up to what rounding makes of them."""
    field, rest = dyadic_field("dp_transposed", gain=3.0, alpha=0.0)
    tau = field.network.fastest_tau
    assert stable_step_limit(Euler, field, rest, tau) == pytest.approx(2 * tau, rel=0.05)
    assert stable_step_limit(ExponentialEuler, field, rest, tau) is None
    assert stable_step_limit(ExponentialAdamsBashforth2, field, rest, tau) is None


# Jacobians and eigenvalues


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-3)])
def test_the_product_with_the_jacobian_is_that_of_the_closed_form(dtype, tolerance):
    """Of tanh(W s): diag(1 - tanh^2) W, at any length of the direction, by a field that overwrites its last result."""
    weights, state, buffer = random(8, 8).to(dtype), random(8, seed=1).to(dtype), torch.empty(8, dtype=dtype)
    before = state.clone()
    product = jacobian_product(lambda state, time: torch.tanh(weights @ state, out=buffer), state)
    jacobian = (1 - torch.tanh(weights @ state).square()).unsqueeze(1) * weights
    for length in (1e-9, 1.0, 1e9):
        direction = length * random(8, seed=2).to(dtype)
        largest = (jacobian @ direction).abs().max().item()
        torch.testing.assert_close(product(direction), jacobian @ direction, rtol=0, atol=tolerance * largest)
    assert product(torch.zeros_like(state)).count_nonzero() == 0
    assert torch.equal(state, before)


def test_the_outermost_eigenvalues_of_a_large_matrix_are_those_of_numpy():
    """Without the shift all would lie on a disc; to four digits of the spectral radius."""
    matrix = random(400, 400) / 20
    matrix[:3, :3] += torch.diag(torch.tensor([3.0, -2.5, 2.0], dtype=torch.float64))
    found = extreme_eigenvalues(lambda vector: matrix @ vector, torch.zeros(400, dtype=torch.float64))
    expected = np.linalg.eigvals(matrix.numpy())
    for measure in (np.abs, np.real, lambda values: -np.real(values)):
        assert measure(found).max() == pytest.approx(measure(expected).max(), abs=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("model", "alpha", "gain"), [("dp", 0.9, 1.0), ("dp", 0.5, 1.5), ("dp_transposed", 0.3, 1.5)])
def test_sixty_products_tell_the_outermost_eigenvalues_of_a_network(dyadic_field, model, alpha, gain):
    """Of 400 neurons and compartments, to 1% of those of the Jacobian written out."""
    field, rest = dyadic_field(model, gain, alpha, "relu", (20, 50, 40, 10))
    product = jacobian_product(field, rest)
    whole = torch.stack([product(row) for row in torch.eye(rest.numel(), dtype=rest.dtype)], dim=1)
    found, expected = extreme_eigenvalues(product, rest), np.linalg.eigvals(whole.numpy())
    assert len(found) <= 60 < 400 == len(expected)
    for measure in (np.abs, np.real, lambda values: -np.real(values)):
        assert measure(found).max() == pytest.approx(measure(expected).max(), rel=0.01)


def test_the_iteration_ends_when_there_is_no_further_direction(dyadic_field):
    """The Jacobian of three layers with transposed nudging is zero in its sixth power; rounding adds one or two products."""
    field, rest = dyadic_field("dp_transposed", 2.0, 0.0, "relu", (20, 50, 40, 10))
    found = extreme_eigenvalues(jacobian_product(field, rest), rest)
    assert len(found) <= 8
    assert np.abs(found).max() < 0.05


def test_a_small_matrix_gives_all_its_eigenvalues():
    matrix = random(20, 20)
    found = extreme_eigenvalues(lambda vector: matrix @ vector, torch.zeros(20, dtype=torch.float64))
    expected = np.linalg.eigvals(matrix.numpy())
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(expected), atol=1e-12)


def test_eigenvalues_are_the_same_bits_every_time_and_touch_no_global_generator():
    matrix, like = random(300, 300), torch.zeros(300, dtype=torch.float64)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (extreme_eigenvalues(lambda vector: matrix @ vector, like) for _ in range(2))
    assert np.array_equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
