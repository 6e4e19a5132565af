"""Yakopcic's generalised memristor model."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceSettings
from analogdp.devices.state_equation import StateEquationDevice, StateEquationSettings
from analogdp.scenario.quantities import Current, Voltage

_LARGEST_EXPONENT = 80.0
"""Of exponentials in single precision."""


class YakopcicSettings(StateEquationSettings):
    """Parameters of Yakopcic's model, called as in the paper; ``threshold_spread`` is common to both thresholds."""

    a1: Current = Field(gt=0, le=100, description="amplitude of the current at V >= 0")
    a2: Current = Field(gt=0, le=100, description="amplitude of the current at V < 0")
    b: float = Field(gt=0, le=1000, description="curvature of the current, in 1/V")
    v_p: Voltage = Field(gt=0, le=10, description="positive threshold (Vp)")
    v_n: Voltage = Field(gt=0, le=10, description="size of the negative threshold (Vn), positive")
    a_p: float = Field(gt=0, le=1e15, description="speed beyond the positive threshold (Ap), in 1/s")
    a_n: float = Field(gt=0, le=1e15, description="speed beyond the negative threshold (An), in 1/s")
    x_p: float = Field(ge=0, lt=1, description="state above which the motion upwards slows down (xp)")
    x_n: float = Field(ge=0, lt=1, description="the motion downwards slows down below 1 - x_n (xn)")
    alpha_p: float = Field(ge=0, le=100, description="how fast the motion upwards decays beyond x_p")
    alpha_n: float = Field(ge=0, le=100, description="how fast the motion downwards decays beyond 1 - x_n")
    eta: Literal[1, -1] = Field(default=1, description="1: positive voltages raise the state, -1: they lower it")


@registry.devices.register("yakopcic")
class Yakopcic(StateEquationDevice):
    """A tunnelling current that the state scales, and a motion beyond thresholds that slows down towards the bounds.

        I = a x sinh(b V)                          a = a1 for V >= 0, a2 for V < 0
        dx/dt = eta g(V) f(x)
        g = Ap (exp(V) - exp(Vp))   V > Vp         f = exp(-alpha_p (x - xp)) (1 - x) / (1 - xp)    up, x >= xp
        g = -An (exp(-V) - exp(Vn)) V < -Vn        f = exp(alpha_n (x + xn - 1)) x / (1 - xn)       down, x <= 1 - xn
        g = 0                       between        f = 1                                            elsewhere

    Yakopcic, Taha, Subramanyam & Pino, IEEE Trans. Comput.-Aided Des. 32, 1201 (2013). Voltages in the
    exponentials are in volts. A state moves up where eta V > 0.
    """

    Settings: ClassVar[type[DeviceSettings]] = YakopcicSettings
    parameters: YakopcicSettings

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def largest_voltage(self) -> float:
        """Where the exponentials leave single precision."""
        return _LARGEST_EXPONENT / max(1.0, self.parameters.b)

    def chord(self, state: Tensor, voltage: Tensor | float) -> Tensor:
        own = self.parameters
        if isinstance(voltage, float):
            return state * ((own.a1 if voltage >= 0 else own.a2) * own.b * sinh_ratio(own.b * voltage))
        amplitude = own.a2 + (own.a1 - own.a2) * (voltage >= 0).to(state.dtype)
        return state * amplitude * own.b * sinh_ratio_of(own.b * voltage)

    def state_at(self, conductance: Tensor) -> Tensor:
        own = self.parameters
        return conductance / (own.a1 * own.b * sinh_ratio(own.b * own.read_voltage))

    def profile(self, state: Tensor, voltage: Tensor) -> Tensor:
        own = self.parameters
        direction = torch.sign(voltage) * own.eta
        slowing_up = torch.exp(-own.alpha_p * (state - own.x_p)) * (1 - state) / (1 - own.x_p)
        slowing_down = torch.exp(own.alpha_n * (state + own.x_n - 1)) * state / (1 - own.x_n)
        up = torch.where(state >= own.x_p, slowing_up, 1.0)
        down = torch.where(state <= 1 - own.x_n, slowing_down, 1.0)
        return direction * torch.where(direction >= 0, up, down)

    def drive(self, voltage: Tensor, threshold: Tensor | float) -> Tensor:
        own, level = self.parameters, torch.as_tensor(threshold, dtype=voltage.dtype, device=voltage.device)
        beyond_p = (torch.exp(voltage) - torch.exp(own.v_p * level)).clamp_(min=0.0)
        beyond_n = (torch.exp(-voltage) - torch.exp(own.v_n * level)).clamp_(min=0.0)
        return own.a_p * beyond_p + own.a_n * beyond_n


def sinh_ratio(z: float) -> float:
    """sinh(z) / z."""
    return math.sinh(z) / z if z else 1.0


def sinh_ratio_of(z: Tensor) -> Tensor:
    """sinh(z) / z, 1 at z = 0, to rounding."""
    small = z.abs() < 1e-3
    return torch.where(small, 1 + z * z / 6, torch.sinh(z) / torch.where(small, 1.0, z))
