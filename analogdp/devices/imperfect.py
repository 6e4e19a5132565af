"""Imperfections that any device can have: programming errors, aging, 1/f noise, faults and wear, around a device model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from analogdp.devices.aging import Aging, Drift, Relaxation, Retention
from analogdp.devices.base import DeviceModel, DeviceSettings, DeviceState, WritePulse
from analogdp.devices.endurance import Endurance
from analogdp.devices.faults import Faults
from analogdp.devices.flicker import FlickerNoise
from analogdp.devices.programming_errors import ProgrammingError
from analogdp.streams import Stream

_OWN = frozenset({"age", "writes", "stuck", *(law.number for law in (Drift, Relaxation, Retention))})
_DOUBLE = 2
"""Numbers of single precision that one of double precision takes the place of."""


@dataclass(frozen=True)
class Imperfections:
    """What a card says beside its model; None: a cell does not have it."""

    programming_error: ProgrammingError | None = None
    relaxation: Relaxation | None = None
    drift: Drift | None = None
    retention: Retention | None = None
    flicker_noise: FlickerNoise | None = None
    faults: Faults | None = None
    endurance: Endurance | None = None

    @property
    def aging(self) -> tuple[Aging, ...]:
        """The laws of aging, in the order in which they act."""
        return tuple(law for law in (self.relaxation, self.drift, self.retention) if law is not None)

    @property
    def timed(self) -> bool:
        """Whether the time since a cell was written matters."""
        return bool(self.aging) or self.flicker_noise is not None

    def tensors_per_cell(self) -> int:
        """Numbers of single precision that describe the imperfections of one cell."""
        doubles = self.timed + (self.endurance is not None)
        return _DOUBLE * doubles + len(self.aging) + (self.faults is not None)

    def __bool__(self) -> bool:
        return self != Imperfections()


class ImperfectDevice(DeviceModel):
    """A device whose conductance is what its model says, worn, aged, and overruled by faults, in this order.

    A write bakes in what time has done to the cell, acts on that as the model says, and restarts the cell's clock.
    Programming errors come with ``program``, and with pulses of devices that are programmed in a closed loop.

    A state holds the variables and parameters of the model and beside them, each where it is needed: ``age``, seconds
    since the last write, and ``writes``, how many there were, both in double precision, as years must be able to grow by
    microseconds; ``relaxation``, ``drift`` and ``retention``, the cells' own normal numbers; ``stuck``, the conductance of
    a faulty cell, negative for others.
    """

    Settings: ClassVar[type[DeviceSettings]] = DeviceSettings

    def __init__(self, inner: DeviceModel, imperfections: Imperfections) -> None:
        super().__init__(inner.low, inner.high, inner.write_pulse)
        self.inner = inner
        self.has = imperfections
        self.middle, self.half = (inner.low + inner.high) / 2, (inner.high - inner.low) / 2

    @classmethod
    def build(cls, parameters: DeviceSettings, low: float, high: float, write_pulse: WritePulse | None = None) -> Self:
        raise TypeError(f"{cls.__name__} is no model of its own: it is made of a model and its imperfections")

    def sample(self, shape: tuple[int, ...], stream: Stream) -> DeviceState:
        state, has = self.inner.sample(shape, stream), self.has
        taken = _OWN & (state.variables.keys() | state.parameters.keys())
        if taken:
            raise TypeError(
                f"{type(self.inner).__name__} has a state called {', '.join(sorted(taken))}, a name taken here"
            )
        like = next(iter(state.variables.values()))
        for law in has.aging:
            kept = state.variables if law.renewed else state.parameters
            kept[law.number] = stream.child(law.number).normal(shape)
        if has.timed:
            state.variables["age"] = torch.zeros_like(like, dtype=torch.float64)
        if has.endurance is not None:
            state.variables["writes"] = torch.zeros_like(like, dtype=torch.float64)
        if has.faults is not None:
            state.parameters["stuck"] = has.faults.draw(shape, self.low, self.high, stream.child("faults"))
        return state

    def conductance(self, state: DeviceState, voltage: Tensor | None = None) -> Tensor:
        inner = _inner(state)
        if voltage is None:
            return self._shown(state, self.inner.conductance(inner))
        present = DeviceState({name: value.clone() for name, value in inner.variables.items()}, inner.parameters)
        self.inner.transform(present, lambda g: self._shown(state, g))
        return self.inner.conductance(present, voltage)

    def program(self, state: DeviceState, conductance: Tensor, stream: Stream) -> None:
        everywhere = torch.ones_like(conductance, dtype=torch.bool)
        self._count(state, everywhere)
        if self.has.endurance is not None and not self.closed_loop:
            conductance = self.has.endurance.fresh(conductance, state.variables["writes"], self.middle)
        self.inner.program(_inner(state), conductance, stream)
        self._miss(state, everywhere, stream)
        self._restart(state, everywhere, stream)

    def pulse(self, state: DeviceState, count: Tensor, stream: Stream) -> None:
        written = count != 0
        if not self.closed_loop and self.has.aging:
            self._write(state, written, lambda g: self._aged(state, self._worn(state, g)))
        self._count(state, written if self.closed_loop else count.abs())
        self.inner.pulse(_inner(state), count, stream)
        if self.closed_loop:
            self._miss(state, written, stream)
        self._restart(state, written, stream)

    def reset(self, state: DeviceState, chosen: Tensor, stream: Stream) -> None:
        self._count(state, chosen)
        self.inner.reset(_inner(state), chosen, stream)
        if self.closed_loop:
            self._miss(state, chosen, stream)
        self._restart(state, chosen, stream)

    def transform(self, state: DeviceState, change: Callable[[Tensor], Tensor]) -> None:
        """Change what the last write left, as far as the cell's wear lets it show; clocks run on."""
        everywhere = torch.ones((), dtype=torch.bool, device=next(iter(state.variables.values())).device)
        self._write(state, everywhere, lambda g: change(self._worn(state, g)))

    def relax(self, state: DeviceState, elapsed: Tensor | float, stream: Stream) -> None:
        self.inner.relax(_inner(state), elapsed, stream)
        if self.has.timed:
            age = state.variables["age"]
            seconds = torch.as_tensor(elapsed, dtype=age.dtype, device=age.device)
            age.add_(seconds.view(-1, *(1,) * (age.dim() - 1)))

    def read_variance(self, state: DeviceState) -> Tensor | None:
        variance = self.inner.read_variance(_inner(state))
        if self.has.flicker_noise is None:
            return variance
        fresh = self.inner.conductance(_inner(state))
        age, shown = state.variables["age"], self._shown(state, fresh)
        flicker = self.has.flicker_noise.variance(self._worn(state, fresh), shown, age)
        return flicker.add_(self.inner.read_noise**2 if variance is None else variance)

    def reference(self, state: DeviceState, stream: Stream) -> Tensor:
        """Conductance in siemens of the fixed cell; it neither ages nor fails."""
        return self.inner.reference(_inner(state), stream)

    def flow(self, state: DeviceState, voltage: Tensor) -> Tensor:
        return self.inner.flow(_inner(state), voltage)

    def disturbance(self, scheme: Literal["half", "third"]) -> tuple[float, float]:
        return self.inner.disturbance(scheme)

    @property
    def closed_loop(self) -> bool:
        return self.inner.closed_loop

    @property
    def unidirectional(self) -> bool:
        return self.inner.unidirectional

    @property
    def fractional(self) -> bool:
        return self.inner.fractional

    @property
    def increment(self) -> float:
        return self.inner.increment

    @property
    def zero(self) -> float:
        return self.inner.zero

    @property
    def read_noise(self) -> float:
        return self.inner.read_noise

    @property
    def noisy_reads(self) -> bool:
        return self.has.flicker_noise is not None or self.inner.noisy_reads

    @property
    def read_time(self) -> float | None:
        return self.inner.read_time if self.has.flicker_noise is None else self.has.flicker_noise.read_time

    @property
    def volatile(self) -> bool:
        return self.has.timed or self.inner.volatile

    def _worn(self, state: DeviceState, fresh: Tensor) -> Tensor:
        if self.has.endurance is None:
            return fresh
        return self.has.endurance.worn(fresh, state.variables["writes"], self.middle)

    def _aged(self, state: DeviceState, conductance: Tensor) -> Tensor:
        """What time since the last write has made of a conductance."""
        for law in self.has.aging:
            number = (state.variables if law.renewed else state.parameters)[law.number]
            conductance = law.aged(conductance, state.variables["age"], number)
        return conductance

    def _shown(self, state: DeviceState, conductance: Tensor) -> Tensor:
        """What a cell shows of the conductance that its model states."""
        conductance = self._aged(state, self._worn(state, conductance))
        if self.has.faults is None:
            return conductance
        stuck = state.parameters["stuck"]
        return torch.where(stuck < 0, conductance, stuck)

    def _write(self, state: DeviceState, written: Tensor, shown: Callable[[Tensor], Tensor]) -> None:
        """Put the written cells where they show ``shown`` of their model's conductance; the others keep their bits."""
        inner, wear = _inner(state), self.has.endurance

        def change(conductance: Tensor) -> Tensor:
            wanted = shown(conductance)
            return wanted if wear is None else wear.fresh(wanted, state.variables["writes"], self.middle)

        before = {name: value.clone() for name, value in inner.variables.items()}
        self.inner.transform(inner, change)
        for name, value in inner.variables.items():
            value.copy_(torch.where(written, value, before[name]))

    def _miss(self, state: DeviceState, written: Tensor, stream: Stream) -> None:
        """What programming leaves: an error, and what a worn cell does not reach any more."""
        error, wear = self.has.programming_error, self.has.endurance

        def reached(conductance: Tensor) -> Tensor:
            if wear is None or not self.closed_loop:
                return self._worn(state, conductance)
            return wear.within(conductance, state.variables["writes"], self.middle, self.half)

        if error is not None:
            wanted = reached(self.inner.conductance(_inner(state)))
            missed = error.draw(wanted, self.high, stream.child("programming_error"))
            self._write(state, written, lambda g: (reached(g) + missed).clamp_(min=0.0))
        elif wear is not None and self.closed_loop:
            self._write(state, written, reached)

    def _count(self, state: DeviceState, writes: Tensor) -> None:
        if self.has.endurance is not None:
            state.variables["writes"].add_(writes)

    def _restart(self, state: DeviceState, written: Tensor, stream: Stream) -> None:
        """Start the clocks of written cells anew, with new numbers where every write has its own."""
        if self.has.timed:
            state.variables["age"].masked_fill_(written, 0.0)
        for law in self.has.aging:
            if law.renewed:
                number = state.variables[law.number]
                fresh = stream.child(law.number).normal(tuple(number.shape[1:]))
                number.copy_(torch.where(written, fresh, number))


def _inner(state: DeviceState) -> DeviceState:
    """The part of a state that belongs to the model."""
    variables, parameters = (
        {name: value for name, value in part.items() if name not in _OWN}
        for part in (state.variables, state.parameters)
    )
    return DeviceState(variables, parameters)
