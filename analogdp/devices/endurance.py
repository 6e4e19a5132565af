"""Endurance: the range of a cell shrinks with the number of its writes."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from analogdp.scenario.settings import Settings


class Endurance(Settings):
    """A window that closes around the middle of the nominal range.

        window(n) = 1 / (1 + (n / cycles)^exponent),    G = middle + window(n) (G_fresh - middle)

    n is the number of writes that a cell has had and G_fresh what it would have were it new. So the steps of a worn
    cell are smaller, too. A phenomenological law: half the range is left after ``cycles`` writes, and the loss before
    that is a power law.
    """

    cycles: float = Field(gt=0, le=1e18, description="number of writes after which half the range is left")
    exponent: float = Field(default=1.0, gt=0, le=10, description="of the write count: how suddenly the window closes")

    def window(self, writes: Tensor) -> Tensor:
        """Share of the range that is left after ``writes`` writes."""
        return (writes / self.cycles).pow_(self.exponent).add_(1.0).reciprocal_()

    def worn(self, fresh: Tensor, writes: Tensor, middle: float) -> Tensor:
        """Conductance in siemens of cells that would have ``fresh`` were they new."""
        return (fresh - middle).mul_(self.window(writes).to(fresh.dtype)).add_(middle)

    def fresh(self, worn: Tensor, writes: Tensor, middle: float) -> Tensor:
        """The inverse of :meth:`worn`; not below 0."""
        return (worn - middle).div_(self.window(writes).to(worn.dtype)).add_(middle).clamp_(min=0.0)

    def within(self, wanted: Tensor, writes: Tensor, middle: float, half: float) -> Tensor:
        """The nearest conductances in siemens that a cell of the nominal range middle +- half still reaches."""
        reach = self.window(writes).to(wanted.dtype).mul_(half)
        return (wanted - middle).clamp_(-reach, reach).add_(middle)
