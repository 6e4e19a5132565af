import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from analogdp import registry
from analogdp.dynamics.integrators import ExponentialAdamsBashforth2, ExponentialEuler, ExponentialRungeKutta2, Heun
from analogdp.streams import Stream

TAU = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
START = torch.tensor([0.3, -0.8, 1.2], dtype=torch.float64)
COUPLING = torch.tensor([[0.0, 0.8, -0.3], [0.5, 0.2, 0.4], [-0.6, 0.1, 0.3]], dtype=torch.float64)
ONE = torch.ones(1, dtype=torch.float64)

CLASSES = {name: registry.integrators.get(name) for name in registry.integrators.names()}
FIXED = [name for name, cls in CLASSES.items() if not cls.adaptive]
NOISY = [name for name, cls in CLASSES.items() if cls.noise == "additive"]
EXPONENTIAL = [ExponentialEuler, ExponentialAdamsBashforth2, ExponentialRungeKutta2]


def in_one_buffer(target):
    """A field that overwrites its last result, as that of a network does."""
    buffer = torch.empty(0, dtype=torch.float64)

    def field(state, time):
        values = target(state, time)
        return buffer.resize_(values.shape).copy_(values)

    return field


def advance(method, state, field, time=0.0, noise=None):
    method.step(state, field(state, time), field, time, noise)
    return state


@in_one_buffer
def coupled(state, time):
    """A smooth, coupled, non-autonomous target."""
    return torch.tanh(COUPLING @ state) + math.sin(3 * time)


@in_one_buffer
def zero(state, time):
    return torch.zeros_like(state)


def solution(target, start, tau, end):
    """By scipy's DOP853 at tolerances near rounding."""

    def slope(time, state):
        return ((target(torch.as_tensor(state), time) - torch.as_tensor(state)) / tau).numpy()

    found = solve_ivp(slope, (0, end), start.numpy(), method="DOP853", rtol=1e-13, atol=1e-14)
    return torch.as_tensor(found.y[:, -1])


def slope_of(errors):
    """The order at which errors fall, one halving of the step after the other; the last two."""
    return -np.diff(np.log2(errors))[-1]


@pytest.fixture(scope="module")
def reference():
    return solution(coupled, START, TAU, end=2.0)


@pytest.mark.parametrize("name", FIXED)
def test_halving_the_step_divides_the_error_by_two_to_the_order(name, reference):
    errors = []
    for steps in (40, 80, 160):
        method, state, dt = CLASSES[name](START, 2.0 / steps, TAU), START.clone(), 2.0 / steps
        for step in range(steps):
            advance(method, state, coupled, step * dt)
        errors.append((state - reference).norm().item())
    assert slope_of(errors) == pytest.approx(CLASSES[name].order, abs=0.15)


@pytest.mark.parametrize("name", FIXED)
def test_a_method_evaluates_the_target_as_often_as_it_declares_at_the_first_step_and_later(name):
    calls = 0

    def counting(state, time):
        nonlocal calls
        calls += 1
        return coupled(state, time)

    method, state = CLASSES[name](START, 0.1, TAU), START.clone()
    for step in range(3):
        advance(method, state, counting, step * 0.1)
        assert calls == (step + 1) * method.evaluations


@pytest.mark.parametrize("name", FIXED)
def test_each_element_moves_by_its_own_time_constant_noise_included(name):
    """Together or alone, for uncoupled elements, to rounding."""

    @in_one_buffer
    def uncoupled(state, time):
        return torch.tanh(1.5 * state) + math.sin(3 * time)

    cls = CLASSES[name]
    noise = list(0.5 * Stream(2, "kicks", dtype=torch.float64).normal((4, cls.normals, 3))[0])
    together = START.clone()
    method = cls(START, 0.2, TAU)
    for step in range(4):
        advance(method, together, uncoupled, step * 0.2, list(noise[step]) if cls.normals else None)
    for index, tau in enumerate(TAU.tolist()):
        alone = START[index : index + 1].clone()
        method = cls(alone, 0.2, tau)
        for step in range(4):
            own = [row[index : index + 1] for row in noise[step]] if cls.normals else None
            advance(method, alone, uncoupled, step * 0.2, own)
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", [name for name in FIXED if CLASSES[name].largest_step])
def test_the_leak_is_stable_just_below_the_largest_step_and_unstable_just_above(name):
    for factor, stable in ((0.98, True), (1.02, False)):
        method, state = CLASSES[name](ONE, factor * CLASSES[name].largest_step, 1.0), ONE.clone()
        for _ in range(300):
            advance(method, state, zero)
        assert (abs(state.item()) < 1) == stable


