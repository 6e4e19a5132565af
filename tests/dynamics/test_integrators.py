import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from analogdp import registry
from analogdp.streams import Stream

TAU = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
START = torch.tensor([0.3, -0.8, 1.2], dtype=torch.float64)
COUPLING = torch.tensor([[0.0, 0.8, -0.3], [0.5, 0.2, 0.4], [-0.6, 0.1, 0.3]], dtype=torch.float64)


def target(state: torch.Tensor, time: float) -> torch.Tensor:
    """A smooth, coupled, non-autonomous target."""
    return torch.tanh(COUPLING @ state) + math.sin(3 * time)


def integrate(name: str, steps: int, end: float = 2.0) -> torch.Tensor:
    method, state, dt = registry.integrators.get(name)(), START.clone(), end / steps
    coefficients = method.coefficients(state, dt, TAU, std=0.0)
    for step in range(steps):
        time = step * dt
        method.step(state, target(state, time), target, time, coefficients, None)
    return state


@pytest.fixture(scope="module")
def reference() -> torch.Tensor:
    def slope(time, state):
        return ((target(torch.as_tensor(state), time) - torch.as_tensor(state)) / TAU).numpy()

    solution = solve_ivp(slope, (0, 2), START.numpy(), method="DOP853", rtol=1e-13, atol=1e-14)
    return torch.as_tensor(solution.y[:, -1])


@pytest.mark.parametrize("name", registry.integrators.names())
def test_halving_the_step_divides_the_error_by_two_to_the_order(name, reference):
    errors = [(integrate(name, steps) - reference).norm().item() for steps in (40, 80, 160)]
    slopes = -np.diff(np.log2(errors))
    assert slopes[-1] == pytest.approx(registry.integrators.get(name).order, abs=0.15)


@pytest.mark.parametrize("name", registry.integrators.names())
def test_a_method_evaluates_the_target_as_often_as_it_declares(name):
    calls = 0

    def counting(state: torch.Tensor, time: float) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return target(state, time)

    method, state = registry.integrators.get(name)(), START.clone()
    method.step(state, counting(state, 0.0), counting, 0.0, method.coefficients(state, 0.1, TAU, 0.0), None)
    assert calls == method.evaluations


@pytest.mark.parametrize("name", [n for n in registry.integrators.names() if registry.integrators.get(n).largest_step])
def test_the_leak_is_stable_just_below_the_largest_step_and_unstable_just_above(name):
    method = registry.integrators.get(name)()
    for factor, stable in ((0.98, True), (1.02, False)):
        state = torch.ones(1, dtype=torch.float64)
        coefficients = method.coefficients(state, factor * method.largest_step, 1.0, 0.0)
        for _ in range(300):
            method.step(state, torch.zeros_like(state), lambda s, t: torch.zeros_like(s), 0.0, coefficients, None)
        assert (abs(state.item()) < 1) == stable


