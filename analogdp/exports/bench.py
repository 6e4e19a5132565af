"""What a probe station needs of a crossbar beside its cells: targets, pulses, the order of writing, converters and drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from analogdp.exports.calibration import write_converters
from analogdp.exports.cells import TARGET_DEVICES, TARGETS, Arrays, Cells
from analogdp.exports.drift import expected_drift, write_drift
from analogdp.exports.pulse_programs import Programs, programs_of, why_no_program
from analogdp.exports.storage import write_array
from analogdp.synapses import Crossbar

WRITE_ORDER = "write_order"


@dataclass(frozen=True)
class Bench:
    """How one crossbar is programmed and read on a bench.

    Attributes:
        cells: of the crossbar.
        crossbar: the same.
        tolerance: largest error of a device in siemens that a controller leaves.
        programs: the pulse programs that it chooses from, or None.
    """

    cells: Cells
    crossbar: Crossbar
    tolerance: float
    programs: Programs | None

    @classmethod
    def of(cls, cells: Cells) -> Self | None:
        """That of some cells; None if it is not known how weights become conductances."""
        if cells.crossbar is None or cells.targets is None:
            return None
        tolerance = cells.targets.tolerance
        return cls(cells, cells.crossbar, tolerance, programs_of(cells.crossbar.settings.device, tolerance))

    def attributes(self) -> dict[str, Any]:
        """Of the synapse's group."""
        card, programs = self.crossbar.settings.device, self.programs
        found: dict[str, Any] = {"target_tolerance": self.tolerance, "target_tolerance_unit": "siemens"}
        if (pulse := card.write_pulse) is not None:
            found |= {"pulse_up": pulse.up, "pulse_down": pulse.down, "pulse_voltage_unit": "volts"}
            found |= {"pulse_width": pulse.width, "pulse_width_unit": "seconds", "pulse_shape": pulse.shape}
        if programs is None:
            return found | {"no_program": str(why_no_program(card))}
        found |= {
            "program_from": "reset" if programs.reset else "as delivered",
            "program_start_conductance": programs.start,
            "program_largest_error": programs.largest_error,
            "program_conductance_unit": "siemens",
        }
        if programs.largest_error <= self.tolerance:
            return found
        warning = (
            f"steps of card {card.name!r} are so coarse that programs miss targets by up to {programs.largest_error:.3g} S, more "
            f"than the tolerance of {self.tolerance:.3g} S; program_unmet of each chip says of how many devices"
        )
        return found | {"program_warning": warning}

    def arrays(self, tile: Arrays) -> Arrays:
        """The pulse programs of a tile, by what :meth:`Cells.arrays` says of it; empty if there are none."""
        return {} if self.programs is None else self.programs.of(self._targets(tile))

    def unmet(self, tile: Arrays) -> int:
        """How many devices of a tile are out of tolerance after their programs, a nominal device taken; 0 without programs."""
        if self.programs is None:
            return 0
        return int((self.programs.misses(self._targets(tile)) > self.tolerance).sum())

    def _targets(self, tile: Arrays) -> NDArray[Any]:
        """Of single devices, ``(devices, word lines, bit lines)`` in siemens."""
        single = [tile[name] for name in TARGET_DEVICES if name in tile]
        both = [tile[name] for name in TARGETS][: len(self.crossbar.mapping.signs)]
        return np.concatenate(single) if single else np.stack(both)

    def write(self, group: h5py.Group) -> None:
        """Write what the whole crossbar has in common."""
        group.attrs.update(self.attributes())
        write_array(group, WRITE_ORDER, self.write_order(), "index of tile row, tile column, word line in the tile")
        write_converters(group, self.crossbar)
        if (drift := expected_drift(self.crossbar.settings.device)) is not None:
            write_drift(group, drift)

    def write_order(self) -> NDArray[np.int32]:
        """Steps of writing ``(steps, 3)``: row and column of the tile, word line in it.

        Tile by tile, and one word line at a time, whose cells on all bit lines are written together: no cell is half selected
        by more than one line.
        """
        steps = []
        for place in self.cells.places:
            lines = np.arange(place.word_lines.stop - place.word_lines.start, dtype=np.int32)
            tile = np.broadcast_to(np.array([place.row, place.column], np.int32), (len(lines), 2))
            steps.append(np.column_stack((tile, lines)))
        return np.concatenate(steps)
