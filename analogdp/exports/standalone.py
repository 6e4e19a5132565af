"""The stages of a feedforward network in numpy alone; the products with weights are left to a simulator of crossbars.

Exports for other simulators hold a copy of this file, and need no further one of analogdp.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Product = Callable[[Array], Array]
"""From what the word lines get ``(rows, word lines)`` to weights times that ``(rows, bit lines)``, in network units."""

ACTIVATIONS: dict[str, Callable[..., Array]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "hard_sigmoid": lambda x: np.clip(x, 0.0, 1.0),
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "identity": lambda x: x,
    "step": lambda x: (x >= 0).astype(x.dtype),
}

POOLS: dict[str, Callable[[Array], Array]] = {
    "max": lambda windows: windows.max((-2, -1)),
    "average": lambda windows: windows.mean((-2, -1)),
    "quadratic_mean": lambda windows: np.sqrt((windows**2).mean((-2, -1))),
}


def read_stages(folder: Path) -> list[dict[str, Any]]:
    """The stages of ``network.json``, with their arrays of ``digital.npz``."""
    stages: list[dict[str, Any]] = json.loads((folder / "network.json").read_text(encoding="utf-8"))["stages"]
    with np.load(folder / "digital.npz", allow_pickle=False) as arrays:
        for number, stage in enumerate(stages, start=1):
            prefix = f"layer{number}_"
            stage["arrays"] = {key.removeprefix(prefix): arrays[key] for key in arrays if key.startswith(prefix)}
    return stages


def answer(stages: Sequence[Mapping[str, Any]], products: Sequence[Product], inputs: Array) -> Array:
    """What the network says ``(batch, outputs)`` to flat inputs ``(batch, inputs)``."""
    message = inputs
    for stage, product in zip(stages, products, strict=True):
        rows = pooled(message, stage["below"], stage["activity_pool"])
        drives = drives_of(stage, product, rows.reshape(len(message), *stage["read"]))
        message = neurons(stage, pooled(drives, stage["drives"], stage["drive_pool"]))
    return message


def drives_of(stage: Mapping[str, Any], product: Product, shown: Array) -> Array:
    """Weights, bias and normalisation, flat ``(batch, drives)``."""
    arrays, kernel, batch = stage["arrays"], stage["kernel"], len(shown)
    if kernel is None:
        rows = shown.reshape(batch, -1)
    else:
        side = ((0, 0), (0, 0), (kernel["padding"],) * 2, (kernel["padding"],) * 2)
        patches = windows_of(np.pad(shown, side), kernel["size"], kernel["stride"])
        rows = patches.transpose(0, 2, 3, 1, 4, 5).reshape(-1, shown.shape[1] * kernel["size"] ** 2)
    drives: Array = (product(rows) + arrays.get("bias", 0.0)) * arrays.get("gain", 1.0) + arrays.get("shift", 0.0)
    return drives.reshape(batch, -1, drives.shape[-1]).transpose(0, 2, 1).reshape(batch, -1)


def neurons(stage: Mapping[str, Any], drives: Array) -> Array:
    """The activity of neurons, a sum of terms of their drives."""
    activation, arrays = stage["activation"], stage["arrays"]
    function = ACTIVATIONS[activation["name"]]
    parameters = {key: value for key, value in activation.items() if key != "name"}
    activity: Array = np.zeros_like(drives)
    for weight, slope, offset in zip(arrays["weight"], arrays["slope"], arrays["offset"], strict=True):
        activity += weight * function(slope * (drives + offset), **parameters)
    return activity


def pooled(message: Array, shape: Sequence[int], pool: Mapping[str, Any] | None) -> Array:
    """A flat message as an image of ``shape`` whose windows are pooled, flat."""
    if pool is None:
        return message
    images = message.reshape(len(message), *shape)
    values = POOLS[pool["kind"]](windows_of(images, pool["size"], pool["stride"]))
    return values.reshape(len(message), -1)


def windows_of(images: Array, size: int, stride: int) -> Array:
    """``(batch, channels, rows, columns, size, size)``."""
    view: Callable[..., Array] = np.lib.stride_tricks.sliding_window_view
    return view(images, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