def test_exponential_euler_is_exact_for_a_constant_target_at_any_step():
    method, state = registry.integrators.get("exp_euler")(), START.clone()
    method.step(state, torch.ones_like(state), target, 0.0, method.coefficients(state, 7.0, TAU, 0.0), None)
    torch.testing.assert_close(state, 1 + (START - 1) * torch.exp(-7.0 / TAU), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("z", [0.1, 1.0, 5.0])
def test_stationary_variance_of_exponential_euler_is_exact_within_its_error_bar(z):
    """200,000 independent samples; the variance of a sample variance of N normal numbers is 2 std^4 / (N - 1)."""
    count, std = 200_000, 0.3
    state = _stationary("exp_euler", z, std, count)
    error_bar = std**2 * math.sqrt(2 / (count - 1))
    assert abs(state.var().item() - std**2) < 4 * error_bar


def test_stationary_variance_of_euler_maruyama_is_high_by_the_known_factor():
    """1 / (1 - z/2), 5.3% at z = 0.1, which the test above would notice: its error bar is 0.3%."""
    count, std, z = 200_000, 0.3, 0.1
    expected = std**2 / (1 - z / 2)
    error_bar = expected * math.sqrt(2 / (count - 1))
    assert abs(_stationary("euler", z, std, count).var().item() - expected) < 4 * error_bar


def _stationary(name: str, z: float, std: float, count: int) -> torch.Tensor:
    method, state = registry.integrators.get(name)(), torch.zeros(count, dtype=torch.float64)
    coefficients = method.coefficients(state, z, 1.0, std)
    stream = Stream(11, "variance", dtype=torch.float64)
    for step in range(math.ceil(10 / z)):
        noise = stream.at(step).normal((count,))[0]
        method.step(state, torch.zeros_like(state), target, 0.0, coefficients, noise)
    return state


@pytest.mark.parametrize("name", ["exp_euler", "euler"])
def test_noise_gains_follow_each_elements_own_time_constant(name):
    method = registry.integrators.get(name)()
    together = method.coefficients(START, 0.2, TAU, 0.5)
    for index, tau in enumerate(TAU.tolist()):
        alone = method.coefficients(START, 0.2, tau, 0.5)
        assert together.gain[index].item() == pytest.approx(alone.gain, rel=1e-14)
        assert together.noise_gain[index].item() == pytest.approx(alone.noise_gain, rel=1e-14)


def noisy_target(state: torch.Tensor, time: float) -> torch.Tensor:
    return torch.tanh(1.5 * state) + math.sin(3 * time)


def noisy_ends(name: str, steps: int, fine: torch.Tensor, std: float = 0.3, end: float = 2.0) -> torch.Tensor:
    """End of each path after ``steps`` steps driven by the noise of the fine ones, ``(fine steps, paths)``, tau = 1."""
    method, together = registry.integrators.get(name)(), len(fine) // steps
    state = torch.zeros(fine.shape[1], dtype=torch.float64)
    coarse_dt, fine_dt = end / steps, end / len(fine)
    coarse, finest = (method.coefficients(state, dt, 1.0, std) for dt in (coarse_dt, fine_dt))
    # What is left at the end of a step of the noise that came in each of its parts: nothing decays in Euler's eyes.
    left = torch.exp(-fine_dt * torch.arange(together - 1, -1, -1, dtype=torch.float64))
    weights = (left if name == "exp_euler" else torch.ones_like(left)) * finest.noise_gain / coarse.noise_gain
    for step, part in enumerate(fine.view(steps, together, -1)):
        time = step * coarse_dt
        method.step(state, noisy_target(state, time), noisy_target, time, coarse, weights @ part)
    return state


@pytest.mark.parametrize(
    "name", [name for name in registry.integrators.names() if registry.integrators.get(name).strong_order is not None]
)
def test_the_strong_order_is_the_declared_one_on_the_same_noise(name):
    """Mean distance of 2000 paths from those with 64 to 16 times smaller steps on the same Brownian motion."""
    fine = Stream(4, "paths", dtype=torch.float64).normal((1024, 2000))[0]
    reference = noisy_ends(name, 1024, fine)
    errors = [(noisy_ends(name, steps, fine) - reference).abs().mean().item() for steps in (16, 32, 64)]
    slopes = -np.diff(np.log2(errors))
    assert slopes.mean() == pytest.approx(registry.integrators.get(name).strong_order, abs=0.15)


def test_the_weak_order_of_euler_maruyama_is_that_of_its_stationary_variance_by_exact_moments():
    """Of the recursion v <- (1 - z)^2 v + g^2 itself, so without sampling: halving z halves the error."""
    method, one = registry.integrators.get("euler")(), torch.zeros(1, dtype=torch.float64)
    errors = []
    for z in (0.2, 0.1, 0.05):
        c = method.coefficients(one, z, 1.0, 1.0)
        errors.append(c.noise_gain**2 / (1 - (1 - c.gain) ** 2) - 1)
    assert -np.diff(np.log2(errors))[-1] == pytest.approx(method.weak_order, abs=0.05)


def test_the_moments_of_exponential_euler_are_exact_on_the_leak_so_no_weak_error_is_left():
    method, one = registry.integrators.get("exp_euler")(), torch.zeros(1, dtype=torch.float64)
    for z in (0.1, 1.0, 5.0):
        c = method.coefficients(one, z, 1.0, 0.7)
        assert c.noise_gain**2 / (1 - (1 - c.gain) ** 2) == pytest.approx(0.49, rel=1e-13)
