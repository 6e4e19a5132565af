"""Laws of aging, against the formulas in numpy, and the statistics of their populations."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from torch import Tensor

from analogdp.devices.aging import Aging, Drift, Relaxation, Retention
from analogdp.streams import Stream

CELLS = 100_000
DAY = 86400.0
NUMBERS = Stream(5, "cells", dtype=torch.float64).normal((CELLS,))[0]


def aged(law: Aging, conductance: float, age: float, number: Tensor | float = 0.0) -> Tensor:
    numbers = torch.as_tensor(number, dtype=torch.float64)
    return law.aged(torch.full_like(numbers, conductance), torch.full_like(numbers, age), numbers)


def exponents(conductance: float, **settings: Any) -> np.ndarray:
    """The exponents of drift, taken from the conductances at two times."""
    law = Drift.model_validate(settings)
    after = aged(law, conductance, 1e7, NUMBERS)
    return (np.log(conductance / after.numpy()) / np.log((1e7 + 20) / 20)).round(12)


@pytest.mark.parametrize(
    ("share", "mean", "std"),
    [(1.0, 0.049, 0.008), (0.2, 0.049347, 0.014218), (0.05, 0.070834, 0.031547), (0.001, 0.1, 0.045)],
)
def test_exponents_of_drift_have_the_published_mean_and_spread(share: float, mean: float, std: float) -> None:
    """``mean`` and ``std`` were computed by hand from the fits; what would be negative is 0."""
    found = exponents(share * 25e-6)
    cut = stats.norm(mean, std)
    assert found.mean() == pytest.approx(cut.expect(lambda nu: nu, lb=0), abs=4 * std / math.sqrt(CELLS))
    kept = found[found > 0]
    assert (found == 0).mean() == pytest.approx(cut.cdf(0), abs=4 * math.sqrt(cut.cdf(0) / CELLS) + 1e-6)
    law = stats.truncnorm((0 - mean) / std, np.inf, mean, std)
    assert stats.kstest(kept, law.cdf).pvalue > 0.01


def test_exponents_of_drift_can_be_given() -> None:
    found = exponents(5e-6, exponent=0.1, exponent_spread=0.01)
    assert stats.kstest(found, stats.norm(0.1, 0.01).cdf).pvalue > 0.01


@pytest.mark.parametrize("age", [0.0, 1.0, 3600.0, 3e7])
def test_drift_is_a_power_law_of_the_time_since_the_write(age: float) -> None:
    expected = 25e-6 * ((age + 20) / 20) ** -(0.049 + 1.5 * 0.008)
    assert aged(Drift(), 25e-6, age, 1.5).item() == pytest.approx(expected, rel=1e-13)


def relaxation_spread(share: float, age: float) -> float:
    """sigma in uS, as the table gives it at three times, and interpolated in log time between them."""
    fits = [
        [0.348, 16.030, -43.853, 45.393, -16.815],
        [0.701, 22.086, -50.773, 47.095, -16.458],
        [0.782, 20.274, -43.507, 37.062, -11.934],
    ]
    sigmas = [np.polynomial.polynomial.polyval(share, fit) for fit in fits]
    return float(np.interp(math.log(max(age, 1e-9)), [0.0, math.log(DAY), math.log(2 * DAY)], sigmas))


@pytest.mark.parametrize("share", [0.025, 0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("age", [0.0, 1e-3, 1.0, 60.0, DAY, 1.5 * DAY, 2 * DAY, 1e8])
def test_relaxation_has_the_published_spread_interpolated_in_log_time(share: float, age: float) -> None:
    shift = (aged(Relaxation(), share * 40e-6, age, 0.1) - share * 40e-6).item() * 1e6
    assert shift == pytest.approx(0.1 * relaxation_spread(share, age), rel=1e-11)


def test_relaxation_is_gaussian_from_cell_to_cell() -> None:
    shifts = (aged(Relaxation(), 20e-6, DAY, NUMBERS) - 20e-6).numpy() * 1e6
    assert stats.kstest(shifts, stats.norm(0, relaxation_spread(0.5, DAY)).cdf).pvalue > 0.01


def test_relaxation_of_other_devices_is_stretched() -> None:
    stretched = aged(Relaxation(full_scale=80e-6, size=0.5), 40e-6, DAY, 1.0) - 40e-6
    assert stretched.item() == pytest.approx((aged(Relaxation(), 20e-6, DAY, 1.0) - 20e-6).item(), rel=1e-12)


@pytest.mark.parametrize(("stretch", "level"), [(1.0, 0.0), (0.5, 3e-6), (2.0, 30e-6)])
def test_retention_is_a_stretched_exponential_towards_its_level(stretch: float, level: float) -> None:
    law = Retention(lifetime=1000.0, lifetime_spread=0.3, stretch=stretch, level=level)
    lifetimes = 1000.0 * np.exp(0.3 * NUMBERS.numpy())
    expected = level + (20e-6 - level) * np.exp(-((500.0 / lifetimes) ** stretch))
    np.testing.assert_allclose(aged(law, 20e-6, 500.0, NUMBERS).numpy(), expected, rtol=1e-11)


@pytest.mark.parametrize("law", [Drift(), Relaxation(), Retention(lifetime=10.0, lifetime_spread=1.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_aged_conductances_are_finite_and_not_negative_from_zero_to_full_scale(law: Aging, dtype: torch.dtype) -> None:
    conductance = torch.linspace(0, 30e-6, 1000, dtype=dtype).expand(3, 1000).contiguous()
    number = torch.tensor([-6.0, 0.0, 6.0], dtype=dtype).view(3, 1).expand(3, 1000)
    for age in (0.0, 1.0, 1e12):
        result = law.aged(conductance, torch.full(conductance.shape, age, dtype=torch.float64), number)
        assert result.dtype == dtype
        assert ((result >= 0) & result.isfinite()).all()


@pytest.mark.parametrize("law", [Drift(), Retention(lifetime=10.0)])
def test_a_cell_that_was_just_written_has_not_aged_by_a_bit(law: Aging) -> None:
    conductance = Stream(2, "g").uniform((1000,))[0] * 25e-6
    number = NUMBERS[:1000].float()
    assert torch.equal(law.aged(conductance, torch.zeros(1000, dtype=torch.float64), number), conductance)


@pytest.mark.parametrize(
    ("law", "settings", "said"),
    [
        (Drift, {"start": 0}, "0 is out of range; allowed: above 0"),
        (Drift, {"start": "20 uS"}, "is not a time"),
        (Drift, {"full_scale": 25}, "25 is out of range; allowed: above 0, at most 1"),
        (Relaxation, {"full_scale": "40 us"}, "is not a conductance"),
        (Retention, {}, "is required"),
        (Retention, {"lifetime": "1 year", "stretch": 0}, "stretch"),
    ],
)
def test_wrong_settings_are_told_what_is_wrong(law: type[Aging], settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        law.model_validate(settings)
    assert said in str(caught.value)
