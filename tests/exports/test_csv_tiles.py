"""The format ``csv``: tables that any program reads, and an index that lists them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.errors import InputError, ScenarioError
from analogdp.exports import export_network, exporter
from analogdp.network import Network
from analogdp.scenario.schema import Scenario

Export = Callable[..., tuple[Path, Network]]


@pytest.fixture
def export(tmp_path: Path, make_network: Callable[..., Network], make_scenario: Callable[..., Scenario]) -> Export:
    def make(
        chips: int = 1, dtype: str = "float64", options: dict[str, Any] | None = None, **synapse: Any
    ) -> tuple[Path, Network]:
        sections: dict[str, Any] = {
            "synapse": {"model": "crossbar", **synapse},
            "chips": chips,
            "run": {"dtype": dtype},
        }
        network, scenario = make_network((8, 6, 4), **sections), make_scenario((8, 6, 4), **sections)
        form = exporter("csv", **(options or {}))
        return export_network(network, scenario, form, tmp_path / "cells")[0], network

    return make


def rows_of(path: Path) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(path.open(encoding="utf-8", newline=""))
    return header, rows


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_tables_put_together_are_the_cells_bit_for_bit(export: Export, dtype: str) -> None:
    folder, network = export(dtype=dtype, tile="5x4")
    index = json.loads((folder / "index.json").read_text())
    assert (index["format"], index["format_version"], index["chip"]) == ("analogdp conductances (CSV)", 1, 0)
    for layer, synapse in zip(index["layers"], network.synapses, strict=True):
        table = synapse.conductances()
        assert table is not None
        assert layer["scale"]["value"] == table.scale
        found = np.full((2, layer["word_lines"], layer["bit_lines"]), np.nan, dtype)
        for file in layer["files"]:
            header, rows = rows_of(folder / file["file"])
            assert header == ["row", "column", "plus [S]", "minus [S]"]
            for row, column, *values in rows:
                place = int(row) + file["first_word_line"], int(column) + file["first_bit_line"]
                found[:, place[0], place[1]] = [np.dtype(dtype).type(value) for value in values]
        np.testing.assert_array_equal(found[0], table.plus[0].T.numpy())
        np.testing.assert_array_equal(found[1], table.minus[0].T.numpy())
    listed = {file["file"] for layer in index["layers"] for file in layer["files"]}
    assert {path.name for path in folder.iterdir()} == listed | {"index.json"}


def test_devices_of_a_cell_have_columns_of_their_own(export: Export) -> None:
    folder, network = export(pair="balanced", unit={"devices": 2})
    header, rows = rows_of(folder / "layer0_tile_0_0.csv")
    assert header[2:] == ["plus [S]", "minus [S]", "plus_0 [S]", "plus_1 [S]", "minus_0 [S]", "minus_1 [S]"]
    table = network.synapses[0].conductances()
    assert table is not None
    assert table.units is not None
    written = torch.tensor([[float(value) for value in row[4:]] for row in rows], dtype=torch.float64)
    torch.testing.assert_close(written, table.units[0].permute(3, 2, 0, 1).reshape(48, 4), rtol=0, atol=0)


def test_the_chip_that_was_named_is_written(export: Export) -> None:
    folder, network = export(chips=3, options={"chip": 2})
    table = network.synapses[0].conductances()
    assert table is not None
    _, rows = rows_of(folder / "layer0_tile_0_0.csv")
    assert float(rows[7][2]) == float(table.plus[2, 1, 1])
    assert json.loads((folder / "index.json").read_text())["chip"] == 2


def test_several_chips_of_which_none_is_named_are_refused(export: Export, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="csv holds one chip, and there are 2"):
        export(chips=2)
    assert list(tmp_path.iterdir()) == []


def test_ideal_weights_are_refused(tmp_path: Path, make_network: Any, make_scenario: Any) -> None:
    with pytest.raises(InputError, match=r"csv holds conductances, and synapse\.model: ideal has none"):
        export_network(make_network(), make_scenario(), exporter("csv"), tmp_path / "cells")
    assert list(tmp_path.iterdir()) == []
