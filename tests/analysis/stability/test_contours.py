"""Zeros in rectangles: polynomials and combs, whose zeros are known."""

import numpy as np
import pytest

from analogdp.analysis.stability import contours
from analogdp.analysis.stability.contours import Rectangle, count_zeros, rightmost_zero


def polynomial(*zeros: complex):
    def function(points):
        values = np.prod([points - zero for zero in zeros], axis=0)
        with np.errstate(divide="ignore"):
            return np.sign(values), np.log(np.abs(values))

    return function


def test_zeros_are_counted_with_their_multiplicity():
    zeros = (0.5, 0.5, 1 + 1j, 1 - 1j, -3.0)
    assert count_zeros(polynomial(*zeros), Rectangle(0, 2, -2, 2)).zeros == 4
    assert count_zeros(polynomial(*zeros), Rectangle(0.7, 2, -2, 2)).zeros == 2


def test_the_rightmost_zero_is_found_and_its_absence_too():
    found = rightmost_zero(polynomial(0.5, 1 + 1j, 1 - 1j), Rectangle(0, 2, -2, 2), 1e-2)
    assert found.certain
    assert found.value == pytest.approx(1 + 1j)
    assert rightmost_zero(polynomial(-1), Rectangle(0, 2, -2, 2), 1e-2).value is None


def test_of_zeros_closer_together_than_the_bracket_the_rightmost_is_found():
    """A comb of zeros, as delays make it, one of them a little further right than the others."""
    comb = [-1e-5 * abs(k - 4) + 0.1234j * k for k in range(-8, 9)]
    found = rightmost_zero(polynomial(*comb), Rectangle(-0.7, 1.3, -2, 2), 0.1)
    assert found.certain
    assert found.value == pytest.approx(4 * 0.1234j, abs=1e-9)


def test_zeros_whose_turns_would_look_like_none_are_counted_if_points_are_close_enough():
    """1 - e^(-40 p): a zero at each multiple of 2 pi i / 40."""

    def comb(points):
        values = -np.expm1(-40 * points)
        return np.sign(values), np.log(np.abs(values))

    assert count_zeros(comb, Rectangle(-0.2, 1, -10, 10.03, spacing=1 / 40)).zeros == 127


def test_a_root_whose_contours_were_not_followed_to_the_end_is_not_certain(monkeypatch):
    monkeypatch.setattr(contours, "MOST_POINTS", 10)
    assert not rightmost_zero(polynomial(0.5, 1 + 1j, 1 - 1j), Rectangle(0, 2, -2, 2), 1e-2).certain


def test_a_contour_through_a_zero_is_not_certain():
    assert not count_zeros(polynomial(0.5, 1), Rectangle(0.5, 2, -2, 2)).certain


def test_a_zero_that_another_lies_to_the_right_of_is_not_the_answer(monkeypatch):
    """Polishing that once ends at a wrong zero is found out by counting beyond it."""
    polished, calls = contours._polished, []

    def astray(*arguments):
        calls.append(arguments)
        return np.array([0.5 + 0j]) if len(calls) == 1 else polished(*arguments)

    monkeypatch.setattr(contours, "_polished", astray)
    found = rightmost_zero(polynomial(0.5, 1.03), Rectangle(0, 2, -2, 2), 1e-2)
    assert len(calls) == 2
    assert found.value == pytest.approx(1.03)
