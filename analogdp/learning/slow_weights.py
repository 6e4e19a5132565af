"""Weights that evolve beside the neurons, by the local rule at every moment, and much more slowly than these."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from analogdp.dynamics import Simulation
from analogdp.learning.optimizers import transposed
from analogdp.learning.plasticity import PlasticityRule
from analogdp.scenario.schema import FeedbackSettings
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate, UpdateReport


class SlowWeights:
    """The weights and biases of a running simulation, as variables of their own in time.

        tau_weights dW/dt = mean over streams of post pre^T,   tau_bias db/dt = mean over streams of post

    They are written at regular steps, whatever is presented. In between the factors of the outer products are gathered, so a
    write is one factored update. Feedback paths that learn get the same updates, transposed.

    Args:
        simulation: of presented samples, whose number stays the same.
        rule: which gives post and pre.
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
        self._post = [like.new_zeros(network.chips, steps * batch, layer.units) for layer in network.layers]
        self._pre = [like.new_zeros(network.chips, steps * batch, synapse.inputs) for synapse in self._synapses]
        self._post_rows, self._pre_rows = (
            [torch.split(buffer, batch, 1) for buffer in buffers] for buffers in (self._post, self._pre)
        )
        self._kept = [
            (
                like.new_full((network.chips, synapse.outputs), kept),
                like.new_full((network.chips, synapse.inputs), kept),
            )
            if path is not None and kept < 1
            else (None, None)
            for synapse, path in zip(self._synapses, self._paths, strict=True)
        ]

    def follow(self) -> UpdateReport | None:
        """Take the simulation's last step into account, and write if it is time.

        Returns:
            The pulses of a write of physical cells.

        Raises:
            ValueError: the rule asks for more than a sum of outer products.
        """
        number, row = divmod(self._simulation.step - 1, self._steps)
        state, messages = self._simulation.state, self._simulation.field.local_messages()
        for k, neuron in enumerate(self._neurons):
            update = self._rule(neuron, state[k], messages[k])
            if update.decay is not None or update.polarity != "both":
                raise ValueError(
                    "outer products of several moments are summed; this rule's decay and polarity cannot be"
                )
            torch.mul(update.post, self._gain, out=self._post_rows[k][row])
            self._pre_rows[k][row].copy_(update.pre)
        return self._write(number) if row + 1 == self._steps else None

    def tensors(self) -> dict[str, Tensor]:
        """What was gathered since the last write, by name."""
        named = {"post": self._post, "pre": self._pre}
        return {f"{name}{k}": buffer for name, buffers in named.items() for k, buffer in enumerate(buffers)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to the moment of :meth:`tensors`."""
        for name, buffer in self.tensors().items():
            buffer.copy_(tensors[name])

    def _write(self, number: int) -> UpdateReport | None:
        report: UpdateReport | None = None
        for k, synapse in enumerate(self._synapses):
            update = LocalUpdate(self._post[k], self._pre[k], duration=self._duration)
            kept, path_kept = self._kept[k]
            own = synapse.apply_update(update._replace(decay=kept), self._streams[k].at(number))
            if (path := self._paths[k]) is not None:
                taught = transposed(update)._replace(decay=path_kept)
                own = own + path.apply_update(taught, self._path_streams[k].at(number))
            if synapse.parameter is None:
                report = own if report is None else report + own
            if (bias := self._biases[k]) is not None:
                bias.add_(update.post.sum(1, keepdim=True), alpha=self._bias_gain)
        return report
