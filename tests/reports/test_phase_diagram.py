"""The pictures of phase diagrams."""

import dataclasses
import json
import re
from itertools import pairwise

import numpy as np
import pytest

from analogdp.analysis.stability.diagram import Cell
from analogdp.analysis.stability.grid import Axis
from analogdp.reports.phase_diagram import COLOURS, Picture, diagram_page, draw_diagram

X, Y = Axis("neuron.alpha", (0.0, 0.5, 1.0)), Axis("neuron.tau", (1e-6, 1e-5, 1e-4), "s", True)


def cell(x, y, outcome, **numbers):
    return Cell(x, y, outcome, **numbers)


def picture(**numbers):
    """One point for each outcome, and others that settled."""
    outcomes = ["settled", "approaching", "oscillating", "diverged", "refused", *["settled"] * 4]
    places = [(x, y) for y in Y.values for x in X.values]
    known = {"settled": 1.0, "approaching": 0.0, "steps": 20.0, **numbers}
    cells = [
        cell(x, y, outcome, **({"reason": "<too> strong"} if outcome == "refused" else known))
        for (x, y), outcome in zip(places, outcomes, strict=True)
    ]
    return Picture("name", X, Y, cells, ("noise.membrane",))


PREDICTED = {"loop_gain": 0.5, "predicted_stable": 1.0, "agreement": 0.75}


@pytest.mark.parametrize("numbers", [PREDICTED, {}], ids=["predicted", "not predicted"])
def test_there_are_four_panels_with_their_axes_labelled(numbers):
    figure = draw_diagram(picture(**numbers))
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert len(panels) == 4
    assert {axis.get_xlabel() for axis in panels} == {"neuron.alpha"}
    assert {axis.get_ylabel() for axis in panels} == {"neuron.tau (s)"}
    assert {axis.get_yscale() for axis in panels} == {"log"}


def test_the_legend_names_the_outcomes_that_there_are():
    labels = [text.get_text() for text in draw_diagram(picture()).axes[0].get_legend().get_texts()]
    assert labels == [
        "settled (55.6%)",
        "approaching (11.1%)",
        "oscillating (11.1%)",
        "diverged (11.1%)",
        "refused (11.1%)",
    ]


def test_what_predictions_do_not_know_is_said():
    assert picture(**PREDICTED).note == (
        "linear theory at the free state is right about 75.0% of the samples; predicted without: noise.membrane\n"
        "1 of 9 points are refused; 1 of them like this: <too> strong"
    )
    assert picture().note.startswith("not predicted\n")


def test_how_much_of_a_diagram_rests_on_little_is_said():
    note = picture(**PREDICTED, linearised_at_rest=0.5, converged=0.75, undecided=0.25).note
    assert "at rest (50.0% of the samples, else at the free state) is right" in note
    assert "25.0% of the eigenvalues did not converge; 25.0% of the samples are undecided" in note


def test_where_something_fluctuates_growth_takes_the_place_of_steps():
    shown = dataclasses.replace(picture(**PREDICTED, growth=0.9), noisy=True)
    assert "no rest" in draw_diagram(shown).axes[1].get_title()
    assert "no rest" in diagram_page(shown)


def test_where_nothing_settled_growth_takes_the_place_of_steps():
    figure = draw_diagram(picture(**PREDICTED, steps=None, growth=0.9))
    assert "none settled" in figure.axes[1].get_title()


def test_outcomes_can_be_told_apart_in_grey():
    """By the relative luminance of sRGB colours."""
    channels = {name: [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for name, colour in COLOURS.items()}
    linear = {name: [((own + 0.055) / 1.055) ** 2.4 for own in each] for name, each in channels.items()}
    grey = sorted(0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in linear.values())
    contrasts = [(light + 0.05) / (dark + 0.05) for dark, light in pairwise(grey)]
    assert min(contrasts) > 1.2


def test_the_page_has_all_numbers_where_the_mouse_is_and_no_markup_of_others():
    page = diagram_page(picture(**PREDICTED))
    found = re.search(r'<script id="figures" type="application/json">(.*?)</script>', page, re.S)
    figure = json.loads(found[1])["diagram"]
    hover = np.array(figure["data"][0]["text"]).ravel()
    assert "loop gain: 0.5" in hover[0]
    assert "reason: &lt;too&gt; strong" in hover[4]
    assert "<too>" not in page
