"""Faults of fabrication: cells that stay at one conductance whatever is done to them."""

from __future__ import annotations

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from analogdp.scenario.quantities import Conductance, Ratio
from analogdp.scenario.settings import Settings
from analogdp.streams import Stream

HEALTHY = -1.0
"""Conductance that marks a cell without a fault."""


class Faults(Settings):
    """Shares of cells that are stuck: shorted, open, or never formed."""

    stuck_on: Ratio = Field(default=0.0, ge=0, le=1, description="probability that a cell is stuck at high conductance")
    stuck_off: Ratio = Field(default=0.0, ge=0, le=1, description="probability that it is stuck at low conductance")
    unformed: Ratio = Field(default=0.0, ge=0, le=1, description="probability that its filament was never formed")
    on_conductance: Conductance | None = Field(
        default=None, ge=0, le=1, description="of cells stuck on, in siemens; null: the card's high"
    )
    off_conductance: Conductance | None = Field(
        default=None, ge=0, le=1, description="of cells stuck off, in siemens; null: the card's low"
    )
    unformed_conductance: Conductance = Field(default=0.0, ge=0, le=1, description="of unformed cells, in siemens")

    @field_validator("stuck_off", "unformed")
    @classmethod
    def _are_shares_of_all_cells(cls, share: float, info: ValidationInfo) -> float:
        others = info.data.get("stuck_on", 0.0) + info.data.get("stuck_off", 0.0)
        if others + share > 1 + 1e-12:
            raise ValueError(
                f"{share:g} and {others:g} of other faults are more than all cells; allowed: at most 1 in sum"
            )
        return share

    def draw(self, shape: tuple[int, ...], low: float, high: float, stream: Stream) -> Tensor:
        """Conductances in siemens ``(chips, *shape)`` of the stuck cells; ``HEALTHY`` for the rest.

        Args:
            shape: of the cells of one chip.
            low, high: the card's range in siemens.
            stream: for the chips fabricated.
        """
        chance = stream.uniform(shape)
        stuck = torch.full_like(chance, HEALTHY)
        reached = 0.0
        for share, conductance in (
            (self.stuck_on, high if self.on_conductance is None else self.on_conductance),
            (self.stuck_off, low if self.off_conductance is None else self.off_conductance),
            (self.unformed, self.unformed_conductance),
        ):
            stuck.masked_fill_((chance >= reached) & (chance < reached + share), conductance)
            reached += share
        return stuck
