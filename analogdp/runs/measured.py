"""A trainer that is measured while it learns: more columns at evaluations, and angles to backpropagation batch by batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from analogdp.analysis.adversarial import accuracy_under_attack
from analogdp.analysis.alignment import alignment_angles
from analogdp.analysis.lipschitz import is_linear_chain, jacobian_norm, spectral_product, weights_product
from analogdp.data import Dataset
from analogdp.learning.base import Epochs, Progress, Watch
from analogdp.network import Network
from analogdp.runs.directory import RunDirectory
from analogdp.runs.execute import Learner
from analogdp.runs.metrics import Journal, Row, write_table
from analogdp.scenario.measure import AlignmentSettings, AttackSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate

JACOBIAN_SAMPLES = 512
"""Test samples whose Jacobians are looked at."""
GATHERED = 256
"""Measured batches whose angles wait on the device before they are read back."""

_LENGTH = "measured.length"


class Angles:
    """The angles of measured batches, of which the latest wait on the device; all others are in a journal.

    Args:
        settings: which batches.
        network: whose.
        run: where the journal is.
    """

    def __init__(self, settings: AlignmentSettings, network: Network, run: RunDirectory) -> None:
        self._settings, self._network = settings, network
        self._journal, self._table = Journal(run.alignment_journal), run.alignment
        self._waiting: list[tuple[int, Tensor]] = []

    def see(self, update: int, inputs: Tensor, targets: Tensor, updates: Sequence[Sequence[LocalUpdate]]) -> None:
        """Measure a batch, if it is one of those that are wanted."""
        until = self._settings.until
        if update % self._settings.every or (until is not None and update >= until):
            return
        self._waiting.append((update, alignment_angles(self._network, inputs, targets, updates)))
        if len(self._waiting) == GATHERED:
            self.flush()

    def flush(self) -> int:
        """Have all rows on disk; returns the journal's length in bytes."""
        if self._waiting:
            angles = torch.stack([own for _, own in self._waiting]).tolist()
            rows: list[Row] = [
                {"update": update, "chip": chip, "layer": layer, "angle": value}
                for (update, _), layers in zip(self._waiting, angles, strict=True)
                for layer, values in enumerate(layers, start=1)
                for chip, value in zip(self._network.chip_indices, values, strict=True)
            ]
            self._journal.append(rows)
            self._waiting.clear()
        return self._journal.length

    def cut(self, length: int) -> None:
        """Drop all but the first bytes of the journal."""
        self._waiting.clear()
        self._journal.cut(length)

    def write(self) -> None:
        """Write all rows as a table."""
        self.flush()
        write_table(self._table, self._journal.rows())


class MeasuredLearner:
    """A learner as a run needs it, around one that is measured.

    Args:
        learner: what is measured.
        scenario: resolved; its section ``measure`` says what.
        network, dataset: what learns what.
        run: where angles go.

    Attributes:
        angles: to backpropagation, or None if they are not wanted.
    """

    def __init__(
        self, learner: Learner, scenario: Scenario, network: Network, dataset: Dataset, run: RunDirectory
    ) -> None:
        self._learner, self._scenario, self._network, self._dataset = learner, scenario, network, dataset
        self.angles: Angles | None = None
        if scenario.measure.alignment is not None:
            self.angles = Angles(scenario.measure.alignment, network, run)
            assert isinstance(learner, Epochs)
            learner.witness = self.angles.see

    @property
    def watch(self) -> Watch:
        """Who watches presentations."""
        return self._learner.watch

    @watch.setter
    def watch(self, watch: Watch) -> None:
        self._learner.watch = watch

    @property
    def update(self) -> int:
        return self._learner.update

    @property
    def total_updates(self) -> int:
        return self._learner.total_updates

    @property
    def updates_per_epoch(self) -> int:
        return self._learner.updates_per_epoch

    def advance(self) -> Progress:
        """One update of the learner."""
        return self._learner.advance()

    def evaluate(self) -> list[Row]:
        """The learner's rows, one for each chip, with what was measured."""
        if self.angles is not None and self.update == 0:
            self.angles.cut(0)
        rows = self._learner.evaluate()
        columns = measured_columns(self._scenario, self._network, self._dataset)
        return [{**row, **{name: own[place] for name, own in columns.items()}} for place, row in enumerate(rows)]

    def tensors(self) -> dict[str, Tensor]:
        """The learner's state; all angles so far are on disk then."""
        own = {} if self.angles is None else {_LENGTH: torch.tensor(self.angles.flush())}
        return self._learner.tensors() | own

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go back to the moment of :meth:`tensors`.

        Raises:
            RunError: the journal of angles is shorter than it was.
        """
        if self.angles is not None:
            self.angles.cut(int(tensors[_LENGTH]))
        self._learner.restore(tensors)


def measured_columns(scenario: Scenario, network: Network, dataset: Dataset) -> dict[str, list[float]]:
    """What a scenario wants measured of a network as it is: columns of metrics, one value for each chip."""
    measure, columns = scenario.measure, {}
    if measure.lipschitz:
        activation = getattr(scenario.neuron, "activation", None)
        if is_linear_chain(network) and activation is not None and activation.name == "relu":
            columns["lipschitz_weights"] = weights_product(network)
        columns["lipschitz_layers"] = spectral_product(network)
        columns["lipschitz_jacobian"] = jacobian_norm(network, dataset.test_inputs, JACOBIAN_SAMPLES)
    if measure.adversarial is not None:
        stream = Stream(scenario.seed, "attack", network.chip_indices, network.device, network.dtype)
        columns |= _attacked_columns(measure.adversarial, network, dataset, stream)
    return {name: values.tolist() for name, values in columns.items()}


def _attacked_columns(
    settings: AttackSettings, network: Network, dataset: Dataset, stream: Stream
) -> dict[str, Tensor]:
    columns = {}
    for attack in settings.attacks:
        for strength in settings.strengths:
            columns[f"test_accuracy_{attack}_{strength:g}"] = accuracy_under_attack(
                network,
                dataset,
                attack,
                strength,
                bounds=(0.0, 1.0) if settings.bounded else None,
                samples=settings.samples,
                steps=settings.steps,
                step_size=settings.size_of_steps(strength),
                stream=stream.child(f"{strength:g}") if settings.random_start else None,
            )
    return columns
