"""Traces in a report: which of what was recorded, in which units, and that page and pictures show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from analogdp.errors import InputError
from analogdp.reports import traces, write_report
from analogdp.reports.traces import read_traces
from analogdp.runs.recordings import Selection, Spool, write_recordings
from tests.reports.chromium import needs_chromium, open_page, plots
from tests.reports.runs import make_run

STATES = Selection(1, "states", ("plus", "minus"), chips=(2, 3), units=(5, 9), samples=2, every=1, updates=50)
DOWN = Selection(2, "down", ("down",), chips=(2, 3), units=tuple(range(10)), samples=1, every=4, updates=50)


def rows_of(spool: Spool, steps: int, presentations: int, dt: float) -> np.ndarray[Any, Any]:
    """Presentations of units that relax, each towards a place of its own."""
    rows = np.empty(steps * presentations, spool.row)
    rows["presentation"], rows["step"] = np.divmod(np.arange(len(rows)), steps)
    rows["step"] *= spool.selection.every
    rows["update"], rows["time"] = rows["presentation"] * spool.selection.updates, rows["step"] * dt
    places = np.random.default_rng(1).standard_normal((presentations, *spool.selection.shape))
    rise = 1 - np.exp(-rows["step"] / 5.0)
    rows["values"] = places[rows["presentation"]] * rise[:, None, None, None, None]
    return rows


def write(folder: Path, *selections: Selection, steps: int = 30, presentations: int = 4, dt: float = 2e-7) -> Path:
    """Recordings in a folder; without presentations there are no rows."""
    spools = [
        Spool.of(selection, np.dtype("float32"), folder / f".{number}") for number, selection in enumerate(selections)
    ]
    for spool in spools:
        spool.path.write_bytes(rows_of(spool, steps, presentations, dt).tobytes())
    path = write_recordings(folder / "recordings.h5", "small", spools)
    for spool in spools:
        spool.path.unlink()
    return path


def test_the_first_and_the_last_presentation_are_shown_with_the_recorded_values(tmp_path: Path) -> None:
    path = write(tmp_path, STATES)
    (chart,) = read_traces(path).charts
    expected = rows_of(Spool.of(STATES, np.dtype("float32"), path), 30, 4, 2e-7)
    assert [each.title for each in chart.presentations] == ["after 0 updates", "after 150 updates"]
    for shown, rows in zip(chart.presentations, (expected[:30], expected[-30:]), strict=True):
        np.testing.assert_allclose(shown.times, rows["time"] * 1e6)
        assert [(trace.unit, trace.compartment, trace.dash) for trace in shown.traces] == [
            ("unit 5", "plus", "solid"),
            ("unit 5", "minus", "dash"),
            ("unit 9", "plus", "solid"),
            ("unit 9", "minus", "dash"),
        ]
        for place, trace in enumerate(shown.traces):
            np.testing.assert_array_equal(trace.values, rows["values"][:, place % 2, 0, 0, place // 2])
    assert (chart.axis, chart.quantity, chart.title) == ("time (µs)", "state", "Layer 1, states")


def test_the_caption_says_what_is_left_out(tmp_path: Path) -> None:
    states, down = read_traces(write(tmp_path, STATES, DOWN)).charts
    assert states.caption == (
        "Chip 2, sample 0 of the batch; the first and the last of 4 presentations. Lines: plus solid, minus dashed."
    )
    assert down.caption == (
        "Chip 2, sample 0 of the batch; the first 6 of 10 units; the first and the last of 4 presentations."
    )
    assert len(down.presentations[0].traces) == 6
    assert down.quantity == "message"


def test_a_single_presentation_is_shown_once(tmp_path: Path) -> None:
    (chart,) = read_traces(write(tmp_path, STATES, presentations=1)).charts
    assert len(chart.presentations) == 1


def test_without_a_time_steps_are_shown(tmp_path: Path) -> None:
    (chart,) = read_traces(write(tmp_path, DOWN, dt=np.nan)).charts
    assert chart.axis == "step"
    assert chart.presentations[0].times[:3].tolist() == [0, 4, 8]


def test_long_traces_are_thinned(tmp_path: Path) -> None:
    (chart,) = read_traces(write(tmp_path, STATES, steps=5001, presentations=1)).charts
    times = chart.presentations[0].times
    assert traces.MOST_POINTS / 2 < len(times) <= traces.MOST_POINTS
    np.testing.assert_allclose(np.diff(times), 0.6)


def test_records_beyond_the_most_that_a_page_shows_are_counted(tmp_path: Path) -> None:
    found = read_traces(write(tmp_path, *[STATES] * 9))
    assert (len(found.charts), found.omitted) == (traces.MOST_RECORDS, 3)


def test_a_record_without_rows_is_not_shown(tmp_path: Path) -> None:
    assert read_traces(write(tmp_path, STATES, presentations=0)).charts == ()


def test_the_same_recordings_give_the_same_page_and_pictures(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", crossbars=False)
    write(run, STATES)
    files = [write_report(run), run / "plots" / "record0.png"]
    first = [file.read_bytes() for file in files]
    write_report(run)
    assert [file.read_bytes() for file in files] == first


def test_the_pictures_show_something(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", crossbars=False)
    write(run, STATES, DOWN)
    write_report(run)
    for name in ("record0", "record1"):
        pixels = imread(run / "plots" / f"{name}.png")[..., :3]
        assert min(pixels.shape[:2]) > 400
        assert 0.01 < np.mean(np.any(pixels < 0.95, axis=-1)) < 0.9


@needs_chromium
def test_the_page_draws_a_line_for_every_trace_without_a_word_on_the_console(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", crossbars=False)
    write(run, STATES, DOWN)
    opened = open_page(write_report(run), tmp_path / "profile")
    drawn = plots(opened.document)
    assert opened.console == []
    assert (drawn.traces["record0"], drawn.traces["record1"]) == (8, 12)


def test_numbers_beyond_all_bounds_can_be_shown(tmp_path: Path) -> None:
    """As a diverged run leaves them."""
    run = make_run(tmp_path / "a-1", crossbars=False)
    spool = Spool.of(STATES, np.dtype("float32"), tmp_path / "rows")
    rows = rows_of(spool, 30, 1, 1e-7)
    rows["values"][-5:], rows["values"][-2:] = np.inf, np.nan
    spool.path.write_bytes(rows.tobytes())
    write_recordings(run / "recordings.h5", "small", [spool])
    assert "<h2>Traces</h2>" in write_report(run).read_text()


def test_a_run_without_recordings_has_no_such_section(tmp_path: Path) -> None:
    assert "Traces" not in write_report(make_run(tmp_path / "a-1", crossbars=False)).read_text().split("plotly.js v")[0]


def test_damaged_recordings_are_named_and_no_page_is_left(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a-1", crossbars=False)
    path = write(run, STATES)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"recordings\.h5: damaged"):
        write_report(run)
    assert not (run / "report.html").exists()
