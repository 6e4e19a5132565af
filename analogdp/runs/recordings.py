"""``recordings.h5``: traces of chosen units, one group for each record of the scenario.

The layout of a file (format version 1)::

    /                    attributes: format, format_version, name (of the scenario), records (how many), conventions
    /record<i>           attributes: layer, what, compartments (names), samples, every, updates
        chips, units     indices along these axes of the values
        values           (rows, compartments, chips, samples, units), NaN for samples that a smaller batch has not
        step, time       when each row was taken, since the samples were presented; time is NaN without one
        update           weight updates done before
        presentation     rows of one presentation have the same number: 0, 1, ...

Every data set of numbers has an attribute ``unit``. Nothing is compressed and no times of writing are stored, so equal
recordings give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogdp.errors import InputError
from analogdp.files import atomic_path, check_format, written_by_library

FORMAT = "analogdp recordings"
FORMAT_VERSION = 1
CONVENTIONS = "values: (rows, compartments, chips, samples, units)"

COLUMNS = {
    "update": ("<i8", "weight updates"),
    "presentation": ("<i8", "presentations"),
    "step": ("<i8", "steps"),
    "time": ("<f8", "seconds"),
}
"""What is told of every row beside its values: type and unit."""
AXES = ("chips", "units")
CHUNK_BYTES = 4 * 2**20
"""How much is copied at once."""


@dataclass(frozen=True)
class Selection:
    """Which values of a simulation are recorded, and when.

    Attributes:
        layer: 1 for the first hidden layer.
        what: ``states``, the name of a compartment, ``up`` or ``down``.
        compartments: what lies along that axis of the values: names of compartments, or ``what``.
        chips, units: indices along these axes.
        samples: how many of the first samples of the batch.
        every: steps between rows.
        updates: weight updates between recorded presentations.
    """

    layer: int
    what: str
    compartments: tuple[str, ...]
    chips: tuple[int, ...]
    units: tuple[int, ...]
    samples: int
    every: int
    updates: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the values of a row: compartments, chips, samples, units."""
        return len(self.compartments), len(self.chips), self.samples, len(self.units)


