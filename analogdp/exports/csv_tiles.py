"""``csv``: the cells of one chip as tables that any program reads, one file for each tile, and an index of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from analogdp import registry
from analogdp.errors import Problem
from analogdp.exports.base import Exporter, OneChipSettings, one_chip, why_no_cells
from analogdp.exports.cells import DOWNWARD, Cells, Place, all_cells, has_cells
from analogdp.network import Network
from analogdp.scenario.loading import dump_scenario
from analogdp.scenario.schema import Scenario

FORMAT = "analogdp conductances (CSV)"
FORMAT_VERSION = 1
CONVENTIONS = (
    "row counts word lines (inputs of the layer) and column counts bit lines (its outputs), from 0 in each tile; "
    "weight = scale * (plus - minus)"
)


class CsvSettings(OneChipSettings):
    """A folder of tables of conductances."""

    format: Literal["csv"] = "csv"

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        return why_no_cells(scenario, self.format) or super().contradictions(scenario)


@registry.exporters.register("csv")
class Csv(Exporter):
    """Plus and minus conductances of every pair of one chip, and of every device where several make up a cell."""

    Settings = CsvSettings
    settings: CsvSettings
    file_name = "conductances_csv"
    folder: ClassVar[bool] = True

    def lacks(self, network: Network) -> str | None:
        return None if has_cells(network) else "there are no conductances to write: the weights are ideal"

    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        own = one_chip(network, scenario, self.settings.chip)
        layers = [_write_crossbar(path, cells) for cells in all_cells(own)]
        index = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": scenario.name,
            "chip": own.chip_indices[0],
            "conventions": CONVENTIONS,
            "layers": layers,
            "scenario": dump_scenario(scenario),
        }
        (path / "index.json").write_text(json.dumps(index, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _write_crossbar(folder: Path, cells: Cells) -> dict[str, Any]:
    """Write the tiles of a crossbar; what the index says of it."""
    files = [_write_tile(folder, cells, place) for place in cells.places]
    facts = cells.facts
    return {
        "layer": cells.number,
        "direction": "down" if cells.kind == DOWNWARD else "up",
        "word_lines": cells.word_lines,
        "bit_lines": cells.bit_lines,
        "tile_word_lines": cells.tile[0],
        "tile_bit_lines": cells.tile[1],
        "scale": {"value": float(facts.scale), "unit": "network units per siemens"},
        "range": {"low": float(facts.low), "high": float(facts.high), "unit": "siemens"},
        "shares": list(facts.shares),
        "device_card": facts.card,
        "files": files,
    }


def _write_tile(folder: Path, cells: Cells, place: Place) -> dict[str, Any]:
    arrays = cells.arrays(0, place)
    columns = {f"{name} [S]": arrays[name] for name in ("plus", "minus")}
    for name in ("plus", "minus"):
        for number, device in enumerate(arrays.get(f"{name}_devices", ())):
            columns[f"{name}_{number} [S]"] = device
    kind = "feedback" if cells.kind == DOWNWARD else "layer"
    file = folder / f"{kind}{cells.number}_{place.name}.csv"
    with file.open("w", encoding="utf-8", newline="") as target:
        target.write(",".join(("row", "column", *columns)) + "\n")
        for line in _lines(list(columns.values())):
            target.write(line)
    return {
        "file": file.name,
        "tile_row": place.row,
        "tile_column": place.column,
        "first_word_line": place.word_lines.start,
        "first_bit_line": place.bit_lines.start,
        "word_lines": place.word_lines.stop - place.word_lines.start,
        "bit_lines": place.bit_lines.stop - place.bit_lines.start,
    }


def _lines(columns: list[NDArray[np.floating[Any]]]) -> Iterator[str]:
    """The text of a table, a word line of cells at a time, of numbers that read back as they were."""
    for row, values in enumerate(zip(*columns, strict=True)):
        texts = [map(str, line) for line in values]  # numpy's own text of a number is the shortest that is exact
        yield "".join(f"{row},{column},{','.join(cell)}\n" for column, cell in enumerate(zip(*texts, strict=True)))
