"""How aging is told: in words, as a table, as a picture and on the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analogdp.analysis import Aging, Moment
from analogdp.reports.aging import (
    aging_caption,
    aging_figure,
    aging_header,
    aging_rows,
    aging_section,
    draw_aging,
    in_words,
)
from analogdp.reports.pictures import save_picture

DAY = 86400.0


def aging(*times: float, chips: int = 2, classifies: bool = True, reads: int = 1) -> Aging:
    """A network that loses a tenth of its accuracy in each decade of time, and half as much when compensated."""
    numbers = np.arange(chips) / 100

    def moment(after: float) -> Moment:
        lost = np.log10(1 + after) / 10
        results = {"none": tuple(0.9 - lost + numbers), "column": tuple(0.9 - lost / 2 + numbers)}
        return Moment(after, tuple(-lost - numbers * bool(after)), results, results if classifies else {})

    return Aging(tuple(range(chips)), reads, ("none", "column"), tuple(map(moment, (0.0, *times))))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (2.5e-6, "2.5 µs"),
        (30.0, "30 s"),
        (60.0, "1 min"),
        (5400.0, "1.5 h"),
        (DAY, "1 day"),
        (21 * DAY, "21 days"),
        (2_629_800.0, "1 month"),
        (31_557_600.0, "1 year"),
        (10 * 31_557_600.0, "10 years"),
    ],
)
def test_a_time_is_told_in_the_largest_unit_that_it_fills(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_the_table_has_a_line_for_every_time_with_means_over_chips() -> None:
    found = aging(9.0, 99.0)
    assert aging_header(found) == ("after", "conductance", "uncompensated", "per column")
    assert aging_rows(found) == [
        ("0 s", "-", "90.50 ± 0.71 %", "90.50 ± 0.71 %"),
        ("9 s", "-10.50 %", "80.50 ± 0.71 %", "85.50 ± 0.71 %"),
        ("1.65 min", "-20.50 %", "70.50 ± 0.71 %", "80.50 ± 0.71 %"),
    ]


def test_one_chip_has_no_spread_and_regression_has_a_loss() -> None:
    found = aging(9.0, chips=1, classifies=False)
    assert aging_rows(found)[1] == ("9 s", "-10.00 %", "0.8", "0.85")
    assert aging_caption(found) == "Test loss with noise; line currents for the compensation are one read."


def test_the_caption_says_how_many_chips_and_reads_there_were() -> None:
    assert aging_caption(aging(9.0, reads=5)) == (
        "Test accuracy with noise, mean ± standard deviation over 2 chips; "
        "line currents for the compensation are the mean of 5 reads."
    )


def test_the_picture_names_the_times_on_a_logarithmic_axis() -> None:
    figure = draw_aging(aging(60.0, 3600.0, DAY))
    for axis in figure.axes:
        assert axis.get_xscale() == "log"
        assert [label.get_text() for label in axis.get_xticklabels()] == ["1 min", "1 h", "1 day"]


def test_of_many_times_only_some_are_named() -> None:
    figure = draw_aging(aging(*(10.0**power for power in range(12))))
    assert len(figure.axes[0].get_xticklabels()) <= 8


def test_the_picture_has_a_line_where_training_ended() -> None:
    accuracy, change = draw_aging(aging(60.0)).axes
    assert accuracy.get_lines()[-1].get_ydata() == pytest.approx([90.5, 90.5])
    assert change.get_lines()[-1].get_ydata() == pytest.approx([0, 0])


def test_a_single_time_can_be_drawn(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "aging.png", draw_aging(aging(DAY, chips=1, classifies=False)))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_page_shows_the_same_figure() -> None:
    figure = aging_figure(aging(60.0, DAY))
    means = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [trace.name for trace in means] == ["uncompensated (mean)", "per column (mean)", "all cells (mean)"]
    assert figure.layout.xaxis.type == figure.layout.xaxis2.type == "log"
    assert list(figure.layout.xaxis.ticktext) == ["1 min", "1 day"]


def test_the_section_holds_the_figure_and_the_table() -> None:
    section = aging_section(aging(DAY), "<div id='aging'></div>")
    assert "<div id='aging'></div>" in section
    assert "<th>per column</th>" in section
    assert "<td>1 day</td>" in section
