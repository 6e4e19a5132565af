import json
from types import SimpleNamespace

import numpy as np
import pytest

from analogdp.errors import InputError
from analogdp.reports.stability import draw_stability, read_stability, stability_figure, stability_section

GAINS = ((0.2, 0.9), (0.85, 0.95), (0.9, 0.3))


def run(folder, rows=GAINS, converged=1):
    """A run's files with a row for each update and chip; chip 1 does not settle where its gain is largest."""
    lines = [
        {
            "update": 10 * place,
            "chip": chip,
            "loop_gain": gain,
            "loop_gain_mean": gain / 2,
            "growth": gain,
            "approach": gain,
            "converged": converged,
            "steps_predicted": 10 * gain,
            "steps_taken": None if gain == 0.95 else 8 * gain,
        }
        for place, gains in enumerate(rows)
        for chip, gain in enumerate(gains)
    ]
    (folder / "stability.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return SimpleNamespace(directory=folder, scenario={"measure": {"stability": {"warn": 0.8}}})


def test_warnings_are_due_where_a_chip_has_come_near(tmp_path):
    course = read_stability(run(tmp_path))
    assert course.warnings == [(0, 1), (10, 0)]
    assert "80% of the way to where stability ends at update 0 (chip 1), at update 10 (chip 0)." in stability_section(
        course, ""
    )


def test_the_worst_chip_is_that_which_has_a_value(tmp_path):
    np.testing.assert_allclose(read_stability(run(tmp_path)).worst("steps_taken"), [7.2, 6.8, 7.2])


def test_page_and_picture_show_the_same_lines(tmp_path):
    course = read_stability(run(tmp_path))
    shown = [line for line in stability_figure(course).data if line.showlegend is not False]
    drawn = [line for axis in draw_stability(course).axes for line in axis.lines if line.get_marker() == "o"]
    assert [line.name for line in shown] == [
        "loop gain",
        "loop gain mean",
        "growth",
        "steps predicted",
        "steps taken",
    ]
    for one, other in zip(shown, drawn, strict=True):
        np.testing.assert_allclose(np.asarray(one.y), other.get_ydata())


def test_eigenvalues_that_did_not_converge_are_counted(tmp_path):
    assert "In 6 of 6 analyses the eigenvalues did not converge" in stability_section(
        read_stability(run(tmp_path, converged=0)), ""
    )


def test_a_run_that_stayed_away_is_told_so(tmp_path):
    course = read_stability(run(tmp_path, rows=((0.1, 0.2),)))
    assert "Inference never went 80% of the way" in stability_section(course, "")


def test_a_run_that_was_not_watched_has_no_course(tmp_path):
    assert read_stability(SimpleNamespace(directory=tmp_path, scenario={})) is None


def test_a_damaged_table_is_named(tmp_path):
    files = run(tmp_path)
    (tmp_path / "stability.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"stability\.parquet: damaged"):
        read_stability(files)
