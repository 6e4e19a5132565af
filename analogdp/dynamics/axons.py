"""What happens to messages between layers on their way: delays, and events in place of continuous values.

With a threshold, a neuron tells its neighbours only that its message has moved by one threshold up or down since it last
said so (send-on-delta). What is sent are signed quanta of fixed size, which receivers add up; so a delayed receiver has
what the sender had a delay ago, whatever was sent since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge, Gt, Le, Len
from pydantic import BeforeValidator
from pydantic import Field as Option
from torch import Tensor

from analogdp.dynamics.clocks import in_whole_steps
from analogdp.errors import Problem
from analogdp.network import Layout
from analogdp.scenario.quantities import Ratio, Time
from analogdp.scenario.settings import Settings

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, int | float | str) else value


Delays = Annotated[
    tuple[Annotated[Time, Ge(0)], ...], Len(1), BeforeValidator(_listed, json_schema_input_type=Time | tuple[Time, ...])
]
Thresholds = Annotated[
    tuple[Annotated[Ratio, Gt(0), Le(100)], ...],
    Len(1),
    BeforeValidator(_listed, json_schema_input_type=Ratio | tuple[Ratio, ...]),
]


class DelaySettings(Settings):
    """Axonal delays between layers of neurons, in each direction; the clamped input arrives at once."""

    bottom_up: Delays = Option(
        default=(0.0,), description="of messages to the layer above: one for all, or one per pair of layers"
    )
    top_down: Delays = Option(default=(0.0,), description="of messages to the layer below, likewise, lowest pair first")


class ThresholdSettings(Settings):
    """Send-on-delta thresholds, in each direction; null sends continuous values."""

    bottom_up: Thresholds | None = Option(
        default=None, description="of the mean: one for all, or one per pair of layers"
    )
    top_down: Thresholds | None = Option(default=None, description="of the difference, likewise, lowest pair first")


def _both_ways(value: Any) -> Any:
    return {"bottom_up": value, "top_down": value} if isinstance(value, int | float | str | list | tuple) else value


class AxonSettings(Settings):
    """How messages travel between layers."""

    delay: Annotated[DelaySettings, BeforeValidator(_both_ways)] = Option(
        default=DelaySettings(), description="how long they take"
    )
    threshold: Annotated[ThresholdSettings, BeforeValidator(_both_ways)] = Option(
        default=ThresholdSettings(), description="by how much a message must move to be sent"
    )

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        pairs = len(scenario.sizes) - 2
        if pairs == 0 and not self.transparent:
            kind = "threshold" if self.delay == DelaySettings() else "delay"
            refusal = "there are no hidden layers, so no messages between layers of neurons; remove it"
            return [Problem(kind, refusal)]
        finest = FINEST[scenario.run.dtype]
        too_fine = [
            Problem(
                f"threshold.{way}",
                f"{smallest:g} is finer than {scenario.run.dtype} can count; allowed: from {finest:g}",
            )
            for way in ("bottom_up", "top_down")
            if (smallest := min(getattr(self.threshold, way) or (1.0,))) < finest
        ]
        return too_fine + [
            Problem(
                f"{kind}.{way}",
                f"{len(value)} values, but there are {pairs} pairs of neighbouring layers of neurons; write one for each, "
                "or a single one for all",
            )
            for kind in ("delay", "threshold")
            for way in ("bottom_up", "top_down")
            if len(value := getattr(getattr(self, kind), way) or ()) not in (0, 1, pairs)
        ]

    def rounded(self, dt: float) -> AxonSettings:
        """With delays that are whole time steps; warns of every delay that is changed."""
        ways = {
            way: tuple(in_whole_steps(delay, dt, f"dynamics.axons.delay.{way}") for delay in getattr(self.delay, way))
            for way in ("bottom_up", "top_down")
        }
        return self.model_copy(update={"delay": DelaySettings(**ways)})

    def round_trip(self, pairs: int) -> float:
        """Seconds that messages take all the way up and down between so many pairs of layers."""
        return sum(sum(_each(way, pairs)) for way in (self.delay.bottom_up, self.delay.top_down))

    def messages_on_their_way(self, units: Sequence[int], dt: float) -> int:
        """Numbers that are kept for each sample between layers of so many units."""
        ways = ((self.delay.bottom_up, units[:-1]), (self.delay.top_down, units[1:]))
        return sum(
            round(delay / dt) * senders
            for delays, sending in ways
            for delay, senders in zip(_each(delays, len(units) - 1), sending, strict=True)
        )

    @property
    def transparent(self) -> bool:
        """Whether messages arrive at once, as they are."""
        parts = (self.delay, self.threshold)
        return not any(any(way) for part in parts for way in (part.bottom_up, part.top_down) if way)


FINEST = {"float32": 1e-6, "float64": 1e-14}
"""Smallest thresholds: quanta are counted in floating point, and states are of order 1."""


class Axons:
    """The messages between the layers of one batch: a :class:`analogdp.network.Transmission`.

    Args:
        settings: resolved, with delays that are whole steps.
        layout: of the state.
        dt: time step in seconds.
        like: for device and dtype.

    Attributes:
        sent: events sent up and down by each chip and sample since the samples were presented, int64 ``(2, chips, batch)``.
    """

    def __init__(self, settings: AxonSettings, layout: Layout, dt: float, like: Tensor) -> None:
        self.sent = torch.zeros(2, layout.chips, layout.batch, dtype=torch.int64, device=like.device)
        self.has_events = any(
            value is not None for value in (settings.threshold.bottom_up, settings.threshold.top_down)
        )
        self._paths: dict[str, list[_Path]] = {}
        pairs = len(layout.units) - 1
        for row, (way, first) in enumerate((("bottom_up", 0), ("top_down", 1))):
            delays = _each(getattr(settings.delay, way), pairs)
            thresholds = _each(getattr(settings.threshold, way) or (None,), pairs)
            self._paths[way] = [
                _Path(round(delay / dt), threshold, layout.shapes[first + k][1:], like, self.sent[row])
                for k, (delay, threshold) in enumerate(zip(delays, thresholds, strict=True))
            ]
        self.round_trip = sum(path.steps for paths in self._paths.values() for path in paths)

    def up(self, index: int, message: Tensor) -> Tensor:
        return self._paths["bottom_up"][index].pass_on(message)

    def down(self, index: int, message: Tensor) -> Tensor:
        return self._paths["top_down"][index - 1].pass_on(message)

    def reset(self) -> None:
        """Nothing is on its way, and nothing was ever sent."""
        for tensor in self.tensors().values():
            tensor.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """What is on its way, by name."""
        return {"sent": self.sent} | {
            f"{way}{k}.{name}": tensor
            for way, paths in self._paths.items()
            for k, path in enumerate(paths)
            for name, tensor in path.tensors().items()
        }


def _each(values: tuple[Any, ...], pairs: int) -> tuple[Any, ...]:
    """One for each pair of neighbouring layers, from one for each or a single one for all."""
    return values * pairs if len(values) == 1 else values


class _Path:
    """One bundle of axons, in one direction."""

    def __init__(self, steps: int, threshold: float | None, shape: tuple[int, ...], like: Tensor, sent: Tensor) -> None:
        self.steps, self._threshold, self._sent = steps, threshold, sent
        # What receivers have added up, in whole quanta: exact however many there were.
        self._quanta = like.new_zeros(shape) if threshold is not None else None
        self._message = like.new_empty(shape)
        # The ring and its position stay on the device: a captured graph of steps finds them there.
        self._ring = like.new_zeros(steps + 1, *shape) if steps else None
        self._position = torch.zeros(1, dtype=torch.int64, device=like.device)

    def pass_on(self, message: Tensor) -> Tensor:
        """What arrives when ``message`` is at the beginning."""
        if self._quanta is not None:
            message = self._events(message, self._quanta)
        if self._ring is None:
            return message
        self._ring.index_copy_(0, self._position, message.unsqueeze(0))
        self._position.add_(1).remainder_(self.steps + 1)
        return torch.index_select(self._ring, 0, self._position, out=self._message.unsqueeze(0)).squeeze(0)

    def _events(self, message: Tensor, quanta: Tensor) -> Tensor:
        """Send as many quanta as the message has moved by; returns what all quanta so far add up to."""
        assert self._threshold is not None
        fresh = torch.sub(message.div_(self._threshold), quanta).trunc_()
        quanta.add_(fresh)
        self._sent.add_(fresh.abs_().sum(-1, dtype=torch.float64).to(torch.int64))
        return torch.mul(quanta, self._threshold, out=message)

    def tensors(self) -> dict[str, Tensor]:
        named = {"quanta": self._quanta, "ring": self._ring, "position": self._position if self.steps else None}
        return {name: tensor for name, tensor in named.items() if tensor is not None}
