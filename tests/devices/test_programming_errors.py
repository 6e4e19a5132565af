"""Programming errors: the published numbers, the laws of the generic ones, and what is refused."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from analogdp.devices.programming_errors import ProgrammingError
from analogdp.streams import Stream

CELLS = (1, 100_000)
HIGH = 40e-6


def spread(conductance: float, **settings: Any) -> float:
    """In microsiemens, at a conductance in microsiemens."""
    error = ProgrammingError.model_validate(settings)
    return error.spread(torch.tensor([conductance * 1e-6], dtype=torch.float64), HIGH).item() * 1e6


def draw(conductance: float, **settings: Any) -> torch.Tensor:
    cells = torch.full((1, *CELLS), conductance * 1e-6, dtype=torch.float64)
    return ProgrammingError.model_validate(settings).draw(cells, HIGH, Stream(1, "errors", dtype=torch.float64)) * 1e6


@pytest.mark.parametrize(
    ("model", "conductance", "expected"),
    [
        ("pcm_nandakumar", 0.0, 0.26348),
        ("pcm_nandakumar", 12.5, 0.26348 + 1.9650 / 2 - 1.1731 / 4),
        ("pcm_nandakumar", 25.0, 0.26348 + 1.9650 - 1.1731),
        ("pcm_joshi", 0.0, 0.28638599),
        ("pcm_joshi", 10.0, 0.28638599 + 0.7585724 - 0.178767),
        ("pcm_joshi", 25.0, 0.28638599 + 25 * 0.07585724 - 625 * 0.00178767),
        ("rram_milo", 50.0, 4.782321 - 50 * 0.009107),
        ("rram_milo", 225.0, 4.782321 - 225 * 0.009107),
        ("rram_wan", 10.0, 1.053 + 2.374 - 1.167 + 0.1536),
        ("rram_wan", 40.0, 1.053 + 40 * 0.2374 - 1600 * 0.01167 + 64000 * 1.536e-4),
        # 8 uS read at 0.1 V are 800 nA, and an error of 1 nA is one of 0.01 uS
        ("sonos_agrawal", 8.0, 0.01 * 19.887 * (1 - math.exp(-800 / 176.31))),
        ("sonos_agrawal", 0.0, 0.0),
    ],
)
def test_measured_errors_have_the_published_size(model: str, conductance: float, expected: float) -> None:
    assert spread(conductance, model=model) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_beyond_the_measured_range_the_error_is_that_at_its_end() -> None:
    assert spread(35.0, model="pcm_joshi") == spread(25.0, model="pcm_joshi")


def test_full_scale_and_size_stretch_both_axes_of_a_measurement() -> None:
    stretched = spread(25.0, model="pcm_nandakumar", full_scale="50 uS", size=3)
    assert stretched == pytest.approx(2 * 3 * spread(12.5, model="pcm_nandakumar"), rel=1e-12)


@pytest.mark.parametrize(
    ("model", "conductance", "expected"),
    [
        ("independent", 1.0, 0.8),
        ("independent", 40.0, 0.8),
        ("proportional", 20.0, 0.4),
        ("proportional", 0.0, 0.0),
        ("inverse_proportional", 20.0, 1.6),
        ("inverse_proportional", 40.0, 0.8),
        ("inverse_proportional", 0.0, 40.0),
    ],
)
def test_generic_errors_depend_on_the_conductance_as_their_names_say(
    model: str, conductance: float, expected: float
) -> None:
    assert spread(conductance, model=model, size="2 %") == pytest.approx(expected, rel=1e-12)


def test_normal_errors_are_normal_with_the_spread() -> None:
    errors = draw(12.5, model="pcm_nandakumar").flatten().numpy()
    assert stats.kstest(errors, stats.norm(0, spread(12.5, model="pcm_nandakumar")).cdf).pvalue > 0.01


def test_uniform_errors_are_uniform_within_the_spread() -> None:
    errors = draw(20.0, model="proportional", size=0.1, law="uniform").flatten().numpy()
    assert stats.kstest(errors, stats.uniform(-2, 4).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "proportional"}, "model 'proportional' needs the size of its error"),
        ({"model": "independent", "size": 0.1, "full_scale": "25 uS"}, "has no measured range to stretch"),
        ({"model": "pcm_josh"}, "unknown value 'pcm_josh': did you mean 'pcm_joshi'"),
        ({"model": "pcm_joshi", "size": -1}, "-1 is out of range; allowed: above 0, at most 10"),
        ({"model": "pcm_joshi", "full_scale": 25}, "25 is out of range; allowed: above 0, at most 1"),
        ({"model": "pcm_joshi", "full_scale": "25 us"}, "'25 us' is not a conductance"),
    ],
)
def test_wrong_settings_are_told_what_is_wrong(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ProgrammingError.model_validate(settings)
    assert said in str(caught.value)
