from __future__ import annotations

import math
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from analogdp.errors import RunError
from analogdp.runs import Journal, Row, as_table, last_evaluation, mean_and_spread
from analogdp.runs.metrics import COLUMNS, write_table


def rows(update: int) -> list[Row]:
    return [{"update": update, "chip": chip, "epoch": 0, "test_loss": 1 / 3 + chip, "extra": 0.5} for chip in range(2)]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.append(rows(0))
    journal.append(rows(5))
    return journal


def test_rows_come_back_as_the_same_numbers(journal: Journal) -> None:
    assert journal.rows() == rows(0) + rows(5)


def test_a_missing_journal_has_no_rows(tmp_path: Path) -> None:
    assert Journal(tmp_path / "none").rows() == []
    assert Journal(tmp_path / "none").length == 0


def test_a_torn_last_line_is_left_out(journal: Journal) -> None:
    with journal.path.open("ab") as file:
        file.write(b'{"update": 9, "ch')
    assert journal.rows() == rows(0) + rows(5)


def test_cutting_goes_back_to_an_earlier_evaluation(journal: Journal, tmp_path: Path) -> None:
    other = Journal(tmp_path / "other.jsonl")
    other.append(rows(0))
    journal.cut(other.length)
    journal.append(rows(7))
    assert journal.rows() == rows(0) + rows(7)


def test_a_journal_shorter_than_its_checkpoint_is_an_error(journal: Journal) -> None:
    with pytest.raises(RunError, match="was cut or removed"):
        journal.cut(journal.length + 1)


def test_a_line_that_is_no_row_is_named_damaged(journal: Journal) -> None:
    with journal.path.open("ab") as file:
        file.write(b"nonsense\n")
    with pytest.raises(RunError, match=r"metrics.jsonl is damaged"):
        journal.rows()


def test_numbers_that_are_not_finite_are_null_on_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.append([{"update": 1, "test_loss": math.inf}])
    assert journal.path.read_text() == '{"update": 1, "test_loss": null}\n'
    assert math.isnan(journal.rows()[0]["test_loss"])
    assert as_table(journal.rows())["test_loss"].to_pylist() == [None]


def test_the_table_has_its_columns_in_fixed_order_and_type(tmp_path: Path) -> None:
    table = pyarrow.parquet.read_table(write_table(tmp_path / "metrics.parquet", rows(0)))
    assert table.column_names == ["epoch", "update", "chip", "test_loss", "extra"]
    assert table.schema.types == [pyarrow.int64()] * 3 + [pyarrow.float64()] * 2
    assert table["test_loss"].to_pylist() == [1 / 3, 4 / 3]


def test_every_column_of_the_contract_keeps_its_place() -> None:
    assert as_table([dict.fromkeys(reversed(COLUMNS), 1)]).column_names == list(COLUMNS)


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (write_table(tmp_path / name, rows(0)) for name in ("a.parquet", "b.parquet"))
    assert first.read_bytes() == second.read_bytes()


def test_the_last_evaluation_is_summarised_over_chips(journal: Journal) -> None:
    final = last_evaluation(journal.rows())
    assert final == rows(5)
    assert mean_and_spread(final, "test_loss") == pytest.approx((1 / 3 + 0.5, math.sqrt(0.5)))
    assert mean_and_spread(final[:1], "test_loss") == (1 / 3, 0.0)
    assert mean_and_spread(final, "test_accuracy") is None


def test_the_spread_of_infinite_losses_is_no_number_instead_of_an_error() -> None:
    mean, spread = mean_and_spread([{"test_loss": 1.0}, {"test_loss": math.inf}], "test_loss")
    assert mean == math.inf
    assert math.isnan(spread)
