"""What a weight is made of: a synapse answers two reads, forward and transposed, and takes local updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from analogdp.errors import InputError
from analogdp.scenario.schema import SynapseSettings
from analogdp.streams import Stream

if TYPE_CHECKING:
    from analogdp.synapses.programming import ProgrammingReport


Polarity = Literal["both", "plus", "minus"]
"""Which cells of pairs an update is for."""

Part = tuple[slice, slice, slice]
"""Some chips, output lines and input lines of a synapse."""

ALL = slice(None)
WHOLE: Part = (ALL, ALL, ALL)


class LocalUpdate(NamedTuple):
    """What a plasticity rule may ask of a synapse, and nothing more: ``dW = post^T pre``.

    The outer product is kept factored; ``rows`` counts samples (for convolutions positions times samples). Signs are
    those of the wanted weight change, and the learning rate is already in ``post``.

    Attributes:
        post: ``(chips, rows, out)``.
        pre: ``(chips, rows, in)``.
        decay: share ``(chips, out)`` that is taken from each output line's weights before the outer product is added, or
            None; like the outer product it is in proportion to the learning rate.
        polarity: which cells of the pairs may be written.
        duration: seconds that the write may take at most, for cells that are written for as long as it takes; None: any.
    """

    post: Tensor
    pre: Tensor
    decay: Tensor | None = None
    polarity: Polarity = "both"
    duration: float | None = None

    def times(self, rate: float | Tensor) -> LocalUpdate:
        """The update at another learning rate, a number or one for each chip ``(chips, 1)``."""
        post = self.post * (rate.unsqueeze(-1) if isinstance(rate, Tensor) else rate)
        return self._replace(post=post, decay=None if self.decay is None else self.decay * rate)


class NoiseNumbers(NamedTuple):
    """How many standard normal numbers a noisy read takes for each sample.

    Attributes:
        cells: for the noise of cells, which a longer read averages.
        converters: for the noise of conversions, which have it whatever their time.
    """

    cells: int = 0
    converters: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.cells + self.converters


@dataclass(frozen=True)
class UpdateReport:
    """What an update cost, per chip: float tensors of shape ``(chips,)``, on the synapse's device (not read back here).

    ``energy`` of the pulses is in joules; None where the device's card does not state their voltages.
    """

    pulses_up: Tensor
    pulses_down: Tensor
    energy: Tensor | None = None

    def __add__(self, other: UpdateReport) -> UpdateReport:
        known = self.energy is not None and other.energy is not None
        energy = self.energy + other.energy if known else None  # type: ignore[operator]
        return UpdateReport(self.pulses_up + other.pulses_up, self.pulses_down + other.pulses_down, energy)


@dataclass(frozen=True)
class ConductanceTable:
    """The cells of one synapse as an exporter writes them.

    Attributes:
        plus, minus: conductances in siemens without read noise, ``(chips, out, in)``: rows of the physical array are
            word lines (inputs), columns are bit lines (outputs), so cell ``[chip, j, i]`` joins word line i and bit
            line j.
        target_weights: what the cells were asked to hold: the initial weights plus every requested update, kept
            within the nominal range, in network units, ``(chips, out, in)``.
        weights: what the network reads: ``scale * (plus - minus)`` in network units.
        scale: weight per siemens.
        write_counts: pulses that every pair has received since fabrication, int64 ``(chips, 2, out, in)``: plus, minus.
        tile: most word lines and bit lines of one physical tile, or None for one array.
        low, high: nominal conductance range in siemens.
        card: the resolved device card, as plain data.
        units: conductances of the single devices where several make up a cell ``(chips, polarities, devices, out, in)``,
            else None; ``plus`` and ``minus`` are then what they conduct together.
        shares: of each device's current in that of its cell.
        programming: what programming the initial weights took, if it took pulses.
    """

    plus: Tensor
    minus: Tensor
    target_weights: Tensor
    weights: Tensor
    scale: float
    write_counts: Tensor
    tile: tuple[int, int] | None
    low: float
    high: float
    card: dict[str, object]
    units: Tensor | None = None
    shares: tuple[float, ...] = (1.0,)
    programming: ProgrammingReport | None = None


class Synapse(nn.Module, ABC):
    """The weights between two layers.

    Everything that a resumed run needs is in parameters and buffers, so ``state_dict`` is the checkpoint.

    Attributes:
        Settings: this model's section of a scenario.
        chips, inputs, outputs: its size.
        forward_noise, backward_noise: how many standard normal numbers a noisy read takes for each sample.
        volatile: whether :meth:`relax` changes anything.
        calibrated: whether converters take their range from :meth:`calibrate`, which then wants to see typical values
            at the start and after every epoch.
        exact: whether reads are products with :attr:`weights` and nothing else, so that others may compute them.
        rowwise: whether an update depends on each row of its factors, not only on the sum of their products.
        capturable: whether a read never looks at numbers on the host, so that it can be part of a CUDA graph.
        read_time: how many seconds a read integrates that has this synapse's noise, or None if reads have no noise or
            take no time; the dynamics scales the normal numbers of a read by sqrt(read_time / time step), so that a
            shorter step averages no noise away.
    """

    Settings: ClassVar[type[SynapseSettings]]
    forward_noise: NoiseNumbers = NoiseNumbers()
    backward_noise: NoiseNumbers = NoiseNumbers()
    volatile: bool = False
    calibrated: bool = False
    exact: ClassVar[bool] = False
    rowwise: bool = False
    capturable: bool = True
    read_time: float | None = None

    def __init__(self, chips: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.chips, self.inputs, self.outputs = chips, inputs, outputs

    @classmethod
    @abstractmethod
    def build(cls, settings: SynapseSettings, weights: Tensor, stream: Stream) -> Self:
        """A synapse that holds ``weights``, ``(chips, out, in)``, as well as it can.

        Args:
            settings: an instance of ``Settings``.
            weights: initial weights in network units; their device and dtype are the synapse's.
            stream: draws of device variation and of programming, for the chips simulated.
        """

    @abstractmethod
    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        out: Tensor | None = None,
        noise: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Bottom-up read ``W x + bias``.

        Args:
            x: ``(chips, batch, in)``.
            bias: added after the read, broadcastable to the result.
            out: where the result goes, contiguous ``(chips, batch, out)``.
            noise: normal numbers ``(chips, batch, forward_noise.total)`` for a noisy read; None reads without noise.
            weights: what the cells show at this moment ``(chips, out, in)`` where they fluctuate; None: :attr:`weights`.

        Returns:
            ``(chips, batch, out)``.
        """

    @abstractmethod
    def backward_read(
        self, e: Tensor, out: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Transposed read ``W^T e`` of the same cells: ``(chips, batch, out)`` to ``(chips, batch, in)``."""

    @abstractmethod
    def apply_update(self, update: LocalUpdate, stream: Stream) -> UpdateReport:
        """Change the weights as asked, as far as the cells allow; ``stream`` is at this update's index."""

    @property
    @abstractmethod
    def weights(self) -> Tensor:
        """The weights as a read without noise and converters sees them, ``(chips, out, in)``; not to be written."""

    @property
    def parameter(self) -> nn.Parameter | None:
        """The numbers behind the weights, which :mod:`torch.optim` may write, or None for physical cells."""
        return None

    def add_gradient(self, update: LocalUpdate, fresh: bool) -> None:
        """Add what stands for an update to the gradient of :attr:`parameter`: minus what it would add to the numbers.

        Args:
            update: at rate 1.
            fresh: what the gradient was before is forgotten.

        Raises:
            InputError: there are no such numbers, or the update is for cells that there are not.
        """
        raise InputError("physical cells have no gradient; they are written by 'optimizer: pulses'")

    def constrain(self) -> None:
        """Bring :attr:`parameter` back into its range, after an optimizer wrote it; nothing by default."""

    def contributions(self) -> Tensor:
        """What each cell adds to its weight, signs included, ``(chips, cells, out, in)``; sums to :attr:`weights`."""
        return self.weights.unsqueeze(1)

    @property
    def mode(self) -> object:
        """What a read does, apart from the numbers that it reads: changes when another kind of read begins."""
        return None

    def relax(self, elapsed: Tensor | float, stream: Stream) -> None:
        """Let time pass without writing: devices lose what they do not retain; nothing by default.

        Args:
            elapsed: seconds, one number or one for each chip ``(chips,)``.
            stream: for devices that forget at random.
        """

    def begin(self) -> None:
        """Other samples come: reads no longer depend on what was read before, not even in their last bits."""

    def calibrate(self, x: Tensor, e: Tensor) -> None:
        """Fit converter ranges to typical bottom-up inputs ``x`` and top-down inputs ``e``; nothing by default."""

    def line_currents(self, stream: Stream | None) -> Tensor | None:
        """Sum of the currents of all cells of each output line in a read, in amperes per volt ``(chips, out)``.

        What a chip can measure of its own drift, with the noise of one read; ``stream=None`` is without noise. None where
        there are no cells.
        """
        return None

    def compensate(self, gain: Tensor | None) -> None:
        """Multiply what each output line reads by ``gain`` ``(chips, out or 1)``, in both directions; None: by 1."""
        raise InputError("only crossbars drift; weights that are numbers have nothing to compensate")

    def conductances(self) -> ConductanceTable | None:
        """The physical cells, or None if there are none."""
        return None


def product(weights: Tensor, x: Tensor, bias: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """``x W^T + bias`` for every chip; ``weights`` ``(chips, out, in)``, ``x`` ``(chips, rows, in)``."""
    return with_bias(torch.bmm(x, weights.mT, out=out), bias, out)


def with_bias(drive: Tensor, bias: Tensor | None, out: Tensor | None) -> Tensor:
    """``drive + bias``, in place if there was a buffer: quicker than a product that begins with a broadcast bias."""
    if bias is None:
        return drive
    return drive + bias if out is None else drive.add_(bias)
