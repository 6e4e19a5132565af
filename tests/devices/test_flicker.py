"""1/f read noise against its formula."""

import math

import pytest
import torch

from analogdp.devices.flicker import FlickerNoise


def std(programmed: float, present: float, age: float) -> float:
    cells = torch.tensor([programmed, present], dtype=torch.float64)
    return math.sqrt(FlickerNoise().variance(cells[:1], cells[1:], torch.tensor([age], dtype=torch.float64)).item())


@pytest.mark.parametrize(("programmed", "present"), [(25e-6, 25e-6), (10e-6, 8e-6), (1e-6, 0.5e-6), (0.05e-6, 0.05e-6)])
@pytest.mark.parametrize("age", [0.0, 3600.0, 1e8])
def test_the_spread_of_a_read_is_the_published(programmed: float, present: float, age: float) -> None:
    q = min(0.0088 / (programmed / 25e-6) ** 0.65, 0.2)
    expected = present * q * math.sqrt(math.log((age + 20 + 250e-9) / (2 * 250e-9)))
    assert std(programmed, present, age) == pytest.approx(expected, rel=1e-12)


def test_a_cell_without_conductance_has_no_noise() -> None:
    assert std(0.0, 0.0, 10.0) == 0


def test_a_read_longer_than_the_time_since_the_write_has_none() -> None:
    noise = FlickerNoise(start=1e-9, read_time=1.0)
    cell = torch.tensor([10e-6], dtype=torch.float64)
    assert noise.variance(cell, cell, torch.zeros(1, dtype=torch.float64)).item() == 0