@dataclass(frozen=True)
class Spool:
    """A file of rows, one after the other, as long as they are being recorded.

    Attributes:
        selection: what is in a row.
        row: its binary form: the columns, then the values.
        path: the file, which need not be there if there are no rows.
    """

    selection: Selection
    row: np.dtype[Any]
    path: Path

    @classmethod
    def of(cls, selection: Selection, number: np.dtype[Any], path: Path) -> Spool:
        """With values of type ``number``."""
        columns = [(name, kind) for name, (kind, _) in COLUMNS.items()]
        return cls(selection, np.dtype([*columns, ("values", number.newbyteorder("<"), selection.shape)]), path)

    def __len__(self) -> int:
        return self.path.stat().st_size // self.row.itemsize if self.path.exists() else 0

    def chunks(self) -> Iterator[NDArray[Any]]:
        """All rows, few enough at once."""
        if not len(self):
            return
        with self.path.open("rb") as file:
            while (rows := np.fromfile(file, self.row, max(1, CHUNK_BYTES // self.row.itemsize))).size:
                yield rows


class StoredArray:
    """An array in a file, of which only what is asked for is read: ``values[10:20, 0]``, or ``numpy.asarray(values)``.

    Attributes:
        path: the file.
        name: of the data set in it.
        shape, dtype: as of numpy's arrays.

    Raises:
        InputError: when read: the file is gone or damaged.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset) -> None:
        self.path, self.name = path, str(dataset.name)
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype[Any] = dataset.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        with _opened(self.path) as file:
            return file[self.name][index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("an array in a file cannot be had without a copy")
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self) -> str:
        return f"StoredArray({self.path.name}:{self.name}, shape {self.shape}, {self.dtype})"


@dataclass(frozen=True)
class Recording(Selection):
    """What was recorded for one record of the scenario.

    Attributes:
        values: ``(rows, compartments, chips, samples, units)``; NaN for samples that a smaller batch has not.
        step, time: ``(rows,)``: when, since the samples were presented; time in seconds, NaN for clocks without a time.
        update: ``(rows,)``: weight updates done before.
        presentation: ``(rows,)``, rising: which recorded presentation, from 0.
    """

    values: StoredArray
    step: StoredArray
    time: StoredArray
    update: StoredArray
    presentation: StoredArray

    def rows(self, presentation: int) -> slice:
        """The rows of a presentation; empty if it was not recorded."""
        first, end = np.searchsorted(np.asarray(self.presentation), [presentation, presentation + 1])
        return slice(int(first), int(end))

    def __repr__(self) -> str:
        axes = zip(self.shape, ("compartments", "chips", "samples", "units"), strict=True)
        shape = " x ".join(f"{length} {name}" for length, name in axes)
        return f"Recording(layer {self.layer}, {self.what}: {len(self.values)} rows of {shape})"


def write_recordings(path: Path, name: str, spools: Sequence[Spool]) -> Path:
    """Write the rows of spools as one file, atomically and in constant memory.

    Args:
        path: the file.
        name: of the scenario.
        spools: one for each record.

    Returns:
        ``path``.
    """
    with atomic_path(path) as temporary, written_by_library(temporary) as target, h5py.File(target, "w") as file:
        header = {"format": FORMAT, "format_version": FORMAT_VERSION, "name": name, "records": len(spools)}
        file.attrs.update({**header, "conventions": CONVENTIONS})
        for number, spool in enumerate(spools):
            _write_record(file.create_group(f"record{number}"), spool)
    return path


def _write_record(group: h5py.Group, spool: Spool) -> None:
    selection = spool.selection
    for field in fields(Selection):
        value = getattr(selection, field.name)
        if field.name in AXES:
            _create(group, field.name, (len(value),), "<i8", "index")[:] = value
        else:
            group.attrs[field.name] = list(value) if isinstance(value, tuple) else value
    rows = len(spool)
    datasets = {name: _create(group, name, (rows,), kind, unit) for name, (kind, unit) in COLUMNS.items()}
    number = spool.row["values"].base
    datasets["values"] = _create(group, "values", (rows, *selection.shape), number, "network units")
    start = 0
    for chunk in spool.chunks():
        for name, dataset in datasets.items():
            dataset[start : start + len(chunk)] = chunk[name]
        start += len(chunk)


def _create(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: Any, unit: str) -> h5py.Dataset:
    dataset = group.create_dataset(name, shape, dtype, track_times=False)
    dataset.attrs["unit"] = unit
    return dataset


def read_recordings(path: Path | str) -> list[Recording]:
    """Open a file that :func:`write_recordings` wrote: one recording for each record of the scenario, in order.

    Raises:
        InputError: the file is missing, damaged, of another kind or of a newer format.
    """
    path = Path(path)
    with _opened(path) as file, _damage_told(path, ValueError, TypeError):
        return [_read_record(path, file[f"record{number}"]) for number in range(int(file.attrs["records"]))]


def _read_record(path: Path, group: h5py.Group) -> Recording:
    stored = {name: StoredArray(path, group[name]) for name in (*COLUMNS, "values")}
    attributes = group.attrs
    recording = Recording(
        layer=int(attributes["layer"]),
        what=str(attributes["what"]),
        compartments=tuple(map(str, attributes["compartments"])),
        chips=_indices(group["chips"]),
        units=_indices(group["units"]),
        samples=int(attributes["samples"]),
        every=int(attributes["every"]),
        updates=int(attributes["updates"]),
        **stored,
    )
    rows = len(recording.values)
    if recording.values.shape != (rows, *recording.shape) or any(stored[name].shape != (rows,) for name in COLUMNS):
        raise ValueError(f"the arrays of {group.name} do not fit together")
    return recording


def _indices(values: ArrayLike) -> tuple[int, ...]:
    return tuple(np.asarray(values).tolist())


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; a run whose scenario has a 'record' leaves recordings.h5 when it ends")
    with _damage_told(path, OSError, KeyError, RuntimeError, AttributeError), h5py.File(path, "r") as file:
        check_format(path, file.attrs, FORMAT, FORMAT_VERSION, "recordings.h5")
        yield file


@contextmanager
def _damage_told(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Tell some errors as damage of the file; others are of whoever asks it for values."""
    try:
        yield
    except kinds as error:
        raise InputError(f"{path}: damaged or not an HDF5 file: {error}") from error
