"""A crossbar's wires: their resistances, the voltages they lose, and the checks that every solver shares.

Node voltages follow from device currents alone. With a cell's current ``i`` flowing from its word line to its bit line,

    word node = voltage at the word line's end - P_w i        P_w i: lost on the way along the word line
    bit node  = voltage at the bit line's end  + P_b i        P_b i: lost on the way along the bit line

so the device voltages solve ``v + (P_w + P_b) G v = v0``, with v0 the voltages without wires. P_w and P_b are two cumulative
sums each: currents add up along a wire, and so do the voltages these lose. Resistances only multiply, so zero is a value
like any other, and so is a cell of zero conductance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from analogdp.errors import InputError

Drive = Literal["word_lines", "bit_lines"]

NOTHING_ARRIVES = 1e-12
"""Currents below this share of those without wires are what rounding leaves, not a reading."""


@dataclass(frozen=True)
class Wires:
    """Resistances in ohms: of a segment between neighbouring cells, and of what is connected to a line's end.

    Word lines end at their left, bit lines at their bottom; one segment lies between the end and the first cell.

    Raises:
        InputError: a resistance is negative or not finite.
    """

    word_line: float
    bit_line: float
    word_end: float = 0.0
    bit_end: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name}: a resistance of {value} ohm. It must be finite and at least 0 ohm.")

    @classmethod
    def driven(cls, drive: Drive, word_line: float, bit_line: float, source: float, sense: float) -> Wires:
        """The wires of an array that is driven through ``source`` at one kind of lines and sensed through ``sense``."""
        check_choice("drive", drive, get_args(Drive))
        for name, value in (("source", source), ("sense", sense)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name}: a resistance of {value} ohm. It must be finite and at least 0 ohm.")
        ends = (source, sense) if drive == "word_lines" else (sense, source)
        return cls(word_line, bit_line, *ends)

    @property
    def ideal(self) -> bool:
        """Whether nothing is lost anywhere."""
        return not any(vars(self).values())

    def word_drops(self, current: Tensor) -> Tensor:
        """Voltage lost between a word line's end and each cell, of device currents ``(..., rows, columns)`` in amperes."""
        return _drops(current.flip(-1), self.word_line, self.word_end).flip(-1)

    def bit_drops(self, current: Tensor) -> Tensor:
        """Voltage lost between each cell and a bit line's end, of device currents ``(..., rows, columns)`` in amperes."""
        return _drops(current.mT, self.bit_line, self.bit_end).mT

    def drops(self, current: Tensor) -> Tensor:
        """Both losses together: P = P_w + P_b, symmetric and positive semidefinite."""
        return self.word_drops(current) + self.bit_drops(current)


def _drops(current: Tensor, segment: float, end: float) -> Tensor:
    """Voltages lost towards the last index, where the line ends: the current of a segment is all that entered before it."""
    carried = current.cumsum(-1)
    return segment * carried.flip(-1).cumsum(-1).flip(-1) + end * carried[..., -1:]


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is none of the ``allowed`` ones."""
    if value not in allowed:
        raise InputError(f"{name} is {value!r}. It must be one of: {', '.join(allowed)}.")


def check_conductance(conductance: Tensor) -> None:
    """Refuse what is not an array of conductances; reads one flag back from the device."""
    if not isinstance(conductance, Tensor):
        raise InputError(
            f"conductance: a {type(conductance).__name__}. It must be a torch tensor (..., rows, columns)."
        )
    if conductance.ndim < 2 or not conductance.is_floating_point() or 0 in conductance.shape[-2:]:
        raise InputError(
            f"conductance: shape {tuple(conductance.shape)}, {conductance.dtype}. It must be a floating-point tensor "
            "(..., rows, columns) with at least one row and one column."
        )
    if not bool(((conductance >= 0) & (conductance < math.inf)).all()):
        smallest, largest = conductance.aminmax()
        raise InputError(
            f"conductance: values between {smallest.item():g} and {largest.item():g} S. All must be finite and at least 0 S."
        )


def check_arrival(current: Tensor, without_wires: Tensor, wires: Wires) -> None:
    """Refuse a circuit whose wires swallow everything; reads one flag back from the device."""
    arriving, ideal = current.detach().abs().amax(), without_wires.detach().abs().amax()
    if bool(arriving < NOTHING_ARRIVES * ideal):
        raise InputError(
            f"no current arrives: at most {arriving.item():.3g} instead of {ideal.item():.3g} without wires, at {wires}. "
            "The wires' resistance in ohms is too high for these conductances in siemens; check both units."
        )
