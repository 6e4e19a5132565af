"""The vector field of a network with a clamped input: where every neuron is heading.

Everything that asks for targets asks here: integrators all layers at once, sweeps layer by layer, analysis for Jacobians.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from analogdp.network.network import Network


@dataclass
class ReadNoise:
    """Standard normal numbers for the noisy reads of one moment, for each synapse; None reads without noise."""

    forward: list[Tensor | None] = field(default_factory=list)
    backward: list[Tensor | None] = field(default_factory=list)


REMEMBERED_BUFFERS = 16


class Field:
    """Targets of one batch. All buffers are made once; a call allocates nothing that grows with the network.

    Args:
        network: the network, which must not change its size.
        batch: samples settled together.

    Attributes:
        nudging: present nudging strength, a number or ``(chips, batch, 1)``.
        read_noise: normal numbers for the reads of the present step, or None.
    """

    def __init__(self, network: Network, batch: int) -> None:
        self.network = network
        self.layout = network.layout(batch)
        self.nudging: Tensor | float = 0.0
        self.read_noise: ReadNoise | None = None
        self._inputs: Tensor | None = None
        self._label: Tensor | None = None
        # Plain lists: indexing a ModuleList costs as much as a small matrix product.
        self._neurons = network.neurons
        self._biases = [layer.bias for layer in network.layers]
        self._synapses = list(network.synapses)
        self._last = len(self._neurons) - 1
        self._target = self.new_state()
        self._drive, self._feedback, self._upward, self._downward = (self._messages() for _ in range(4))
        self._views: dict[int, tuple[Tensor, ...]] = {}

    def new_state(self) -> Tensor:
        """A flat state at rest (zero)."""
        return torch.zeros(self.layout.size, device=self.network.device, dtype=self.network.dtype)

    def views(self, flat: Tensor) -> tuple[Tensor, ...]:
        """The layers of a flat buffer; remembered for the few buffers that a simulation uses over and over."""
        key = flat.data_ptr()
        if key not in self._views:
            if len(self._views) == REMEMBERED_BUFFERS:
                self._views.clear()
            self._views[key] = self.layout.views(flat)
        return self._views[key]

    def clamp(self, inputs: Tensor, label: Tensor | None, nudging: Tensor | float) -> None:
        """Present samples: inputs ``(chips or 1, batch, in)`` and, for nudged outputs, labels ``(chips or 1, batch, out)``."""
        self._inputs = inputs.expand(self.layout.chips, -1, -1)
        self._label = label
        self.nudging = nudging
        self.rest()
        self._read_input()

    def rest(self) -> None:
        """Forget what was sent: nobody above has seen the clamped samples yet."""
        for feedback in self._feedback:
            feedback.zero_()

    @property
    def output_drive(self) -> Tensor:
        """Bottom-up drive of the output layer, ``(chips, batch, out)``; overwritten by the next evaluation."""
        return self._drive[self._last]

    def prediction(self, drive: Tensor) -> Tensor:
        """What the network says at a drive of the output layer: the mean that its outputs would have if not nudged."""
        neuron = self._neurons[self._last]
        state = drive.expand(self.layout.compartments, *drive.shape)
        return neuron.upward(neuron.output_target(drive, None, 0.0, state))

    def __call__(self, state: Tensor, time: float = 0.0) -> Tensor:
        """Targets of all layers at a flat state, in a flat buffer that the next call overwrites.

        A clamped network does not depend on ``time`` (seconds since the samples were presented).
        """
        layers, targets = self.views(state), self.views(self._target)
        for index in range(1, self._last + 1):
            self.send_down(index, layers[index])
        for index, layer in enumerate(layers):
            self.read_bottom_up(index)
            self.read_top_down(index)
            self.write_target(index, layer, targets[index])
            self.send_up(index, layer)
        return self._target

    def send_up(self, index: int, layer: Tensor) -> None:
        """Let the layer above see this layer's present mean."""
        if index < self._last:
            self._upward[index] = self._neurons[index].upward(layer, out=self._upward[index])

    def send_down(self, index: int, layer: Tensor) -> None:
        """Let the layer below see this layer's present difference."""
        if index > 0:
            self._downward[index] = self._neurons[index].downward(layer, out=self._downward[index])

    def read_bottom_up(self, index: int) -> None:
        """Read what the layer below last sent up; the clamped input's reading is remembered unless it is noisy."""
        if index > 0:
            noise = self.read_noise.forward[index] if self.read_noise else None
            self._synapses[index].forward(self._upward[index - 1], self._biases[index], self._drive[index], noise)
        elif self.read_noise and self.read_noise.forward[0] is not None:
            self._read_input()

    def read_top_down(self, index: int) -> None:
        """Read what the layer above last sent down."""
        if index < self._last:
            noise = self.read_noise.backward[index + 1] if self.read_noise else None
            self._synapses[index + 1].backward_read(self._downward[index + 1], self._feedback[index], noise)

    def write_target(self, index: int, layer: Tensor, out: Tensor) -> None:
        """Targets of one layer from its last readings."""
        neuron = self._neurons[index]
        if index == self._last:
            neuron.output_target(self._drive[index], self._label, self.nudging, layer, out=out)
        else:
            neuron.target(self._drive[index], self._feedback[index], layer, out=out)

    def _read_input(self) -> None:
        assert self._inputs is not None, "clamp() comes first"
        noise = self.read_noise.forward[0] if self.read_noise else None
        self._synapses[0].forward(self._inputs, self._biases[0], self._drive[0], noise)

    def _messages(self) -> list[Tensor]:
        shapes = [shape[1:] for shape in self.layout.shapes]
        return [torch.zeros(shape, device=self.network.device, dtype=self.network.dtype) for shape in shapes]
