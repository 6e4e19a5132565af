"""What training and testing report: losses, accuracies, settling and pulses, for each chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.data import Dataset, Samples
from analogdp.dynamics import Settling, Simulation
from analogdp.learning.datasets import SamplesTogether, for_chips
from analogdp.streams import Stream
from analogdp.synapses.base import UpdateReport

EVALUATION_BATCH = 256
"""Samples tested together: bounds the memory of a test; noise is drawn for each such batch."""


@dataclass(frozen=True)
class Evaluation:
    """How well a network does, for each chip: tensors of shape ``(chips,)``; no accuracy for regression."""

    loss: Tensor
    accuracy: Tensor | None

    def columns(self, name: str) -> dict[str, list[float]]:
        """Metric columns, called by ``name`` with the quantity filled in."""
        columns = {name.format("loss"): self.loss.tolist()}
        if self.accuracy is not None:
            columns[name.format("accuracy")] = self.accuracy.tolist()
        return columns


def evaluate(
    simulation: Simulation,
    inputs: Samples | SamplesTogether,
    targets: Samples | SamplesTogether,
    labels: Tensor | SamplesTogether | None,
    stream: Stream | None,
    quiet: bool = False,
) -> Evaluation:
    """Test a network: settle without nudging and read what the layer above the output would see.

    Args:
        simulation: network and clock.
        inputs, targets: ``(samples, in)`` and ``(samples, out)``, or those of each chip.
        labels: class of each sample, or None for regression.
        stream: of the noise and of random clocks; None for a noise-free test.
        quiet: without noise.
    """
    network = simulation.network
    loss = torch.zeros(network.chips, device=network.device, dtype=torch.float64)
    correct = torch.zeros_like(loss)
    for number, start in enumerate(range(0, len(inputs), EVALUATION_BATCH)):
        rows = slice(start, start + EVALUATION_BATCH)
        own = None if stream is None else stream.at(number)
        simulation.present(for_chips(inputs[rows]), stream=own, quiet=quiet or own is None)
        output = network.neurons[-1].upward(simulation.settle().state[-1])
        loss += network.loss.value(output, for_chips(targets[rows])).sum(1)
        if labels is not None:
            correct += Dataset.correct(output, labels[rows]).sum(1)
    return Evaluation(loss / len(inputs), None if labels is None else correct / len(inputs))


WRITES = ("pulses_up", "pulses_down", "write_energy")
"""Sums over writes: the pulses, and their energy in joules."""


def add_writes(sums: dict[str, Tensor], report: UpdateReport) -> None:
    """Add what an update cost to the sums of :data:`WRITES`."""
    sums["pulses_up"] += report.pulses_up
    sums["pulses_down"] += report.pulses_down
    if report.energy is not None:
        sums["write_energy"] += report.energy


def write_columns(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sums of writes for the metrics; the energy only where there is any."""
    return {name: sums[name] for name in WRITES if name != "write_energy" or bool(sums[name].any())}


class Interval:
    """Sums over the training since the last evaluation, for each chip, kept on the device until they are asked for."""

    _NAMES = (
        *("samples", "loss", "correct", "steps", "settled"),
        *("messages_up", "messages_down"),
        *WRITES,
    )

    def __init__(self, chips: int, device: torch.device) -> None:
        self._sums = {name: torch.zeros(chips, dtype=torch.float64, device=device) for name in self._NAMES}
        self._most_steps = torch.zeros(chips, dtype=torch.float64, device=device)
        self._classifies = False
        self._watches_settling = False
        self._sends_events = False

    def add(self, loss: Tensor, correct: Tensor | None, settling: Settling, report: UpdateReport | None) -> None:
        """Add one batch: loss and correctness ``(chips, batch)``, its settling and what its update cost."""
        sums, taken = self._sums, torch.full_like(loss, settling.steps)
        if settling.settled_after is not None:
            self._watches_settling = True
            settled = settling.settled_after >= 0
            taken = torch.where(settled, settling.settled_after.to(taken.dtype), taken)
            sums["settled"] += settled.sum(1)
        sums["samples"] += loss.shape[1]
        sums["loss"] += loss.sum(1)
        sums["steps"] += taken.sum(1)
        torch.maximum(self._most_steps, taken.amax(1).to(torch.float64), out=self._most_steps)
        if settling.messages is not None:
            self._sends_events = True
            sums["messages_up"] += settling.messages[0].sum(1)
            sums["messages_down"] += settling.messages[1].sum(1)
        if correct is not None:
            self._classifies = True
            sums["correct"] += correct.sum(1)
        if report is not None:
            add_writes(sums, report)

    def columns(self) -> dict[str, list[float]]:
        """Metric columns; none before the first batch."""
        sums = {name: value.cpu() for name, value in self._sums.items()}
        samples = sums["samples"]
        if not bool(samples.any()):
            return {}
        columns = {"train_loss": sums["loss"] / samples}
        if self._classifies:
            columns["train_accuracy"] = sums["correct"] / samples
        columns["settle_steps_mean"] = sums["steps"] / samples
        columns["settle_steps_max"] = self._most_steps
        if self._watches_settling:
            columns["settled_fraction"] = sums["settled"] / samples
        if self._sends_events:
            columns["messages_up"], columns["messages_down"] = (
                sums["messages_up"] / samples,
                sums["messages_down"] / samples,
            )
        columns |= write_columns(sums)
        return {name: value.tolist() for name, value in columns.items()}

    def tensors(self) -> dict[str, Tensor]:
        """All sums, by name."""
        flags = {
            "classifies": self._classifies,
            "watches_settling": self._watches_settling,
            "sends_events": self._sends_events,
        }
        return {
            **self._sums,
            "most_steps": self._most_steps,
            **{name: torch.tensor(flag) for name, flag in flags.items()},
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the sums of :meth:`tensors` back."""
        for name, value in self._sums.items():
            value.copy_(tensors[name])
        self._most_steps.copy_(tensors["most_steps"])
        self._classifies = bool(tensors["classifies"])
        self._watches_settling = bool(tensors["watches_settling"])
        self._sends_events = bool(tensors["sends_events"])
