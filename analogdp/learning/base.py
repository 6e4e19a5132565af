"""What all trainers share: the order of samples, tests, typical values for converters, and names of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.data import Dataset
from analogdp.dynamics import Settling, Simulation, Watcher
from analogdp.learning.datasets import DatasetTogether, for_chips
from analogdp.learning.evaluation import evaluate
from analogdp.network import Network
from analogdp.network.feedback import named_synapses
from analogdp.scenario.schema import LearningSettings
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate

CALIBRATION_SAMPLES = 64

TrainingData = Dataset | DatasetTogether
"""Of one run, or of several that are trained together."""

Watch = Callable[[int], Watcher | None]
"""Who watches the presentation after so many weight updates, if anybody does."""


Witness = Callable[[int, Tensor, Tensor, Sequence[Sequence[LocalUpdate]]], None]
"""Who sees, after so many weight updates, a batch of inputs and targets and what each synapse is asked for, at rate 1."""

Onlooker = Callable[[int, Tensor, Tensor, Settling | None], None]
"""Who sees, after so many weight updates, the inputs and labels of a nudged batch, and how it settled (None: nobody waited)."""


@dataclass(frozen=True)
class Progress:
    """One weight update, averaged over chips and samples.

    Attributes:
        update: updates done.
        epoch: the epoch that the update belongs to, from 1.
        loss: mean loss of the batch before the update.
        accuracy: share of samples classified correctly, None for regression.
        settle_steps: steps taken.
    """

    update: int
    epoch: int
    loss: float
    accuracy: float | None
    settle_steps: float


class Epochs:
    """What every trainer counts.

    Attributes:
        network, dataset: what is trained on what.
        settings: epochs and batch size.
        update: weight updates done.
        witness: who sees what weights are asked for before they change, or None.
        onlooker: who sees nudged batches, with the weights that they were presented to, or None.
    """

    witness: Witness | None = None
    onlooker: Onlooker | None = None
    network: Network
    dataset: TrainingData
    settings: LearningSettings
    update: int

    @property
    def updates_per_epoch(self) -> int:
        return -(-len(self.dataset.train_inputs) // self.settings.batch)

    @property
    def total_updates(self) -> int:
        return self.settings.epochs * self.updates_per_epoch

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return self.update // self.updates_per_epoch

    @property
    def _beta(self) -> float | Tensor:
        return self.network.neurons[-1].beta


class SampleOrder:
    """A random order of the training samples for each epoch.

    Args:
        stream: of all epochs' orders.
        samples: how many there are.
    """

    def __init__(self, stream: Stream, samples: int) -> None:
        self._stream, self._samples = stream, samples
        self._order, self._epoch = torch.empty(0, dtype=torch.int64), -1

    def of(self, epoch: int) -> Tensor:
        """Indices of all samples ``(samples,)``, where the stream's numbers live; ``(seeds, samples)`` for several seeds."""
        if self._epoch != epoch:
            orders = [own.at(epoch).permutation(self._samples) for own in self._stream.of_each_seed()]
            self._order = (orders[0] if len(orders) == 1 else torch.stack(orders)).to(self._stream.device)
            self._epoch = epoch
        return self._order


def calibrate(simulation: Simulation, dataset: TrainingData, beta: float | Tensor) -> None:
    """Show converters typical values: what a quietly settled batch, nudged by ``beta``, sends up and down."""
    network = simulation.network
    if not any(synapse.calibrated for synapse in named_synapses(network).values()):
        return
    inputs = for_chips(dataset.train_inputs[:CALIBRATION_SAMPLES])
    simulation.present(inputs, for_chips(dataset.train_targets[:CALIBRATION_SAMPLES]), beta)
    state = simulation.settle().state
    neurons = network.neurons
    up = [
        inputs.expand(network.chips, -1, -1),
        *(neuron.upward(own) for neuron, own in zip(neurons, state, strict=True)),
    ]
    parts = zip(network.projections, simulation.field.passages, neurons, up, state, strict=False)
    for projection, passage, neuron, message, own in parts:
        below, down = passage.inputs(message, neuron.downward(own))
        projection.synapse.calibrate(below, down)
        if projection.path is not None:
            projection.path.calibrate(down, below)


def tested_columns(simulation: Simulation, dataset: TrainingData, stream: Stream) -> dict[str, list[float]]:
    """Metric columns of a test of the network as it is, with noise and without, one value for each chip."""
    test = (dataset.test_inputs, dataset.test_targets, dataset.test_labels)
    noise_free = evaluate(simulation, *test, stream, quiet=True)
    noisy = evaluate(simulation, *test, stream) if simulation.noisy else noise_free
    return noisy.columns("test_{}") | noise_free.columns("test_{}_noise_free")


def metric_rows(
    epoch: int, update: int, chips: tuple[int, ...], columns: Mapping[str, list[float]]
) -> list[dict[str, float | int]]:
    """Columns as one row for each chip."""
    return [
        {"epoch": epoch, "update": update, "chip": chip, **{name: values[row] for name, values in columns.items()}}
        for row, chip in enumerate(chips)
    ]


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of one part of a trainer, named among those of all parts."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def unprefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one part, by their own names."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
