"""What is kept of the dwells of always-on learning: a moment to go back to, and sums for the metrics."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from analogdp.dynamics import Simulation
from analogdp.learning.evaluation import WRITES, add_writes, write_columns
from analogdp.learning.slow_weights import SlowWeights
from analogdp.network import Network
from analogdp.synapses.base import UpdateReport


class Moment:
    """The neurons and weights when a sample came: to go back to, and to compare with.

    Args:
        network: whose weights.
        simulation: whose neurons; samples must have been presented.
        weights: what is gathered for them.
    """

    def __init__(self, network: Network, simulation: Simulation, weights: SlowWeights) -> None:
        self._network, self._simulation, self._weights = network, simulation, weights
        self._parts = (network.state_dict(), simulation.tensors(), weights.tensors())
        self._kept = tuple({name: tensor.clone() for name, tensor in part.items()} for part in self._parts)
        self._matrices = [synapse.weights for synapse in network.synapses]
        self._kept_matrices = [matrix.clone() for matrix in self._matrices]

    def note(self) -> None:
        """This is the moment."""
        for part, kept in zip(self._parts, self._kept, strict=True):
            for name, tensor in part.items():
                kept[name].copy_(tensor)
        self._kept[1]["step"].fill_(self._simulation.step)
        for matrix, kept_matrix in zip(self._matrices, self._kept_matrices, strict=True):
            kept_matrix.copy_(matrix)

    def restore(self) -> None:
        """Go back."""
        network, simulation, gathered = self._kept
        self._network.load_state_dict(network)
        self._simulation.restore(simulation)
        self._weights.restore(gathered)

    @property
    def messages(self) -> Tensor | None:
        """Events sent until then, int64 ``(2, chips, batch)``; None where messages are continuous."""
        return self._kept[1]["axons.sent"] if self._simulation.messages is not None else None

    def drift(self) -> Tensor:
        """How far all weights together have moved since, relative to their norm, ``(chips,)``."""
        changes = [now - then for now, then in zip(self._matrices, self._kept_matrices, strict=True)]
        moved, size = (
            torch.stack([torch.linalg.vector_norm(matrix, dim=(1, 2)) for matrix in matrices]).square_().sum(0)
            for matrices in (changes, self._kept_matrices)
        )
        return (moved / size).sqrt_()


class DwellSums:
    """Sums over the samples since the last evaluation, for each chip, kept on the device until they are asked for."""

    _NAMES = (
        *("samples", "loss", "correct", "dwells", "drift", "errors_moved", "errors"),
        *("messages_up", "messages_down"),
        *WRITES,
    )

    def __init__(self, chips: int, classifies: bool, device: torch.device) -> None:
        self._classifies = classifies
        self._values = {name: torch.zeros(chips, dtype=torch.float64, device=device) for name in self._NAMES}

    def add(
        self,
        loss: Tensor,
        correct: Tensor | None,
        drift: Tensor,
        earlier: Tensor,
        errors: Tensor,
        report: UpdateReport | None,
        messages: Tensor | None,
    ) -> None:
        """Add one dwell.

        Args:
            loss, correct: at its end, ``(chips, batch)``.
            drift: of the weights, ``(chips,)``.
            earlier, errors: of the first layer, shortly before and at its end, ``(chips, batch, units)``.
            report: what its writes cost, if there were any.
            messages: events up and down, ``(2, chips, batch)``, if messages are events.
        """
        values = self._values
        values["samples"] += loss.shape[1]
        values["loss"] += loss.sum(1)
        values["dwells"] += 1
        values["drift"] += drift
        values["errors_moved"] += torch.linalg.vector_norm(errors - earlier, dim=(1, 2))
        values["errors"] += torch.linalg.vector_norm(errors, dim=(1, 2))
        if report is not None:
            add_writes(values, report)
        if messages is not None:
            values["messages_up"] += messages[0].sum(1)
            values["messages_down"] += messages[1].sum(1)
        if correct is not None:
            values["correct"] += correct.sum(1)

    def columns(self) -> dict[str, list[float]]:
        """Metric columns; none before the first dwell."""
        sums = {name: value.cpu() for name, value in self._values.items()}
        if not bool(sums["samples"].any()):
            return {}
        columns = {"train_loss": sums["loss"] / sums["samples"]}
        if self._classifies:
            columns["train_accuracy"] = sums["correct"] / sums["samples"]
        columns["drift"] = sums["drift"] / sums["dwells"]
        columns["lag"] = sums["errors_moved"] / sums["errors"]
        if bool(sums["messages_up"].any() or sums["messages_down"].any()):
            columns["messages_up"], columns["messages_down"] = (
                sums[name] / sums["samples"] for name in ("messages_up", "messages_down")
            )
        columns |= write_columns(sums)
        return {name: value.tolist() for name, value in columns.items()}

    def clear(self) -> None:
        """Begin anew."""
        for value in self._values.values():
            value.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """All sums, by name."""
        return dict(self._values)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the sums of :meth:`tensors` back."""
        for name, value in self._values.items():
            value.copy_(tensors[name])
