"""Weights that evolve beside the neurons, by the local rule at every moment, and much more slowly than these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from analogdp.dynamics import Simulation
from analogdp.learning.optimizers import transposed
from analogdp.learning.plasticity import PlasticityRule
from analogdp.scenario.feedback import FeedbackSettings
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate, UpdateReport


class SlowWeights:
    """The weights and biases of a running simulation, as variables of their own in time.

        tau_weights dW/dt = mean over streams of post pre^T - decay W,   tau_bias db/dt = mean over streams of the signal

    They are written at regular steps, whatever is presented. In between the factors of the outer products are gathered, so a
    write is one factored update for each polarity of the rule. Feedback paths that learn get the same updates, transposed.
    What a rule's decay takes from a line in a write is at most all of it: where more was gathered, post and decay are scaled
    down together.

    Args:
        simulation: of presented samples, whose number stays the same.
        rule: which gives post, pre and decay, at the rate ``gain``.
        steps: between two writes.
        gain: time step over tau_weights.
        bias_gain: tau_weights over tau_bias.
        kept: share of its weights that a write leaves to a synapse with a feedback path that learns, and to this path.
        feedback: whether feedback paths learn, of a resolved scenario.
        stream: of the devices' randomness.
    """

    def __init__(
        self,
        simulation: Simulation,
        rule: PlasticityRule,
        *,
        steps: int,
        gain: float,
        bias_gain: float,
        kept: float,
        feedback: FeedbackSettings,
        stream: Stream,
    ) -> None:
        network = simulation.network
        self._simulation, self._rule = simulation, rule
        self._steps, self._gain, self._bias_gain = steps, gain, bias_gain
        timestep = simulation.clock.timestep
        self._duration = None if timestep is None else steps * timestep
        # Plain lists: looking things up in modules takes as long as a small product.
        self._neurons, self._synapses = list(network.neurons), list(network.synapses)
        self._biases = [layer.bias for layer in network.layers]
        self._paths = network.feedback_paths if feedback.learns else [None] * len(self._synapses)
        self._streams = [stream.child(f"synapse{k}") for k in range(len(self._synapses))]
        self._path_streams = [stream.child(f"feedback{k}") for k in range(len(self._synapses))]
        batch = simulation.state[0].shape[2]
        like = network.synapses[0].weights
        rows = [batch * projection.wiring.positions for projection in network.projections]
        self._batch, self._chips = batch, network.chips

        def buffers(sizes: Sequence[int]) -> list[Tensor]:
            return [like.new_zeros(network.chips, steps * own, size) for own, size in zip(rows, sizes, strict=True)]

        outputs, inputs = [own.outputs for own in self._synapses], [own.inputs for own in self._synapses]
        self._pre = buffers(inputs)
        self._post = [buffers(outputs) for _ in rule.polarities]
        # Signals as they drive the biases, which a rule of products has as its posts already.
        self._signals = self._post[0] if rule.products else buffers(outputs)
        self._decay = [[like.new_zeros(network.chips, size) for size in outputs] for _ in rule.polarities]
        self._decays = [False] * len(rule.polarities)

        def by_steps(buffers: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
            return [torch.split(buffer, own, 1) for buffer, own in zip(buffers, rows, strict=True)]

        self._pre_rows, self._signal_rows = by_steps(self._pre), by_steps(self._signals)
        self._post_rows = [by_steps(own) for own in self._post]
        self._lost = 1 - kept

    def follow(self) -> UpdateReport | None:
        """Take the simulation's last step into account, and write if it is time.

        Returns:
            The pulses of a write of physical cells.

        Raises:
            ValueError: the rule shrinks rows where a feedback path learns.
        """
        number, row = divmod(self._simulation.step - 1, self._steps)
        state, field = self._simulation.state, self._simulation.field
        for k, (neuron, below, passage) in enumerate(
            zip(self._neurons, field.local_messages(), field.passages, strict=True)
        ):
            signal, pre = passage.rows(neuron.learning_signal(state[k]), below)
            for kind, update in enumerate(self._rule.updates(k, signal, pre, self._batch)):
                torch.mul(update.post, self._gain, out=self._post_rows[kind][k][row])
                if update.decay is not None:
                    self._decays[kind] = True
                    self._decay[kind][k].add_(update.decay, alpha=self._gain)
            if not self._rule.products:
                torch.mul(signal, self._gain / self._batch, out=self._signal_rows[k][row])
            self._pre_rows[k][row].copy_(pre)
        return self._write(number) if row + 1 == self._steps else None

    def tensors(self) -> dict[str, Tensor]:
        """What was gathered since the last write, by name."""
        named = {"pre": self._pre, "signal": self._signals}
        for polarity, post, decay in zip(self._rule.polarities, self._post, self._decay, strict=True):
            named |= {f"post.{polarity}": post, f"decay.{polarity}": decay}
        gathered = {f"{name}{k}": buffer for name, buffers in named.items() for k, buffer in enumerate(buffers)}
        return gathered | {f"rule.{name}": tensor for name, tensor in self._rule.tensors().items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to the moment of :meth:`tensors`."""
        for name, buffer in self.tensors().items():
            buffer.copy_(tensors[name])

    def _write(self, number: int) -> UpdateReport | None:
        report: UpdateReport | None = None
        for k, synapse in enumerate(self._synapses):
            own = self._write_synapse(k, number)
            if synapse.parameter is None:
                report = own if report is None else report + own
            if (bias := self._biases[k]) is not None:
                bias.add_(self._signals[k].sum(1, keepdim=True), alpha=self._bias_gain)
        return report

    def _write_synapse(self, k: int, number: int) -> UpdateReport:
        synapse, path = self._synapses[k], self._paths[k]
        report: UpdateReport | None = None
        for kind, polarity in enumerate(self._rule.polarities):
            post, decay = self._post[kind][k], None
            if self._decays[kind]:
                post, decay = _at_most_all(post, self._decay[kind][k])
            update = LocalUpdate(post, self._pre[k], None, polarity, self._duration)
            stream, path_stream = self._streams[k].at(number), self._path_streams[k].at(number)
            if polarity != "both":
                stream, path_stream = stream.child(polarity), path_stream.child(polarity)
            mine = update._replace(decay=self._with_loss(decay, synapse.outputs, path is not None))
            own = synapse.apply_update(mine, stream)
            if path is not None:
                taught = transposed(update._replace(decay=decay))
                own = own + path.apply_update(
                    taught._replace(decay=self._with_loss(None, synapse.inputs, True)), path_stream
                )
            report = own if report is None else report + own
            self._decay[kind][k].zero_()
        assert report is not None
        return report

    def _with_loss(self, decay: Tensor | None, lines: int, taught: bool) -> Tensor | None:
        """A rule's decay, and what the weights of both ways lose where one teaches the other."""
        if not taught or not self._lost:
            return decay
        lost = self._pre[0].new_full((self._chips, lines), self._lost)
        return lost if decay is None else lost + decay


def _at_most_all(post: Tensor, decay: Tensor) -> tuple[Tensor, Tensor]:
    """Post ``(chips, rows, out)`` and decay ``(chips, out)``, both smaller where a line would lose more than it has."""
    bound = 1 / decay.clamp(min=1)
    return post * bound.unsqueeze(1), decay * bound
