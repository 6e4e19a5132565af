"""Where a run keeps its files: one directory per run, made whole, locked by the process that works in it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from analogdp.errors import InputError
from analogdp.files import write_bytes

SCENARIO = "scenario.yaml"
MANIFEST = "manifest.json"
METRICS = "metrics.parquet"
JOURNAL = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
INITIAL_WEIGHTS = "initial_weights.safetensors"
CONDUCTANCES = "conductances.h5"
RECORDINGS = "recordings.h5"
ALIGNMENT = "alignment.parquet"
ALIGNMENT_JOURNAL = "alignment.jsonl"
STABILITY = "stability.parquet"
STABILITY_JOURNAL = "stability.jsonl"
ENERGY = "energy.json"
AGING = "aging.json"
SPOOLS = ".recordings"
REPORT = "report.html"
PLOTS = "plots"
LOG = "log.txt"
LOCK = ".lock"

_LOCK_ATTEMPTS = 5
_LOCK_PAUSE = 0.02


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run; see the names above for what each is called.

    Attributes:
        path: the directory, which exists.
    """

    path: Path

    @classmethod
    def create(cls, parent: Path, name: str, files: Mapping[str, str | bytes], out: Path | None = None) -> RunDirectory:
        """Make ``parent/<name>-<number>`` with the next free number, or ``out``, with ``files`` in it.

        The directory appears under its name complete with these files, or not at all; two runs started at the same
        moment get different numbers.

        Raises:
            InputError: ``out`` exists, or a file is in its way.
            OSError: the place cannot be written to.
        """
        if out is not None:
            if out.exists() or out.is_symlink():
                raise InputError(f"{out} exists; a run needs a new directory: choose another name or remove it")
            parent = out.parent
        if obstacle := next(
            (above for above in (parent, *parent.parents) if above.exists() and not above.is_dir()), None
        ):
            raise InputError(f"{obstacle} is a file; a run needs a directory to be made in: choose another")
        parent.mkdir(parents=True, exist_ok=True)
        staging = parent / f".{name}.{uuid.uuid4().hex}"
        staging.mkdir()
        try:
            (staging / CHECKPOINTS).mkdir()
            for file, content in files.items():
                write_bytes(staging / file, content if isinstance(content, bytes) else content.encode())
            return cls(_rename_to_free(staging, out) if out else _rename_to_next(staging, parent, name))
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """An existing run.

        Raises:
            InputError: ``path`` is not the directory of a run.
        """
        path = Path(path)
        if not path.exists():
            raise InputError(f"{path} does not exist; 'analogdp list' shows the runs in ./runs")
        missing = [name for name in (SCENARIO, MANIFEST) if not (path / name).is_file()]
        if missing:
            raise InputError(f"{path} is not a run directory: it has no {' and no '.join(missing)}")
        return cls(path)

    @property
    def scenario(self) -> Path:
        """The resolved scenario."""
        return self.path / SCENARIO

    @property
    def initial_weights(self) -> Path:
        """A copy of the file of initial weights, if the scenario names one."""
        return self.path / INITIAL_WEIGHTS

    @property
    def manifest(self) -> Path:
        """What ran, how and with what outcome."""
        return self.path / MANIFEST

    @property
    def metrics(self) -> Path:
        """All evaluations as a table, once the run has ended."""
        return self.path / METRICS

    @property
    def journal(self) -> Path:
        """The evaluations so far, appended while running."""
        return self.path / JOURNAL

    @property
    def checkpoints(self) -> Path:
        """Folder of the newest states that the run can go on from."""
        return self.path / CHECKPOINTS

    @property
    def conductances(self) -> Path:
        """The trained crossbars, if the scenario has any and exports them."""
        return self.path / CONDUCTANCES

    @property
    def recordings(self) -> Path:
        """The traces, once the run has ended, if the scenario records any."""
        return self.path / RECORDINGS

    @property
    def alignment(self) -> Path:
        """Angles to backpropagation as a table, once the run has ended, if the scenario measures them."""
        return self.path / ALIGNMENT

    @property
    def alignment_journal(self) -> Path:
        """These angles so far, appended while running."""
        return self.path / ALIGNMENT_JOURNAL

    @property
    def stability(self) -> Path:
        """How far the network was from settling no longer, as a table, once the run has ended, if the scenario measures it."""
        return self.path / STABILITY

    @property
    def stability_journal(self) -> Path:
        """The same so far, appended while running."""
        return self.path / STABILITY_JOURNAL

    @property
    def energy(self) -> Path:
        """The account of energy and time, once the run has ended."""
        return self.path / ENERGY

    @property
    def aging(self) -> Path:
        """How the network does over time, if the run has been aged."""
        return self.path / AGING

    @property
    def spools(self) -> Path:
        """Folder of the traces so far, while the run goes on."""
        return self.path / SPOOLS

    @property
    def report(self) -> Path:
        """The page that people look at."""
        return self.path / REPORT

    @property
    def log(self) -> Path:
        """What happened when."""
        return self.path / LOG

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; the lock goes with the process, however it ends.

        Raises:
            InputError: another living process holds it.
        """
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _take(descriptor):
                holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
                raise InputError(
                    f"{self.path} is being run by another process (number {holder}); wait for it or stop it"
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Whether a living process works on this run."""
        try:
            descriptor = os.open(self.path / LOCK, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def finished_files(self) -> list[Path]:
        """What does not change once the run has ended: all files but the manifest, the log and hidden ones."""
        relative = (file.relative_to(self.path) for file in self.path.rglob("*") if file.is_file())
        visible = (file for file in relative if not any(part.startswith(".") for part in file.parts))
        return sorted(self.path / file for file in visible if file.as_posix() not in (MANIFEST, LOG))

    def remove_leftovers(self) -> None:
        """Remove the temporary files that a killed process left behind; only while holding the lock."""
        for folder in (self.path, self.checkpoints, self.path / PLOTS):
            for file in folder.glob(".*.*"):
                if file.is_file():
                    file.unlink()


def runs_in(folder: Path) -> list[RunDirectory]:
    """The runs directly in a folder, by name and number."""
    runs = [RunDirectory(manifest.parent) for manifest in folder.glob(f"*/{MANIFEST}")]
    visible = [run for run in runs if not run.path.name.startswith(".")]
    return sorted(visible, key=lambda run: _number_last(run.path.name))


def _number_last(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*)-(\d+)", name)
    return (match[1], int(match[2])) if match else (name, 0)


def _rename_to_free(staging: Path, target: Path) -> Path:
    try:
        return staging.rename(target)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{target} exists; a run needs a new directory: choose another name") from error
    except OSError:
        if target.exists():
            raise InputError(f"{target} exists; a run needs a new directory: choose another name") from None
        raise


def _rename_to_next(staging: Path, parent: Path, name: str) -> Path:
    """Rename to the next free number; a directory that another process made meanwhile is not empty and is skipped."""
    taken = [number for prefix, number in (_number_last(entry.name) for entry in parent.iterdir()) if prefix == name]
    number = max(taken, default=0) + 1
    while True:
        target = parent / f"{name}-{number}"
        try:
            return staging.rename(target)
        except OSError:
            if not target.exists():
                raise
            number += 1


def _take(descriptor: int) -> bool:
    """Lock, with a little patience for a process that only looks whether the run is locked."""
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if attempt < _LOCK_ATTEMPTS - 1:
                time.sleep(_LOCK_PAUSE)
    return False
