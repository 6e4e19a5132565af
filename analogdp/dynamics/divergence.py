"""States that grow without bounds."""

from __future__ import annotations

import torch
from torch import Tensor

from analogdp.errors import RunError

LARGEST_STATE = 1e6
"""A state beyond this (or not finite) has diverged; rates of a working network are of order 1."""


class Diverged(RunError):
    """The state of the network grew without bounds.

    Attributes:
        step: the first step after which a state was out of bounds.
        time: that step in seconds since the samples were presented, or None for clocks without time.
        layer: the lowest such layer, 1 for the first hidden layer.
        chip: index of the first such chip.
        place: of this chip along the axis of chips.
        remedy: settings that may help the neurons of the network.
        remark: what else is known of it.
    """

    def __init__(
        self,
        step: int,
        time: float | None,
        layer: int,
        chip: int,
        place: int = 0,
        remedy: str = "smaller weights",
        remark: str = "",
    ) -> None:
        self.step, self.time, self.layer, self.chip, self.place = step, time, layer, chip, place
        self.remedy, self.remark = remedy, remark
        when = f"step {step}" if time is None else f"{time:.3g} s (step {step})"
        super().__init__(
            f"the dynamics diverged: layer {layer} of chip {chip} passed {LARGEST_STATE:g} at {when} "
            f"after the samples were presented. What may help: {remedy}, a smaller learning.rate, "
            f"or normalised inputs (data.normalise){remark and f'. {remark}'}"
        )

    def remarked(self, remark: str) -> Diverged:
        """The same with something else that is known of it."""
        return Diverged(self.step, self.time, self.layer, self.chip, self.place, self.remedy, remark)

    def __reduce__(self) -> tuple[type[Diverged], tuple[int, float | None, int, int, int, str, str]]:
        # Without it the error could not come back from a worker process.
        return type(self), (self.step, self.time, self.layer, self.chip, self.place, self.remedy, self.remark)


def is_bounded(state: Tensor) -> Tensor:
    """Whether all of a state is finite and within the bounds; comparisons with NaN, which aminmax passes on, are false."""
    low, high = torch.aminmax(state)
    return (low >= -LARGEST_STATE) & (high <= LARGEST_STATE)


def beyond_bounds(layer: Tensor) -> Tensor:
    """Which chips of a layer's state are not finite or not within the bounds, ``(chips,)``."""
    return ~(layer.abs().amax(dim=(0, 2, 3)) <= LARGEST_STATE)
