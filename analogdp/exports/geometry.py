"""What lies around the weights of a layer of images, as attributes of their crossbar in ``conductances.h5``.

With these a reader can fold the matrix back to kernels: word line ``(channel * size + row) * size + column`` of a convolution
carries one pixel of its window, bit lines are the channels of the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from analogdp.scenario.wiring import Kernel, Pool, Wiring


def write_geometry(group: h5py.Group, wiring: Wiring) -> None:
    """Shapes, kernel and pools; nothing for weights that every unit reaches with nothing around them."""
    if wiring.plain:
        return
    shapes = {"below": wiring.below, "read": wiring.read, "drives": wiring.drives, "above": wiring.above}
    for name, shape in shapes.items():
        group.attrs[f"shape_{name}"] = np.asarray(shape, dtype="<i8")
    group.attrs["normalised"] = wiring.normalised
    if wiring.kernel is not None:
        for name in ("channels", "size", "stride", "padding"):
            group.attrs[f"kernel_{name}"] = getattr(wiring.kernel, name)
    for place, pool in (("activity", wiring.activity_pool), ("drive", wiring.drive_pool)):
        if pool is not None:
            for name in ("kind", "size", "stride"):
                group.attrs[f"{place}_pool_{name}"] = getattr(pool, name)


def read_geometry(attributes: Mapping[str, Any]) -> Wiring | None:
    """What :func:`write_geometry` wrote, or None if there was nothing around the weights."""
    if "shape_below" not in attributes:
        return None
    below, above = (tuple(map(int, attributes[f"shape_{name}"])) for name in ("below", "above"))
    kernel = None
    if "kernel_size" in attributes:
        kernel = Kernel(*(int(attributes[f"kernel_{name}"]) for name in ("channels", "size", "stride", "padding")))
    pools = {f"{place}_pool": _pool(attributes, place) for place in ("activity", "drive")}
    return Wiring(below, above, kernel=kernel, normalised=bool(attributes["normalised"]), **pools)


def _pool(attributes: Mapping[str, Any], place: str) -> Pool | None:
    if f"{place}_pool_kind" not in attributes:
        return None
    size, stride = (int(attributes[f"{place}_pool_{name}"]) for name in ("size", "stride"))
    return Pool(attributes[f"{place}_pool_kind"], size, stride)