@pytest.mark.parametrize("cls", EXPONENTIAL)
def test_exponential_methods_are_exact_for_a_constant_target_at_any_step(cls):
    state = advance(cls(START, 7.0, TAU), START.clone(), in_one_buffer(lambda state, time: torch.ones_like(state)))
    torch.testing.assert_close(state, 1 + (START - 1) * torch.exp(-7.0 / TAU), rtol=1e-14, atol=1e-15)


def test_second_order_exponential_methods_are_exact_for_a_target_that_moves_evenly_at_any_step():
    """target = t: s = t - tau + (s_0 + tau) exp(-t / tau). The two-step method is, once it knows two targets."""
    moving = in_one_buffer(lambda state, time: torch.full_like(state, time))
    for cls, begin in ((ExponentialRungeKutta2, 0.0), (ExponentialAdamsBashforth2, 3.0)):
        method, state = cls(START, 3.0, TAU), START.clone()
        if begin:
            advance(method, state.clone(), moving, 0.0)
        advance(method, state, moving, begin)
        expected = begin + 3 - TAU + (START - begin + TAU) * torch.exp(-3.0 / TAU)
        torch.testing.assert_close(state, expected, rtol=1e-13, atol=1e-14)


def test_the_gain_of_changes_keeps_its_digits_at_small_steps():
    """c2 = 1 - (1 - exp(-z)) / z = z / 2 - z^2 / 6 + ..., in float32 at z = 1e-3."""
    tau = torch.ones(2)
    gain = ExponentialRungeKutta2(tau, 1e-3, tau).change_gain
    torch.testing.assert_close(gain, torch.full((2,), 5e-4 - 1e-6 / 6), rtol=1e-6, atol=0)


def test_a_two_step_method_starts_afresh_with_one_step_of_exponential_euler():
    method = ExponentialAdamsBashforth2(START, 0.1, TAU)
    diverged = torch.full_like(START, torch.nan)
    advance(method, diverged, coupled)
    method.start()
    state = advance(method, START.clone(), coupled)
    torch.testing.assert_close(
        state, advance(ExponentialEuler(START, 0.1, TAU), START.clone(), coupled), rtol=0, atol=0
    )


def test_a_two_step_method_goes_on_from_copied_tensors_with_the_same_bits():
    first, other = (ExponentialAdamsBashforth2(START, 0.1, TAU) for _ in range(2))
    state = START.clone()
    for step in range(3):
        advance(first, state, coupled, step * 0.1)
    for name, values in first.tensors().items():
        other.tensors()[name].copy_(values)
    resumed = advance(other, state.clone(), coupled, 0.3)
    assert torch.equal(resumed, advance(first, state, coupled, 0.3))


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in NOISY])
def test_a_method_for_smooth_problems_refuses_noise(name):
    assert (CLASSES[name].strong_order, CLASSES[name].weak_order, CLASSES[name].normals) == (None, None, 0)
    with pytest.raises(ValueError, match="takes no noise"):
        advance(CLASSES[name](START, 0.1, TAU), START.clone(), coupled, 0.0, [START])


# Noise


