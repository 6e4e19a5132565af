"""Tensors that torch models left in files; nothing is ever unpickled."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from analogdp.errors import InputError
from analogdp.exports.safetensors import FORMAT, FORMAT_VERSION
from analogdp.scenario.weights import SUFFIX

PICKLED = (".pt", ".pth", ".bin")
"""Endings of files that :func:`torch.load` reads."""


class StateDict(NamedTuple):
    """A torch ``state_dict``.

    Attributes:
        tensors: by name.
        source: where they come from, for errors.
        ordered: whether they come in the order of their layers.
        scenario: of the network that the file was exported from, as YAML; None of other files.
    """

    tensors: Mapping[str, Tensor]
    source: str
    ordered: bool
    scenario: str | None = None


def read_state_dict(path: Path | str) -> StateDict:
    """The tensors of a safetensors file, or of one that :func:`torch.load` reads with ``weights_only=True``.

    Raises:
        InputError: no such file, one of another kind or of a newer version, a damaged one, or one with more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == SUFFIX:
        return _read_safetensors(path)
    if path.suffix not in PICKLED:
        raise InputError(f"{path}: a torch model comes as {SUFFIX}, or as {' or '.join(PICKLED)} with tensors alone")
    wanted = "wanted is what torch.save(model.state_dict(), path) writes"
    try:
        with warnings.catch_warnings():
            # Of pickles by others, which are refused.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refusal = (
            "holds more than tensors, which would run code to be read; save model.state_dict() instead of the model"
        )
        raise InputError(f"{path}: not saved by torch, or {refusal}; {wanted}") from error
    except Exception as error:  # Torch's unpickler fails in any way on what is no pickle.
        raise InputError(f"{path}: damaged, or not saved by torch; {wanted}") from error
    return of_mapping(found, str(path))


def of_mapping(found: Any, source: str) -> StateDict:
    """A ``state_dict`` from what should be one, in its order.

    Raises:
        InputError: it is not one; an entry is no tensor.
    """
    if not isinstance(found, Mapping):
        raise InputError(f"{source}: a {type(found).__name__}, not a state_dict; give model.state_dict()")
    strange = {str(name): type(own).__name__ for name, own in found.items() if not isinstance(own, Tensor)}
    if strange:
        listed = ", ".join(f"{name!r} is a {kind}" for name, kind in list(strange.items())[:4])
        raise InputError(f"{source}: {listed}, not a tensor; give the state_dict alone")
    return StateDict({str(name): own for name, own in found.items()}, source, ordered=True)


def _read_safetensors(path: Path) -> StateDict:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged, or no safetensors file: {error}") from None
    if metadata.get("format") != FORMAT:
        return StateDict(tensors, str(path), ordered=False)
    version = metadata.get("format_version", "")
    if not (version.isdigit() and 1 <= int(version) <= FORMAT_VERSION):
        known = f"this release of analogdp reads versions up to {FORMAT_VERSION}: install a newer one"
        raise InputError(f"{path}: format version {version or 'missing'}, but {known}")
    return StateDict(tensors, str(path), ordered=False, scenario=metadata.get("scenario"))
