"""What the independent engine gets to know: a plan, as JSON, and numbers, as arrays. Nothing is pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PLAN, NUMBERS, RESULT = "plan.json", "numbers.npz", "result.npz"

Array = NDArray[Any]
Motion = Literal["euler", "exponential_euler", "ticks"]


@dataclass(frozen=True)
class Axon:
    """How a layer's messages in one direction travel.

    Attributes:
        delay: in time steps.
        threshold: of send-on-delta, or None for continuous messages.
        packets: events of sizes 1, 2, 4, ... quanta that a neuron has, so many in each of both signs.
    """

    delay: int = 0
    threshold: float | None = None
    packets: int = 0


@dataclass(frozen=True)
class LayerPlan:
    """One layer of neurons.

    Attributes:
        units: neurons.
        compartments: names of their states.
        definitions, sums: see :class:`analogdp.neurons.Equations`.
        shared: parameters that all neurons have in common; ``<compartment>_tau`` in seconds.
        up, down: how its messages travel; None for messages that nobody receives.
    """

    units: int
    compartments: tuple[str, ...]
    definitions: Mapping[str, str]
    sums: Mapping[str, str]
    shared: Mapping[str, float]
    up: Axon | None
    down: Axon | None


@dataclass(frozen=True)
class Plan:
    """What to simulate.

    Attributes:
        dt: time step in seconds.
        steps: how many.
        samples: presented side by side.
        motion: how states follow their targets in a step, see :mod:`analogdp.verification.brian`.
        nudging: nominal strength beta.
        rate, share: of random clocks: ticks per second, and how much of its way a neuron goes at a tick.
        layers: the first hidden layer first.
    """

    dt: float
    steps: int
    samples: int
    motion: Motion
    nudging: float
    layers: tuple[LayerPlan, ...]
    rate: float = 0.0
    share: float = 1.0


@dataclass(frozen=True)
class Job:
    """A plan and its numbers.

    Attributes:
        plan: what to simulate.
        numbers: by name; of layer k, from 0:

            - ``inputs`` ``(samples, in)`` and ``labels`` ``(samples, out)``
            - ``layer<k>.weights`` ``(units, below)``, ``layer<k>.feedback`` ``(below, units)``, ``layer<k>.bias`` ``(units,)``
            - ``layer<k>.<parameter>`` ``(units,)`` of parameters that differ from neuron to neuron
            - ``nudging_path``, ``asymmetry_path`` ``(steps, samples)``: factor of beta, shift of alpha; where they fluctuate
            - ``layer<k>.<compartment>_noise``, ``..._current`` ``(steps, samples x units)``: normal numbers that drive a
              membrane, of the stationary standard deviation; what is added to a target
            - ``layer<k>.dice`` ``(steps, samples x clocks)``: uniform numbers that random clocks tick by
    """

    plan: Plan
    numbers: Mapping[str, Array]

    def of_layer(self, index: int) -> dict[str, Array]:
        """The numbers of one layer."""
        start = f"layer{index}."
        return {name.removeprefix(start): each for name, each in self.numbers.items() if name.startswith(start)}

    def save(self, folder: Path) -> None:
        """Write the job's two files."""
        (folder / PLAN).write_text(json.dumps(asdict(self.plan)), encoding="utf-8")
        _save_numbers(folder / NUMBERS, self.numbers)

    @staticmethod
    def load(folder: Path) -> Job:
        """The job of :meth:`save`."""
        return Job(_plan(json.loads((folder / PLAN).read_text(encoding="utf-8"))), _load_numbers(folder / NUMBERS))


@dataclass(frozen=True)
class Outcome:
    """What the engine found.

    Attributes:
        states: of every layer by compartment, after each step, ``(steps, samples x units)``.
        sent: events sent up and down by each sample, int64 ``(2, samples)``.
        equations: of every layer, as the engine integrated them.
        engine: its name and version.
    """

    states: tuple[dict[str, Array], ...]
    sent: Array
    equations: tuple[str, ...]
    engine: str

    def save(self, folder: Path) -> None:
        """Write the outcome's file, complete or not at all."""
        states = {
            f"layer{index}.{name}": values for index, own in enumerate(self.states) for name, values in own.items()
        }
        part = folder / f"part-{RESULT}"
        about = {"sent": self.sent, "equations": np.array(self.equations), "engine": np.array(self.engine)}
        _save_numbers(part, about | states)
        part.rename(folder / RESULT)

    @staticmethod
    def load(folder: Path, plan: Plan) -> Outcome:
        """The outcome of :meth:`save`."""
        numbers = _load_numbers(folder / RESULT)
        states = tuple(
            {name: numbers[f"layer{index}.{name}"] for name in layer.compartments}
            for index, layer in enumerate(plan.layers)
        )
        return Outcome(states, numbers["sent"], tuple(numbers["equations"].tolist()), str(numbers["engine"]))


def _save_numbers(path: Path, numbers: Mapping[str, Any]) -> None:
    np.savez(path, **numbers)


def _load_numbers(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _plan(data: dict[str, Any]) -> Plan:
    return Plan(**data | {"layers": tuple(map(_layer, data["layers"]))})


def _layer(data: dict[str, Any]) -> LayerPlan:
    axons = {way: data[way] and Axon(**data[way]) for way in ("up", "down")}
    return LayerPlan(**data | axons | {"compartments": tuple(data["compartments"])})
