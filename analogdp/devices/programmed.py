"""Cells that a controller programs in a closed loop: it asks for a conductance, and what is left is a programming error."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceModel, DeviceSettings, DeviceState, WritePulse
from analogdp.streams import Stream

_STEPS = 1000
"""Steps that the range is counted in where a controller can ask for any conductance."""


class ProgrammedSettings(DeviceSettings):
    """Parameters of cells that are programmed to a conductance."""

    levels: int | None = Field(
        default=None,
        ge=2,
        le=1_000_000,
        description="equally spaced conductances that a cell can be programmed to; null: any in the range",
    )

    def tensors_per_cell(self) -> int:
        """Target and actual conductance."""
        return 2


@registry.devices.register("programmed")
class ProgrammedDevice(DeviceModel):
    """A controller keeps a target for every cell and programs the cell to it, as often as the target moves.

    A pulse stands for a step of the target: one level, or 1/1000 of the range where any conductance can be asked for
    (parts of such steps are allowed). However many steps a write moves the target by, it is one programming operation.
    Without the card's ``programming_error`` the cell is then at its target exactly.

    Variables of a state, in siemens: ``target``, what the controller remembers, and ``actual``, what the cell has.
    """

    Settings: ClassVar[type[DeviceSettings]] = ProgrammedSettings
    parameters: ProgrammedSettings

    def __init__(
        self, parameters: ProgrammedSettings, low: float, high: float, write_pulse: WritePulse | None = None
    ) -> None:
        super().__init__(low, high, write_pulse)
        self.parameters = parameters

    @classmethod
    def build(cls, parameters: DeviceSettings, low: float, high: float, write_pulse: WritePulse | None = None) -> Self:
        if not isinstance(parameters, ProgrammedSettings):
            raise TypeError(f"{cls.__name__} takes {cls.Settings.__name__}, not {type(parameters).__name__}")
        return cls(parameters, low, high, write_pulse)

    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        """Cells in the middle of the range; they are all alike."""
        cells = torch.full((len(stream.chips), *shape), self.zero, dtype=stream.dtype, device=stream.device)
        return DeviceState({"target": cells, "actual": cells.clone()})

    def conductance(self, state: DeviceState, voltage: Tensor | None = None) -> Tensor:
        """Conductance in siemens; these cells are ohmic, ``voltage`` makes no difference."""
        return state.variables["actual"].clone()

    def program(self, state: DeviceState, conductance: Tensor, stream: Stream) -> None:
        state.variables["target"].copy_(self._allowed(conductance))
        state.variables["actual"].copy_(state.variables["target"])

    def pulse(self, state: DeviceState, count: Tensor, stream: Stream) -> None:
        target, actual, written = state.variables["target"], state.variables["actual"], count != 0
        target.copy_(torch.where(written, self._allowed(torch.add(target, count, alpha=self.increment)), target))
        actual.copy_(torch.where(written, target, actual))

    def transform(self, state: DeviceState, change: Callable[[Tensor], Tensor]) -> None:
        """Replace what the cells have; what the controller remembers of them stays."""
        state.variables["actual"].copy_(change(state.variables["actual"]))

    @property
    def closed_loop(self) -> bool:
        return True

    @property
    def fractional(self) -> bool:
        return self.parameters.levels is None

    @property
    def increment(self) -> float:
        return (self.high - self.low) / ((self.parameters.levels or _STEPS + 1) - 1)

    @property
    def zero(self) -> float:
        return (self.low + self.high) / 2

    def _allowed(self, wanted: Tensor) -> Tensor:
        """The nearest conductances that can be asked for."""
        if self.parameters.levels is not None:
            wanted = ((wanted - self.low) / self.increment).round_().mul_(self.increment).add_(self.low)
        return wanted.clamp(self.low, self.high)