def step_matrices(cls, dt, tau, gamma, std=1.0):
    """How a step acts on states, M, and on independent standard normal numbers, N, for target = gamma s: s <- M s + N xi."""
    field, size = in_one_buffer(lambda state, time: gamma @ state), len(gamma)
    unit, rest = torch.eye(size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    moved = [advance(cls(rest, dt, tau), row.clone(), field) for row in unit]
    kicked = []
    for number in range(cls.normals):
        for row in unit:
            noise = [torch.zeros_like(row) for _ in range(cls.normals)]
            noise[number] = std * row
            kicked.append(advance(cls(rest, dt, tau), rest.clone(), field, 0.0, noise))
    return torch.stack(moved, dim=1), torch.stack(kicked, dim=1) if kicked else None


def stationary_variance(cls, z, std):
    """Of the recursion s <- m s + n xi itself under the leak alone, without sampling."""
    move, kick = step_matrices(cls, z, 1.0, torch.zeros(1, 1, dtype=torch.float64), std)
    return (kick.square().sum() / (1 - move.square())).item()


@pytest.mark.parametrize("z", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("cls", [ExponentialEuler, ExponentialRungeKutta2])
def test_the_stationary_variance_of_exponential_methods_is_exact_for_the_leak_at_any_step(cls, z):
    assert stationary_variance(cls, z, 0.7) == pytest.approx(0.49, rel=1e-13)


def test_the_stationary_variance_of_classical_methods_is_off_by_the_known_factors():
    """Euler-Maruyama 1 / (1 - z/2), 5.3% at z = 0.1; the others z^2/6 and z^2/4 to leading order, written out in full here."""
    z, growth = 0.1, 1 - 0.1 + 0.1**2 / 2
    assert stationary_variance(CLASSES["euler"], z, 1.0) == pytest.approx(1 / (1 - z / 2), rel=1e-12)
    heun = 2 * z * (1 - z / 2) ** 2 / (1 - growth**2)
    assert stationary_variance(CLASSES["heun"], z, 1.0) == pytest.approx(heun, rel=1e-12)
    # s <- growth s + sqrt(2z) ((1 - z/2) xi - z / sqrt(12) eta)
    sra1 = 2 * z * ((1 - z / 2) ** 2 + z**2 / 12) / (1 - growth**2)
    assert stationary_variance(CLASSES["sra1"], z, 1.0) == pytest.approx(sra1, rel=1e-12)


@pytest.mark.parametrize(("name", "excess"), [("exp_euler", 0.0), ("etd2rk", 0.0), ("euler", 0.1 / 1.9)])
def test_sampled_stationary_variance_agrees_within_its_error_bar(name, excess):
    """200,000 independent samples at z = 0.1; the variance of a sample variance of N normal numbers is 2 std^4 / (N - 1)."""
    count, std, z = 200_000, 0.3, 0.1
    state = torch.zeros(count, dtype=torch.float64)
    method, stream = CLASSES[name](state, z, 1.0), Stream(11, "variance", dtype=torch.float64)
    for step in range(math.ceil(10 / z)):
        advance(method, state, zero, 0.0, [stream.at(step).normal((count,), std=std)[0]])
    expected = std**2 * (1 + excess)
    assert abs(state.var().item() - expected) < 4 * expected * math.sqrt(2 / (count - 1))


LINEAR = torch.tensor([[0.3, -0.8], [0.6, -0.2]], dtype=torch.float64)
LINEAR_TAU = torch.tensor([1.0, 0.5], dtype=torch.float64)


@in_one_buffer
def driven(state, time):
    """A coupled linear target that moves in time."""
    return LINEAR @ state + torch.tensor([math.sin(3 * time), math.cos(2 * time)], dtype=torch.float64)


def exact_moments(end, std):
    """Mean and covariance of the driven linear problem from rest: m' = drift(m), P' = A P + P A^T + diag(2 std^2 / tau)."""
    flow = ((LINEAR - torch.eye(2)) / LINEAR_TAU.unsqueeze(1)).numpy()
    diffusion = np.diag(2 * std**2 / LINEAR_TAU.numpy())

    def slope(time, moments):
        mean, covariance = torch.as_tensor(moments[:2]), moments[2:].reshape(2, 2)
        drift = ((driven(mean, time) - mean) / LINEAR_TAU).numpy()
        return np.concatenate((drift, (flow @ covariance + covariance @ flow.T + diffusion).ravel()))

    found = solve_ivp(slope, (0, end), np.zeros(6), method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    return torch.as_tensor(found[:2]), torch.as_tensor(found[2:]).view(2, 2)


@pytest.mark.parametrize("name", NOISY)
def test_the_weak_order_is_the_declared_one_by_exact_moments(name):
    """Mean and covariance of the recursion on a coupled, non-autonomous linear problem, without sampling."""
    cls, std, end = CLASSES[name], 0.5, 1.0
    mean, covariance = exact_moments(end, std)
    mean_errors, covariance_errors = [], []
    for steps in (20, 40, 80):
        dt = end / steps
        move, kick = step_matrices(cls, dt, LINEAR_TAU, LINEAR, std)
        method, state, spread = cls(mean, dt, LINEAR_TAU), torch.zeros_like(mean), torch.zeros_like(covariance)
        for step in range(steps):
            advance(method, state, driven, step * dt)
            spread = move @ spread @ move.T + kick @ kick.T
        mean_errors.append((state - mean).norm().item())
        covariance_errors.append((spread - covariance).norm().item())
    slopes = slope_of(mean_errors), slope_of(covariance_errors)
    assert slopes == pytest.approx((cls.weak_order, cls.weak_order), abs=0.15)


@in_one_buffer
def bistable(state, time):
    return torch.tanh(1.5 * state) + math.sin(3 * time)


def coarse_noise(cls, fine, together, z):
    """Normal numbers for long steps that are those of the same Brownian path as those of short ones of z = dt / tau each.

    Args:
        fine: ``(normals, short steps, paths)``.
        together: short steps in a long one.
    """
    parts = fine.unflatten(1, (-1, together))
    if cls.normals == 2:
        # In units of sqrt(dt): the increments, and the time integral of the path over a long step, which has the path
        # reached before each short step, and the short step's own integral dW/2 + H.
        increments, excess = parts[0], parts[1] / math.sqrt(12)
        reached = increments.cumsum(1) - increments
        increment = increments.sum(1) / math.sqrt(together)
        integral = (reached + increments / 2 + excess).sum(1) / together**1.5
        return torch.stack((increment, (integral - increment / 2) * math.sqrt(12)))
    if cls in EXPONENTIAL:
        # What is left at the end of a long step of what came in each of its parts.
        left = torch.exp(-z * torch.arange(together - 1, -1, -1, dtype=torch.float64))
        return ((left / left.norm()).view(-1, 1) * parts).sum(2)
    return parts.sum(2) / math.sqrt(together)


@pytest.mark.parametrize("name", NOISY)
def test_the_strong_order_is_the_declared_one_on_the_same_noise(name):
    """Mean distance of 1000 paths from those with 64 to 16 times smaller steps on the same Brownian motion.

    With so much noise that SRA1 errs by that more than by its deterministic second order.
    """
    cls, std, end, finest = CLASSES[name], 1.0, 2.0, 1024
    fine = Stream(4, "paths", dtype=torch.float64).normal((cls.normals, finest, 1000))[0]

    def ends(steps):
        noise, dt = std * coarse_noise(cls, fine, finest // steps, end / finest), end / steps
        state = torch.zeros(fine.shape[-1], dtype=torch.float64)
        method = cls(state, dt, 1.0)
        for step in range(steps):
            advance(method, state, bistable, step * dt, list(noise[:, step]))
        return state

    reference = ends(finest)
    errors = [(ends(steps) - reference).abs().mean().item() for steps in (16, 32, 64)]
    slopes = -np.diff(np.log2(errors))
    assert slopes.mean() == pytest.approx(cls.strong_order, abs=0.1)


def test_the_noise_of_a_long_step_is_normal_again_when_it_is_put_together_from_short_ones():
    """Of what the strong orders rest on: variance one, and increment and excess uncorrelated, within 5 error bars."""
    for name in NOISY:
        fine = Stream(5, "paths", dtype=torch.float64).normal((CLASSES[name].normals, 64, 5000))[0]
        coarse = coarse_noise(CLASSES[name], fine, 16, 0.05).flatten(1)
        torch.testing.assert_close(
            torch.cov(coarse).view(len(fine), -1), torch.eye(len(fine)).double(), rtol=0, atol=0.05
        )


def test_heun_and_sra1_take_the_noise_into_their_second_stage():
    """Which is what makes their covariances second order; of the linear step s <- M s + N xi, by hand at gamma = 0.5."""
    gamma, z = torch.full((1, 1), 0.5, dtype=torch.float64), 0.2
    _, kick = step_matrices(Heun, z, 1.0, gamma)
    assert kick.item() == pytest.approx(math.sqrt(2 * z) * (1 - z / 2 * 0.5), rel=1e-13)
    _, kicks = step_matrices(CLASSES["sra1"], z, 1.0, gamma)
    expected = [1 - 2 / 3 * z * 0.5 * 3 / 4, -2 / 3 * z * 0.5 * 3 / 2 / math.sqrt(12)]
    assert (kicks[0] / math.sqrt(2 * z)).tolist() == pytest.approx(expected, rel=1e-13)


# Growth


@pytest.mark.parametrize("z", [0.3, 2.0, 7.0])
@pytest.mark.parametrize("gamma", [0.5, -0.9, 0.3 + 1.2j, -2.0 + 0.4j])
@pytest.mark.parametrize("name", FIXED)
def test_the_amplification_is_the_spectral_radius_of_the_step_itself(name, gamma, z):
    """Of two elements that turn by the complex gamma, the last target included for the two-step method."""
    cls = CLASSES[name]
    turn = torch.tensor([[gamma.real, -gamma.imag], [gamma.imag, gamma.real]], dtype=torch.float64)
    field = in_one_buffer(lambda state, time: turn @ state)
    columns = []
    for column in torch.eye(4, dtype=torch.float64):
        method, state = cls(column[:2], z, 1.0), column[:2].clone()
        for name_of_part, part in method.tensors().items():
            part.copy_(column[2:] if name_of_part == "previous" else torch.ones_like(part))
        advance(method, state, field)
        columns.append(torch.cat((state, turn @ column[:2])))
    measured = torch.linalg.eigvals(torch.stack(columns, dim=1)).abs().max().item()
    assert cls.amplification(z, np.array([complex(gamma)]))[0] == pytest.approx(measured, rel=1e-10)
