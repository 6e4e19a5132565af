"""What a neuron is: the value it relaxes towards, and what its neighbours see of it. Nothing here knows about time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from torch import Tensor

from analogdp.errors import InputError
from analogdp.neurons.damping import Damping
from analogdp.neurons.losses import Loss
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.schema import NeuronSettings
from analogdp.streams import Stream

if TYPE_CHECKING:
    from analogdp.neurons.activations import Activation

State = Tensor | Sequence[Tensor]
"""The states of one layer: a tensor ``(compartments, chips, batch, units)``, or its compartments one by one."""


@dataclass(frozen=True)
class Equations:
    """One layer's neurons as text, for engines that read equations.

    Expressions are arithmetic with ``exp``, ``tanh`` and ``clip``. They use each other, the parameters and what a neuron is
    given: its compartments, ``bottom_up``; hidden units ``top_down``; outputs ``label`` and the present strength ``nudging``;
    and ``asymmetry``, what the asymmetry of nudging is off by at this moment.

    Attributes:
        definitions: expressions by name, among them ``<compartment>_target``, ``upward`` and ``downward``.
        parameters: a number, or ``(chips, 1, units)`` where neurons differ.
        sums: by name, expressions to be summed over the units of the layer.
    """

    definitions: Mapping[str, str]
    parameters: Mapping[str, Tensor | float]
    sums: Mapping[str, str] = field(default_factory=dict)


class ResponseTerm(NamedTuple):
    """``weight * f(slope * (drive + offset))``; each a number or ``(chips, 1, units)``."""

    weight: Tensor | float = 1.0
    slope: Tensor | float = 1.0
    offset: Tensor | float = 0.0


class FreeResponse(NamedTuple):
    """What the layer above sees of neurons at rest without messages from above: a sum of terms of their drive.

    Attributes:
        activation: the function f, or None for linear neurons.
        terms: one, unless the compartments of a neuron differ.
    """

    activation: Activation | None
    terms: tuple[ResponseTerm, ...]


class NeuronModel(ABC):
    """One layer's neurons: ``tau ds/dt = target(inputs, s) - s + noise``.

    Drives and messages have shape ``(chips, batch, units)``, states are a :data:`State`. Every method takes ``out`` for
    a result buffer, for targets a tuple of compartments, and returns the result; without ``out`` it can be
    differentiated by autograd.
    ``out`` may be the state itself (a sweep jumps in place): a model reads what it needs of the state before it writes.

    Attributes:
        Settings: this model's section of a scenario.
        compartments: names of the state variables of one neuron.
        plasticity: name of the rule that the model learns by unless the scenario names another.
        asymmetric: whether the model has an asymmetry of nudging, which may fluctuate in time.
        batch_normalises: whether drives may be normalised over a batch: only where its samples are computed together, by a
            forward-backward sweep whose messages down are derivatives.
        starts_forward: whether samples find the network as a forward pass without messages from above leaves it, not at zero.
        listens: whether what comes from above moves what these neurons send up, also where nothing nudges them.
        cascaded: whether a compartment follows another one of its neuron, so that neurons that jump have to jump twice.
        beta: nominal nudging strength while training, a number or ``(chips, 1, 1)``.
        damping: how much of its state a layer keeps when it jumps, or None.
        input_gain: the clamped input x below these neurons becomes ``x + input_gain * W^T downward``; 0 leaves it as it is.
        input_damping: how much of its displacement that input keeps at a jump, or None.
        jumps: whether what neurons do jumps at some drive or state, where there is no Jacobian.
        remedy: settings that may keep states that diverge within bounds.
    """

    Settings: ClassVar[type[NeuronSettings]]
    compartments: ClassVar[tuple[str, ...]]
    plasticity: ClassVar[str]
    asymmetric: ClassVar[bool] = False
    batch_normalises: ClassVar[bool] = False
    starts_forward: ClassVar[bool] = False
    listens: ClassVar[bool] = True
    cascaded: ClassVar[bool] = False
    remedy: ClassVar[str] = "a smaller neuron.beta or network.gain, a bounded activation such as tanh"
    beta: float | Tensor
    damping: Damping | None = None
    input_gain: Tensor | float = 0.0
    input_damping: Damping | None = None
    jumps: bool = False

    @classmethod
    @abstractmethod
    def build(cls, settings: NeuronSettings, loss: Loss, spread: MismatchSettings, units: int, stream: Stream) -> Self:
        """One layer's neurons, with their own draw of mismatch for every chip of ``stream``.

        Args:
            settings: an instance of ``Settings``.
            loss: what output units are nudged to lower.
            spread: how the parameters vary from neuron to neuron.
            units: neurons in the layer.
            stream: the layer's own stream.
        """

    @abstractmethod
    def target(
        self, bottom_up: Tensor, top_down: Tensor | None, state: State, out: tuple[Tensor, ...] | None = None
    ) -> State:
        """What hidden units relax towards.

        Args:
            bottom_up: ``W upward(below) + b``.
            top_down: ``W(above)^T downward(above)``, or None for no message (taken as 0).
            state: the present state, for models whose target depends on it.
            out: a tensor ``(chips, batch, units)`` for each compartment.
        """

    @abstractmethod
    def output_target(
        self,
        bottom_up: Tensor,
        label: Tensor | None,
        nudging: Tensor | float,
        state: State,
        out: tuple[Tensor, ...] | None = None,
    ) -> State:
        """What output units relax towards when nudged towards a label.

        Args:
            bottom_up: as for hidden units.
            label: the wanted output ``(chips or 1, batch, units)``, or None for free outputs.
            nudging: strength beta, a number or a tensor that broadcasts to ``(chips, batch, units)``.
            state: the present state.
            out: a tensor ``(chips, batch, units)`` for each compartment.
        """

    @abstractmethod
    def upward(self, state: State, out: Tensor | None = None) -> Tensor:
        """What the layer above sees (s-bar), ``(chips, batch, units)``."""

    @abstractmethod
    def downward(self, state: State, out: Tensor | None = None) -> Tensor:
        """What the layer below sees (delta), ``(chips, batch, units)``."""

    @abstractmethod
    def learning_signal(self, state: State, out: Tensor | None = None) -> Tensor:
        """The post-synaptic factor of the local rule, ``(chips, batch, units)``, in a tensor of its own.

        It stands for minus the gradient of the loss by the drive, as far as the neuron knows it.
        """

    @property
    def slope_gain(self) -> Tensor | float:
        """What mismatch multiplies the slope of the mean of free neurons by, ``(chips, 1, units)`` or a number."""
        return 1.0

    def as_output(self) -> Self:
        """These neurons as outputs, for models whose messages are others there."""
        return self

    def present(self, shape: tuple[int, int], stream: Stream) -> None:  # noqa: B027 - most neurons are the same for all samples
        """Draw what is random about these neurons while samples are presented; what is drawn again stays in its place.

        Args:
            shape: ``(batch, units)``.
            stream: of this layer and presentation.
        """

    def tensors(self) -> dict[str, Tensor]:
        """What was drawn for the presented samples, by name; to be copied into."""
        return {}

    def at_asymmetry(self, shift: Tensor) -> Self:
        """These neurons at a moment when the asymmetry of nudging is off by ``shift``, ``(chips, batch, 1)``.

        Raises:
            TypeError: the model has no asymmetry.
        """
        raise TypeError(f"{type(self).__name__} has no asymmetry of nudging")

    def free_response(self, output: bool) -> FreeResponse:
        """What the layer above sees of free neurons, in closed form.

        Args:
            output: of output units, else of hidden ones.

        Raises:
            InputError: there is none.
        """
        raise InputError(
            f"neuron.model: free {type(self).__name__} neurons settle under what comes from above, too, so their network "
            "is no feedforward network"
        )

    def equations(self, settings: NeuronSettings, output: bool, free: bool = False) -> Equations:
        """What the methods above compute, as text that another engine can check them by.

        Args:
            settings: the section that the neurons were built from.
            output: of output units that are nudged towards a label, else of hidden units.
            free: of neurons at inference: outputs have no label, and the asymmetry of nudging is what it should be.

        Raises:
            InputError: there is no such text.
        """
        raise InputError(
            f"neuron.model: {settings.model} has no equations for Brian2; use --set neuron=dp_transposed "
            "(it knows dp, dp_transposed and hopfield)"
        )
