"""What is plotted over the epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analogdp.reports.curves import Curve, charts
from analogdp.reports.source import Metrics


def run_of(**columns: list[float]) -> Metrics:
    rows = range(len(next(iter(columns.values()))))
    return Metrics.from_columns({"epoch": list(rows), "update": list(rows), "chip": [0 for _ in rows], **columns})


def labels(metrics: Metrics) -> dict[str, Any]:
    return {chart.name: [curve.label for panel in chart.panels for curve in panel.curves] for chart in charts(metrics)}


def test_a_chart_has_only_what_the_run_measured() -> None:
    assert labels(run_of(test_loss=[1.0, 0.5], settled_fraction=[1.0, 1.0])) == {
        "loss": ["test, with noise"],
        "settling": ["settled in time"],
    }


def test_a_run_without_pulses_has_no_chart_of_pulses() -> None:
    assert labels(run_of(pulses_up=[0, 0], pulses_down=[0, 0])) == {}
    assert labels(run_of(pulses_up=[0, 3], pulses_down=[0, 0])) == {"pulses": ["up"]}


def test_shares_are_in_percent() -> None:
    (chart,) = charts(run_of(test_accuracy=[0.25, 0.5]))
    np.testing.assert_array_equal(chart.panels[0].curves[0].values, [[25.0], [50.0]])


@pytest.mark.parametrize(("losses", "logarithmic"), [([1, 0.5], False), ([1, 0.05], True), ([1, 0], False)])
def test_a_loss_that_falls_by_decades_is_drawn_on_a_logarithmic_axis(losses: list[float], logarithmic: bool) -> None:
    (chart,) = charts(run_of(train_loss=losses))
    assert chart.panels[0].logarithmic is logarithmic


def test_a_mean_is_over_the_chips_that_have_a_value() -> None:
    curve = Curve("x", "#000000", "solid", np.array([[1.0, 3.0], [2.0, np.nan], [np.nan, np.nan]]))
    np.testing.assert_array_equal(curve.mean, [2.0, 2.0, np.nan])
