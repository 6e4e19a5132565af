"""``npz``: the cells of all chips in one file of numpy arrays, without pickles."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analogdp import registry
from analogdp.errors import Problem
from analogdp.exports.base import Exporter, why_no_cells
from analogdp.exports.cells import DOWNWARD, Cells, all_cells, has_cells, unit_of
from analogdp.network import Network
from analogdp.scenario.loading import dump_scenario
from analogdp.scenario.schema import ExportSettings, Scenario

FORMAT = "analogdp conductances (NPZ)"
FORMAT_VERSION = 1
CONVENTIONS = "arrays are (chips, word lines, bit lines), those of devices (chips, devices, word lines, bit lines)"


class NpzSettings(ExportSettings):
    """One file of numpy arrays."""

    format: Literal["npz"] = "npz"

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        return why_no_cells(scenario, self.format)


@registry.exporters.register("npz")
class Npz(Exporter):
    """What ``np.load(path, allow_pickle=False)`` reads: cells, biases, and two texts in JSON, ``about`` and ``units``."""

    Settings = NpzSettings
    file_name = "conductances.npz"

    def lacks(self, network: Network) -> str | None:
        return None if has_cells(network) else "there are no conductances to write: the weights are ideal"

    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        about: dict[str, Any] = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": scenario.name,
            "layers": list(network.sizes),
            "chips": list(network.chip_indices),
            "conventions": CONVENTIONS,
            "crossbars": {},
            "scenario": dump_scenario(scenario),
        }
        units: dict[str, str] = {}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for cells in all_cells(network):
                prefix = f"{'feedback' if cells.kind == DOWNWARD else 'layer'}{cells.number}"
                about["crossbars"][prefix] = _facts(cells)
                for name, values in _arrays(cells, network.chips):
                    units[f"{prefix}.{name}"] = unit_of(name)
                    _add(archive, f"{prefix}.{name}", values)
            for number, layer in enumerate(network.layers):
                if layer.bias is not None:
                    units[f"layer{number}.biases"] = "network units"
                    _add(archive, f"layer{number}.biases", layer.bias.reshape(network.chips, -1).cpu().numpy())
            for name, text in (("about", about), ("units", units)):
                _add(archive, name, np.array(json.dumps(text, allow_nan=False)))


def _facts(cells: Cells) -> dict[str, Any]:
    facts = cells.facts
    return {
        "tile": list(cells.tile),
        "scale": float(facts.scale),
        "scale_unit": "network units per siemens",
        "range": [float(facts.low), float(facts.high)],
        "range_unit": "siemens",
        "shares": list(facts.shares),
        "device_card": facts.card,
    }


def _arrays(cells: Cells, chips: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """What the tiles of all chips hold, put together one after the other."""
    whole: dict[str, NDArray[Any]] = {}
    for position in range(chips):
        for place in cells.places:
            for name, values in cells.arrays(position, place).items():
                if name not in whole:
                    shape = (chips, *values.shape[:-2], cells.word_lines, cells.bit_lines)
                    whole[name] = np.empty(shape, values.dtype)
                whole[name][position, ..., place.word_lines, place.bit_lines] = values
    yield from whole.items()


def _add(archive: zipfile.ZipFile, name: str, values: NDArray[Any]) -> None:
    """As numpy's savez does it, but without the time, so that equal networks give equal bytes."""
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        np.save(file, values, allow_pickle=False)
