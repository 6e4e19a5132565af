"""The buffers of one batch size: state, field, noise and steps, and what is kept of chips that have settled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.dynamics.axons import Axons
from analogdp.dynamics.clocks import Clock
from analogdp.dynamics.noise import Fluctuations
from analogdp.network import Field, Network
from analogdp.scenario.noise import NoiseSettings


@dataclass(frozen=True)
class Kept:
    """What is kept of a settling."""

    layers: tuple[Tensor, ...]
    drive: Tensor
    messages: Tensor | None
    slopes: tuple[Tensor, ...] = ()


class Workspace:
    """The buffers of one batch size."""

    def __init__(
        self, network: Network, clock: Clock, noise: NoiseSettings, tau: float | None, batch: int, compiled: bool
    ) -> None:
        self.field = Field(network, batch)
        self.state = self.field.new_state()
        self.layers = self.field.layout.views(self.state)
        self.field.transmission = self.axons = clock.transmission(self.field)
        self.step = clock.prepare(self.field)
        self.noise = Fluctuations(self.field, noise, clock.timestep, tau, self.step.normals)
        self.stepping = clock.stepping(self.field, self.state, self.step, self.noise, self, compiled)
        self.residual = torch.empty(self.field.layout.chips, batch, device=network.device, dtype=network.dtype)
        # A chip stops when all its own samples have settled, whichever chips run beside it; alone it needs no copy.
        self.alone = self.field.layout.chips == 1
        # What lies between layers remembers slopes, and a damped input where it was, which belong to the state.
        by_chip = (self.field.layout.chips, -1)
        self.slopes = tuple(part.view(by_chip) for part in self.field.memory.values())
        self.kept = Kept(self.layers, self.field.output_drive, self.messages, self.slopes)
        if not self.alone:
            drive, sent = torch.empty_like(self.field.output_drive), self.messages
            self.kept = Kept(
                tuple(map(torch.empty_like, self.layers)),
                drive,
                None if sent is None else torch.empty_like(sent),
                tuple(map(torch.empty_like, self.slopes)),
            )

    @property
    def messages(self) -> Tensor | None:
        """Events sent so far, if messages are events."""
        return self.axons.sent if isinstance(self.axons, Axons) and self.axons.has_events else None

    @property
    def patience(self) -> int:
        """Steps for which a sample has to stay at rest before it counts as settled: as long as messages take."""
        return self.axons.round_trip if isinstance(self.axons, Axons) else 0

    def keep(self, chips: Tensor) -> None:
        """Keep the present state of some chips ``(chips,)`` for the end of the settling."""
        if self.alone:
            return
        chosen = chips.view(-1, 1, 1)
        torch.where(chosen, self.field.output_drive, self.kept.drive, out=self.kept.drive)
        for kept, present in zip(self.kept.layers, self.layers, strict=True):
            torch.where(chosen, present, kept, out=kept)
        if self.kept.messages is not None and self.messages is not None:
            torch.where(chips.view(1, -1, 1), self.messages, self.kept.messages, out=self.kept.messages)
        for kept, present in zip(self.kept.slopes, self.slopes, strict=True):
            torch.where(chips.view(-1, 1), present, kept, out=kept)

    def tensors(self) -> dict[str, Tensor]:
        """What the next step goes on from, by name."""
        parts = {"field": self.field.tensors(), "clock": self.step.tensors(), "noise": self.noise.tensors()}
        if isinstance(self.axons, Axons):
            parts["axons"] = self.axons.tensors()
        named = {f"{part}.{name}": tensor for part, own in parts.items() for name, tensor in own.items()}
        return {"state": self.state} | named
