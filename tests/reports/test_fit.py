"""The picture of a fit."""

import pytest

from analogdp.reports.fit import draw_fit
from tests.fitting.samples import fit_of, traces

BELOW = 3


def test_up_to_six_devices_are_drawn_above_steps_errors_and_spreads():
    figure = draw_fit(fit_of("soft_bounds"), traces("soft_bounds"), "mine")
    assert len(figure.axes) == 6 + BELOW
    assert figure.get_suptitle() == "mine"


def test_the_reads_are_drawn_in_the_prefixed_unit():
    drawn = traces("soft_bounds")
    axis = draw_fit(fit_of("soft_bounds"), drawn, "mine").axes[0]
    reads, modelled = axis.lines
    assert axis.get_ylabel() == "conductance (µS)"
    assert reads.get_ydata() == pytest.approx(drawn[0].conductances * 1e6)
    assert len(modelled.get_ydata()) == len(drawn[0].conductances)


def test_the_steps_of_both_directions_stand_beside_the_models():
    axis = draw_fit(fit_of("soft_bounds"), traces("soft_bounds"), "mine").axes[6]
    assert axis.get_legend_handles_labels()[1] == ["up, model", "down, model", "up", "down"]
