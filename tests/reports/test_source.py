"""Reading the metrics of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analogdp.reports.source import Metrics, read_run
from tests.reports.runs import make_run, metric_rows


def metrics(**columns: list[float | None]) -> Metrics:
    return Metrics.from_columns(columns)


def test_rows_become_evaluations_by_chips_in_any_order() -> None:
    found = metrics(epoch=[1, 0, 1, 0], update=[9, 0, 9, 0], chip=[3, 1, 1, 3], x=[0.4, 0.1, 0.3, 0.2])
    assert (found.chips, found.updates.tolist(), found.epochs.tolist()) == ((1, 3), [0, 9], [0, 1])
    np.testing.assert_array_equal(found.columns["x"], [[0.1, 0.2], [0.3, 0.4]])


def test_a_final_value_is_mean_and_sample_deviation_over_the_finite_chips() -> None:
    found = metrics(epoch=[0, 0, 0], update=[0, 0, 0], chip=[0, 1, 2], x=[1.0, None, 3.0])
    assert found.final("x") == (2.0, pytest.approx(np.std([1, 3], ddof=1)))


def test_one_chip_has_no_deviation() -> None:
    assert metrics(epoch=[0], update=[0], chip=[0], x=[0.5]).final("x") == (0.5, 0.0)


@pytest.mark.parametrize("values", [[None, None], [1.0, None]])
def test_a_quantity_that_ended_without_a_number_has_no_final_value(values: list[float | None]) -> None:
    assert metrics(epoch=[0, 1], update=[0, 9], chip=[0, 0], x=values).final("x") is None


def test_counts_add_up_over_evaluations_and_chips() -> None:
    found = metrics(epoch=[0, 1, 1], update=[0, 9, 9], chip=[0, 0, 1], pulses=[0, 10, 5])
    assert (found.total("pulses"), found.total("nothing")) == (15, 0)


def test_no_rows_are_no_evaluations() -> None:
    empty = Metrics.from_columns({})
    assert (empty.chips, empty.get("x"), empty.final("x")) == ((), None, None)


@pytest.mark.parametrize("journal", [False, True])
def test_the_table_and_the_journal_give_the_same_numbers(tmp_path: Path, journal: bool) -> None:
    found = read_run(make_run(tmp_path / "a-1", chips=2, epochs=3, crossbars=False, journal=journal)).metrics
    expected = [row["test_loss"] for row in metric_rows(3, 2, pulses=False)]
    np.testing.assert_array_equal(found.columns["test_loss"].ravel(), expected)


@pytest.mark.parametrize(
    ("dynamics", "tested"),
    [
        ("{settle: {tolerance: 0.001}}", True),
        ("{settle: {tolerance: null}}", False),
        ("{clock: sweep, tolerance: 0.001}", True),
        ("{clock: sweep, tolerance: null}", False),
    ],
)
def test_without_a_tolerance_no_sample_is_said_to_have_settled_or_not(
    tmp_path: Path, dynamics: str, tested: bool
) -> None:
    run = make_run(tmp_path / "a-1", crossbars=False)
    with (run / "scenario.yaml").open("a") as file:
        file.write(f"dynamics: {dynamics}\n")
    assert (read_run(run).metrics.get("settled_fraction") is not None) == tested
