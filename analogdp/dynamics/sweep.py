"""The digital fixed-point limit: no time; layers jump to their targets, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field as Option
from torch import Tensor

from analogdp import registry
from analogdp.dynamics.clocks import Clock, largest_difference
from analogdp.dynamics.integrators import Noise
from analogdp.dynamics.step import Step
from analogdp.network import Field
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.schema import ClockSettings, Scenario
from analogdp.streams import Stream

Order = Literal["forward_backward", "forward", "odd_even", "random"]


class SweepSettings(ClockSettings):
    """The digital fixed-point limit: neurons jump to their targets, layer after layer."""

    has_time = uses_tau = False
    clock: Literal["sweep"] = "sweep"
    order: Order = Option(
        default="forward_backward",
        description="forward_backward: up, and down again; forward: up only; odd_even: layers 1, 3, ... together, then "
        "2, 4, ...; random: all layers, in an order drawn anew for every sweep (random-DP)",
    )
    sweeps: int | None = Option(
        default=None,
        ge=1,
        le=100_000,
        description="most sweeps of one settling; default: 1 for forward_backward, else 2 x layers; "
        "for hopfield and predictive_coding at least 30",
    )
    tolerance: Ratio | None = Option(
        default=None,
        gt=0,
        le=1,
        description="largest change in the last sweep of a settled sample; null: always take all sweeps",
    )

    def resolved(self, scenario: Scenario) -> Self:
        needed = 1 if self.order == "forward_backward" else 2 * (len(scenario.sizes) - 1)
        return self.model_copy(update={"sweeps": self.sweeps or max(needed, scenario.neuron.sweeps)})

    @property
    def same_for_all(self) -> bool:
        return self.order == "random"

    def most_steps(self) -> int:
        """Sweeps of the longest settling."""
        assert self.sweeps is not None
        return self.sweeps

    def evaluations(self) -> int:
        return self.most_steps()


@registry.clocks.register("sweep")
class Sweep(Clock):
    """Sweeps: layers jump to their targets in turn, each seeing what its neighbours have just become.

    A forward-backward sweep takes 2L - 1 products above the clamped input's: as many as backpropagation takes for its
    gradients. A forward sweep takes 2L - 2; errors go down by one layer with each, so it takes L of them and more.
    """

    Settings = SweepSettings

    def __init__(self, sweeps: int = 1, tolerance: float | None = None, order: Order = "forward_backward") -> None:
        self.steps, self.tolerance, self.check_every, self.timestep = sweeps, tolerance, 1, None
        self.order = order

    @classmethod
    def build(cls, settings: ClockSettings) -> Self:
        assert isinstance(settings, SweepSettings)
        return cls(settings.most_steps(), settings.tolerance, settings.order)

    def prepare(self, field: Field) -> Step:
        if self.order == "forward_backward":
            return _ForwardBackward(field)
        return _InTurn(field, self.order)


class _SweepStep(Step):
    """A sweep that tells by how much it changed the state."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._before = field.new_state()

    def move(self, state: Tensor, step: int, row: int, noise: Noise | None, residual: Tensor | None) -> None:
        if residual is not None:
            self._before.copy_(state)
        self.sweep(state, step)
        if residual is not None:
            largest_difference(self.field, state, self._before, residual)

    def sweep(self, state: Tensor, step: int) -> None:
        raise NotImplementedError


class _ForwardBackward(_SweepStep):
    """From the first layer to the last, then back down to the first."""

    def sweep(self, state: Tensor, step: int) -> None:
        field, layers = self.field, self.field.parts(state)
        last = len(layers) - 1
        field.send_down(0, layers[0])
        for index, layer in enumerate(layers):
            field.read_bottom_up(index)
            field.write_target(index, layer, layer)
            field.send_up(index, layer)
        # A nudge may be taken at the output's own mean, which is only right after its first jump.
        field.write_target(last, layers[last], layers[last])
        for index in range(last - 1, -1, -1):
            field.send_down(index + 1, layers[index + 1])
            field.read_top_down(index)
            for _ in range(1 + field.neurons[index].cascaded):
                field.write_target(index, layers[index], layers[index])
            field.send_up(index, layers[index])


class _InTurn(_SweepStep):
    """Every layer once, in some order."""

    def __init__(self, field: Field, order: Order) -> None:
        super().__init__(field)
        self._order = order
        self._stream: Stream | None = None

    def start(self, stream: Stream) -> None:
        self._stream = stream

    def sweep(self, state: Tensor, step: int) -> None:
        field, layers = self.field, self.field.parts(state)
        last = len(layers) - 1
        if step == 0:
            for index, layer in enumerate(layers):
                field.send_up(index, layer)
        for index in self._indices(last + 1, step):
            field.read_bottom_up(index)
            field.read_top_down(index)
            # An output that is nudged at its own mean has to be there first.
            for _ in range(2 if index == last or field.neurons[index].cascaded else 1):
                field.write_target(index, layers[index], layers[index])
            field.send_up(index, layers[index])
            field.send_down(index, layers[index])

    def _indices(self, layers: int, step: int) -> Iterator[int]:
        if self._order == "forward":
            yield from range(layers)
        elif self._order == "odd_even":
            # Layers that are not neighbours do not see each other: one after the other is together.
            yield from range(0, layers, 2)
            yield from range(1, layers, 2)
        else:
            assert self._stream is not None, "start() comes first"
            yield from self._stream.at(step).permutation(layers).tolist()
