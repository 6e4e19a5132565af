"""Quantities with units."""

import math
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analogdp.scenario.quantities import to_si


@pytest.mark.parametrize(
    ("written", "unit", "value"),
    [
        ("1 us", "second", 1e-6),
        ("1us", "second", 1e-6),
        ("1 µs", "second", 1e-6),
        ("1 \u03bcs", "second", 1e-6),
        (" 2.5e-3 ms ", "second", 2.5e-6),
        ("-3 ns", "second", -3e-9),
        (".5 s", "second", 0.5),
        ("1 day", "second", 86400.0),
        ("0.2 V", "volt", 0.2),
        ("200 mV", "volt", 0.2),
        ("10 uS", "siemens", 1e-5),
        ("1/kohm", "siemens", None),
        ("2 A/V", "siemens", 2.0),
        ("10 kohm", "ohm", 1e4),
        ("10 kΩ", "ohm", 1e4),
        ("10 k\u2126", "ohm", 1e4),
        ("1 Mohm", "ohm", 1e6),
        ("2 %", "dimensionless", 0.02),
        ("2%", "dimensionless", 0.02),
        ("2 percent", "dimensionless", 0.02),
        ("0.5", "dimensionless", 0.5),
        ("1e-3", "second", 1e-3),
    ],
)
def test_a_number_with_a_unit_becomes_si(written, unit, value):
    if value is None:
        with pytest.raises(ValueError, match="no quantity"):
            to_si(written, unit)
    else:
        # Decimal arithmetic, rounded once: exactly the literal.
        assert to_si(written, unit) == value


@given(st.decimals(-1000, 1000, places=6), st.sampled_from([("ps", -12), ("ns", -9), ("us", -6), ("ms", -3), ("s", 0)]))
def test_every_prefix_gives_the_correctly_rounded_number(number, unit):
    name, exponent = unit
    assert to_si(f"{number:f} {name}", "second") == float(number.scaleb(exponent))


@pytest.mark.parametrize(
    ("written", "unit", "words"),
    [
        ("3 volts", "second", "'3 volts' is not a time; write for example '1 us'"),
        ("10 us", "siemens", "'10 us' is not a conductance; write for example '10 uS'"),
        ("1 us", "dimensionless", "'1 us' is not a ratio without dimension; write for example '2 %'"),
        ("5 %", "volt", "'5 %' is not a voltage"),
        ("3 parsnips", "second", "unknown unit 'parsnips'"),
        ("us", "second", "'us' is no quantity"),
        ("", "second", "'' is no quantity"),
        ("1 2 us", "second", "is no quantity"),
        ("nan", "second", "is no quantity"),
        ("__import__('os')", "second", "is no quantity"),
        ("1 s**999999999", "second", "is no quantity"),
        ("1 s^10^10^10", "second", "is no quantity"),
        ("1 us" + " " * 100 + "oops", "second", "is no quantity"),
        ("1e9999 s", "second", "is no quantity"),
    ],
)
def test_what_is_no_quantity_of_that_dimension_is_refused_in_words(written, unit, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        to_si(written, unit)


@pytest.mark.parametrize("value", [1, 1.5, True, None, [1], {"a": 1}])
def test_what_is_no_text_is_left_for_the_schema_to_judge(value):
    assert to_si(value, "second") is value


def test_a_number_too_large_for_a_float_becomes_infinite_and_is_left_for_the_schema_to_refuse():
    assert math.isinf(to_si("1e999 s", "second"))


@given(st.text(max_size=80))
def test_no_text_raises_anything_but_a_value_error(text):
    for unit in ("second", "dimensionless"):
        with suppress(ValueError):
            assert isinstance(to_si(text, unit), float)
