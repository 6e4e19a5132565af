"""A trainer that is measured while it learns: more columns at evaluations; angles to backpropagation and stability in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from analogdp.analysis.adversarial import accuracy_under_attack
from analogdp.analysis.alignment import alignment_angles
from analogdp.analysis.lipschitz import is_linear_chain, jacobian_norm, spectral_product, weights_product
from analogdp.data import Dataset
from analogdp.dynamics import Diverged
from analogdp.learning.base import Epochs, Progress, Watch
from analogdp.network import Network
from analogdp.runs.directory import RunDirectory
from analogdp.runs.execute import Learner
from analogdp.runs.metrics import Row, Series
from analogdp.runs.monitoring import Stability
from analogdp.scenario.measure import AlignmentSettings, AttackSettings
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate

JACOBIAN_SAMPLES = 512
"""Test samples whose Jacobians are looked at."""
GATHERED = 256
"""Measured batches whose angles wait on the device before they are read back."""


class Angles(Series):
    """The angles of measured batches, of which the latest wait on the device; all others are in a journal.

    Args:
        settings: which batches.
        network: whose.
        run: where the journal is.
    """

    def __init__(self, settings: AlignmentSettings, network: Network, run: RunDirectory) -> None:
        super().__init__(run.alignment_journal, run.alignment)
        self._settings, self._network = settings, network
        self._waiting: list[tuple[int, Tensor]] = []

    def see(self, update: int, inputs: Tensor, targets: Tensor, updates: Sequence[Sequence[LocalUpdate]]) -> None:
        """Measure a batch, if it is one of those that are wanted."""
        if not self._settings.include(update):
            return
        self._waiting.append((update, alignment_angles(self._network, inputs, targets, updates)))
        if len(self._waiting) == GATHERED:
            self.flush()

    def gathered(self) -> list[Row]:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        angles = torch.stack([own for _, own in waiting]).tolist()
        return [
            {"update": update, "chip": chip, "layer": layer, "angle": value}
            for (update, _), layers in zip(waiting, angles, strict=True)
            for layer, values in enumerate(layers, start=1)
            for chip, value in zip(self._network.chip_indices, values, strict=True)
        ]


class MeasuredLearner:
    """A learner as a run needs it, around one that is measured.

    Args:
        learner: what is measured.
        scenario: resolved; its section ``measure`` says what.
        network, dataset: what learns what.
        run: where what is measured of batches goes.
        say: tells the user.

    Attributes:
        series: what is measured of batches, by name.
    """

    def __init__(
        self,
        learner: Learner,
        scenario: Scenario,
        network: Network,
        dataset: Dataset,
        run: RunDirectory,
        say: Callable[[str], None],
    ) -> None:
        self._learner, self._scenario, self._network, self._dataset = learner, scenario, network, dataset
        self.series: dict[str, Series] = {}
        self._stability: Stability | None = None
        if scenario.measure.alignment is not None:
            angles = self.series["alignment"] = Angles(scenario.measure.alignment, network, run)
            assert isinstance(learner, Epochs)
            learner.witness = angles.see
        if scenario.measure.stability is not None:
            self._stability = Stability(scenario.measure.stability, scenario, network, run, say)
            self.series["stability"] = self._stability
            assert isinstance(learner, Epochs)
            learner.onlooker = self._stability.see

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
        with self._remarking():
            return self._learner.advance()

    def evaluate(self) -> list[Row]:
        """The learner's rows, one for each chip, with what was measured."""
        if self.update == 0:
            for own in self.series.values():
                own.cut(0)
        with self._remarking():
            rows = self._learner.evaluate()
        columns = measured_columns(self._scenario, self._network, self._dataset)
        return [{**row, **{name: own[place] for name, own in columns.items()}} for place, row in enumerate(rows)]

    def tensors(self) -> dict[str, Tensor]:
        """The learner's state; all that was measured so far is on disk then."""
        lengths = {f"measured.{name}": torch.tensor(own.flush()) for name, own in self.series.items()}
        return self._learner.tensors() | lengths

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go back to the moment of :meth:`tensors`.

        Raises:
            RunError: a journal is shorter than it was.
        """
        for name, own in self.series.items():
            own.cut(int(tensors[f"measured.{name}"]))
        self._learner.restore(tensors)

    @contextmanager
    def _remarking(self) -> Iterator[None]:
        """Say with a divergence what was last known of the stability of its chip."""
        try:
            yield
        except Diverged as error:
            words = "" if self._stability is None else self._stability.last_words(error.chip)
            if not words:
                raise
            raise error.remarked(words) from None


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
