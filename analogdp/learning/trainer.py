"""Settle-then-update training: present a batch, let the nudged network settle, change the weights by the local rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.data import Dataset
from analogdp.dynamics import Clock, Settling, Simulation, refuse_unstable_step
from analogdp.errors import Problem
from analogdp.learning.base import (
    Epochs,
    Progress,
    SampleOrder,
    TrainingData,
    Watch,
    calibrate,
    metric_rows,
    prefixed,
    tested_columns,
    unprefixed,
)
from analogdp.learning.evaluation import Interval
from analogdp.learning.optimizers import WeightUpdater
from analogdp.learning.plasticity import make_rule, rule_contradictions
from analogdp.network import Network, Passage
from analogdp.network.feedback import named_synapses
from analogdp.network.stacking import Replicas
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import LearningSettings, Scenario
from analogdp.scenario.settings import NameIn
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate, UpdateReport

Rows = tuple[Tensor, Tensor]
"""Signals of a layer's neurons and what these read from below, as rows for the weights between them."""


class Sums(NamedTuple):
    """What a linear rule needs of :data:`Rows`: sums of their products ``(chips, out, in)``, of signals ``(chips, 1, out)``."""

    change: Tensor
    drive: Tensor


class BatchSettings(LearningSettings):
    """What every way of training has that updates the weights once for each batch, when it has settled."""

    trains_together = True

    optimizer: Literal["sgd", "momentum", "adam", "pulses"] | None = Field(
        default=None, description="sgd, momentum and adam for ideal weights (default adam); pulses for physical cells"
    )
    rate: Ratio | None = Field(
        default=None, gt=0, le=1000, description="learning rate; default 1e-3 for adam, else 0.05"
    )
    bias_rate: Ratio | None = Field(
        default=None, gt=0, le=1000, description="learning rate of the biases; default: rate"
    )
    momentum: Ratio | None = Field(default=None, ge=0, lt=1, description="of the momentum optimizer; default 0.9")
    rule: Annotated[str, NameIn(registry.plasticity)] | None = Field(
        default=None, description="plasticity rule; default: the neuron model's own"
    )

    @property
    def may_differ(self) -> frozenset[str]:
        assert self.rule is not None
        # A rule that is no sum of products asks for something else at another rate, not for more of it.
        return frozenset(("rate", "bias_rate")) if registry.plasticity.get(self.rule).products else frozenset()

    def resolved(self, scenario: Scenario) -> Self:
        optimizer = self.optimizer or ("pulses" if scenario.synapse.written_by_pulses else "adam")
        rate = self.rate or (1e-3 if optimizer == "adam" else 0.05)
        filled = {
            "optimizer": optimizer,
            "rate": rate,
            "bias_rate": (self.bias_rate or rate) if scenario.network.bias else None,
            "momentum": 0.9 if optimizer == "momentum" and self.momentum is None else self.momentum,
            "rule": self.rule or registry.neurons.get(scenario.neuron.model).plasticity,
        }
        return self.model_copy(update=filled)

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems = super().contradictions(scenario) + rule_contradictions(self.rule, scenario)
        ideal = not scenario.synapse.written_by_pulses
        if self.optimizer == "pulses" and ideal:
            problems.append(
                Problem(
                    "optimizer",
                    f"pulses write physical cells, but synapse.model is {scenario.synapse.model}; use sgd, momentum or adam",
                )
            )
        if self.optimizer in ("sgd", "momentum", "adam") and not ideal:
            problems.append(
                Problem(
                    "optimizer",
                    f"{self.optimizer} writes numbers, but synapse.model {scenario.synapse.model} takes pulses; use pulses",
                )
            )
        if self.momentum is not None and self.optimizer != "momentum":
            problems.append(Problem("momentum", f"{self.momentum:g} is only used by optimizer: momentum"))
        if self.bias_rate is not None and not scenario.network.bias:
            problems.append(Problem("bias_rate", "there are no biases to train: network.bias is false"))
        return problems


class SettleThenUpdateSettings(BatchSettings):
    """Training by settling a nudged batch, then updating once."""

    mode: Literal["settle_then_update"] = "settle_then_update"
    adversarial_step: Ratio = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="inputs move so many times the gradient of their loss uphill, which a first settling finds, and are learned "
        "from there; 0: they stay",
    )

    def evaluations(self, scenario: Scenario) -> int:
        return (2 if self.adversarial_step else 1) * super().evaluations(scenario)


def rates_of(scenario: Scenario) -> tuple[float, float]:
    """Learning rates of the weights and biases of a resolved scenario."""
    settings = scenario.learning
    assert isinstance(settings, BatchSettings)
    assert settings.rate is not None
    return settings.rate, settings.bias_rate or settings.rate


