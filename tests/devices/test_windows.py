"""Window functions, by the numbers that their formulas have at the ends and in the middle."""

import numpy as np
import pytest
import torch

from analogdp.devices.windows import WindowName, window

PLACES = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "rising", "expected"),
    [
        ("none", True, [1, 1, 1]),
        ("joglekar", True, [0, 1, 0]),
        ("joglekar", False, [0, 1, 0]),
        ("biolek", True, [1, 1 - 0.5**6, 0]),
        ("biolek", False, [0, 1 - 0.5**6, 1]),
        ("prodromakis", True, [0, 2 * (1 - 0.75**3), 0]),
        ("prodromakis", False, [0, 2 * (1 - 0.75**3), 0]),
    ],
)
def test_a_window_has_its_values_at_the_ends_and_in_the_middle(
    name: WindowName, rising: bool, expected: list[float]
) -> None:
    found = window(name, PLACES, torch.tensor(rising), power=3.0, scale=2.0)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-15)


@pytest.mark.parametrize("name", ["none", "joglekar", "biolek", "prodromakis"])
def test_a_window_is_never_negative(name: WindowName) -> None:
    beyond = torch.linspace(-0.1, 1.1, 99, dtype=torch.float64)
    assert (window(name, beyond, torch.tensor(True), power=2.0, scale=1.0) >= 0).all()
