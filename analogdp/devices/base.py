"""What a memory cell is: a device model answers how its conductance moves and is read, for many cells at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Tensor

from analogdp.errors import InputError
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
    """What the parameters of every device model have in common."""

    def tensors_per_cell(self) -> int:
        """How many numbers describe one cell: its variables and its own parameters."""
        raise NotImplementedError(f"{type(self).__name__} does not say how many numbers describe a cell")


class DeviceModel(ABC):
    """A kind of memory cell.

    Attributes:
        Settings: the parameters that a device card gives for this model, with their ranges.
        low, high: the nominal conductance range in siemens.
    """

    Settings: ClassVar[type[DeviceSettings]]

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high

    @classmethod
    @abstractmethod
    def build(cls, parameters: DeviceSettings, low: float, high: float) -> Self:
        """The model with a card's parameters; ``parameters`` is an instance of ``Settings``."""

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

    @property
    @abstractmethod
    def increment(self) -> float:
        """Nominal conductance change of one pulse at mid-range, in siemens: what a controller divides by."""

    @property
    @abstractmethod
    def zero(self) -> float:
        """Nominal conductance in siemens that stands for weight zero against a fixed reference cell."""

    @property
    @abstractmethod
    def read_noise(self) -> float:
        """Standard deviation in siemens that each read of a cell adds, independently of all other reads."""

    @property
    def read_time(self) -> float | None:
        """How many seconds a read integrates that has this read noise; None if the card does not say."""
        return None

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
