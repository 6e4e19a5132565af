"""Always-on learning: inputs come as a stream, neurons and weights evolve together, and nothing ever waits or is reset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.data import Dataset
from analogdp.dynamics import Clock, Diverged, Simulation, refuse_unstable_step
from analogdp.dynamics.clocks import in_whole_steps, tidy, whole_steps
from analogdp.dynamics.divergence import LARGEST_STATE, is_bounded
from analogdp.dynamics.timed import TimedSettings
from analogdp.errors import Problem
from analogdp.learning.base import (
    Epochs,
    Progress,
    SampleOrder,
    Watch,
    calibrate,
    metric_rows,
    prefixed,
    tested_columns,
    unprefixed,
)
from analogdp.learning.dwells import DwellSums, Moment
from analogdp.learning.plasticity import make_rule, rule_contradictions
from analogdp.learning.slow_weights import SlowWeights
from analogdp.network import Network
from analogdp.network.feedback import named_synapses
from analogdp.scenario.quantities import Time
from analogdp.scenario.schema import LearningSettings, Scenario
from analogdp.scenario.settings import NameIn
from analogdp.streams import Stream
from analogdp.synapses.base import UpdateReport

DWELL_TAUS = (4, 4)
"""Default dwell in membrane time constants: a constant, and for each layer above the input, as errors pass through all."""
DWELLS_PER_TAU_WEIGHTS = 100
"""Default tau_weights in dwells: its inverse is the learning rate of one presentation."""


class AlwaysOnSettings(LearningSettings):
    """Training without phases: the weights follow the local rule at every moment."""

    mode: Literal["always_on"] = "always_on"
    batch: int = Field(default=1, ge=1, le=1_000_000, description="input streams in parallel, which share the weights")
    dwell: Time | None = Field(
        default=None, gt=0, description="how long a sample is presented; default (4 + 4 x layers) tau"
    )
    tau_weights: Time | None = Field(default=None, gt=0, description="time constant of the weights; default 100 dwells")
    tau_bias: Time | None = Field(default=None, gt=0, description="time constant of the biases; default tau_weights")
    write_every: Time | None = Field(
        default=None,
        gt=0,
        description="time between writes; default: dt for weights that are written continuously, the dwell for pulses",
    )
    rule: Annotated[str, NameIn(registry.plasticity)] | None = Field(
        default=None, description="plasticity rule; default: the neuron model's own"
    )

    def resolved(self, scenario: Scenario) -> Self:
        assert isinstance(scenario.dynamics, TimedSettings)
        dt = scenario.dynamics.dt or scenario.dynamics.default_step(scenario.neuron.tau)
        constant, per_layer = DWELL_TAUS
        layers = len(scenario.sizes) - 1
        wanted = self.dwell or (constant + per_layer * layers) * scenario.neuron.tau
        dwell = in_whole_steps(wanted, dt, "learning.dwell")
        tau_weights = self.tau_weights or tidy(DWELLS_PER_TAU_WEIGHTS * dwell)
        gathers = scenario.synapse.written_by_pulses and not scenario.synapse.written_continuously
        write_every = self.write_every or (dwell if gathers else dt)
        filled = {
            "dwell": dwell,
            "tau_weights": tau_weights,
            "tau_bias": (self.tau_bias or tau_weights) if scenario.network.bias else None,
            "write_every": in_whole_steps(write_every, dt, "learning.write_every"),
            "rule": self.rule or registry.neurons.get(scenario.neuron.model).plasticity,
        }
        return self.model_copy(update=filled)

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        problems, dynamics = super().contradictions(scenario), scenario.dynamics
        problems += rule_contradictions(self.rule, scenario)
        if not isinstance(dynamics, TimedSettings):
            refusal = (
                f"always_on needs time, which clock: {dynamics.clock} does not have; use clock: continuous or poisson"
            )
            return [*problems, Problem("mode", refusal)]
        dt = dynamics.dt or dynamics.default_step(scenario.neuron.tau)
        too_short = [
            Problem(
                name, f"{value:g} s is shorter than one time step of {dt:g} s; make it longer, or dynamics.dt smaller"
            )
            for name in ("dwell", "write_every")
            if (value := getattr(self, name)) is not None and value < dt
        ]
        problems += too_short or self._never(scenario, dynamics, dt)
        if self.tau_bias is not None and not scenario.network.bias:
            problems.append(Problem("tau_bias", "there are no biases to train: network.bias is false"))
        return problems

    def evaluations(self, scenario: Scenario) -> int:
        dynamics = scenario.dynamics
        assert isinstance(dynamics, TimedSettings)
        assert dynamics.dt is not None
        assert self.dwell is not None
        return whole_steps(self.dwell, dynamics.dt) * dynamics.evaluations() // dynamics.most_steps()

    def why_not_compiled(self) -> str | None:
        return "weights that follow at every step leave no steps to compile together"

    def _never(self, scenario: Scenario, dynamics: TimedSettings, dt: float) -> list[Problem]:
        """Times that are so long or short that something would never happen."""
        pairs, problems = len(scenario.sizes) - 2, []
        constant, per_layer = DWELL_TAUS
        dwell = self.dwell or (constant + per_layer * (pairs + 1)) * scenario.neuron.tau
        round_trip = dynamics.axons.round_trip(pairs)
        if dwell <= round_trip:
            refusal = (
                f"{dwell:g} s is not longer than messages take up and down again, {round_trip:g} s; make it longer"
            )
            problems.append(Problem("dwell", refusal))
        training = self.epochs * -(-scenario.data.counts()[0] // self.batch) * dwell
        if self.write_every is not None and 0 < training < self.write_every:
            refusal = f"{self.write_every:g} s is longer than the whole training of {training:g} s; make it shorter"
            problems.append(Problem("write_every", refusal))
        return problems

    def writes(self, scenario: Scenario) -> int:
        assert self.dwell is not None
        assert self.write_every is not None
        return max(1, round(self.dwell / self.write_every))

    def buffer_bytes(self, scenario: Scenario, dtype_bytes: int) -> int:
        dt = scenario.dynamics.time_step(scenario)
        assert dt is not None
        assert self.write_every is not None
        factors = sum(own.positions * (own.fan_in + own.lines) for own in scenario.wirings)
        return whole_steps(self.write_every, dt) * self.batch * factors * dtype_bytes

    def weight_bytes(self, dtype_bytes: int) -> int:
        """The weights as they were when the sample came: once to go back to, once to compare with."""
        return 2 * dtype_bytes


@registry.trainers.register("always_on")
class AlwaysOnTrainer(Epochs):
    """Trains a network on streams of samples; an update is one dwell, in which neurons and weights evolve together.

    All randomness is a function of the scenario's seed, the steps since the beginning of the stream and the number of the
    write. Tests have a simulation of their own, so they leave no trace in the stream.

    Attributes:
        update: samples that each stream has presented.
        watch: who watches the presentations.
    """

    Settings = AlwaysOnSettings
    settings: AlwaysOnSettings

    def __init__(self, scenario: Scenario, network: Network, dataset: Dataset) -> None:
        settings = scenario.learning
        assert isinstance(settings, AlwaysOnSettings)
        self.scenario, self.network, self.settings = scenario, network, settings
        self.dataset = dataset.to(network.device, network.dtype)
        self.update = 0
        self.watch: Watch = lambda update: None
        clock: Clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
        assert clock.timestep is not None
        assert settings.dwell is not None
        self._dt = clock.timestep
        self._steps, self._tau_steps = (whole_steps(time, self._dt) for time in (settings.dwell, scenario.neuron.tau))
        self.simulation, self._tests = (
            Simulation(network, clock, scenario.noise, tau=scenario.neuron.tau) for _ in range(2)
        )
        self._stream = Stream(scenario.seed, "learning", network.chip_indices, network.device, network.dtype)
        self._order = SampleOrder(self._stream.child("order"), len(self.dataset.train_inputs))
        self._sums = DwellSums(network.chips, self.dataset.train_labels is not None, network.device)
        refuse_unstable_step(clock, network, self.dataset.train_inputs, self.dataset.train_targets, self._beta)
        calibrate(self._tests, self.dataset, self._beta)
        inputs, targets, _ = self._samples(0)
        self.simulation.present(inputs, targets, self._beta, self._stream.child("stream"))
        self._weights = self._slow_weights()
        self._before = Moment(network, self.simulation, self._weights)

    def advance(self) -> Progress:
        """Present the next sample of every stream for a dwell.

        Raises:
            Diverged: the network did; neurons and weights are those before this sample.
        """
        if self.update > 0 and self.update % self.updates_per_epoch == 0:
            calibrate(self._tests, self.dataset, self._beta)
        self._before.note()
        inputs, targets, labels = self._samples(self.update)
        self.simulation.switch(inputs, targets, self._beta)
        self.simulation.watcher = self.watch(self.update)
        try:
            earlier, report = self._dwell()
        finally:
            self.simulation.watcher = None
        self._refuse_divergence(inputs, targets)
        if self.onlooker is not None:
            self.onlooker(self.update, inputs, targets, None)
        self._pass_time()
        field = self.simulation.field
        prediction = field.prediction(field.output_drive)
        loss = self.network.loss.value(prediction, targets)
        correct = None if labels is None else self.dataset.correct(prediction, labels)
        self._sums.add(loss, correct, self._before.drift(), earlier, self._errors(), report, self._messages())
        self.update += 1
        accuracy = None if correct is None else float(correct.to(loss.dtype).mean())
        epoch = (self.update - 1) // self.updates_per_epoch + 1
        return Progress(self.update, epoch, float(loss.mean()), accuracy, float(self._steps))

    def evaluate(self) -> list[dict[str, float | int]]:
        """Test the network as it is and report the training since the last evaluation; one row for each chip."""
        stream = self._stream.at(self.update).child("evaluation")
        columns = self._sums.columns() | tested_columns(self._tests, self.dataset, stream)
        self._sums.clear()
        return metric_rows(self.epoch, self.update, self.network.chip_indices, columns)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that training goes on from, by flat names."""
        return {
            "trainer.update": torch.tensor(self.update),
            **prefixed("network", self.network.state_dict()),
            **prefixed("simulation", self.simulation.tensors()),
            **prefixed("gathered", self._weights.tensors()),
            **prefixed("sums", self._sums.tensors()),
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to the moment of :meth:`tensors`."""
        self.update = int(tensors["trainer.update"])
        self.network.load_state_dict(unprefixed("network", tensors))
        self.simulation.restore(unprefixed("simulation", tensors))
        self._weights.restore(unprefixed("gathered", tensors))
        self._sums.restore(unprefixed("sums", tensors))

    def _slow_weights(self) -> SlowWeights:
        settings, feedback = self.settings, self.scenario.feedback
        assert settings.tau_weights is not None
        assert settings.write_every is not None
        assert settings.rule is not None
        steps = whole_steps(settings.write_every, self._dt)
        # Weights that only change together with the input are read with it.
        self.simulation.field.live = steps % self._steps > 0 or self.scenario.noise.conductance is not None
        return SlowWeights(
            self.simulation,
            make_rule(settings.rule, self._dt / settings.tau_weights, self.network),
            steps=steps,
            gain=self._dt / settings.tau_weights,
            bias_gain=settings.tau_weights / (settings.tau_bias or settings.tau_weights),
            kept=(1 - (feedback.decay or 0.0)) ** (steps / self._steps),
            feedback=feedback,
            stream=self._stream.child("writing"),
        )

    def _samples(self, update: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """What all streams show after so many samples ``(1, batch, ...)``; an epoch's first samples fill up its last batch."""
        epoch, number = divmod(update, self.updates_per_epoch)
        data, order, batch = self.dataset, self._order.of(epoch), self.settings.batch
        rows = order[torch.arange(number * batch, (number + 1) * batch, device=order.device) % len(order)]
        return data.training(rows, self._stream.at(update).child("samples"))

    def _dwell(self) -> tuple[Tensor, UpdateReport | None]:
        """Let time pass; returns the errors a membrane time constant before the end, and what all writes cost."""
        looked = max(0, self._steps - self._tau_steps)
        report: UpdateReport | None = None
        for step in range(self._steps):
            if step == looked:
                earlier = self._errors()
            self.simulation.advance(1)
            if written := self._weights.follow():
                report = written if report is None else report + written
        return earlier, report

    def _errors(self) -> Tensor:
        """The errors that came furthest: those of the first layer, ``(chips, batch, units)``."""
        return self.network.neurons[0].learning_signal(self.simulation.state[0])

    def _messages(self) -> Tensor | None:
        """Events sent up and down in this dwell, int64 ``(2, chips, batch)``; None where messages are continuous."""
        now, before = self.simulation.messages, self._before.messages
        return None if now is None or before is None else now - before

    def _pass_time(self) -> None:
        """Let cells lose what they do not retain."""
        stream = self._stream.at(self.update)
        for name, synapse in named_synapses(self.network).items():
            if synapse.volatile:
                assert self.settings.dwell is not None
                synapse.relax(self.settings.dwell, stream.child(f"retention/{name}"))

    def _refuse_divergence(self, inputs: Tensor, targets: Tensor) -> None:
        """Repeat the dwell step by step if the state left the bounds, to say exactly where it did first."""
        simulation = self.simulation
        if all(bool(is_bounded(layer)) for layer in simulation.state):
            return
        self._before.restore()
        simulation.switch(inputs, targets, self._beta)
        begun = simulation.step
        for _ in range(self._steps):
            simulation.advance(1)
            self._weights.follow()
            inside = [layer.abs().amax(dim=(0, 2, 3)) <= LARGEST_STATE for layer in simulation.state]
            if not all(bool(chips.all()) for chips in inside):
                break
        layer = next(number for number, chips in enumerate(inside) if not bool(chips.all()))
        chip = self.network.chip_indices[int(inside[layer].int().argmin())]
        step = simulation.step - begun
        self._before.restore()
        raise Diverged(step, step * self._dt, layer + 1, chip, remedy=self.network.neurons[layer].remedy)
