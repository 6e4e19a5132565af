"""Conductances that were measured on a chip, as folders of CSV files and as HDF5 files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from analogdp.errors import InputError
from analogdp.exports import hdf5
from analogdp.imports import read_measured

SHAPE, TILE = (5, 3), (3, 2)
PLACES = [(row, column) for row in (0, 3) for column in (0, 2)]


def cells(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Conductances of both polarities in siemens, ``(word lines, bit lines)``."""
    generator = np.random.default_rng(seed)
    return generator.uniform(1e-6, 1e-4, SHAPE), generator.uniform(1e-6, 1e-4, SHAPE)


def lines(row: int, column: int) -> list[str]:
    """A tile's table, written by hand."""
    plus, minus = cells()
    own = [values[row : row + TILE[0], column : column + TILE[1]] for values in (plus, minus)]
    return [
        f"{i},{j},{own[0][i, j]!r},{own[1][i, j]!r}" for i in range(own[0].shape[0]) for j in range(own[0].shape[1])
    ]


def write_csv(folder: Path) -> Path:
    """One crossbar of four tiles, those at the far edges smaller."""
    folder.mkdir()
    files = []
    for row, column in PLACES:
        name = f"layer0_tile_{row // TILE[0]}_{column // TILE[1]}.csv"
        text = [line.replace("np.float64(", "").replace(")", "") for line in lines(row, column)]
        (folder / name).write_text("\n".join(["row,column,plus [S],minus [S]", *text]) + "\n")
        files.append({"file": name, "first_word_line": row, "first_bit_line": column})
    layer = {"layer": 0, "word_lines": 5, "bit_lines": 3, "tile_word_lines": 3, "tile_bit_lines": 2, "files": files}
    index = {"format": "analogdp conductances (CSV)", "format_version": 1, "chip": 4, "layers": [layer]}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def write_hdf5(path: Path) -> Path:
    """The least that a measured file holds."""
    plus, minus = cells()
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "analogdp conductances", "format_version": 1})
        group = file.create_group("synapses/0")
        group.attrs.update({"word_lines": 5, "bit_lines": 3})
        for row, column in PLACES:
            tile = group.create_group(f"chip_4/tile_{row // TILE[0]}_{column // TILE[1]}")
            tile.attrs.update({"first_word_line": row, "first_bit_line": column})
            for name, values in (("plus", plus), ("minus", minus)):
                tile[name] = values[row : row + TILE[0], column : column + TILE[1]]
                tile[name].attrs["unit"] = "siemens"
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "bench")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_hdf5(tmp_path / "bench.h5")


TABLE = "layer0_tile_0_0.csv"


def rewrite(folder: Path, *changes: tuple[int, str]) -> None:
    """Replace lines of the first tile's table, counted from 1."""
    text = (folder / TABLE).read_text().splitlines()
    for number, line in changes:
        text[number - 1 : number] = [line] if line else []
    (folder / TABLE).write_text("\n".join(text) + "\n")


