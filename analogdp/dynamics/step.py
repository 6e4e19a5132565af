"""One step of a clock."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from analogdp.dynamics.integrators import Noise
from analogdp.streams import Stream


class Step(ABC):
    """Moves one batch's flat state on, step by step.

    Attributes:
        normals: flat normal numbers that a step takes where membranes are noisy.
        capturable: whether a step is work for the device alone, so that a CUDA graph can hold many of them.
    """

    normals: int = 0
    capturable: bool = False

    def start(self, stream: Stream) -> None:  # noqa: B027 - most clocks have neither memory nor dice
        """Samples are presented to a network at rest; the clock's own dice are drawn from ``stream``."""

    def load(self, first: int, count: int, hold: bool) -> None:  # noqa: B027
        """Have ready what the steps from ``first`` on need."""

    @abstractmethod
    def move(self, state: Tensor, step: int, row: int, noise: Noise | None, residual: Tensor | None) -> None:
        """Move a flat state on by one step, in place.

        Args:
            state: flat.
            step: steps since the samples were presented.
            row: which of the loaded steps this is.
            noise: flat normal numbers, scaled, as integrators take them, or None.
            residual: receives how far each sample ``(chips, batch)`` is from rest: the largest distance from its target
                before the step, or the largest jump in a sweep.
        """

    def tensors(self) -> dict[str, Tensor]:
        """What goes on from step to step, by name; to be copied into."""
        return {}
