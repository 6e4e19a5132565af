"""Recording while a run goes on: values are gathered on the device, and written away whenever a buffer of them is full.

Rows are appended to one spool for each record. A checkpoint remembers how many there were, so that a run that was killed goes
on from there; in the end the spools become ``recordings.h5``.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analogdp.dynamics import Simulation, Watcher
from analogdp.network import Network
from analogdp.runs.metrics import Journal
from analogdp.runs.recordings import COLUMNS, Selection, Spool, write_recordings
from analogdp.scenario.record import RecordSettings
from analogdp.scenario.schema import Scenario

BUFFER_BYTES = 4 * 2**20
"""Of values that are gathered for one record before they are read back from the device."""

_ROWS = "recorder.rows"


class Recorder:
    """Watches the presentations that a scenario wants recorded; does nothing if it wants none.

    Args:
        name: the scenario's.
        tracks: one for each record.

    Attributes:
        every: steps between looks.
    """

    def __init__(self, name: str = "", tracks: Sequence[Track] = ()) -> None:
        self.name, self.tracks = name, tracks
        self.every = math.gcd(*(track.selection.every for track in tracks))
        self._present: list[Track] = []
        self._update = 0

    @classmethod
    def of(cls, scenario: Scenario, network: Network, updates_per_epoch: int, folder: Path) -> Recorder:
        """The recorder of a scenario's run.

        Args:
            scenario: resolved.
            network: as built from it.
            updates_per_epoch: weight updates.
            folder: of the spools; need not be there.
        """
        selections = [_selection(record, network, updates_per_epoch) for record in scenario.record]
        tracks = [Track(own, network, folder / f"record{number}.rows") for number, own in enumerate(selections)]
        return cls(scenario.name, tracks)

    def begin(self, update: int) -> Watcher | None:
        """Who is to watch the next presentation, after ``update`` weight updates; None if it is not recorded."""
        self._present = [track for track in self.tracks if update % track.selection.updates == 0]
        self._update = update
        return self if self._present else None

    def look(self, simulation: Simulation) -> None:
        """Take down what the records want of the present step, without reading it back from the device."""
        for track in self._present:
            if simulation.step % track.selection.every == 0:
                track.take(simulation, self._update)

    def flush(self) -> None:
        """Have all rows on disk."""
        for track in self.tracks:
            track.flush()

    def tensors(self) -> dict[str, Tensor]:
        """How many rows there are, for a checkpoint; all are on disk then."""
        self.flush()
        return {_ROWS: torch.tensor([len(track.spool) for track in self.tracks])} if self.tracks else {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to the moment of :meth:`tensors`, or to the beginning if they are empty.

        Raises:
            RunError: there are fewer rows than there were.
        """
        rows = tensors[_ROWS].tolist() if tensors and self.tracks else [0] * len(self.tracks)
        for track, count in zip(self.tracks, rows, strict=True):
            track.cut(count)

    def write(self, path: Path) -> None:
        """Write all rows as one file."""
        if self.tracks:
            self.flush()
            write_recordings(path, self.name, [track.spool for track in self.tracks])

    def discard(self) -> None:
        """Remove the spools, once they are not needed any more."""
        for folder in {track.spool.path.parent for track in self.tracks}:
            shutil.rmtree(folder, ignore_errors=True)


class Track:
    """The rows of one record, of which the latest are in a buffer on the device.

    Attributes:
        selection: what is recorded.
        spool: where rows go.
    """

    def __init__(self, selection: Selection, network: Network, path: Path) -> None:
        self.selection = selection
        self._units = torch.tensor(selection.units, device=network.device)
        row_bytes = math.prod(selection.shape) * torch.finfo(network.dtype).bits // 8
        rows = max(1, BUFFER_BYTES // row_bytes)
        self._values = torch.empty(rows, *selection.shape, device=network.device, dtype=network.dtype)
        self.spool = Spool.of(selection, torch.empty(0, dtype=network.dtype).numpy().dtype, path)
        self._marks = np.empty(rows, [(name, kind) for name, (kind, _) in COLUMNS.items()])
        self._filled = 0

    def take(self, simulation: Simulation, update: int) -> None:
        """Add a row."""
        if self._filled == len(self._values):
            self.flush()
        row, chosen = self._values[self._filled], self._chosen(simulation)
        if chosen.shape[2] < self.selection.samples:
            row.fill_(math.nan)
        row[:, :, : chosen.shape[2]] = chosen
        time = math.nan if simulation.clock.timestep is None else simulation.time
        self._marks[self._filled] = (update, update // self.selection.updates, simulation.step, time)
        self._filled += 1

    def _chosen(self, simulation: Simulation) -> Tensor:
        """The present values, ``(compartments, chips, samples, units)``; of fewer samples if the batch has not as many."""
        selection, index = self.selection, self.selection.layer - 1
        neuron, state = simulation.network.neurons[index], simulation.state[index][:, :, : self.selection.samples]
        if selection.what == "up":
            values = neuron.upward(state).unsqueeze(0)
        elif selection.what == "down":
            values = neuron.downward(state).unsqueeze(0)
        elif selection.what == "states":
            values = state
        else:
            values = state[neuron.compartments.index(selection.what)].unsqueeze(0)
        return values.index_select(-1, self._units)

    def flush(self) -> None:
        """Append the buffer's rows to the spool and wait until the disk has them."""
        if not self._filled:
            return
        rows = np.empty(self._filled, self.spool.row)
        for name in COLUMNS:
            rows[name] = self._marks[name][: self._filled]
        rows["values"] = self._values[: self._filled].cpu().numpy()
        self.spool.path.parent.mkdir(exist_ok=True)
        with self.spool.path.open("ab") as file:
            file.write(rows.data)
            file.flush()
            os.fsync(file.fileno())
        self._filled = 0

    def cut(self, rows: int) -> None:
        """Drop all but the first ``rows``.

        Raises:
            RunError: there are not as many.
        """
        self._filled = 0
        Journal(self.spool.path).cut(rows * self.spool.row.itemsize)


def _selection(record: RecordSettings, network: Network, updates_per_epoch: int) -> Selection:
    """What a record of a resolved scenario means for a network."""
    assert record.units is not None
    units = record.units
    if units == "all":
        units = network.layers[record.layer - 1].units
    return Selection(
        layer=record.layer,
        what=record.what,
        compartments=network.neurons[record.layer - 1].compartments if record.what == "states" else (record.what,),
        chips=network.chip_indices,
        units=tuple(range(units)) if isinstance(units, int) else units,
        samples=record.samples,
        every=record.every,
        updates=record.updates or updates_per_epoch,
    )
