"""Cells of which a meter has told the conductance: they keep it, whatever the range of their device is meant to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Self

from torch import Tensor

from analogdp.devices.base import DeviceModel, DeviceSettings, DeviceState, WritePulse
from analogdp.devices.imperfect import ImperfectDevice
from analogdp.errors import InputError
from analogdp.streams import Stream


class MeasuredDevice(DeviceModel):
    """A device whose cells conduct what was measured of them, with the read noise of the device.

    They neither age nor fail: a measurement shows what time and faults have made of them. Nothing is known of how they would
    move, so writes are refused. Noise with a 1/f spectrum is that of cells programmed to what they conduct, as long ago as the
    trained ones.

    Variables of a state: ``conductance`` in siemens, and ``age`` in seconds where the noise depends on it.

    Args:
        device: what the cells are made of.
    """

    Settings: ClassVar[type[DeviceSettings]] = DeviceSettings

    def __init__(self, device: DeviceModel) -> None:
        super().__init__(device.low, device.high, device.write_pulse)
        self._device = device
        self._flicker = device.has.flicker_noise if isinstance(device, ImperfectDevice) else None

    @classmethod
    def build(cls, parameters: DeviceSettings, low: float, high: float, write_pulse: WritePulse | None = None) -> Self:
        raise TypeError(
            f"{cls.__name__} is no model of its own: it is made of a model and what was measured of its cells"
        )

    def holding(self, conductance: Tensor, trained: DeviceState) -> DeviceState:
        """Cells that conduct what was measured, in siemens, in place of trained ones."""
        age = {} if self._flicker is None else {"age": trained.variables["age"].clone()}
        return DeviceState({"conductance": conductance.clone(), **age})

    def conductance(self, state: DeviceState, voltage: Tensor | None = None) -> Tensor:
        """Conductance in siemens as it was measured, at whatever voltage that was."""
        return state.variables["conductance"].clone()

    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        raise _only_read()

    def program(self, state: DeviceState, conductance: Tensor, stream: Stream) -> None:
        raise _only_read()

    def pulse(self, state: DeviceState, count: Tensor, stream: Stream) -> None:
        raise _only_read()

    def transform(self, state: DeviceState, change: Callable[[Tensor], Tensor]) -> None:
        state.variables["conductance"].copy_(change(state.variables["conductance"]))

    def read_variance(self, state: DeviceState) -> Tensor | None:
        if self._flicker is None:
            return None
        held = state.variables["conductance"]
        return self._flicker.variance(held, held, state.variables["age"]).add_(self.read_noise**2)

    @property
    def noisy_reads(self) -> bool:
        return self._device.noisy_reads

    @property
    def read_noise(self) -> float:
        return self._device.read_noise

    @property
    def read_time(self) -> float | None:
        return self._device.read_time

    @property
    def increment(self) -> float:
        return self._device.increment

    @property
    def zero(self) -> float:
        return self._device.zero


def _only_read() -> InputError:
    return InputError("measured cells can only be read: nothing is known of how pulses would move them")
