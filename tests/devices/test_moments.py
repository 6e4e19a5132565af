"""The closed form of many pulses against the recursion it solves."""

import math

import pytest
import torch

from analogdp.devices.moments import change_moments, furthest_points, reflected_share

STEPS = [0.3, 0.01, 1e-6, -0.01]
SLOPES = [0.9, 0.05, 1e-9]
SIGMAS = [0.0, 0.3, 4.0]


def recursion(
    weight: float, step: float, slope: float, pulses: int, sigma: float, additive: bool
) -> tuple[float, float]:
    """Mean and standard deviation of the change, pulse by pulse, from the law of one pulse."""
    mean, variance = weight, 0.0
    for _ in range(pulses):
        # w' = w + a (1 - g w) (1 + sigma xi), or w + a (1 - g w) + a sigma xi
        scale = 1.0 if additive else (1 - slope * mean) ** 2 + slope**2 * variance
        variance = (1 - step * slope) ** 2 * variance + (sigma * step) ** 2 * scale
        mean += step * (1 - slope * mean)
    return mean - weight, math.sqrt(variance)


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("pulses", [1, 3, 50, 1000])
def test_the_closed_form_solves_the_recursion(additive: bool, sigma: float, pulses: int) -> None:
    for step in STEPS:
        for slope in (math.copysign(size, step) for size in SLOPES):
            if (1 - step * slope) ** 2 + (step * slope * sigma) ** 2 > 1:
                continue
            want = recursion(0.4, step, slope, pulses, sigma, additive)
            weight, a, g, n = (torch.tensor([x], dtype=torch.float64) for x in (0.4, step, slope, float(pulses)))
            mean, std = change_moments(weight, a, g, n, sigma, additive)
            assert mean.item() == pytest.approx(want[0], rel=1e-9, abs=1e-12)
            assert std.item() == pytest.approx(want[1], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("pulses", [1, 7, 1000])
def test_a_constant_step_walks_at_random(pulses: int) -> None:
    n = torch.tensor([float(pulses)])
    mean, std = change_moments(torch.zeros(1), torch.tensor([-0.01]), None, n, 0.3, additive=False)
    assert mean.item() == pytest.approx(-0.01 * pulses)
    assert std.item() == pytest.approx(0.003 * math.sqrt(pulses))


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("slope", [1.0, 1e-12, None])
def test_no_pulses_change_nothing_at_all(additive: bool, slope: float | None) -> None:
    slopes = None if slope is None else torch.tensor([slope])
    mean, std = change_moments(torch.tensor([0.3]), torch.tensor([0.1]), slopes, torch.zeros(1), 2.0, additive)
    assert (mean.item(), std.item()) == (0.0, 0.0)


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_counts_and_steps_stay_finite(additive: bool, dtype: torch.dtype) -> None:
    step, slope, count = torch.cartesian_prod(
        torch.tensor([1e-7, 1e-3, 0.5, 1.0, 4.0], dtype=dtype),
        torch.tensor([0.0, 1e-9, 1e-3, 1.0, 1e4], dtype=dtype),
        torch.tensor([0.0, 1.0, 2.0, 1e3, 1e6], dtype=dtype),
    ).unbind(1)
    mean, std = change_moments(torch.full_like(step, 0.2), step, slope, count, 5.0, additive)
    assert mean.isfinite().all()
    assert std.isfinite().all()


@pytest.mark.parametrize("additive", [False, True])
def test_float32_agrees_with_float64(additive: bool) -> None:
    values = torch.cartesian_prod(
        torch.tensor([1e-5, 1e-3, 0.1]).double(),
        torch.tensor([1e-8, 0.1, 1.0]).double(),
        torch.tensor([1, 30, 1e6]).double(),
    )
    step, slope, count = values.unbind(1)
    exact = change_moments(torch.full_like(step, 0.2), step, slope, count, 0.5, additive)
    single = change_moments(
        torch.full_like(step, 0.2).float(), step.float(), slope.float(), count.float(), 0.5, additive
    )
    for ours, want in zip(single, exact, strict=True):
        torch.testing.assert_close(ours.double(), want, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("pulses", [1, 2, 10, 1000])
def test_the_reflected_share_gives_spitzers_mean_distance(pulses: int) -> None:
    share = reflected_share(torch.tensor([float(pulses)], dtype=torch.float64)).item()
    want = sum(j**-0.5 for j in range(1, pulses + 1)) / math.sqrt(pulses) - 1
    assert share == pytest.approx(want, abs=0.01)


@pytest.mark.parametrize("drift", [-0.3, 0.0, 0.5])
@pytest.mark.parametrize("pulses", [1, 5, 100])
def test_the_furthest_points_of_a_walk_are_those_of_its_single_steps(pulses: int, drift: float) -> None:
    generator = torch.Generator().manual_seed(4)
    walks = torch.randn(20_000, pulses, dtype=torch.float64, generator=generator).add_(drift).cumsum(1)
    total, count = walks[:, -1], torch.full((20_000,), float(pulses), dtype=torch.float64)
    uniform = torch.rand(20_000, dtype=torch.float64, generator=generator)
    lowest, highest = furthest_points(total, count.sqrt(), count, uniform)
    # Steps of standard deviation 1; a tenth of one is the error for a few steps.
    assert lowest.clamp(max=0).mean().item() == pytest.approx(walks.amin(1).clamp(max=0).mean().item(), abs=0.1)
    assert highest.clamp(min=0).mean().item() == pytest.approx(walks.amax(1).clamp(min=0).mean().item(), abs=0.1)
    assert (lowest <= total).all()
    assert (highest >= total).all()


def test_one_pulse_goes_nowhere_on_its_way() -> None:
    total, one = torch.tensor([-2.0, 0.5, 3.0]), torch.ones(3)
    lowest, highest = furthest_points(total, one, one, torch.tensor([0.1, 0.5, 0.9999999]))
    assert torch.equal(lowest.clamp(max=0), total.clamp(max=0))
    assert torch.equal(highest.clamp(min=0), total.clamp(min=0))
