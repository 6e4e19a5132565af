"""The state of all layers in one flat buffer, each layer a contiguous view ``(compartments, chips, batch, units)``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod

from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Where each layer's state lies.

    Attributes:
        compartments: state variables of a neuron.
        chips, batch: the two leading axes of every layer.
        units: neurons of each layer with a state, the first hidden layer first.
    """

    compartments: int
    chips: int
    batch: int
    units: tuple[int, ...]

    @cached_property
    def shapes(self) -> tuple[tuple[int, int, int, int], ...]:
        return tuple((self.compartments, self.chips, self.batch, units) for units in self.units)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Start of each layer, and the end of the last."""
        return (0, *accumulate(prod(shape) for shape in self.shapes))

    @property
    def size(self) -> int:
        """Numbers in the buffer."""
        return self.offsets[-1]

    def views(self, flat: Tensor) -> tuple[Tensor, ...]:
        """Each layer's part of ``flat`` (last axis ``size``), as views with the leading axes of ``flat`` kept."""
        lead = flat.shape[:-1]
        return tuple(
            flat[..., start:end].view(*lead, *shape)
            for start, end, shape in zip(self.offsets, self.offsets[1:], self.shapes, strict=False)
        )

    def compartment_views(self, flat: Tensor) -> tuple[tuple[Tensor, ...], ...]:
        """Each layer's compartments as contiguous views ``(chips, batch, units)`` of a flat buffer."""
        return tuple(tuple(layer.unbind()) for layer in self.views(flat))

    def expand(self, per_layer: list[Tensor]) -> Tensor:
        """A flat tensor from one tensor for each layer that broadcasts to the layer's shape."""
        flat = per_layer[0].new_empty(self.size)
        for view, values in zip(self.views(flat), per_layer, strict=True):
            view.copy_(values.expand_as(view))
        return flat
