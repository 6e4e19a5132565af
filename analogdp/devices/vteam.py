"""VTEAM, the voltage threshold adaptive memristor model."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceSettings
from analogdp.devices.ion_drift import above_on
from analogdp.devices.state_equation import StateEquationDevice, StateEquationSettings
from analogdp.devices.windows import WindowName, window
from analogdp.scenario.quantities import Length, Resistance, Voltage


class VteamSettings(StateEquationSettings):
    """Parameters of VTEAM, called as in the paper; ``threshold_spread`` is common to both thresholds of a device."""

    r_on: Resistance = Field(gt=0, le=1e9, description="resistance at x_on")
    r_off: Resistance = Field(gt=0, le=1e12, description="resistance at x_off")
    resistance: Literal["linear", "exponential"] = Field(default="linear", description="how R depends on x")
    x_on: Length = Field(default=0.0, ge=0, le=1e-6, description="state of the highest conductance")
    x_off: Length = Field(gt=0, le=1e-6, description="state of the lowest conductance")
    k_on: float = Field(lt=0, ge=-1e9, description="speed towards x_on, in m/s, negative")
    k_off: float = Field(gt=0, le=1e9, description="speed towards x_off, in m/s")
    alpha_on: float = Field(gt=0, le=20, description="exponent of the voltage beyond v_on")
    alpha_off: float = Field(gt=0, le=20, description="exponent of the voltage beyond v_off")
    v_on: Voltage = Field(lt=0, ge=-100, description="threshold towards x_on, negative")
    v_off: Voltage = Field(gt=0, le=100, description="threshold towards x_off")
    window: WindowName = Field(default="none", description="f_on and f_off: how the motion slows down at the bounds")
    window_power: float = Field(default=2.0, ge=0.5, le=100, description="p of the window")
    window_scale: float = Field(default=1.0, gt=0, le=10, description="j of the Prodromakis window")

    @field_validator("r_off")
    @classmethod
    def _off_is_above_on(cls, r_off: float, info: ValidationInfo) -> float:
        return above_on(r_off, info.data.get("r_on"))

    @field_validator("x_off")
    @classmethod
    def _state_has_a_range(cls, x_off: float, info: ValidationInfo) -> float:
        x_on = info.data.get("x_on")
        if x_on is not None and x_off <= x_on:
            raise ValueError(f"{x_off:g} m is not above x_on, {x_on:g} m; the state needs a range to move in")
        return x_off


@registry.devices.register("vteam")
class Vteam(StateEquationDevice):
    """The state moves only beyond a voltage threshold, and with a power of the voltage beyond it.

        dx/dt = k_off (V / v_off - 1)^alpha_off f_off(x)   V > v_off > 0          R = r_on + (r_off - r_on) w   or
        dx/dt = k_on  (V / v_on  - 1)^alpha_on  f_on(x)    V < v_on < 0           R = r_on exp(log(r_off / r_on) w)
        dx/dt = 0                                          between                w = (x - x_on) / (x_off - x_on)

    Kvatinsky, Ramadan, Friedman & Kolodny, IEEE Trans. Circuits Syst. II 62, 786 (2015). A positive voltage
    lowers the conductance.
    """

    Settings: ClassVar[type[DeviceSettings]] = VteamSettings
    parameters: VteamSettings

    @property
    def bounds(self) -> tuple[float, float]:
        return self.parameters.x_on, self.parameters.x_off

    def chord(self, state: Tensor, voltage: Tensor | float) -> Tensor:
        own, width = self.parameters, self._width(state)
        if own.resistance == "linear":
            return 1.0 / (own.r_on + (own.r_off - own.r_on) * width)
        return torch.exp(-math.log(own.r_off / own.r_on) * width) / own.r_on

    def state_at(self, conductance: Tensor) -> Tensor:
        own = self.parameters
        if own.resistance == "linear":
            width = (1.0 / conductance - own.r_on) / (own.r_off - own.r_on)
        else:
            width = torch.log(own.r_on * conductance) / -math.log(own.r_off / own.r_on)
        return own.x_on + (own.x_off - own.x_on) * width

    def profile(self, state: Tensor, voltage: Tensor) -> Tensor:
        own = self.parameters
        shape = window(own.window, self._width(state), voltage > 0, own.window_power, own.window_scale)
        return torch.sign(voltage) * shape

    def drive(self, voltage: Tensor, threshold: Tensor | float) -> Tensor:
        own = self.parameters
        beyond_off = (voltage / own.v_off / threshold - 1).clamp_(min=0.0)
        beyond_on = (voltage / own.v_on / threshold - 1).clamp_(min=0.0)
        return own.k_off * beyond_off**own.alpha_off - own.k_on * beyond_on**own.alpha_on

    def _width(self, state: Tensor) -> Tensor:
        """The undoped share of the range, from 0 at x_on to 1 at x_off."""
        return (state - self.parameters.x_on) / (self.parameters.x_off - self.parameters.x_on)
