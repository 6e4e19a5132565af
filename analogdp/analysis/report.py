"""An account of energy and time: its parts, and its file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from analogdp.errors import InputError


@dataclass(frozen=True)
class Part:
    """One line of an account, a mean over chips; what is None is not stated, because an assumption is missing.

    Attributes:
        name: what takes the energy.
        inference: joules for one sample without nudging.
        training: joules for the whole training so far, tests left out.
        inference_time, training_time: seconds.
        assumption: under which this holds, or what is missing.
    """

    name: str
    inference: float | None
    training: float | None
    inference_time: float | None
    training_time: float | None
    assumption: str


@dataclass(frozen=True)
class EnergyReport:
    """The parts of an account of energy and time."""

    parts: tuple[Part, ...]

    @property
    def stated(self) -> bool:
        """Whether there is any energy in it."""
        return any(part.inference or part.training for part in self.parts)

    @property
    def inference(self) -> float:
        """Joules of all parts that are stated, for one sample."""
        return _sum(part.inference for part in self.parts)

    @property
    def training(self) -> float:
        """Joules of all parts that are stated, for the whole training."""
        return _sum(part.training for part in self.parts)

    def shares(self, part: Part) -> tuple[float | None, float | None]:
        """A part's share of what is stated for inference and for training; None where it is not or all is 0."""
        pairs = ((part.inference, self.inference), (part.training, self.training))
        inference, training = (None if own is None or not total else own / total for own, total in pairs)
        return inference, training

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"parts": [asdict(part) for part in self.parts]}, indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> EnergyReport | None:
        """An account from its file, or None if there is none.

        Raises:
            InputError: the file is damaged.
        """
        try:
            return cls(tuple(Part(**part) for part in json.loads(path.read_bytes())["parts"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: damaged: {error}") from error


def _sum(values: Iterable[float | None]) -> float:
    return sum(value for value in values if value is not None)
