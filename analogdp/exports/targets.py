"""Programming targets: the conductances at which cells hold the weights that the trained network holds.

The weight that a pair holds is ``scale * (plus - minus)``, as :class:`~analogdp.synapses.mapping.Mapping` lays it out. Its
targets are what the same mapping makes of that weight for new cells, kept within the nominal range:

- ``balanced``: both cells about the middle, half of the difference each; where one would leave the range, both move up or down
  together, so that the difference stays;
- ``one_sided``: one cell at the low end, the other above it by the difference;
- ``reference``: the fixed cell as it is, the programmable one above or below it by the difference;
- ``offset``, ``offset_column``: the reference at the conductance of weight zero, the cell above or below it by the difference.

Several devices of a cell all get its target; bit slices get the digits of the nearest number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from analogdp.synapses import ConductanceTable, Crossbar
from analogdp.synapses.mapping import TWO_POLARITIES, Mapping
from analogdp.synapses.parts import TOLERANCE


@dataclass(frozen=True)
class Targets:
    """What a controller is to reach in the cells of a crossbar.

    Attributes:
        mapping: of weights to cells.
        tolerance: largest error of a device in siemens: the scenario's ``synapse.programming.tolerance``, or 1 % of the range.
    """

    mapping: Mapping
    tolerance: float

    @classmethod
    def of(cls, crossbar: Crossbar) -> Self:
        """Those of a crossbar."""
        mapping = crossbar.mapping
        return cls(mapping, (crossbar.settings.programming.tolerance or TOLERANCE) * (mapping.high - mapping.low))

    def of_cells(self, table: ConductanceTable) -> tuple[Tensor, Tensor]:
        """Conductances in siemens that the cells of a table are to have.

        Returns:
            Those of plus and minus cells ``(chips, 2, out, in)``, and those of each programmable device
            ``(chips, polarities, devices, out, in)``.
        """
        mapping = self.mapping
        weights = (table.plus - table.minus).mul_(mapping.scale)
        reference = None if mapping.pair in TWO_POLARITIES else self._reference(table.minus)
        units = replace(mapping, shares=(1.0,), levels=None).wanted(weights, reference)
        if mapping.pair == "balanced":
            units += (mapping.low - units).clamp_(min=0).amax(1, keepdim=True)
            units -= (units - mapping.high).clamp_(min=0).amax(1, keepdim=True)
        devices = mapping.split(units.clamp_(mapping.low, mapping.high))
        cells = [mapping.unit(each, 0) for each in devices.unbind(1)]
        return torch.stack(cells if reference is None else [*cells, reference], 1), devices

    def _reference(self, minus: Tensor) -> Tensor:
        """What single cells are to be read against."""
        if self.mapping.pair == "reference":
            return minus.clamp(self.mapping.low, self.mapping.high)
        return torch.full_like(minus, self.mapping.zero)
