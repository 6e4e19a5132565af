"""Numbers as a reader wants them."""

from __future__ import annotations

import pytest

from analogdp.reports.style import count, number, percent, prefix, quantity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.5e-6, "2.5 µS"),
        (1e-6, "1 µS"),
        (1e-3, "1 mS"),
        (9.996e-7, "999.6 nS"),
        (0.0, "0 S"),
        (-4e-9, "-4 nS"),
        (3e-20, "3e-05 fS"),
        (5e12, "5000 GS"),
        (float("inf"), "inf S"),
    ],
)
def test_a_quantity_gets_the_prefix_that_makes_it_readable(value: float, text: str) -> None:
    assert quantity(value, "S") == text


@pytest.mark.parametrize("exponent", range(-15, 10))
def test_a_power_of_ten_is_divided_into_1_to_100(exponent: int) -> None:
    factor, _ = prefix(10.0**exponent)
    assert 1 - 1e-9 < 10.0**exponent / factor < 100 + 1e-9


def test_a_spread_is_told_for_several_chips_only() -> None:
    assert (percent(0.962, 0.004, 3), percent(0.962, 0.0, 1)) == ("96.20 ± 0.40 %", "96.20 %")
    assert (number(0.1234567, 0.0456, 2), number(0.1234567, 0.0, 1)) == ("0.1235 ± 0.046", "0.1235")


def test_thousands_are_set_apart() -> None:
    assert count(1234567) == "1\u2009234\u2009567"
