"""Tables in text files."""

import os

import pytest
import torch

from analogdp.data.table import read_table
from analogdp.errors import InputError


@pytest.fixture
def written(tmp_path):
    """``written(text)``: a file with this text."""

    def write(text):
        path = tmp_path / "table.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ", "])
def test_the_delimiter_is_found(written, delimiter):
    table = read_table(written('"a one",b\n1,2.5\n-3,4e2\n'.replace(",", delimiter)))
    assert table.columns == ("a one", "b")
    assert torch.equal(table.numbers(("b", "a one")), torch.tensor([[2.5, 1], [400, -3]], dtype=torch.float64))


def test_a_delimiter_can_be_given(written):
    assert read_table(written("a,b c,d\n1,2 3,4\n"), delimiter=" ").columns == ("a,b", "c,d")


@pytest.mark.parametrize("header", [None, False])
def test_without_names_columns_have_numbers(written, header):
    table = read_table(written("1,2,red\n3,4,blue\n"), header=header)
    assert table.columns == ("1", "2", "3")
    assert len(table) == 2
    assert table.words("3") == ("red", "blue")


def test_names_may_be_numbers_if_it_is_said(written):
    table = read_table(written("2019,2020\n1,2\n"), header=True)
    assert table.columns == ("2019", "2020")
    assert len(table) == 1


def test_blank_lines_and_a_byte_order_mark_do_not_count(written):
    table = read_table(written(b"\xef\xbb\xbfa,b\r\n\r\n1,2\r\n\r\n"))
    assert table.columns == ("a", "b")
    assert table.lines == (3,)


def test_a_file_that_has_changed_is_read_again(written):
    first = read_table(written("a,b\n1,2\n"))
    assert read_table(first.path) is first
    written("a,b\n1,2\n3,4\n")
    os.utime(first.path, ns=(1, 1))
    assert len(read_table(first.path)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "names of columns, but no rows"),
        ("a,b\n1,2\n3\n", r"table.csv:3: 1 cells, but the first line has 2"),
        ("a,a\n1,2\n", "two columns 'a'"),
        (b"a,b\n1,\xff\n", "is no table in UTF-8 text"),
    ],
)
def test_a_file_that_is_no_table_is_refused(written, text, words):
    with pytest.raises(InputError, match=words):
        read_table(written(text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone.csv cannot be read: No such file"):
        read_table(tmp_path / "gone.csv")


@pytest.mark.parametrize("cell", ["x", "nan", "inf", "1.2.3", "7,4"])
def test_a_cell_that_is_no_number_is_named_with_its_line_and_column(written, cell):
    table = read_table(written(f"a;height\n1;2\n\n3;{cell}\n"))
    with pytest.raises(InputError, match=rf"table.csv:4: column 'height' is '{cell}', which is no finite number"):
        table.numbers(("a", "height"))


def test_an_empty_cell_is_named(written):
    with pytest.raises(InputError, match=r"table.csv:3: column 'b' is empty"):
        read_table(written("a,b\n1,2\n1,\n")).numbers(("b",))


def test_an_unknown_column_gets_the_nearest_name(written):
    with pytest.raises(InputError, match=r"has no column 'hight'; did you mean 'height'\? Known: height, width"):
        read_table(written("height,width\n1,2\n")).numbers(("hight",))
