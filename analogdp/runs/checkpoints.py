"""States that a run can go on from: safetensors files with a checksum of their contents; the newest two are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from analogdp.errors import RunError
from analogdp.files import atomic_path

KEPT = 2
_FORMAT = "analogdp-checkpoint-1"


@dataclass(frozen=True)
class Checkpoint:
    """A state after a number of weight updates.

    Attributes:
        update: weight updates done.
        journal_length: bytes of the metrics journal that belong to the time before this state.
        tensors: everything that the rest of the run depends on, on the CPU.
    """

    update: int
    journal_length: int
    tensors: dict[str, Tensor]


class DamagedCheckpointError(RunError):
    """A checkpoint file is not what was written."""


def save_checkpoint(folder: Path, update: int, journal_length: int, tensors: Mapping[str, Tensor]) -> Path:
    """Write a checkpoint atomically and remove all but the newest two."""
    # Copies: safetensors refuses tensors that share memory, and these may be views of one buffer.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    metadata = {"format": _FORMAT, "update": str(update), "journal_length": str(journal_length)}
    path = folder / f"update-{update:08d}.safetensors"
    try:
        with atomic_path(path) as temporary:
            save_file(copies, temporary, {**metadata, "sha256": _digest(copies, metadata)})
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error
    for old in checkpoint_files(folder)[:-KEPT]:
        old.unlink()
    return path


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    return sorted(folder.glob("update-*.safetensors"), key=_update_of)


def _update_of(file: Path) -> int:
    return int(file.stem.partition("-")[2])


def load_newest(folder: Path, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None if there never was one; ``say`` is told of damaged ones.

    Raises:
        RunError: there are checkpoints, and all are damaged.
    """
    files = checkpoint_files(folder)
    for file in reversed(files):
        try:
            checkpoint = load_checkpoint(file)
        except DamagedCheckpointError as error:
            say(str(error))
            continue
        if file != files[-1]:
            say(f"going on from {file.name} instead, the state after update {checkpoint.update}")
        return checkpoint
    if files:
        raise RunError(f"every checkpoint in {folder} is damaged; the run cannot go on: start its scenario anew")
    return None


def set_aside_newer(folder: Path, update: int) -> None:
    """Rename checkpoints newer than ``update``, which were found damaged, so that they take no good one's place."""
    for file in checkpoint_files(folder):
        if _update_of(file) > update:
            file.rename(file.with_name(f"{file.name}.damaged"))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint and verify it.

    Raises:
        DamagedCheckpointError: the file is truncated, altered or of another kind.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        expected = metadata.pop("sha256")
        if metadata["format"] != _FORMAT or _digest(tensors, metadata) != expected:
            raise ValueError("its contents do not match its checksum")
        return Checkpoint(int(metadata["update"]), int(metadata["journal_length"]), tensors)
    except (SafetensorError, KeyError, ValueError, OSError, RuntimeError) as error:
        detail = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise DamagedCheckpointError(f"checkpoint {path.name} is damaged ({detail})") from error


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, types, shapes and bytes, in the order of the names, and of the metadata."""
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
