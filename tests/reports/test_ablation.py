"""The table and the picture of an ablation."""

import pytest

from analogdp.analysis.ablation import Ablation, Outcome, Variant
from analogdp.reports.ablation import ablation_caption, ablation_header, ablation_rows, draw_ablation
from analogdp.reports.pictures import save_picture


def variant(name, kind, values, **more):
    outcomes = tuple(
        Outcome(seed=seed, directory="x", status="finished", values={0: value}) for seed, value in enumerate(values)
    )
    nonideality = name.partition("-")[2] if kind in ("without", "alone") else None
    return Variant(name=name, kind=kind, nonideality=nonideality, description=f"of {name}", outcomes=outcomes, **more)


def ablation(metric="test_accuracy"):
    diverged = Outcome(seed=0, directory="x", status="diverged", reason="layer 1 costs $5 and $6")
    return Ablation(
        scenario="a$b$c",
        metric=metric,
        seeds=(0, 1),
        variants=(
            variant("full", "full", (0.80, 0.82)),
            variant("ideal", "ideal", (0.90, 0.94)),
            variant("ideal-weights", "ideal_weights", (0.1, 0.1)),
            variant("without-dac", "without", (0.80, 0.83)),
            variant("without-drift", "without", (0.86, 0.86)),
            variant("without-wires", "without", (), refusal="contradiction"),
            variant("alone-dac", "alone", (0.89, 0.94)),
            variant("alone-drift", "alone", (0.5,)).model_copy(update={"outcomes": (diverged,)}),
        ),
    )


def test_the_table_has_references_first_and_then_the_most_costly():
    rows = ablation_rows(ablation())
    assert [row[0] for row in rows] == [
        *("full", "ideal", "ideal-weights", "without-drift", "without-dac", "without-wires", "alone-dac", "alone-drift")
    ]
    assert rows[0] == ("full", "81.00 %", "-", "-", "of full")
    # Differences 0.06 and 0.04: mean 0.05, standard error 0.01.
    assert rows[3] == ("without-drift", "86.00 %", "+5.00 ± 1.00", "2", "not: of without-drift")
    assert rows[5] == ("without-wires", "-", "-", "-", "not: of without-wires [refused: contradiction]")
    assert rows[6] == ("alone-dac", "91.50 %", "+0.50 ± 0.50", "2", "only: of alone-dac")
    assert rows[7][-1] == "only: of alone-drift [diverged: layer 1 costs $5 and $6]"
    assert len(ablation_header(ablation())) == len(rows[0])


def test_a_loss_is_shown_as_it_is():
    found = ablation("test_loss")
    row = next(row for row in ablation_rows(found) if row[0] == "without-drift")
    assert row[1:3] == ("0.86", "-0.05 ± 0.01")
    assert ablation_header(found)[1] == "test loss"
    assert "units of the loss" in ablation_caption(found)


def bars(axis):
    return [round(patch.get_width(), 6) for patch in axis.patches]


def test_bars_are_costs_and_lines_what_they_lie_between(tmp_path):
    figure = draw_ablation(ablation())
    without, alone = figure.axes
    assert bars(without) == [5.0, 1.0 / 2]
    assert bars(alone) == [0.5]
    assert [label.get_text() for label in without.get_yticklabels()] == ["drift", "dac", "wires"]
    legend = [text.get_text() for text in without.get_legend().get_texts()]
    assert legend == ["as it is", "everything ideal (+11)", "ideal weights (-71)"]
    assert "refused: contradiction" in [text.get_text() for text in without.texts]
    assert save_picture(tmp_path / "x.png", figure).read_bytes().startswith(b"\x89PNG")


def test_a_reference_that_is_far_away_does_not_squeeze_the_bars():
    axis = draw_ablation(ablation()).axes[0]
    assert axis.get_xlim()[0] > -10
    near = ablation()
    close = variant("ideal-weights", "ideal_weights", (0.95, 0.95))
    near = near.model_copy(update={"variants": (*near.variants[:2], close, *near.variants[3:])})
    assert draw_ablation(near).axes[0].get_xlim()[1] >= 14


def test_one_mode_has_one_panel():
    found = ablation()
    some = found.model_copy(update={"variants": tuple(each for each in found.variants if each.kind != "alone")})
    assert len(draw_ablation(some).axes) == 1


@pytest.mark.parametrize("metric", ["test_accuracy", "test_loss"])
def test_nothing_that_finished_is_a_picture_without_bars(metric):
    found = ablation(metric)
    empty = tuple(each.model_copy(update={"outcomes": ()}) for each in found.variants)
    assert bars(draw_ablation(found.model_copy(update={"variants": empty})).axes[0]) == []
