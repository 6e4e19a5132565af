"""The vector field of a network with a clamped input: where every neuron is heading.

Everything that asks for targets asks here: integrators all layers at once, sweeps layer by layer, analysis for Jacobians.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from analogdp.network.network import Network
from analogdp.neurons.base import NeuronModel, State
from analogdp.streams import Stream


@dataclass
class ReadNoise:
    """Standard normal numbers for the noisy reads of one moment, for each synapse; None reads without noise.

    ``backward`` is that of the feedback path, whatever it is made of.
    """

    forward: list[Tensor | None] = field(default_factory=list)
    backward: list[Tensor | None] = field(default_factory=list)


class Transmission(Protocol):
    """What becomes of a message on its way between two layers of neurons, ``(chips, batch, units)`` each.

    ``index`` is that of the sending layer, 0 for the first hidden one. Asked once for every message and step.
    """

    def up(self, index: int, message: Tensor) -> Tensor: ...
    def down(self, index: int, message: Tensor) -> Tensor: ...
    def reset(self) -> None: ...


REMEMBERED_BUFFERS = 16

Compartments = tuple[Tensor, ...]


class Field:
    """Targets of one batch. All buffers are made once; a call allocates nothing that grows with the network.

    Args:
        network: the network, which must not change its size.
        batch: samples settled together.

    Attributes:
        neurons: what each layer's neurons do at this moment.
        nudging: nudging strength.
        nudging_factor: what it is multiplied by at this moment, ``(chips, batch, 1)``, or None.
        read_noise: normal numbers for the reads of the present step, or None.
        disturbance: added to all targets, a flat tensor or None.
        shown: what the cells of each synapse show at this moment ``(chips, out, in)`` where they fluctuate, or None.
        transmission: what becomes of messages between layers; None delivers them at once, as they are.
        memory: what was sent up that messages down depend on, and by how much a damped input has moved, by name.
        live: the input's drive is read at every evaluation, because its weights or the input change.
    """

    def __init__(self, network: Network, batch: int) -> None:
        self.network = network
        self.layout = network.layout(batch)
        self.nudging: float | Tensor = 0.0
        # Copies, because what neurons draw for the presented samples is this field's own.
        self._neurons = list(map(copy, network.neurons))
        self.calm()
        self.transmission: Transmission | None = None
        self.live = False
        self._samples: Tensor | None = None
        self._inputs: Tensor | None = None
        self._label: Tensor | None = None
        outputs = (self.layout.batch, self.layout.units[-1])
        self._labels = torch.empty(self.layout.chips, *outputs, device=network.device, dtype=network.dtype)
        # Plain lists: indexing a ModuleList costs as much as a small matrix product.
        self._biases = [layer.bias for layer in network.layers]
        self._synapses = list(network.synapses)
        self.passages = [projection.passage(batch) for projection in network.projections]
        self._last = len(network.layers) - 1
        gain = self._input_gain = network.neurons[0].input_gain
        self._moves = isinstance(gain, Tensor) or gain != 0
        self._damping = network.neurons[0].input_damping
        self.memory = {
            f"passage{index}.{name}": kept
            for index, passage in enumerate(self.passages)
            for name, kept in passage.memory.items()
        }
        self._displacement: Tensor | None = None
        if self._damping is not None:
            like = network.synapses[0].weights
            self._displacement = like.new_zeros(self.layout.chips, batch, network.sizes[0])
            self.memory["displacement"] = self._displacement
        self._target = self.new_state()
        self._drive, self._feedback, self._upward, self._downward = (self._messages() for _ in range(4))
        # What was received: the very buffers of the messages, unless something happens to these on their way.
        self._received_up, self._received_down = list(self._upward), list(self._downward)
        self._parts: dict[int, tuple[Compartments, ...]] = {}

    def new_state(self) -> Tensor:
        """A flat state at rest (zero)."""
        return torch.zeros(self.layout.size, device=self.network.device, dtype=self.network.dtype)

    def parts(self, flat: Tensor) -> tuple[Compartments, ...]:
        """The compartments of each layer of a flat buffer; remembered for the few that a simulation uses again and
        again."""
        key = flat.data_ptr()
        if key not in self._parts:
            if len(self._parts) == REMEMBERED_BUFFERS:
                self._parts.clear()
            self._parts[key] = self.layout.compartment_views(flat)
        return self._parts[key]

    def clamp(self, inputs: Tensor, label: Tensor | None, nudging: float | Tensor) -> None:
        """Present samples to a network at rest.

        Args:
            inputs: ``(chips or 1, batch, in)``.
            label: for nudged outputs, ``(chips or 1, batch, out)``.
            nudging: strength, a number or ``(chips, 1, 1)``.
        """
        self.rest()
        self.switch(inputs, label, nudging)

    def switch(self, inputs: Tensor, label: Tensor | None, nudging: float | Tensor) -> None:
        """Present other samples to a network as it is; arguments as of :meth:`clamp`."""
        # Samples stay where they are, for steps that were captured as a graph.
        if self._samples is None or self._samples.shape != inputs.shape:
            self._samples = torch.empty(inputs.shape, device=self.network.device, dtype=self.network.dtype)
        self._inputs = self._samples.copy_(inputs).expand(self.layout.chips, -1, -1)
        self._label = None if label is None else self._labels.copy_(label.expand_as(self._labels))
        self.nudging = nudging
        if label is not None and self.network.norms is not None:
            self.network.norms.follow()
        for passage in self.passages:
            passage.learning = label is not None
        self._read_input()

    def draw(self, stream: Stream) -> None:
        """Let the neurons draw what is random about them while the samples are presented."""
        for number, (neuron, units) in enumerate(zip(self._neurons, self.layout.units, strict=True), start=1):
            neuron.present((self.layout.batch, units), stream.child(f"layer{number}"))

    def calm(self) -> None:
        """Nothing fluctuates."""
        self.neurons = self._neurons
        self.nudging_factor: Tensor | None = None
        self.read_noise: ReadNoise | None = None
        self.disturbance: Tensor | None = None
        self.shown: list[Tensor] | None = None

    def rest(self) -> None:
        """Forget what was sent: nobody has seen the clamped samples yet."""
        for message in (*self._feedback, *self._upward, *self._downward):
            message.zero_()
        for kept in self.memory.values():
            kept.zero_()
        self._received_up, self._received_down = list(self._upward), list(self._downward)
        if self.transmission is not None:
            self.transmission.reset()

    def begin(self, state: Tensor) -> None:
        """Bring a flat state to where samples find it: at zero, or where a forward pass leaves neurons that start so."""
        state.zero_()
        if not self.neurons[0].starts_forward:
            return
        drive = self._drive[0]
        for index, (neuron, layer) in enumerate(zip(self.neurons, self.parts(state), strict=True)):
            if index > 0:
                below = self.neurons[index - 1].upward(self.parts(state)[index - 1])
                drive = self.passages[index].up(below, self._biases[index], self._drive[index], None, None)
            for _ in range(1 + neuron.cascaded):
                if index == self._last:
                    neuron.output_target(drive, None, 0.0, layer, layer)
                else:
                    neuron.target(drive, None, layer, layer)

    @property
    def clamped(self) -> tuple[object, ...]:
        """What a step depends on apart from numbers, which it finds where they always are."""
        place = None if self._samples is None else self._samples.data_ptr()
        modes = tuple(synapse.mode for synapse in self._synapses)
        return place, self._label is None, self.nudging, self.live, modes

    @property
    def presented(self) -> tuple[Tensor, Tensor]:
        """Inputs and labels of the samples, ``(chips, batch, ...)``; only of samples that have labels."""
        assert self._inputs is not None, "clamp() comes first"
        assert self._label is not None, "free networks have no labels"
        return self._inputs, self._label

    @property
    def output_drive(self) -> Tensor:
        """Bottom-up drive of the output layer, ``(chips, batch, out)``; overwritten by the next evaluation."""
        return self._drive[self._last]

    def prediction(self, drive: Tensor) -> Tensor:
        """What the network says at a drive of the output layer: the mean that its outputs would have if not nudged."""
        # At rest, but with what these samples were given: gates of errors ask for it.
        neuron = self._neurons[self._last]
        state = drive.expand(self.layout.compartments, *drive.shape)
        return neuron.upward(neuron.output_target(drive, None, 0.0, state))

    def __call__(self, state: Tensor, time: float = 0.0) -> Tensor:
        """Targets of all layers at a flat state, in a flat buffer that the next call overwrites.

        A clamped network does not depend on ``time`` (seconds since the samples were presented).
        """
        layers, targets = self.parts(state), self.parts(self._target)
        for index, layer in enumerate(layers):
            self.send_down(index, layer)
        # Messages go down along the slopes of what lies between the layers at the messages that go up.
        for index, layer in enumerate(layers):
            self.read_bottom_up(index)
            self.send_up(index, layer)
        for index, layer in enumerate(layers):
            self.read_top_down(index)
            self.write_target(index, layer, targets[index])
        if self.disturbance is not None:
            self._target.add_(self.disturbance)
        return self._target

    def targets(self, layers: Sequence[State]) -> list[State]:
        """Targets of all layers as a function of their states that leaves everything as it is.

        Autograd can differentiate it and torch.compile fuse it. Messages arrive at once, and nothing fluctuates.
        """
        pairs = list(zip(self.neurons, layers, strict=True))
        above = zip(self.passages[1:], self._biases[1:], pairs, strict=False)
        links = [passage.linked(neuron.upward(layer), bias) for passage, bias, (neuron, layer) in above]
        drives = [self._lowest_drive(*pairs[0]), *(drive for drive, _ in links)]
        feedback = [down(neuron.downward(layer)) for (_, down), (neuron, layer) in zip(links, pairs[1:], strict=True)]
        hidden = zip(pairs, drives, feedback, strict=False)
        targets = [neuron.target(drive, below, layer) for (neuron, layer), drive, below in hidden]
        neuron, layer = pairs[-1]
        return [*targets, neuron.output_target(drives[-1], self._label, self.nudging, layer)]

    @property
    def lowest_drive(self) -> Tensor:
        """Bottom-up drive of the first layer from the clamped input, ``(chips, batch, units)``."""
        return self._drive[0]

    def _lowest_drive(self, neuron: NeuronModel, layer: State) -> Tensor:
        """The drive of the first layer as a function of its state, which may move the input."""
        if not self._moves:
            return self._drive[0]
        assert self._inputs is not None, "clamp() comes first"
        inputs = self.moved(self._inputs, neuron.downward(layer))
        return self.passages[0].linked(inputs, self._biases[0])[0]

    def send_up(self, index: int, layer: Compartments) -> None:
        """Let the layer above see this layer's present mean."""
        if index < self._last:
            message = self.neurons[index].upward(layer, self._upward[index])
            if self.transmission is not None:
                self._received_up[index] = self.transmission.up(index, message)

    def send_down(self, index: int, layer: Compartments) -> None:
        """Let the layer below see this layer's present difference."""
        if index > 0 or self._moves:
            message = self.neurons[index].downward(layer, self._downward[index])
            if index > 0 and self.transmission is not None:
                self._received_down[index] = self.transmission.down(index, message)

    def read_bottom_up(self, index: int) -> None:
        """Read what came from the layer below; the clamped input's reading is remembered as long as it stays true."""
        if index > 0:
            noise = self.read_noise.forward[index] if self.read_noise else None
            shown = self.shown[index] if self.shown else None
            drive, below = self._drive[index], self._received_up[index - 1]
            self.passages[index].up(below, self._biases[index], drive, noise, shown)
        elif self._moves or self.live or self.shown or (self.read_noise and self.read_noise.forward[0] is not None):
            self._read_input()

    def read_top_down(self, index: int) -> None:
        """Read what came from the layer above: through the synapse itself, or through a path of its own."""
        if index == self._last:
            return
        noise = self.read_noise.backward[index + 1] if self.read_noise else None
        shown = self.shown[index + 1] if self.shown else None
        self.passages[index + 1].down(self._received_down[index + 1], self._feedback[index], noise, shown)

    def write_target(self, index: int, layer: Compartments, out: Compartments) -> None:
        """Targets of one layer from its last readings."""
        neuron = self.neurons[index]
        if index == self._last:
            nudging = self.nudging if self.nudging_factor is None else self.nudging_factor * self.nudging
            neuron.output_target(self._drive[index], self._label, nudging, layer, out)
        else:
            neuron.target(self._drive[index], self._feedback[index], layer, out)

    def local_messages(self) -> list[Tensor]:
        """What each synapse was last shown from below, ``(chips, batch, in)``: the input, then what each layer received."""
        assert self._inputs is not None, "clamp() comes first"
        return [self.moved(self._inputs, self._downward[0]), *self._received_up[: self._last]]

    def moved(self, inputs: Tensor, downward: Tensor) -> Tensor:
        """What the lowest weights read of a clamped input that is a linear dyad: moved by the first layer's ``downward``.

        The mean of such a dyad is x + gamma W^T delta (Hoier & Zach 2024, Sec. 4), of which a damped one keeps a share of
        what it was, as all damped layers do; inputs stay as they are by default.
        """
        return inputs + self._displaced(downward) if self._moves else inputs

    def _displaced(self, downward: Tensor) -> Tensor:
        shown = self.shown[0] if self.shown else None
        wanted = self._input_gain * self.passages[0].down(downward, None, None, shown)
        if self._damping is None or self._displacement is None:
            return wanted
        return wanted.lerp(self._displacement, self._damping.kept(wanted))

    def tensors(self) -> dict[str, Tensor]:
        """What the next evaluation needs besides the state and the samples, by name; to be copied into."""
        named = {"feedback": self._feedback, "upward": self._upward, "downward": self._downward}
        messages = {f"{name}{index}": own for name, messages in named.items() for index, own in enumerate(messages)}
        drawn = {
            f"neurons{index}.{name}": own
            for index, neuron in enumerate(self._neurons)
            for name, own in neuron.tensors().items()
        }
        return messages | self.memory | drawn

    def _read_input(self) -> None:
        assert self._inputs is not None, "clamp() comes first"
        noise = self.read_noise.forward[0] if self.read_noise else None
        shown = self.shown[0] if self.shown else None
        inputs = self._inputs
        if self._moves:
            displacement = self._displaced(self._downward[0])
            inputs = inputs + displacement
            if self._displacement is not None:
                self._displacement.copy_(displacement)
        self.passages[0].up(inputs, self._biases[0], self._drive[0], noise, shown)

    def _messages(self) -> list[Tensor]:
        shapes = [shape[1:] for shape in self.layout.shapes]
        return [torch.zeros(shape, device=self.network.device, dtype=self.network.dtype) for shape in shapes]
