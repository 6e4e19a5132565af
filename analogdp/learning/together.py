"""Training several runs together, along the axis of chips: each ends with what it would have ended with alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from analogdp import registry
from analogdp.data import Dataset
from analogdp.dynamics import Clock, Continuous, Diverged, refuse_unstable_step
from analogdp.learning.base import Progress, TrainingData, prefixed
from analogdp.learning.datasets import DatasetTogether
from analogdp.learning.trainer import Trainer
from analogdp.network import build
from analogdp.network.stacking import Replicas, build_together, part_of, put_together
from analogdp.scenario.measure import MeasureSettings
from analogdp.scenario.schema import Scenario

Done = TypeVar("Done")
Row = dict[str, float | int]


def program(scenario: Scenario) -> str | None:
    """What runs must have in common to be trained together, or None for a run that has to be trained alone.

    Args:
        scenario: resolved. One that records is alone, because its simulation has to stop when its own samples have settled;
            one that measures is, too, because it looks at a network of its own.
    """
    if not scenario.learning.trains_together or scenario.record or scenario.measure != MeasureSettings():
        return None
    common = scenario.model_dump(mode="json")
    # Draws with replacement leave another number of test samples for every seed.
    if not scenario.dynamics.same_for_all and scenario.data.test == "own":
        del common["seed"]
    for section, settings in (("neuron", scenario.neuron), ("learning", scenario.learning)):
        for name in settings.may_differ:
            del common[section][name]
    return json.dumps(common, sort_keys=True)


class TrainersTogether:
    """Trains runs as one. A run whose dynamics diverge leaves the others, which go on without it.

    Args:
        scenarios: resolved, with the same :func:`program`.
        datasets: by seed.
        left: is told which run leaves, by its number, and why.

    Attributes:
        members: the numbers of the runs that are still trained.

    Raises:
        InputError: a time step is too long for one of the networks.
        Diverged: all have left.
    """

    def __init__(
        self, scenarios: Sequence[Scenario], datasets: Mapping[int, Dataset], left: Callable[[int, Diverged], None]
    ) -> None:
        self._scenarios, self._datasets, self._left = scenarios, datasets, left
        self.members = list(range(len(scenarios)))
        for scenario in scenarios:
            _check_step(scenario, datasets[scenario.seed])
        self._begin()

    @property
    def update(self) -> int:
        """Weight updates done."""
        return self._trainer.update

    @property
    def total_updates(self) -> int:
        return self._trainer.total_updates

    @property
    def updates_per_epoch(self) -> int:
        return self._trainer.updates_per_epoch

    def advance(self) -> Progress:
        """One weight update of all members.

        Raises:
            Diverged: the last of them did.
        """
        return self._with_those_that_can(lambda: self._trainer.advance())

    def evaluate(self) -> list[list[Row]]:
        """The evaluations of all members: for each a row for every chip.

        Raises:
            Diverged: the last of them did.
        """
        rows = self._with_those_that_can(lambda: self._trainer.evaluate())
        return [rows[chips] for chips in self._replicas.rows]

    def tensors(self) -> list[dict[str, Tensor]]:
        """What each member goes on from, as its own trainer would tell it."""
        tensors = self._trainer.tensors()
        return [part_of(tensors, chips) for chips in self._replicas.rows]

    def restore(self, parts: Sequence[Mapping[str, Tensor]]) -> None:
        """Go back to the moment of :meth:`tensors`, or to one that their own trainers reached alone."""
        self._trainer.restore(put_together(parts))

    def _with_those_that_can(self, action: Callable[[], Done]) -> Done:
        while True:
            directions = self._directions()
            try:
                return action()
            except Diverged as error:
                tensors = self._trainer.tensors() | directions
                parts = [part_of(tensors, chips) for chips in self._replicas.rows]
                del parts[self._dismiss(error)]
                self._begin()
                self.restore(parts)

    def _directions(self) -> dict[str, Tensor]:
        """The only tensors of a trainer that samples change by being presented, before anything can diverge."""
        norms = self._trainer.network.norms
        kept = {} if norms is None else prefixed("network.norms", norms.state_dict())
        return {name: own.clone() for name, own in kept.items()}

    def _begin(self) -> None:
        while True:
            self._replicas = Replicas(tuple(self._scenarios[member] for member in self.members))
            first, network = self._replicas.scenarios[0], build_together(self._replicas)
            trainer: type[Trainer] = registry.trainers.get(first.learning.mode)
            try:
                self._trainer = trainer(first, network, self._data(), self._replicas)
            except Diverged as error:
                self._dismiss(error)
            else:
                return

    def _dismiss(self, error: Diverged) -> int:
        """Let the run go that diverged; returns its place among the members."""
        place = next(place for place, chips in enumerate(self._replicas.rows) if error.place < chips.stop)
        self._left(self.members.pop(place), error)
        if not self.members:
            raise error
        return place

    def _data(self) -> TrainingData:
        seeds = [scenario.seed for scenario in self._replicas.scenarios]
        different = list(dict.fromkeys(seeds))
        if len(different) == 1:
            return self._datasets[different[0]]
        places = self._replicas.of_chips([different.index(seed) for seed in seeds])
        return DatasetTogether(tuple(self._datasets[seed] for seed in different), torch.tensor(places))


def _check_step(scenario: Scenario, dataset: Dataset) -> None:
    """Refuse a time step that is too long for a run's network, as its own trainer would."""
    clock: Clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
    if isinstance(clock, Continuous):
        network = build(scenario)
        data = dataset.to(network.device, network.dtype)
        refuse_unstable_step(clock, network, data.train_inputs, data.train_targets, network.neurons[-1].beta)
