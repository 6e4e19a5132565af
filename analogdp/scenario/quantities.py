"""Quantities with units in a scenario: ``1 us`` becomes 1e-6, a plain number is taken as SI."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

import pint
from pydantic import BeforeValidator, WithJsonSchema

LONGEST = 60
"""Characters of a quantity; what is longer is none."""

# No digits but one-digit exponents may stand in a unit: "s*10^10^10" must not be computed.
_FACTOR = r"[A-Za-zμΩ]+(?:\^-?\d)?"
_QUANTITY = re.compile(
    rf"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{{1,3}})?)\s*(%|{_FACTOR}(?:\s?[*/]\s?{_FACTOR}){{0,4}})?\s*"
)


@cache
def _units() -> pint.UnitRegistry[Decimal]:
    return pint.UnitRegistry(non_int_type=Decimal)


def to_si(value: Any, unit: str) -> Any:
    """A number in SI units from a number (already SI) or a string such as ``"10 kohm"``.

    Args:
        value: what the user wrote. Anything but a number or a string is returned for pydantic to refuse.
        unit: the SI unit the field has, as Pint names it; ``"dimensionless"`` for a ratio.

    Raises:
        ValueError: not a number with a unit, an unknown unit, or one of another dimension.
    """
    if not isinstance(value, str):
        return value
    # Keyboards and character maps know two signs each for micro and ohm.
    plain = unicodedata.normalize("NFKC", value[: LONGEST + 1])
    match = _QUANTITY.fullmatch(plain) if len(value) <= LONGEST else None
    example = _EXAMPLES[unit]
    if match is None:
        raise ValueError(
            f"{value[:LONGEST]!r} is no quantity; write a number, or a number and a unit such as {example!r}"
        )
    number, written = Decimal(match[1]), match[2]
    if not written:
        return float(number)
    try:
        parsed = _units().parse_units("percent" if written == "%" else written)
    except (pint.PintError, AttributeError, AssertionError) as error:
        raise ValueError(f"unknown unit {written!r} in {value!r}; write for example {example!r}") from error
    if not parsed.is_compatible_with(unit):
        raise ValueError(f"{value!r} is not {_NAMES[unit]}; write for example {example!r}")
    return float(_units().Quantity(number, parsed).to(unit).magnitude)


_EXAMPLES = {
    "second": "1 us",
    "hertz": "1 MHz",
    "volt": "0.2 V",
    "siemens": "10 uS",
    "ohm": "1 ohm",
    "ampere": "1 uA",
    "joule": "10 pJ",
    "watt": "1 uW",
    "meter": "10 nm",
    "kelvin": "300 K",
    "dimensionless": "2 %",
}
_NAMES = {
    "second": "a time",
    "hertz": "a rate",
    "volt": "a voltage",
    "siemens": "a conductance",
    "ohm": "a resistance",
    "ampere": "a current",
    "joule": "an energy",
    "watt": "a power",
    "meter": "a length",
    "kelvin": "a temperature",
    "dimensionless": "a ratio without dimension",
}


SYMBOLS = {
    "second": "s",
    "hertz": "Hz",
    "volt": "V",
    "siemens": "S",
    "ohm": "Ω",
    "ampere": "A",
    "joule": "J",
    "watt": "W",
    "meter": "m",
    "kelvin": "K",
}
"""SI units by their names, as they are written behind numbers."""


def symbol(metadata: Sequence[Any]) -> str | None:
    """The unit of a field with this metadata, as it is written behind numbers; None if it has none."""
    schemas = (part.json_schema or {} for part in metadata if isinstance(part, WithJsonSchema))
    described = [str(schema.get("description", "")) for schema in schemas]
    known = (own for unit, own in SYMBOLS.items() if any(text.startswith(f"{_NAMES[unit]}: ") for text in described))
    return next(known, None)


def _annotation(unit: str) -> Any:
    schema = {
        "anyOf": [{"type": "number"}, {"type": "string"}],
        "description": f"{_NAMES[unit]}: a number in SI units, or text with a unit such as '{_EXAMPLES[unit]}'",
    }
    return BeforeValidator(lambda value: to_si(value, unit)), WithJsonSchema(schema)


Time = Annotated[float, *_annotation("second")]
Rate = Annotated[float, *_annotation("hertz")]
Voltage = Annotated[float, *_annotation("volt")]
Conductance = Annotated[float, *_annotation("siemens")]
Resistance = Annotated[float, *_annotation("ohm")]
Current = Annotated[float, *_annotation("ampere")]
Energy = Annotated[float, *_annotation("joule")]
Power = Annotated[float, *_annotation("watt")]
Length = Annotated[float, *_annotation("meter")]
Temperature = Annotated[float, *_annotation("kelvin")]
Ratio = Annotated[float, *_annotation("dimensionless")]
