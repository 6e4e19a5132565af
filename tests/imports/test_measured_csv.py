"""Tables of measured conductances that other programs wrote, or nobody finished writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analogdp.errors import InputError
from analogdp.imports import read_measured
from tests.imports.test_measured import TABLE, reindex, rewrite, write_csv


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "bench")


@pytest.mark.parametrize(
    "line", ["0,0,6,4e-5,6.4858e-05", "0,0,6.4e-5,6,4858e-05", "0,0,6,4e-5,6,4e-5", "0,0,6.4e-5,6.4e-5,foo,bar"]
)
def test_a_decimal_comma_is_refused_with_its_line(line: str, folder: Path) -> None:
    rewrite(folder, (2, line))
    with pytest.raises(InputError, match=r"0.csv:2: [56] values, but the header has 4 columns; a decimal comma\?"):
        read_measured(folder)


def test_a_line_that_is_too_short_has_no_decimal_comma(folder: Path) -> None:
    rewrite(folder, (2, "0,0,6"))
    with pytest.raises(InputError, match=r"0.csv:2: 3 values, but the header has 4 columns$"):
        read_measured(folder)


def test_a_decimal_comma_in_quotes_is_no_number(folder: Path) -> None:
    rewrite(folder, (2, '0,0,"6,4e-5",6.4858e-05'))
    with pytest.raises(InputError, match=r"plus: '6,4e-5' is no number"):
        read_measured(folder)


def test_what_only_python_takes_for_a_number_is_none(folder: Path) -> None:
    rewrite(folder, (2, "0,0,6_4e-05,6.4858e-05"))
    with pytest.raises(InputError, match=r"0.csv:2: row 0, column 0: plus: '6_4e-05' is no number"):
        read_measured(folder)


def test_semicolons_are_told_to_be_commas(folder: Path) -> None:
    text = (folder / TABLE).read_text()
    (folder / TABLE).write_text(text.replace(",", ";"))
    with pytest.raises(InputError, match=r"0.csv:1: unknown column 'row;column;.*, with commas between them"):
        read_measured(folder)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n"])
def test_a_table_that_is_too_small_is_told_itself(content: bytes, folder: Path) -> None:
    for path in folder.glob("*.csv"):
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_measured(folder)
    assert str(caught.value) == (
        f"{folder / TABLE}: {len(content)} bytes are too few for a table of 3 x 2 cells; is it empty or cut off?"
    )


def test_the_shortest_table_is_read(folder: Path) -> None:
    def one_tile(index: dict[str, Any]) -> None:
        layer = index["layers"][0]
        layer.update(word_lines=10, bit_lines=10, tile_word_lines=10, tile_bit_lines=10, files=layer["files"][:1])

    reindex(folder, one_tile)
    rows = [f"{row},{column},0,0" for row in range(10) for column in range(10)]
    (folder / TABLE).write_text("\n".join(["row,column,plus [S],minus [S]", *rows]))
    assert not read_measured(folder)[0].plus.any()


@pytest.mark.parametrize("version", [0, 2])
def test_a_version_is_newer_or_none(version: int, folder: Path) -> None:
    reindex(folder, lambda index: index.update(format_version=version))
    said = "install a newer one" if version else "there is no format version 0; versions count from 1"
    with pytest.raises(InputError, match=f"index.json: .*{said}$"):
        read_measured(folder)


@pytest.mark.parametrize("name", [TABLE, "index.json", "bench.npz"])
def test_a_file_of_the_folder_in_its_place_is_answered_with_the_folder(name: str, folder: Path) -> None:
    (folder / "bench.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"not an HDF5 file: .*; give one, or the folder of CSV files with its index"):
        read_measured(folder / name)
