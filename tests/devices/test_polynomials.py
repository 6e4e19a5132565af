"""Fits as polynomials."""

import numpy as np
import torch

from analogdp.devices.polynomials import polynomial


def test_a_polynomial_has_the_values_that_numpy_computes() -> None:
    coefficients = (0.348, 16.030, -43.853, 45.393, -16.815)
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    expected = np.polynomial.polynomial.polyval(x.numpy(), coefficients)
    np.testing.assert_allclose(polynomial(coefficients, x).numpy(), expected, rtol=1e-13, atol=1e-13)
