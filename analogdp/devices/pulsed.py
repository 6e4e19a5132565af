"""Behavioural device models: a write is a number of pulses, and each pulse moves a normalised weight by an affine law.

The normalised weight w and the conductance are proportional, ``G = low + (w - w_min) / (w_max - w_min) (high - low)``
with the nominal bounds w_min and w_max. A device drawn with a wider range than nominal goes beyond [low, high], but
no device goes below zero conductance: its lower bound is cut there.

Away from the bounds many pulses at once have exactly the mean and the variance of the loop over pulses. At a bound,
which stops every single pulse, they are close. Compared with the loop from 0, 5 and 50 steps below the bound with 3 to
300 pulses, mean and spread are wrong by at most, in steps:

- 0.03 for constant and linear steps with cycle noise below one mean step;
- 0.11 with noise of 2 mean steps, where cells scatter 0.6 to 1.1 steps below the bound; a linear step has this
  accuracy as long as the pulses together are a small part of the range: 300 pulses of 1/1000 of it leave the cells 0.2
  steps too close to the bound and scatter 0.4 too little;
- 0.5 of a mean of 5 for a linear step with additive noise of 0.5 steps that vanishes at the bound (slope 1);
- 0.02 for soft bounds with multiplicative noise;
- 0.5 of a mean of 38 and 1.4 of a scatter of 30 for soft bounds with additive noise of 3.75 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Self

import torch
from torch import Tensor

from analogdp.devices.base import DeviceModel, DeviceSettings, DeviceState, WritePulse
from analogdp.devices.moments import change_moments, furthest_points, reflected_share
from analogdp.devices.population import PopulationSettings, PulsedSettings, draw_population
from analogdp.devices.selection import places
from analogdp.streams import Stream

_QUIET = 0.4
"""Cycle noise, in mean steps, up to which hardly any pulse towards a bound moves a cell away from it."""
_MANY = 1 << 14
"""Cells of a chip from which looking for those near a bound takes less time than it saves."""
_FURTHEST = 2.4
"""Standard deviations by which a walk leaves the span of its two ends with probability exp(-2 x 2.4^2) = 10^-5."""


class PulsedDevice(DeviceModel):
    """What the pulsed models share; a model adds its slope, the dependence of a step on the weight.

    Variables of a state: ``stored``, the weight that pulses move, and, with write noise, ``visible``, what a read
    shows of it since the last write. Parameters: ``step_up``, ``step_down`` (signed), ``upper``, ``lower`` and those
    of the model.
    """

    Settings: ClassVar[type[DeviceSettings]] = PulsedSettings
    parameters: PopulationSettings
    rests_at_bounds: ClassVar[bool] = False
    """Whether the mean step vanishes at the bound it leads to."""

    def __init__(
        self, parameters: PopulationSettings, low: float, high: float, write_pulse: WritePulse | None = None
    ) -> None:
        super().__init__(low, high, write_pulse)
        self.parameters = parameters
        self.additive = parameters.cycle_noise_form == "additive"
        self.stops_short = not self.rests_at_bounds and self.noise_at_bounds > _QUIET
        self.siemens = (high - low) / (parameters.upper - parameters.lower)
        self.floor = parameters.lower - low / self.siemens

    @classmethod
    def build(cls, parameters: DeviceSettings, low: float, high: float, write_pulse: WritePulse | None = None) -> Self:
        if not isinstance(parameters, cls.Settings) or not isinstance(parameters, PopulationSettings):
            raise TypeError(f"{cls.__name__} takes {cls.Settings.__name__}, not {type(parameters).__name__}")
        return cls(parameters, low, high, write_pulse)

    @property
    def noise_at_bounds(self) -> float:
        """Cycle noise relative to the mean step at the bound it leads to, where that step does not vanish."""
        return self.parameters.cycle_noise

    def slope(self, parameters: dict[str, Tensor], rising: Tensor) -> Tensor | None:
        """Relative fall of a step per unit of weight; None for 0.

        Args:
            parameters: of the cells.
            rising: 1 where the pulses are up, 0 elsewhere.
        """
        return None

    def change(
        self, weight: Tensor, step: Tensor, pulses: Tensor, parameters: dict[str, Tensor], rising: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of what ``pulses`` >= 0 pulses do, without regard to the bounds, in new tensors.

        Args:
            weight: normalised weight before the pulses.
            step: of each cell in the direction of its pulses, signed.
            pulses: how many; 0 gives exactly (0, 0).
            parameters: of the cells.
            rising: 1 where the pulses are up, 0 elsewhere.
        """
        own = self.parameters
        return change_moments(weight, step, self.slope(parameters, rising), pulses, own.cycle_noise, self.additive)

    def shape_parameters(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """``parameters`` with what the model's law adds to each cell's steps and bounds without variation of its own."""
        return parameters

    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        """Cells at weight 0 with no write noise yet."""
        parameters = draw_population(self.parameters, shape, self.floor, stream)
        stored = torch.zeros_like(parameters["upper"])
        visible = {"visible": stored.clone()} if self.parameters.write_noise else {}
        return DeviceState({"stored": stored, **visible}, parameters)

    def conductance(self, state: DeviceState, voltage: Tensor | None = None) -> Tensor:
        """Conductance in siemens; these cells are ohmic, ``voltage`` makes no difference."""
        weight = state.variables.get("visible", state.variables["stored"])
        return (weight - self.floor).mul_(self.siemens)

    def program(self, state: DeviceState, conductance: Tensor, stream: Stream) -> None:
        stored = state.variables["stored"]
        torch.add(conductance / self.siemens, self.floor, out=stored)
        self._keep_within_bounds(state)
        self._show(state, None, stream)

    def pulse(self, state: DeviceState, count: Tensor, stream: Stream) -> None:
        stored, parameters = state.variables["stored"], state.parameters
        pulses = count.abs()
        rising = count.clamp(0.0, 1.0)
        step = torch.lerp(parameters["step_down"], parameters["step_up"], rising)
        mean, std = self.change(stored, step, pulses, parameters, rising)
        if self.parameters.cycle_noise:
            mean.addcmul_(stream.child("cycle").normal(tuple(stored.shape[1:])), std)
        if self.stops_short:
            self._hold_back(state, mean, std, pulses, stream)
        stored.add_(mean)
        if self.additive and self.rests_at_bounds and self.parameters.cycle_noise:
            self._reflect(state, pulses)
        self._keep_within_bounds(state)
        self._show(state, pulses, stream)

    def transform(self, state: DeviceState, change: Callable[[Tensor], Tensor]) -> None:
        for weight in state.variables.values():
            torch.add(change((weight - self.floor) * self.siemens) / self.siemens, self.floor, out=weight)

    @property
    def unidirectional(self) -> bool:
        return self.parameters.unidirectional

    def reset(self, state: DeviceState, chosen: Tensor, stream: Stream) -> None:
        """Put the chosen cells at the card's ``reset_weight``, each with an error of its own, within its bounds."""
        own, stored = self.parameters, state.variables["stored"]
        if own.reset_weight is None:
            super().reset(state, chosen, stream)
            return
        drawn = stream.child("reset").normal(tuple(stored.shape[1:])).mul_(own.reset_std).add_(own.reset_weight)
        stored.copy_(torch.where(chosen, drawn, stored))
        self._keep_within_bounds(state)
        self._show(state, chosen.to(stored.dtype), stream)

    @property
    def increment(self) -> float:
        return self.parameters.nominal_step * self.siemens

    @property
    def zero(self) -> float:
        return -self.floor * self.siemens

    def _keep_within_bounds(self, state: DeviceState) -> None:
        stored = state.variables["stored"]
        torch.clamp(stored, state.parameters["lower"], state.parameters["upper"], out=stored)

    def _hold_back(self, state: DeviceState, change: Tensor, std: Tensor, pulses: Tensor, stream: Stream) -> None:
        """Take out of ``change`` what the bounds stop of a noisy walk: its outward steps there.

        On the CPU, where finding them costs no synchronisation, only cells that may get there are looked at, if a chip has
        many.
        """
        ways, own = stream.child("way"), state.parameters
        cells = (state.variables["stored"], change, std, pulses, own["upper"], own["lower"])
        if change.device.type != "cpu" or change[0].numel() < _MANY:
            change.sub_(_stopped(*cells, uniform=ways.uniform(tuple(change.shape[1:]))))
            return
        for chip, near in enumerate(_may_reach_bounds(cells[0], change, std, own["upper"], own["lower"])):
            found = places(near)
            uniform = ways.of_chips(slice(chip, chip + 1)).uniform((len(found),))[0]
            weight, moved, own_std, own_pulses, upper, lower = (
                cell[chip].reshape(-1).index_select(0, found) for cell in cells
            )
            moved.sub_(_stopped(weight, moved, own_std, own_pulses, upper, lower, uniform))
            change[chip].view(-1).index_copy_(0, found, moved)

    def _reflect(self, state: DeviceState, pulses: Tensor) -> None:
        """Bring cells that several pulses shook beyond a bound back, as far as stopping at every pulse would have."""
        stored, parameters = state.variables["stored"], state.parameters
        overshoot = stored - torch.clamp(stored, parameters["lower"], parameters["upper"])
        stored.addcmul_(overshoot, reflected_share(pulses).add_(1.0), value=-1.0)

    def _show(self, state: DeviceState, pulses: Tensor | None, stream: Stream) -> None:
        """Redraw what a read shows of the cells that were written; ``pulses`` None means all of them."""
        if not self.parameters.write_noise:
            return
        stored, visible = state.variables["stored"], state.variables["visible"]
        std = self.parameters.write_noise * self.parameters.nominal_step
        shown = stream.child("show").normal(tuple(stored.shape[1:]), std=std).add_(stored).clamp_(min=self.floor)
        if pulses is None:
            visible.copy_(shown)
        else:
            visible.lerp_(shown, pulses.clamp(max=1.0))


def _may_reach_bounds(weight: Tensor, change: Tensor, std: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    """Cells whose way may touch a bound, but for one in 10^5."""
    room = upper - weight
    torch.minimum(room, weight - lower, out=room)
    return room < change.abs().add_(std, alpha=_FURTHEST)


def _stopped(
    weight: Tensor, change: Tensor, std: Tensor, pulses: Tensor, upper: Tensor, lower: Tensor, uniform: Tensor
) -> Tensor:
    """What bounds add up to that stop outward steps of walks with these totals; ``uniform``: numbers in [0, 1)."""
    lowest, highest = furthest_points(change, std, pulses, uniform)
    above = highest.add_(weight).sub_(upper).clamp_(min=0.0)
    return above.add_(lowest.add_(weight).sub_(lower).clamp_(max=0.0))
