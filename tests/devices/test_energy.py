"""Energy of write pulses, against a direct sum and the integral over a pulse."""

from collections.abc import Callable
from time import perf_counter
from typing import Literal

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from analogdp.devices.base import WritePulse
from analogdp.devices.energy import SHAPE_FACTORS, pulse_energy

PULSE = WritePulse(up=1.5, down=-2.0, width=1e-7)


def cells(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    counts = torch.randint(-9, 10, (3, 2, 40, 30), generator=generator).to(dtype)
    return counts, torch.empty_like(counts).uniform_(1e-6, 1e-4, generator=generator)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_it_is_the_sum_over_all_pulses_of_voltage_squared_conductance_and_time(
    dtype: torch.dtype, close: float
) -> None:
    counts, conductances = cells(dtype)
    want = np.zeros(3)
    for chip, *place in np.ndindex(*counts.shape):
        count = counts[chip, *place].item()
        voltage = PULSE.up if count > 0 else PULSE.down
        want[chip] += abs(count) * voltage**2 * conductances[chip, *place].item() * PULSE.width
    np.testing.assert_allclose(pulse_energy(counts, conductances, PULSE), want, rtol=close)


@pytest.mark.parametrize("dead", [0.0, -0.0])
def test_cells_without_pulses_take_nothing(dead: float) -> None:
    counts, conductances = cells()
    assert pulse_energy(torch.full_like(counts, dead), conductances, PULSE).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ("rectangular", lambda t: 1.0),
        ("triangular", lambda t: 1 - abs(2 * t - 1)),
        ("sine", lambda t: np.sin(np.pi * t)),
    ],
)
def test_a_shape_counts_by_the_mean_of_its_square(
    shape: Literal["rectangular", "triangular", "sine"], form: Callable[[float], float]
) -> None:
    assert quad(lambda t: form(t) ** 2, 0, 1, points=[0.5])[0] == pytest.approx(SHAPE_FACTORS[shape], rel=1e-9)
    counts, conductances = cells()
    shaped = pulse_energy(counts, conductances, PULSE.model_copy(update={"shape": shape}))
    torch.testing.assert_close(shaped, pulse_energy(counts, conductances, PULSE) * SHAPE_FACTORS[shape])


def test_it_costs_less_than_three_passes_over_the_array() -> None:
    counts, conductances = (torch.rand(1, 1, 512, 784) for _ in range(2))
    assert fastest(lambda: pulse_energy(counts, conductances, PULSE)) < 3 * fastest(lambda: counts * conductances)


def fastest(action: Callable[[], object]) -> float:
    times = []
    for _ in range(100):
        start = perf_counter()
        action()
        times.append(perf_counter() - start)
    return min(times)
