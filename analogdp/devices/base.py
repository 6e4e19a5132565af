"""What a memory cell is: a device model answers how its conductance moves and is read, for many cells at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from analogdp.errors import InputError, Problem
from analogdp.scenario.quantities import Ratio, Time, Voltage
from analogdp.scenario.settings import Settings
from analogdp.streams import Stream


@dataclass
class DeviceState:
    """The cells of one array, as named tensors of shape ``(chips, polarity, out, in)``.

    Attributes:
        variables: what writing and time change, for example the normalised weight; changed in place by the model.
        parameters: what fabrication fixed for each device, drawn once by :meth:`DeviceModel.sample`.
    """

    variables: dict[str, Tensor]
    parameters: dict[str, Tensor] = field(default_factory=dict)


class DeviceSettings(Settings):
    """What the parameters of every device model have in common.

    Attributes:
        write_passes: elementwise passes over all cells that a write costs, roughly: for estimates of time.
    """

    write_passes: ClassVar[int] = 120

    read_noise: Ratio = Field(
        default=0.0,
        ge=0,
        le=1,
        description="standard deviation of each read, relative to the nominal conductance range",
    )
    read_time: Time | None = Field(
        default=None, gt=0, description="how long a read integrates that has this read noise; null: not known"
    )

    def tensors_per_cell(self) -> int:
        """How many numbers describe one cell: its variables and its own parameters."""
        raise NotImplementedError(f"{type(self).__name__} does not say how many numbers describe a cell")


class WritePulse(Settings):
    """The voltage pulse that a write driver puts across a cell."""

    up: Voltage = Field(
        gt=-100, lt=100, description="amplitude of a pulse that raises the conductance, in volts, signed"
    )
    down: Voltage = Field(gt=-100, lt=100, description="amplitude of a pulse that lowers it, in volts, signed")
    width: Time = Field(gt=0, le=1, description="how long a pulse lasts, its edges included, in seconds")
    shape: Literal["rectangular", "triangular", "sine"] = Field(
        default="rectangular", description="rectangular, a triangle, or half a period of a sine"
    )
    half_select: Ratio | None = Field(
        default=None,
        ge=0,
        le=1,
        description="step at half the voltage, relative to that of a full pulse; null: not known",
    )
    third_select: Ratio | None = Field(default=None, ge=0, le=1, description="the same at a third of the voltage")

    @field_validator("down")
    @classmethod
    def _polarities_are_there(cls, down: float, info: ValidationInfo) -> float:
        if down == 0 or info.data.get("up") == 0:
            raise ValueError("a pulse of 0 V writes nothing")
        return down


class DeviceModel(ABC):
    """A kind of memory cell.

    Attributes:
        Settings: the parameters that a device card gives for this model, with their ranges.
        parameters: those of its card.
        low, high: the nominal conductance range in siemens.
        write_pulse: what its card says about the voltages of a write, or None.
    """

    Settings: ClassVar[type[DeviceSettings]]
    parameters: DeviceSettings

    def __init__(self, low: float, high: float, write_pulse: WritePulse | None = None) -> None:
        self.low = low
        self.high = high
        self.write_pulse = write_pulse

    @classmethod
    @abstractmethod
    def build(cls, parameters: DeviceSettings, low: float, high: float, write_pulse: WritePulse | None = None) -> Self:
        """The model with a card's parameters; ``parameters`` is an instance of ``Settings``."""

    @classmethod
    def problems(
        cls, parameters: DeviceSettings, low: float, high: float, write_pulse: WritePulse | None
    ) -> list[Problem]:
        """What in a card does not go together; paths are relative to the card. A good card has none."""
        return []

    @abstractmethod
    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        """Fabricate cells: state of shape ``(chips, *shape)`` with its device-to-device variation, as delivered."""

    @abstractmethod
    def conductance(self, state: DeviceState, voltage: Tensor | None = None) -> Tensor:
        """Conductance in siemens of every cell without read noise, at a small voltage or the one given in volts."""

    @abstractmethod
    def program(self, state: DeviceState, conductance: Tensor, stream: Stream) -> None:
        """Put every cell at the conductance asked for (siemens), or at the nearest bound of its own range, in place.

        The stored state is exact, as after a long write-verify; a cell with write noise shows a fresh draw around it.
        """

    @abstractmethod
    def pulse(self, state: DeviceState, count: Tensor, stream: Stream) -> None:
        """Apply ``count`` write pulses to every cell, in place: positive ones raise the conductance, negative lower it.

        One vectorised pass whose result has the mean and the variance of applying the pulses one by one.
        ``count`` holds whole numbers in the compute dtype; cells with 0 keep their state bit for bit.
        """

    @abstractmethod
    def transform(self, state: DeviceState, change: Callable[[Tensor], Tensor]) -> None:
        """Replace every cell's conductance G (siemens) by ``change(G)``, in place: what aging and faults do to cells.

        Every variable that stands for a conductance is changed, the stored and the visible one alike; bounds are not
        enforced, no noise is drawn, and a cell whose G comes back as it was keeps its state but for rounding.
        """

    @property
    def unidirectional(self) -> bool:
        """Whether pulses only raise conductances; what lowers them is :meth:`reset`. Negative counts must not be asked for."""
        return False

    def reset(self, state: DeviceState, chosen: Tensor, stream: Stream) -> None:
        """Put the chosen cells (bool, of the cells' shape) at the low end of their range, in place.

        For one-sided devices, which have a pulse for that; others are programmed there, the rest keep their bits.
        """
        before = {name: value.clone() for name, value in state.variables.items()}
        like = next(iter(before.values()))
        self.program(state, torch.full_like(like, self.low), stream)
        for name, value in before.items():
            state.variables[name].copy_(torch.where(chosen, state.variables[name], value))

    def disturbance(self, scheme: Literal["half", "third"]) -> tuple[float, float]:
        """Steps, in those of a full pulse, that a pulse up and one down of 1/2 or 1/3 of the voltage make.

        Raises:
            InputError: the card does not say.
        """
        pulse = self.write_pulse
        share = None if pulse is None else pulse.half_select if scheme == "half" else pulse.third_select
        if share is None:
            raise InputError(
                f"the card does not state write_pulse.{scheme}_select, the disturb of a {scheme} of the voltage"
            )
        return share, share

    @property
    def noisy_reads(self) -> bool:
        """Whether reads have noise."""
        return self.read_noise > 0

    @property
    def closed_loop(self) -> bool:
        """Whether a write, of however many pulses, is one programming operation that reads the cell back and misses a little."""
        return False

    @property
    def fractional(self) -> bool:
        """Whether a count may be a fraction of a pulse: the time of exposure of cells with a state equation."""
        return False

    @property
    @abstractmethod
    def increment(self) -> float:
        """Nominal conductance change of one pulse at mid-range, in siemens: what a controller divides by."""

    @property
    @abstractmethod
    def zero(self) -> float:
        """Nominal conductance in siemens that stands for weight zero against a fixed reference cell."""

    @property
    def read_noise(self) -> float:
        """Standard deviation in siemens that each read of a cell adds, independently of all other reads."""
        return self.parameters.read_noise * (self.high - self.low)

    def read_variance(self, state: DeviceState) -> Tensor | None:
        """Variance in siemens^2 that a read of each cell has where cells differ; None if all have ``read_noise``."""
        return None

    def read(self, state: DeviceState, stream: Stream) -> Tensor:
        """Conductance in siemens of every cell as one read shows it, with its noise."""
        conductance = self.conductance(state)
        if not self.noisy_reads:
            return conductance
        variance = self.read_variance(state)
        noise = stream.normal(tuple(conductance.shape[1:]))
        return conductance + noise * (self.read_noise if variance is None else variance.sqrt())

    @property
    def read_time(self) -> float | None:
        """How many seconds a read integrates that has this read noise; None if the card does not say."""
        return self.parameters.read_time

    def reference(self, state: DeviceState, stream: Stream) -> Tensor:
        """Conductance in siemens of the fixed cell that each cell is read against; broadcasts to the cells' shape."""
        like = next(iter(state.variables.values()))
        return torch.full((like.shape[0], *(1,) * (like.dim() - 1)), self.zero, dtype=like.dtype, device=like.device)

    @property
    def volatile(self) -> bool:
        """Whether time alone changes a cell."""
        return False

    def flow(self, state: DeviceState, voltage: Tensor) -> Tensor:
        """Time derivative of the state under a voltage, for models that are written continuously."""
        raise InputError(f"{type(self).__name__} is written by counted pulses; it has no continuous state equation")

    def relax(  # noqa: B027 - most models retain
        self, state: DeviceState, elapsed: Tensor | float, stream: Stream
    ) -> None:
        """Let time pass without writing, in place. A model without retention loss stays as it is.

        Args:
            state: the cells.
            elapsed: seconds, one number or one for each chip ``(chips,)``.
            stream: for models that forget at random.
        """
