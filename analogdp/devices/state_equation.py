"""What device models with a state equation share: dx/dt = flow(x, V), written by pulses or by any voltage in time."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, field_validator
from torch import Tensor

from analogdp.devices.base import DeviceModel, DeviceSettings, DeviceState, WritePulse
from analogdp.devices.passage import Passage
from analogdp.errors import InputError, Problem
from analogdp.scenario.quantities import Ratio, Voltage
from analogdp.streams import Stream

_PHASES = 64
"""Voltages that stand for a shaped pulse; its falling half is the mirror image of the rising one."""
_PIECES = 8
"""Pieces of a write between which a diffusing state gets its noise."""
_SMALLEST_COUNT = 1e-18
"""Of pulses, for whose noise a variance can be told; smaller ones move nothing."""

_NEARBY = 2.0**-10
"""Share of the range over which the slope of a flow is taken."""

_NO_PULSE = Problem("write_pulse", "is required by a model with a state equation: {up, down, width}")


class StateEquationSettings(DeviceSettings):
    """What the cards of all models with a state equation give: how it is read, and its spread from device to device."""

    write_passes: ClassVar[int] = 1500
    has_thresholds: ClassVar[bool] = True

    read_voltage: Voltage = Field(default=0.1, gt=0, le=2, description="voltage of a read, in volts")
    rate_spread: Ratio = Field(
        default=0.0, ge=0, le=5, description="of the speed of the state, device to device: std of its logarithm"
    )
    threshold_spread: Ratio = Field(
        default=0.0, ge=0, le=1, description="of the threshold voltages, device to device: std of their logarithm"
    )
    bound_spread: Ratio = Field(
        default=0.0,
        ge=0,
        le=0.3,
        description="how much of the state's range a device lacks at each end: half-normal, std relative to the range",
    )
    cycle_noise: Ratio = Field(
        default=0.0, ge=0, le=10, description="standard deviation of what one pulse moves the state by, relative"
    )

    @field_validator("threshold_spread")
    @classmethod
    def _spreads_what_there_is(cls, spread: float) -> float:
        if spread and not cls.has_thresholds:
            raise ValueError(f"{spread:g}: this model has no threshold voltages that could differ; leave it at 0")
        return spread

    def tensors_per_cell(self) -> int:
        """The state, its two bounds, rate and threshold, and the speeds under the two write pulses."""
        return 7


class StateEquationDevice(DeviceModel):
    """A cell whose state x moves by dx/dt = rate * drive(V, threshold) * profile(x, V).

    A model says what current a state carries and how it moves. The first factors may differ from cell to cell: ``drive`` is
    how strongly a voltage acts, ``profile`` in which direction and how fast the state goes where it is. A profile that
    depends on more of the voltage than its sign has a drive of 1.

    Pulses are exposures: n pulses act like n pulse widths of the flow averaged over the pulse's shape, so fractions of a
    pulse add up. That is exact for rectangular pulses and wherever drive and profile are separate; else its error is of third
    order in the change by one pulse. :class:`Passage` gives the motion without time steps.

    Variables of a state: ``state``, in the model's units. Parameters: ``lower`` and ``upper`` bound of the state,
    ``rate`` and ``threshold`` relative to the card's, ``speed_up`` and ``speed_down`` relative to a nominal device's.
    """

    Settings: ClassVar[type[DeviceSettings]] = StateEquationSettings
    parameters: StateEquationSettings

    def __init__(self, parameters: StateEquationSettings, low: float, high: float, write_pulse: WritePulse) -> None:
        super().__init__(low, high, write_pulse)
        self.pulses = write_pulse
        self.parameters = parameters
        self.lowest, self.highest = self.bounds
        self._shape, self._weights = _shape(write_pulse.shape)

    @classmethod
    def build(cls, parameters: DeviceSettings, low: float, high: float, write_pulse: WritePulse | None = None) -> Self:
        if not isinstance(parameters, cls.Settings) or not isinstance(parameters, StateEquationSettings):
            raise TypeError(f"{cls.__name__} takes {cls.Settings.__name__}, not {type(parameters).__name__}")
        if write_pulse is None:
            raise InputError(str(_NO_PULSE))
        device = cls(parameters, low, high, write_pulse)
        found = device._problems()
        if found:
            raise InputError("; ".join(map(str, found)))
        return device

    @classmethod
    def problems(
        cls, parameters: DeviceSettings, low: float, high: float, write_pulse: WritePulse | None
    ) -> list[Problem]:
        if not isinstance(parameters, StateEquationSettings):
            return []
        return [_NO_PULSE] if write_pulse is None else cls(parameters, low, high, write_pulse)._problems()

    def _problems(self) -> list[Problem]:
        """The first kind of problems; each kind makes sense only without the one before."""
        return list(self._excessive_voltages()) or list(self._unreachable_range()) or list(self._useless_pulses())

    def _excessive_voltages(self) -> Iterator[Problem]:
        for name, voltage in (("up", self.pulses.up), ("down", self.pulses.down)):
            if abs(voltage) > self.largest_voltage:
                yield Problem(f"write_pulse.{name}", _beyond(voltage, self.largest_voltage))

    def _unreachable_range(self) -> Iterator[Problem]:
        least, most = sorted(self._nominal(torch.tensor(self.bounds, dtype=torch.float64)).tolist())
        for name, value in (("low", self.low), ("high", self.high)):
            if not least * (1 - 1e-6) <= value <= most * (1 + 1e-6):
                allowed = f"allowed: {least:.6g} S to {most:.6g} S, what the parameters make of the state's bounds"
                yield Problem(name, f"{value:g} S is out of range; {allowed}")

    def _useless_pulses(self) -> Iterator[Problem]:
        directions = (("up", "raise", self._change(self._up)), ("down", "lower", -self._change(self._down)))
        for name, wanted, change in directions:
            if change <= 0:
                said = "does nothing to" if change == 0 else f"does not {wanted}"
                hint = "give more volts or a longer width" if change == 0 else "change its sign"
                message = f"{getattr(self.pulses, name):g} V {said} the conductance at mid-range; {hint}"
                yield Problem(f"write_pulse.{name}", message)

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest state that the equations are for."""

    @abstractmethod
    def chord(self, state: Tensor, voltage: Tensor | float) -> Tensor:
        """Current over voltage in siemens, continuous through 0 V, and monotonic in the state."""

    @abstractmethod
    def state_at(self, conductance: Tensor) -> Tensor:
        """The state whose :meth:`chord` at the read voltage is ``conductance`` >= 0; beyond the bounds if need be."""

    @abstractmethod
    def profile(self, state: Tensor, voltage: Tensor) -> Tensor:
        """The factor of the flow that depends on the state, and on the sign of the voltage at least."""

    def drive(self, voltage: Tensor, threshold: Tensor | float) -> Tensor:
        """The factor >= 0 of the flow that depends on voltage and threshold alone."""
        return torch.ones_like(voltage)

    @property
    def diffuses(self) -> bool:
        """Whether writing adds noise to the state."""
        return False

    def diffusion(self, state: Tensor, voltage: Tensor) -> Tensor:
        """Noise of the state in its units per square root of a second, while a voltage writes it."""
        return torch.zeros_like(state)

    @property
    def largest_voltage(self) -> float:
        """The largest voltage of either sign, in volts, that the equations are for."""
        return math.inf

    def check_voltage(self, voltage: float) -> None:
        """Refuse a voltage beyond the equations.

        Raises:
            InputError: with the largest that is valid.
        """
        if abs(voltage) > self.largest_voltage:
            raise InputError(_beyond(voltage, self.largest_voltage))

    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        """Cells at the nominal mid conductance, or the nearest that their own bounds allow."""
        own, span = self.parameters, self.highest - self.lowest

        def normal(name: str, spread: float) -> Tensor:
            return stream.child(name).normal(shape).mul_(spread)

        lower = normal("lower", own.bound_spread * span).abs_().clamp_(max=span / 2).add_(self.lowest)
        upper = normal("upper", -own.bound_spread * span).abs_().clamp_(max=span / 2).neg_().add_(self.highest)
        rate, threshold = normal("rate", own.rate_spread).exp_(), normal("threshold", own.threshold_spread).exp_()
        parameters = {"lower": lower, "upper": upper, "rate": rate, "threshold": threshold}
        for name, voltage in (("speed_up", self.pulses.up), ("speed_down", self.pulses.down)):
            levels = self._shape * voltage
            nominal = (self.drive(levels, 1.0) * self._weights).sum().item()
            speed = torch.zeros_like(rate)
            for level, weight in zip(levels.tolist(), self._weights.tolist(), strict=True):
                speed.add_(self.drive(torch.full_like(rate, level), threshold), alpha=weight / nominal)
            parameters[name] = speed.mul_(rate)
        state = torch.full_like(rate, float(self._middle))
        return DeviceState({"state": state.clamp_(lower, upper)}, parameters)

    def conductance(self, state: DeviceState, voltage: Tensor | None = None) -> Tensor:
        """Chord conductance I / V in siemens, at the read voltage or the one given, which may be 0."""
        return self.chord(state.variables["state"], self.parameters.read_voltage if voltage is None else voltage)

    def current(self, state: DeviceState, voltage: Tensor) -> Tensor:
        """Current in amperes under a voltage in volts."""
        return self.chord(state.variables["state"], voltage) * voltage

    def program(self, state: DeviceState, conductance: Tensor, stream: Stream) -> None:
        wanted = self.state_at(conductance.clamp(min=0.0))
        torch.clamp(wanted, state.parameters["lower"], state.parameters["upper"], out=state.variables["state"])

    def pulse(self, state: DeviceState, count: Tensor, stream: Stream) -> None:
        """Expose every cell for ``|count|`` pulse widths; counts may be fractions.

        Cycle noise makes the exposure lognormal with the given count as its mean, so that no pulse moves a state backwards.
        Where a state diffuses, the noise is that of the peak voltage for the whole width, and comes in 8 pieces between motions.
        """
        seconds = count * self.pulses.width
        if self.parameters.cycle_noise:
            variance = torch.log1p(self.parameters.cycle_noise**2 / count.abs().clamp_(min=_SMALLEST_COUNT))
            noise = stream.child("cycle").normal(tuple(count.shape[1:])).mul_(variance.sqrt()).sub_(variance, alpha=0.5)
            seconds = torch.where(count == 0, 0.0, seconds * noise.exp_())
        start, parameters = state.variables["state"], state.parameters
        lower, upper = parameters["lower"], parameters["upper"]
        up = seconds.clamp(min=0.0).mul_(parameters["speed_up"])
        down = seconds.clamp(max=0.0).neg_().mul_(parameters["speed_down"])
        moved = start.clamp(lower, upper)
        pieces = _PIECES if self.diffuses else 1
        amplitude = self.pulses.down + (self.pulses.up - self.pulses.down) * (count > 0).to(start.dtype)
        for piece in range(pieces):
            moved = self._down.move(self._up.move(moved, up / pieces), down / pieces).clamp_(lower, upper)
            if self.diffuses:
                length = count.abs() * (self.pulses.width / pieces)
                self._diffuse(moved, state, amplitude, length, stream.child("diffusion").at(piece))
        start.copy_(torch.where(count == 0, start, moved))

    def transform(self, state: DeviceState, change: Callable[[Tensor], Tensor]) -> None:
        state.variables["state"].copy_(self.state_at(change(self.conductance(state)).clamp(min=0.0)))

    def flow(self, state: DeviceState, voltage: Tensor) -> Tensor:
        """dx/dt in units of the state per second, of every cell under its voltage in volts."""
        return self._flow(state.variables["state"], state.parameters, voltage)

    def advance(self, state: DeviceState, voltage: Tensor, seconds: float, stream: Stream | None = None) -> None:
        """Write continuously: one step of the exponential Rosenbrock-Euler method, in place.

            x <- x + (exp(J dt) - 1) / J flow(x),  J = d flow / dx       Hochbruck & Ostermann, Acta Numer. 19, 209 (2010)

        Second order with the voltage at the middle of the step, and stable however fast the state settles. A state that
        reaches its bound stays there until the flow reverses.

        Args:
            state: the cells.
            voltage: across each cell in volts, constant during the step; broadcasts to the cells' shape.
            seconds: length of the step.
            stream: of the diffusion, for models that have one; None leaves it away.
        """
        x, parameters = state.variables["state"], state.parameters
        nearby = _NEARBY * (self.highest - self.lowest)
        inwards = torch.where(x > (self.lowest + self.highest) / 2, -nearby, nearby)
        flow = self._flow(x, parameters, voltage)
        slope = (self._flow(x + inwards, parameters, voltage) - flow).div_(inwards)
        growth = slope.mul_(seconds).clamp_(max=50.0)
        share = torch.where(growth.abs() < 1e-6, 1.0, torch.expm1(growth) / growth)
        x.add_(share.mul_(flow), alpha=seconds).clamp_(parameters["lower"], parameters["upper"])
        if stream is not None and self.diffuses:
            self._diffuse(x, state, voltage, torch.full_like(x, seconds), stream.child("diffusion"))

    @property
    def fractional(self) -> bool:
        return True

    def disturbance(self, scheme: Literal["half", "third"]) -> tuple[float, float]:
        """Flow under a part of the write voltages, relative to that under all of it, of a nominal cell at mid-range."""
        share = 1 / 2 if scheme == "half" else 1 / 3
        middle = self._middle
        up, down = (
            abs(float(self._averaged(share * voltage)(middle) / self._averaged(voltage)(middle)))
            for voltage in (self.pulses.up, self.pulses.down)
        )
        return up, down

    @cached_property
    def increment(self) -> float:
        """Half of what an up and a down pulse at the nominal mid conductance are apart, in siemens; looked up once."""
        return (self._change(self._up) - self._change(self._down)) / 2

    @property
    def zero(self) -> float:
        return (self.low + self.high) / 2

    def crossing_time(self) -> float:
        """Seconds that the slower of the two write pulses' flows needs for the middle half of the state's range."""
        quarter, three = (self.lowest + share * (self.highest - self.lowest) for share in (0.25, 0.75))
        times = [abs(each.duration(quarter, three)) for each in (self._up, self._down)]
        return max((time for time in times if math.isfinite(time)), default=math.inf)

    @cached_property
    def _up(self) -> Passage:
        return Passage(self._averaged(self.pulses.up), self.lowest, self.highest)

    @cached_property
    def _down(self) -> Passage:
        return Passage(self._averaged(self.pulses.down), self.lowest, self.highest)

    @property
    def _middle(self) -> Tensor:
        """The nominal state at mid conductance, ``(1,)``."""
        return self.state_at(torch.tensor([self.zero], dtype=torch.float64))

    def _flow(self, x: Tensor, parameters: dict[str, Tensor], voltage: Tensor) -> Tensor:
        return self.profile(x, voltage) * self.drive(voltage, parameters["threshold"]) * parameters["rate"]

    def _averaged(self, amplitude: float) -> Callable[[Tensor], Tensor]:
        """The flow of a nominal cell averaged over the shape of a pulse."""
        voltages = self._shape * amplitude
        return lambda nodes: self.profile(nodes.unsqueeze(1), voltages) @ (self.drive(voltages, 1.0) * self._weights)

    def _nominal(self, x: Tensor) -> Tensor:
        return self.chord(x, self.parameters.read_voltage)

    def _change(self, passage: Passage) -> float:
        """Change of the conductance by one pulse from mid-range."""
        moved = passage.move(self._middle, torch.tensor([self.pulses.width], dtype=torch.float64))
        return float(self._nominal(moved) - self._nominal(self._middle))

    def _diffuse(self, x: Tensor, state: DeviceState, voltage: Tensor, seconds: Tensor, stream: Stream) -> None:
        """Add the noise of some time at a voltage, reflected at the bounds, in place."""
        lower, upper = state.parameters["lower"], state.parameters["upper"]
        x.addcmul_(stream.normal(tuple(x.shape[1:])).mul_(self.diffusion(x, voltage)), seconds.sqrt())
        x.sub_(lower).abs_().add_(lower)
        x.sub_(upper).abs_().neg_().add_(upper).clamp_(lower, upper)


def _shape(name: str) -> tuple[Tensor, Tensor]:
    """Voltages of a pulse relative to its amplitude, and the share of its time at each; most near the peak, where most moves."""
    if name == "rectangular":
        return torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    before_peak = (torch.arange(_PHASES, dtype=torch.float64) + 0.5) / _PHASES
    phases, weights = 1 - before_peak**3, before_peak**2
    return phases if name == "triangular" else torch.sin(phases * math.pi / 2), weights / weights.sum()


def _beyond(voltage: float, limit: float) -> str:
    return f"{voltage:g} V is beyond what the model's equations are for; the largest valid voltage is {limit:.4g} V"