def reindex(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the index in place, or replace it by what is returned."""
    index = json.loads((folder / "index.json").read_text())
    other = change(index)
    (folder / "index.json").write_text(json.dumps(index if other is None else other))


@pytest.mark.parametrize("write", [write_csv, write_hdf5])
def test_tiles_are_put_together_to_the_last_bit(write: Callable[[Path], Path], tmp_path: Path) -> None:
    found = read_measured(write(tmp_path / "source"))
    assert (found.chip, [own.name for own in found], found[0].shape) == (4, ["synapse0"], SHAPE)
    for values, wanted in zip((found[0].plus, found[0].minus), cells(), strict=True):
        np.testing.assert_array_equal(values, wanted)
    assert not found[0].plus_state.any()


# CSV


@pytest.mark.parametrize(
    ("unit", "factor"), [("S", 1), ("mS", 1e-3), ("uS", 1e-6), ("µS", 1e-6), ("μS", 1e-6), ("nS", 1e-9), ("kS", 1e3)]
)
def test_units_of_a_header_are_multiples_of_siemens(unit: str, factor: float, folder: Path) -> None:
    rewrite(folder, (1, f"row,column,plus [{unit}],minus [S]"), (2, "0,0,7.5,3e-6"))
    found = read_measured(folder)[0]
    assert found.plus[0, 0] == pytest.approx(7.5 * factor, rel=1e-15)
    assert found.minus[0, 0] == 3e-6


def test_rows_and_columns_may_come_in_any_order(folder: Path) -> None:
    header, *rows = (folder / TABLE).read_text().splitlines()
    turned = [",".join(line.split(",")[::-1]) for line in (header, *rows[::-1])]
    (folder / TABLE).write_text("\r\n".join(turned))
    np.testing.assert_array_equal(read_measured(folder)[0].plus, cells()[0])


def test_states_mark_stuck_and_missing_cells(folder: Path) -> None:
    text = (folder / TABLE).read_text().splitlines()
    states = ["state", "stuck", "missing", "ok", "", "ok", "ok"]
    text[2] = "0,1,,nan"
    (folder / TABLE).write_text("\n".join(f"{line},{state}" for line, state in zip(text, states, strict=True)))
    found = read_measured(folder)[0]
    assert found.plus_state[0, :2].tolist() == found.minus_state[0, :2].tolist() == [1, 2]
    assert np.isnan([found.plus[0, 1], found.minus[0, 1]]).all()
    assert (found.count(1), found.count(2)) == (2, 2)
    assert found.plus[0, 0] == cells()[0][0, 0]


def test_each_cell_of_a_pair_may_have_a_state_of_its_own(folder: Path) -> None:
    text = (folder / TABLE).read_text().splitlines()
    text[0] += ",plus_state,minus_state"
    text[1:] = [f"{line},ok,{state}" for line, state in zip(text[1:], ["missing"] + ["ok"] * 5, strict=True)]
    (folder / TABLE).write_text("\n".join(text))
    found = read_measured(folder)[0]
    assert (found.plus_state[0, 0], found.minus_state[0, 0]) == (0, 2)


def test_states_are_counted_in_cells_of_both_polarities(folder: Path) -> None:
    text = (folder / TABLE).read_text().splitlines()
    text[0] += ",plus_state,minus_state"
    text[1:] = [f"{line},ok,{state}" for line, state in zip(text[1:], ["stuck", "missing"] + ["ok"] * 4, strict=True)]
    (folder / TABLE).write_text("\n".join(text))
    found = read_measured(folder)[0]
    assert (found.count(1), found.count(2)) == (1, 1)
    assert "1 stuck and 1 missing cells" in repr(read_measured(folder))


def test_single_devices_of_a_unit_are_passed_over(folder: Path) -> None:
    text = (folder / TABLE).read_text().splitlines()
    text = [f"{text[0]},plus_0 [S],plus_1 [S]", *(f"{line},1,2" for line in text[1:])]
    (folder / TABLE).write_text("\n".join(text))
    np.testing.assert_array_equal(read_measured(folder)[0].plus, cells()[0])


@pytest.mark.parametrize(
    ("number", "line", "said"),
    [
        (2, "0,0,nan,3e-6", r"0.csv:2: row 0, column 0: plus: no number; mark a cell .* as missing"),
        (2, "0,0,,3e-6", r"0.csv:2: row 0, column 0: plus: no number"),
        (3, "0,1,1e-6,-2e-6", r"0.csv:3: row 0, column 1: minus: -2e-06 S is no conductance, which is at least 0 S"),
        (3, "0,1,inf,2e-6", r"0.csv:3: row 0, column 1: plus: inf S is no conductance"),
        (3, "0,1,high,2e-6", r"0.csv:3: row 0, column 1: plus: 'high' is no number"),
        (3, "0,0,1e-6,2e-6", r"0.csv:3: row 0, column 0 is there already, in line 2"),
        (3, "", r"0.csv: row 0, column 1 of 3 x 2 is absent; mark a cell"),
        (3, "0,2,1e-6,2e-6", r"0.csv:3: column '2' is no place in this tile; allowed: 0 to 1"),
        (3, "-1,0,1e-6,2e-6", r"0.csv:3: row '-1' is no place in this tile; allowed: 0 to 2"),
        (3, "0.5,0,1e-6,2e-6", r"0.csv:3: row '0.5' is no place"),
        (3, "0,1,1e-6", r"0.csv:3: 3 values, but the header has 4 columns"),
        (1, "row,column,plus,minus [S]", r"0.csv:1: plus has no unit; write it as plus \[S\]"),
        (1, "row,column,plus [kohm],minus [S]", r"0.csv:1: plus \[kohm\] is a resistance; give conductances, 1/R"),
        (1, "row,column,plus [Ω],minus [S]", r"is a resistance"),
        (1, "row,column,plus [A],minus [S]", r"plus \[A\] is no unit of a conductance, in one of S, kS, mS, uS"),
        (1, "row,column,plus [S],minus", r"minus has no unit"),
        (1, "row,column,plus [S],plus [S]", r"column 'plus' is there twice"),
        (1, "row,column,plus [S]", r"no column 'minus'"),
        (1, "row,column,plus [S],minus [S],colour", r"unknown column 'colour'"),
        (1, "row,column,plus [S],minus [S],state,plus_state", r"'state' is that of both cells"),
    ],
)
def test_what_a_table_says_wrongly_is_told_with_its_line(number: int, line: str, said: str, folder: Path) -> None:
    rewrite(folder, (number, line))
    with pytest.raises(InputError, match=said):
        read_measured(folder)


def test_an_unknown_state_is_told(folder: Path) -> None:
    text = (folder / TABLE).read_text().splitlines()
    (folder / TABLE).write_text("\n".join([f"{text[0]},state", *(f"{line},dead" for line in text[1:])]))
    with pytest.raises(InputError, match=r"0.csv:2: unknown state 'dead'; known: ok, stuck, missing"):
        read_measured(folder)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00row", b"\x00"])
def test_what_is_no_table_is_refused(content: bytes, folder: Path) -> None:
    (folder / TABLE).write_bytes(content)
    with pytest.raises(InputError, match=r"layer0_tile_0_0.csv"):
        read_measured(folder)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../secret.csv", "..", ".", "a/b.csv", "a\\b.csv", "C:\\x.csv", "C:x.csv", "", "a\0b", 7, None],
)
def test_no_name_in_the_index_leads_out_of_the_folder(name: Any, folder: Path) -> None:
    (folder.parent / "secret.csv").write_text((folder / TABLE).read_text())
    reindex(folder, lambda index: index["layers"][0]["files"][0].update(file=name))
    with pytest.raises(InputError, match=r"layers\[0\].files\[0\]: .*(is a path|is no name)"):
        read_measured(folder)


def test_no_link_leads_out_of_the_folder(folder: Path) -> None:
    (folder / TABLE).rename(folder.parent / "secret.csv")
    (folder / TABLE).symlink_to(folder.parent / "secret.csv")
    with pytest.raises(InputError, match="a link, which may lead anywhere"):
        read_measured(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda index: index.update(format_version=2),
            "format version 2, but .* reads versions up to 1: install a newer",
        ),
        (lambda index: index.update(format="other"), "not of the format"),
        (lambda index: [index], "not of the format"),
        (lambda index: index.update(chip="one"), "chip: 'one' is no whole number"),
        (lambda index: index.update(layers=[]), "'layers' lists no crossbars"),
        (lambda index: index["layers"].append(index["layers"][0]), "synapse0 is listed 2 times"),
        (lambda index: index["layers"][0].pop("files"), "'files' lists no tiles"),
        (lambda index: index["layers"][0].update(word_lines=10**9), "are more than its files can hold"),
        (lambda index: index["layers"][0].update(word_lines=-5), "word_lines: -5 is no whole number from 1"),
        (lambda index: index["layers"][0]["files"].pop(), "no tile has the cells of word line 3 and bit line 2"),
        (lambda index: index["layers"][0]["files"][1].update(first_bit_line=1), "row 0, column 1 of 3 x 2 is absent"),
        (
            lambda index: index["layers"][0]["files"][1].update(first_bit_line=3),
            "begins it at word line 0 and bit line 3",
        ),
        (lambda index: index["layers"][0]["files"][2].update(first_word_line=0), "row 2, column 0 of 3 x 2 is absent"),
        (lambda index: index["layers"][0]["files"].append(index["layers"][0]["files"][0]), "lies on another one"),
        (lambda index: index["layers"][0]["files"][0].update(file="gone.csv"), "gone.csv: no such file, which"),
    ],
)
def test_what_an_index_says_wrongly_is_refused(change: Callable[[Any], Any], said: str, folder: Path) -> None:
    def changed(index: dict[str, Any]) -> Any:
        other = change(index)
        return other if isinstance(other, list) and other == [index] else None

    reindex(folder, changed)
    with pytest.raises(InputError, match=said):
        read_measured(folder)


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000])
def test_a_damaged_index_is_refused(content: str, folder: Path) -> None:
    (folder / "index.json").write_text(content)
    with pytest.raises(InputError, match=r"index.json: damaged"):
        read_measured(folder)


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index.json: no such file; a folder of measured conductances has one"):
        read_measured(tmp_path)


def test_another_chip_than_that_of_the_folder_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="nothing was measured of chip 0; chips: 4"):
        read_measured(folder, 0)


# HDF5

PLUS = "synapses/0/chip_4/tile_0_1/plus"


def changed(path: Path, change: Callable[[h5py.File], Any]) -> Path:
    with h5py.File(path, "r+") as opened:
        change(opened)
    return path


def replaced(name: str, values: Any) -> Callable[[h5py.File], None]:
    def replace(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = values
        file[name].attrs["unit"] = "siemens"

    return replace


def test_states_are_data_sets_beside_the_cells(file: Path) -> None:
    states = np.array([[0], [1], [2]])
    found = read_measured(changed(file, replaced(f"{PLUS}_state", states)))[0]
    assert found.plus_state[:3, 2].tolist() == [0, 1, 2]
    assert np.isnan(found.plus[2, 2])
    assert not found.minus_state.any()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[1e-6], [np.nan], [1e-6]], "tile_0_1/plus: row 1, column 0: no number; mark a cell"),
        ([[1e-6], [1e-6], [-1e-6]], "tile_0_1/plus: row 2, column 0: -1e-06 S is no conductance"),
        ([[np.inf], [1e-6], [1e-6]], "tile_0_1/plus: row 0, column 0: inf S is no conductance"),
        ([1e-6, 1e-6], r"tile_0_1/plus: no array of numbers \(rows, columns\)"),
        ([["a"], ["b"]], "tile_0_1/plus: no array of numbers"),
        (np.full((3, 2), 1e-6), r"tile_0_1: plus is \(3, 2\), and minus is \(3, 1\)"),
        (np.full((9, 1), 1e-6), r"\(9, 1\) cells are more than those of the crossbar, \(5, 3\)"),
    ],
)
def test_what_is_no_conductance_is_told_with_its_place(values: Any, said: str, file: Path) -> None:
    with pytest.raises(InputError, match=said):
        read_measured(changed(file, replaced(PLUS, values)))


@pytest.mark.parametrize("states", [[[0], [3], [0]], [[0], [0]], [[0.5], [0], [0]]])
def test_what_is_no_state_is_refused(states: Any, file: Path) -> None:
    with pytest.raises(
        InputError, match="plus_state: needs a number for each cell of plus; 0: ok, 1: stuck, 2: missing"
    ):
        read_measured(changed(file, replaced(f"{PLUS}_state", states)))


def test_another_unit_is_refused(file: Path) -> None:
    with pytest.raises(InputError, match="its unit is 'ohms'; give siemens"):
        read_measured(changed(file, lambda opened: opened[PLUS].attrs.update(unit="ohms")))


def _link(file: h5py.File, link: Any) -> None:
    del file[PLUS]
    file[PLUS] = link


@pytest.mark.parametrize("link", [h5py.ExternalLink("/etc/other.h5", "/x"), h5py.SoftLink("/synapses")])
def test_no_link_leads_out_of_the_file(link: Any, file: Path) -> None:
    with pytest.raises(InputError, match="is a link, which may lead anywhere"):
        read_measured(changed(file, lambda opened: _link(opened, link)))


def test_numbers_in_another_file_are_not_read(file: Path) -> None:
    def elsewhere(opened: h5py.File) -> None:
        del opened[PLUS]
        opened.create_dataset(PLUS, (3, 1), "f8", external=[(str(file.with_name("raw")), 0, 24)])

    with pytest.raises(InputError, match="its numbers lie in another file"):
        read_measured(changed(file, elsewhere))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.attrs.update(format_version=99), f"format version 99, .* up to {hdf5.FORMAT_VERSION}"),
        (lambda file: file.attrs.update(format="other"), "not of the format 'analogdp conductances'"),
        (lambda file: file.__delitem__("synapses"), "holds no crossbar of any chip"),
        (lambda file: file["synapses/0"].attrs.update(word_lines=10**8), "which the file cannot hold"),
        (lambda file: file["synapses/0"].attrs.__delitem__("word_lines"), "damaged or not an HDF5 file"),
        (
            lambda file: file.__delitem__("synapses/0/chip_4/tile_1_0"),
            "no tile has the cells of word line 3 and bit line 0",
        ),
        (lambda file: file.move("synapses/0", "synapses/zero"), "damaged or not an HDF5 file"),
        (
            lambda file: file["synapses/0/chip_4/tile_0_1"].attrs.update(first_bit_line=1),
            "the tile from word line 0 and bit line 1, of 3 x 1 cells, lies on another one",
        ),
        (
            lambda file: file["synapses/0/chip_4/tile_0_1"].attrs.update(first_bit_line=-1),
            "goes beyond the 5 word lines and 3 bit lines",
        ),
    ],
)
def test_what_an_hdf5_file_says_wrongly_is_refused(change: Callable[[Any], Any], said: str, file: Path) -> None:
    with pytest.raises(InputError, match=said):
        read_measured(changed(file, change))


def test_what_is_no_hdf5_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"no such thing")
    with pytest.raises(InputError, match="damaged or not an HDF5 file"):
        read_measured(tmp_path / "x.h5")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone: no such file or folder; give measured conductances in the layout of"):
        read_measured(tmp_path / "gone")


def test_what_was_not_measured_is_told_with_what_was(folder: Path) -> None:
    found = read_measured(folder)
    with pytest.raises(InputError, match="nothing was measured of synapse1; there are synapse0"):
        _ = found[1]
    assert "synapse0: 5 word lines x 3 bit lines, 0 stuck and 0 missing cells" in repr(found)
