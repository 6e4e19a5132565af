"""The Stanford-PKU model of filamentary resistive memory: a tunnelling gap, hopping ions and Joule heat."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field, ValidationInfo, field_validator
from scipy import constants, optimize
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceSettings
from analogdp.devices.state_equation import StateEquationDevice, StateEquationSettings
from analogdp.devices.yakopcic import sinh_ratio, sinh_ratio_of
from analogdp.scenario.quantities import Current, Length, Temperature, Time, Voltage

_BOLTZMANN = constants.k / constants.e
"""In electronvolts per kelvin."""
_LARGEST_EXPONENT = 80.0
"""Of exponentials in single precision."""


class StanfordPkuSettings(StateEquationSettings):
    """Parameters of the Stanford-PKU model; no voltage is a threshold."""

    has_thresholds = False

    write_passes: ClassVar[int] = 12_000

    gap_min: Length = Field(gt=0, le=1e-7, description="tunnelling gap of the highest conductance")
    gap_max: Length = Field(gt=0, le=1e-7, description="tunnelling gap of the lowest conductance")
    i_0: Current = Field(gt=0, le=1, description="amplitude of the current (I0)")
    g_0: Length = Field(gt=0, le=1e-8, description="decay length of the current with the gap (g0)")
    v_0: Voltage = Field(gt=0, le=10, description="voltage scale of the current (V0)")
    temperature: Temperature = Field(default=298.0, gt=0, le=1000, description="of the surroundings (T0)")
    thermal_resistance: float = Field(ge=0, le=1e9, description="effective, of the filament, in K/W (Rth)")
    hottest: Temperature = Field(
        default=3000.0,
        gt=0,
        le=1e4,
        description="filament temperature up to which voltages are allowed; HfO2 melts at 3031 K",
    )
    gamma_0: float = Field(gt=0, le=1000, description="local field enhancement at no gap")
    beta: float = Field(ge=0, le=1000, description="loss of field enhancement with the gap in nm, cubed")
    thickness: Length = Field(gt=0, le=1e-6, description="of the oxide (t_ox)")
    smallest_field: float = Field(
        default=0.0, ge=0, le=1e11, description="local field of no motion below (F_min), in V/m"
    )
    velocity: float = Field(gt=0, le=1e9, description="of the ions before the barrier (v0), in m/s")
    activation_energy: float = Field(gt=0, le=10, description="of hopping (Ea), in eV")
    hopping_distance: Length = Field(gt=0, le=1e-8, description="between sites (a0)")
    gap_noise: float = Field(
        default=0.0,
        ge=0,
        le=1e3,
        description="random velocity of a hot gap (delta_g), in m/s, drawn every gap_noise_time",
    )
    gap_noise_time: Time = Field(
        default=1e-9, gt=0, le=1, description="how long a random velocity lasts; the diffusion is gap_noise * its root"
    )
    critical_temperature: Temperature = Field(default=450.0, gt=0, le=1e4, description="of the gap noise (T_crit)")
    critical_width: Temperature = Field(default=500.0, gt=0, le=1e4, description="width of its onset (T_smth)")

    @field_validator("hottest")
    @classmethod
    def _filament_may_heat(cls, hottest: float, info: ValidationInfo) -> float:
        surroundings = info.data.get("temperature")
        if surroundings is not None and hottest <= surroundings:
            raise ValueError(f"{hottest:g} K is not above the surroundings' temperature, {surroundings:g} K")
        return hottest

    @field_validator("gap_max")
    @classmethod
    def _gap_has_a_range(cls, gap_max: float, info: ValidationInfo) -> float:
        gap_min = info.data.get("gap_min")
        if gap_min is not None and gap_max <= gap_min:
            raise ValueError(f"{gap_max:g} m is not above gap_min, {gap_min:g} m; the gap needs a range to move in")
        return gap_max


@registry.devices.register("stanford_pku")
class StanfordPku(StateEquationDevice):
    """A filament whose tip is a gap g to the electrode; ions hop across it, the faster the hotter the filament.

        I = I0 exp(-g / g0) sinh(V / V0)          T = T0 + |V I| Rth          gamma = gamma0 - beta (g / nm)^3
        dg/dt = -v0 exp(-Ea / kT) sinh(gamma a0 q V / (t_ox kT))              0 where gamma |V| / t_ox < F_min
                + noise of delta_g / (1 + exp((T_crit - T) / T_smth)), the same

    Guan, Yu & Wong, IEEE Electron Device Lett. 33, 1405 (2012); Jiang et al., IEEE Trans. Electron Devices 63, 1884 (2016).
    A positive voltage raises the conductance. The random velocity of the source, drawn anew at every time step of a circuit
    simulator, is a diffusion here, so that its effect does not depend on steps. It acts where the field is above F_min, that
    is, where ions hop: the formula does not vanish at 0 V, and would erase every cell at rest within microseconds.
    """

    Settings: ClassVar[type[DeviceSettings]] = StanfordPkuSettings
    parameters: StanfordPkuSettings

    @property
    def bounds(self) -> tuple[float, float]:
        return self.parameters.gap_min, self.parameters.gap_max

    @property
    def largest_voltage(self) -> float:
        """Where the narrowest gap reaches ``hottest``, or an exponential leaves single precision."""
        own = self.parameters
        field = own.gamma_0 * own.hopping_distance / own.thickness / (_BOLTZMANN * own.temperature)
        most = _LARGEST_EXPONENT * min(own.v_0, 1 / field)

        def excess(voltage: float) -> float:
            current = own.i_0 * math.exp(-own.gap_min / own.g_0) * math.sinh(voltage / own.v_0)
            return own.temperature + voltage * current * own.thermal_resistance - own.hottest

        return most if excess(most) <= 0 else float(optimize.brentq(excess, 0.0, most))

    def chord(self, state: Tensor, voltage: Tensor | float) -> Tensor:
        own = self.parameters
        ratio = sinh_ratio(voltage / own.v_0) if isinstance(voltage, float) else sinh_ratio_of(voltage / own.v_0)
        return torch.exp(-state / own.g_0) * (own.i_0 / own.v_0) * ratio

    def state_at(self, conductance: Tensor) -> Tensor:
        own = self.parameters
        return -own.g_0 * torch.log(conductance / (own.i_0 / own.v_0 * sinh_ratio(own.read_voltage / own.v_0)))

    def heat(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Temperature of the filament in kelvin."""
        own = self.parameters
        return own.temperature + self.chord(state, voltage) * voltage**2 * own.thermal_resistance

    def profile(self, state: Tensor, voltage: Tensor) -> Tensor:
        own, thermal, field = self.parameters, _BOLTZMANN * self.heat(state, voltage), self._field(state, voltage)
        # Two exponentials rather than a product with a sinh: a barrier that is nearly gone must not be 0 times infinity.
        barrier, gain = -own.activation_energy / thermal, field * own.hopping_distance / thermal
        velocity = (torch.exp(barrier + gain) - torch.exp(barrier - gain)) * (own.velocity / 2)
        return torch.where(field.abs() < own.smallest_field, 0.0, -velocity)

    @property
    def diffuses(self) -> bool:
        return self.parameters.gap_noise > 0

    def diffusion(self, state: Tensor, voltage: Tensor) -> Tensor:
        own = self.parameters
        onset = torch.sigmoid((self.heat(state, voltage) - own.critical_temperature) / own.critical_width)
        hopping = self._field(state, voltage).abs() > own.smallest_field
        return onset * hopping * (own.gap_noise * math.sqrt(own.gap_noise_time))

    def _field(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Local field in V/m."""
        own = self.parameters
        enhancement = (own.gamma_0 - own.beta * (state * 1e9) ** 3).clamp(min=0.0)
        return enhancement * voltage / own.thickness
