"""Pulsed devices described by the number of pulses from bound to bound and a label for how nonlinear the way is."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from scipy.optimize import brentq
from torch import Tensor

from analogdp import registry
from analogdp.devices.base import DeviceSettings, DeviceState
from analogdp.devices.population import PopulationSettings
from analogdp.devices.pulsed import PulsedDevice
from analogdp.streams import Stream

_LABEL_SCALE = 10.1015
_STRAIGHTEST, _MOST_BENT = 1e-9, 600.0
_SMALLEST_SOLVED = 1e-4


class NeuroSimSettings(PopulationSettings):
    """Parameters of cells given by their potentiation and depression curves; the step is the mean of a whole curve."""

    pulses: float = Field(ge=2, le=1e6, description="pulses from the lower to the upper bound and back (P_max)")
    nonlinearity_up: float = Field(
        default=0.0, ge=-9, le=9, description="label of the curve of up pulses; > 0: the first steps are the largest"
    )
    nonlinearity_down: float = Field(
        default=0.0, ge=-9, le=9, description="label of the curve of down pulses; < 0: the first steps are the largest"
    )

    @property
    def nominal_step(self) -> float:
        return (self.upper - self.lower) / self.pulses

    def tensors_per_cell(self) -> int:
        return super().tensors_per_cell() + 2


def curvature(label: float) -> float:
    """P_max / A of a nonlinearity label, of its sign.

    Solves |label| = 10.1015 max_x [(1 - exp(-k x)) / (1 - exp(-k)) - x] for k, where the maximum is at
    x = ln(k / (1 - exp(-k))) / k. Chen et al., IEEE TCAD 2018.
    """

    def excess(k: float) -> float:
        whole = -math.expm1(-k)
        x = math.log(k / whole) / k
        return _LABEL_SCALE * (-math.expm1(-k * x) / whole - x) - abs(label)

    straight = excess(_SMALLEST_SOLVED) > 0
    k = _STRAIGHTEST if straight else float(brentq(excess, _SMALLEST_SOLVED, _MOST_BENT, xtol=1e-12))
    return math.copysign(k, label)


@registry.devices.register("neurosim")
class NeuroSim(PulsedDevice):
    """Potentiation and depression follow exponentials of the number of pulses P, from bound to bound in P_max of them.

        up:    w(P) = lower + B (1 - exp(-P / A_up)),   B = (upper - lower) / (1 - exp(-P_max / A_up))
        down:  w(P) = upper - B (1 - exp(-P / A_dn)),   B = (upper - lower) / (1 - exp(-P_max / A_dn))

    The A come from the labels (:func:`curvature`; a down label counts with its sign reversed, as both curves are drawn
    over a rising P). One pulse is w <- w + (B + lower - w) (1 - exp(-1 / A_up)): an affine law. Chen et al., IEEE TCAD
    2018; Peng et al., IEEE TCAD 2020.
    """

    Settings: ClassVar[type[DeviceSettings]] = NeuroSimSettings
    parameters: NeuroSimSettings

    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        """Cells at weight 0; ``step_up`` and ``step_down`` are those there, ``rate_up`` and ``rate_down`` their slopes."""
        state = super().sample(shape, stream)
        state.parameters = self.shape_parameters(state.parameters)
        return state

    def shape_parameters(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        own, cells = self.parameters, dict(parameters)
        span = cells["upper"] - cells["lower"]
        for way, label, leaves, sign in (
            ("up", own.nonlinearity_up, "lower", 1.0),
            ("down", -own.nonlinearity_down, "upper", -1.0),
        ):
            share, whole = self._shape(label)
            goal = (span * (sign * whole)).add_(cells[leaves])
            cells[f"rate_{way}"] = goal.reciprocal()
            cells[f"step_{way}"] = cells[f"step_{way}"] * share * goal.mul_(sign).div_(span)
        return cells

    @property
    def noise_at_bounds(self) -> float:
        own = self.parameters
        shapes = (self._shape(label) for label in (own.nonlinearity_up, -own.nonlinearity_down))
        ends = (share * (whole - 1.0) for share, whole in shapes)
        return own.cycle_noise / (min(ends) if self.additive else 1.0)

    def slope(self, parameters: dict[str, Tensor], rising: Tensor) -> Tensor:
        return torch.lerp(parameters["rate_down"], parameters["rate_up"], rising)

    def _shape(self, label: float) -> tuple[float, float]:
        """P_max (1 - exp(-1 / A)), what a step takes of the way to its goal in mean steps; and B, in ranges."""
        k, pulses = curvature(label), self.parameters.pulses
        return -pulses * math.expm1(-k / pulses), -1.0 / math.expm1(-k)
