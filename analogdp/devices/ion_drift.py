"""The linear ion drift model of titanium dioxide memristors."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceSettings
from analogdp.devices.state_equation import StateEquationDevice, StateEquationSettings
from analogdp.devices.windows import WindowName, window
from analogdp.scenario.quantities import Length, Resistance


class IonDriftSettings(StateEquationSettings):
    """Parameters of linear ion drift; it has no threshold."""

    has_thresholds = False

    r_on: Resistance = Field(gt=0, le=1e9, description="resistance of a fully doped cell (x = 1)")
    r_off: Resistance = Field(gt=0, le=1e12, description="resistance of an undoped cell (x = 0)")
    mobility: float = Field(gt=0, le=1e-6, description="of the ions, in m^2/(V s)")
    thickness: Length = Field(gt=0, le=1e-6, description="of the film (D)")
    window: WindowName = Field(default="biolek", description="how the motion slows down towards the ends")
    window_power: float = Field(default=2.0, ge=0.5, le=100, description="p of the window")
    window_scale: float = Field(default=1.0, gt=0, le=10, description="j of the Prodromakis window")

    @field_validator("r_off")
    @classmethod
    def _off_is_above_on(cls, r_off: float, info: ValidationInfo) -> float:
        return above_on(r_off, info.data.get("r_on"))


def above_on(r_off: float, r_on: float | None) -> float:
    """``r_off``, if a cell's resistance has a range with it."""
    if r_on is not None and r_off <= r_on:
        raise ValueError(f"{r_off:g} ohm is not above r_on, {r_on:g} ohm; a cell needs a range to move in")
    return r_off


@registry.devices.register("ion_drift")
class IonDrift(StateEquationDevice):
    """Ions drift in proportion to the current, and the doped share x of the film conducts.

        dx/dt = mobility r_on / thickness^2 * i * f(x)        R(x) = r_on x + r_off (1 - x)

    Strukov, Snider, Stewart & Williams, Nature 453, 80 (2008); windows f in :mod:`analogdp.devices.windows`.
    With the Joglekar and Prodromakis windows a cell at a bound never leaves it again: the terminal-state problem, which is in
    the equations. A cell is there when it is programmed to the bound, or was pulsed towards it until it rounds to it.
    """

    Settings: ClassVar[type[DeviceSettings]] = IonDriftSettings
    parameters: IonDriftSettings

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, 1.0

    def chord(self, state: Tensor, voltage: Tensor | float) -> Tensor:
        return 1.0 / (self.parameters.r_on * state + self.parameters.r_off * (1.0 - state))

    def state_at(self, conductance: Tensor) -> Tensor:
        own = self.parameters
        return (own.r_off - 1.0 / conductance) / (own.r_off - own.r_on)

    def profile(self, state: Tensor, voltage: Tensor) -> Tensor:
        own = self.parameters
        shape = window(own.window, state, voltage > 0, own.window_power, own.window_scale)
        return torch.sign(voltage) * shape * self.chord(state, voltage)

    def drive(self, voltage: Tensor, threshold: Tensor | float) -> Tensor:
        own = self.parameters
        return voltage.abs() * (own.mobility * own.r_on / own.thickness**2)