@registry.trainers.register("settle_then_update")
class Trainer(Epochs):
    """Trains a network on a data set; all randomness is a function of the scenario's seed and the update's number.

    Args:
        scenario: resolved; of several runs that are trained together the first.
        network: what is trained.
        dataset: on what; several data sets as one for runs of which each has its own.
        replicas: the runs that are trained together, whose networks lie side by side in ``network`` and whose time steps have
            been found short enough for each.

    Attributes:
        update: weight updates done.
        watch: who watches the presentations that weights are changed by.
    """

    Settings: ClassVar[type[BatchSettings]] = SettleThenUpdateSettings
    settings: BatchSettings

    def __init__(
        self, scenario: Scenario, network: Network, dataset: TrainingData, replicas: Replicas | None = None
    ) -> None:
        settings = scenario.learning
        assert isinstance(settings, BatchSettings)
        assert settings.optimizer is not None
        assert settings.rate is not None
        assert settings.rule is not None
        self.scenario, self.network, self.settings = scenario, network, settings
        self.dataset = dataset.to(network.device, network.dtype)
        self.update = 0
        self.watch: Watch = lambda update: None
        clock: Clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
        self.simulation = Simulation(
            network, clock, scenario.noise, tau=scenario.neuron.tau, compiled=scenario.run.compile
        )
        self._adversarial_step = settings.adversarial_step if isinstance(settings, SettleThenUpdateSettings) else 0.0
        runs = replicas or Replicas((scenario,))
        rate: float | Sequence[float]
        bias_rate: float | Sequence[float]
        rate, bias_rate = rates_of(scenario)
        if replicas is not None:
            rate, bias_rate = zip(*runs.of_chips([rates_of(own) for own in runs.scenarios]), strict=True)
        self._rule = make_rule(settings.rule, settings.rate, network)
        self._updater = WeightUpdater(
            network,
            settings.optimizer,
            rate,
            bias_rate,
            settings.momentum or 0.0,
            scenario.feedback,
        )
        self._summed = [self._rule.linear and own.convolves for own in network.projections]
        self._stream = Stream(runs.seed, "learning", network.chip_indices, network.device, network.dtype)
        self._interval = Interval(network.chips, network.device)
        self._order = SampleOrder(self._stream.child("order"), len(self.dataset.train_inputs))
        if replicas is None and isinstance(self.dataset, Dataset):
            refuse_unstable_step(clock, network, self.dataset.train_inputs, self.dataset.train_targets, self._beta)
        calibrate(self.simulation, self.dataset, self._beta)

    def advance(self) -> Progress:
        """Settle the next batch and update the weights once.

        Raises:
            Diverged: the network did; its weights are those of the last complete update.
        """
        epoch, batch = divmod(self.update, self.updates_per_epoch)
        if batch == 0 and epoch > 0:
            calibrate(self.simulation, self.dataset, self._beta)
        rows = self._batch(epoch, batch)
        stream = self._stream.at(self.update)
        inputs, targets, labels = self.dataset.training(rows, stream.child("samples"))
        self.simulation.watcher = self.watch(self.update)
        try:
            settling, signals = self._settle(inputs, targets, stream.child("settling"))
        finally:
            self.simulation.watcher = None
        loss = self.network.loss.value(settling.prediction, targets)
        correct = None if labels is None else self.dataset.correct(settling.prediction, labels)
        report = self._learn(signals, rows.shape[-1], stream)
        self._pass_time(settling.chip_steps * rows.shape[-1], stream)
        self._interval.add(loss, correct, settling, report)
        self.update += 1
        accuracy = None if correct is None else float(correct.to(loss.dtype).mean())
        return Progress(self.update, epoch + 1, float(loss.mean()), accuracy, float(settling.steps))

    def evaluate(self) -> list[dict[str, float | int]]:
        """Test the network as it is and report the training since the last evaluation; one row for each chip."""
        stream = self._stream.at(self.update).child("evaluation")
        columns = self._interval.columns() | tested_columns(self.simulation, self.dataset, stream)
        self._interval = Interval(self.network.chips, self.network.device)
        return metric_rows(self.epoch, self.update, self.network.chip_indices, columns)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that training goes on from, by flat names."""
        return {
            "trainer.update": torch.tensor(self.update),
            **prefixed("network", self.network.state_dict()),
            **prefixed("optimizer", self._updater.tensors()),
            **prefixed("rule", self._rule.tensors()),
            **prefixed("interval", self._interval.tensors()),
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to the moment of :meth:`tensors`."""
        self.update = int(tensors["trainer.update"])
        self.network.load_state_dict(unprefixed("network", tensors))
        self._updater.restore(unprefixed("optimizer", tensors))
        for name, tensor in self._rule.tensors().items():
            tensor.copy_(tensors[f"rule.{name}"])
        self._interval.restore(unprefixed("interval", tensors))

    def _batch(self, epoch: int, batch: int) -> Tensor:
        return self._order.of(epoch)[..., batch * self.settings.batch : (batch + 1) * self.settings.batch]

    def _settle(self, inputs: Tensor, targets: Tensor, stream: Stream) -> tuple[Settling, Sequence[Rows | Sums]]:
        """How a batch settles, and what its weights are to learn from."""
        attack = None
        if self._adversarial_step:
            inputs, attack = self._attacked(inputs, targets, stream.child("attack"))
        self.simulation.present(inputs, targets, self._beta, stream)
        settling = self.simulation.settle()
        if self.onlooker is not None:
            self.onlooker(self.update, *self.simulation.field.presented, settling)
        signals = self._sums(inputs, settling)
        return settling if attack is None else _after(attack, settling), signals

    def _attacked(self, inputs: Tensor, targets: Tensor, stream: Stream) -> tuple[Tensor, Settling]:
        """Inputs moved along the gradient of their loss, as far as the lowest layer knows it, ``(chips, batch, in)``.

        And the settling that found it, which nobody watches.
        """
        simulation, neuron = self.simulation, self.network.neurons[0]
        watcher, simulation.watcher = simulation.watcher, None
        simulation.present(inputs, targets, self._beta, stream)
        settling = simulation.settle()
        simulation.watcher = watcher
        if settling.messages is not None:
            settling = replace(settling, messages=settling.messages.clone())
        field, numbers = simulation.field, self.network.projections[0].noise_down.total
        noise = stream.child("read").normal((inputs.shape[1], numbers)) if numbers else None
        # Converters are ready for differences as the layer sends them, not for these over beta.
        sent = neuron.downward(settling.state[0])
        downhill = field.passages[0].down(sent, None, noise, field.shown[0] if field.shown else None) / neuron.beta
        return inputs - self._adversarial_step * downhill, settling

    def _shown(self, inputs: Tensor, settling: Settling) -> Iterator[tuple[Passage, Tensor, Tensor]]:
        """Each passage with the signals of the neurons above it and what they read from below."""
        neurons = self.network.neurons
        inputs = inputs.expand(self.network.chips, -1, -1)
        messages = [self.simulation.field.moved(inputs, neurons[0].downward(settling.state[0]))]
        messages += [neuron.upward(state) for neuron, state in zip(neurons[:-1], settling.state[:-1], strict=True)]
        parts = zip(self.simulation.field.passages, neurons, settling.state, messages, strict=True)
        for passage, neuron, state, below in parts:
            yield passage, neuron.learning_signal(state), below

    def _signals(self, inputs: Tensor, settling: Settling) -> list[Rows]:
        """Signals and messages as rows for the weights of every layer."""
        return [passage.rows(signal, below) for passage, signal, below in self._shown(inputs, settling)]

    def _sums(self, inputs: Tensor, settling: Settling) -> list[Rows | Sums]:
        """The same, summed up where rows would only be windows of images; what else is trained gets its gradients."""
        found: list[Rows | Sums] = []
        for summed, (passage, signal, below) in zip(self._summed, self._shown(inputs, settling), strict=True):
            passage.learn(signal)
            found.append(Sums(*passage.sums(signal, below)) if summed else passage.rows(signal, below))
        return found

    def _learn(self, signals: Sequence[Rows | Sums], samples: int, stream: Stream) -> UpdateReport | None:
        """Change the weights by the rule for signals and messages; ``samples`` is what means are taken over."""
        asked = [self._asked(k, own, samples) for k, own in enumerate(signals)]
        updates, drives = [update for update, _ in asked], [drive for _, drive in asked]
        if self.witness is not None:
            self.witness(self.update, *self.simulation.field.presented, updates)
        return self._updater.apply(updates, drives, stream.child("writing"))

    def _asked(self, layer: int, signals: Rows | Sums, samples: int) -> tuple[tuple[LocalUpdate, ...], Tensor]:
        """What a synapse is asked for, and the mean signal of its lines."""
        if isinstance(signals, Sums):
            lines = signals.drive.shape[-1]
            # A matrix as outer products: one row for each line.
            each = torch.eye(lines, device=signals.drive.device, dtype=signals.drive.dtype)
            rows = each.expand(self.network.chips, -1, -1), signals.change
            return self._rule.updates(layer, *rows, samples), signals.drive / samples
        updates = self._rule.updates(layer, *signals, samples)
        drive = updates[0].post if self._rule.products else signals[0] / samples
        return updates, drive.sum(1, keepdim=True)

    def _pass_time(self, steps: Tensor, stream: Stream) -> None:
        """Let cells lose what they do not retain, while the samples of a batch settled one after the other."""
        timestep = self.simulation.clock.timestep
        for name, synapse in named_synapses(self.network).items():
            if synapse.volatile and timestep is not None:
                synapse.relax(steps.to(self.network.dtype) * timestep, stream.child(f"retention/{name}"))


def _after(first: Settling, second: Settling) -> Settling:
    """The second settling with the steps and messages of one before it, on the same samples."""
    after, messages = second.settled_after, second.messages
    if after is not None and first.settled_after is not None:
        after = torch.where((first.settled_after >= 0) & (after >= 0), first.settled_after + after, -1)
    if messages is not None and first.messages is not None:
        messages = messages + first.messages
    steps, chip_steps = first.steps + second.steps, first.chip_steps + second.chip_steps
    return replace(second, steps=steps, chip_steps=chip_steps, settled_after=after, messages=messages)
