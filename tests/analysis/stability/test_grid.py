"""The points of phase diagrams: which settings, which values, and what the scenario says to them."""

import math

import numpy as np
import pytest

from analogdp.analysis.stability.grid import Axis, axis_of, make_axis, parse_axis, points, together
from analogdp.errors import InputError

DP = {"neuron": {"model": "dp", "alpha": 0.3}}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("neuron.alpha=0:1", (0, 0.25, 0.5, 0.75, 1)),
        ("neuron.alpha=0:1:3", (0, 0.5, 1)),
        ("neuron.beta=0.1:10:3:log", (0.1, 1, 10)),
        ("neuron.beta = 1 : 100 : log", tuple(10 ** (share / 2) for share in range(5))),
        ("neuron.tau=1 us:3 us:3", (1e-6, 2e-6, 3e-6)),
        ("mismatch.alpha=0 %:10 %:3", (0, 0.05, 0.1)),
        ("dynamics.axons.delay=0 ns:200 ns:2", (0, 2e-7)),
        ("seed=0:5:3", (0, 3, 5)),
        ("seed=0:2", (0, 1, 2)),
        ("neuron.tau='1 us:3 us:3'", (1e-6, 2e-6, 3e-6)),
    ],
)
def test_a_range_is_spaced_evenly(make_scenario, text, values):
    np.testing.assert_allclose(parse_axis(make_scenario(**DP), text, 5).values, values, rtol=1e-9)


def test_an_axis_is_labelled_with_its_unit(make_scenario):
    scenario = make_scenario(**DP)
    assert parse_axis(scenario, "neuron.tau=1 us:3 us", 3).label == "neuron.tau (s)"
    assert make_axis(scenario, "neuron.beta", np.array([1.0, 0.5])).label == "neuron.beta"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("neuron.alpha", "first:last"),
        ("neuron.alpha=0", "first:last"),
        ("neuron.alpha=0:1:2:3", "first:last"),
        ("neuron.alpha=0:1:1", "allowed: whole numbers from 2 to 10000"),
        ("neuron.alpha=0:1:20000", "allowed: whole numbers from 2 to 10000"),
        ("", "^axis: expected"),
        ("network.layers.1=1:2", "network.layers is no section; choose"),
        ("learning.rate=0.1:1", "inference does not depend on learning.rate"),
        ("learning.epochs=1:3", "inference does not depend on learning.epochs"),
        ("run.threads=1:2", "inference does not depend on run.threads"),
        ("seed=1.5:3:3", "1.5 is no whole number"),
        ("seed=1:3:4", "take 3"),
        ("neuron.alpha=1:1.000000000000001:9", "more than there are"),
        ("neuron.alpha=1:0", "smaller value first"),
        ("neuron.alpha=0:1:log", "no logarithm"),
        ("neuron.alpa=0:1", "did you mean 'alpha'"),
        ("neurons.alpha=0:1", "did you mean 'neuron'"),
        ("neuron.model=0:1", "no number"),
        ("network.bias=0:1", "no number"),
        ("network.layers=0:1", "no number"),
        ("neuron=0:1", "no number"),
        ("noise.coloured.std=0:1", "not set"),
        ("neuron.alpha.std=0:1", "no section"),
        ("neuron.beta=1 us:2 us", "not a ratio"),
        ("neuron.tau=1 V:2 V", "not a time"),
        ("neuron.beta=a:b", "no quantity"),
    ],
)
def test_what_is_no_axis_is_refused_in_words(make_scenario, text, words):
    with pytest.raises(InputError, match=words):
        parse_axis(make_scenario(**DP), text, 5)


@pytest.mark.parametrize("values", [[0.5], [], [0.5, 0.5], [0, 0, 1], "0.5", 3, None, [0.1, True], [0.1, math.nan]])
def test_values_that_make_no_axis_are_refused(make_scenario, values):
    with pytest.raises(InputError, match=r"neuron\.beta"):
        make_axis(make_scenario(**DP), "neuron.beta", values)


def test_whole_numbers_are_taken_as_they_are_given_or_refused(make_scenario):
    assert make_axis(make_scenario(**DP), "seed", np.array([3, 1])).values == (1, 3)
    with pytest.raises(InputError, match=r"seed: 1\.5 is no whole number"):
        make_axis(make_scenario(**DP), "seed", [1, 1.5, 3])


@pytest.mark.parametrize(
    "wanted",
    [
        "neuron.alpha=0:1:3",
        ("neuron.alpha", [0, 0.5, 1]),
        ["neuron.alpha", (1, 0.5, 0)],
        Axis("neuron.alpha", (0, 0.5, 1)),
    ],
)
def test_an_axis_is_written_in_many_ways(make_scenario, wanted):
    assert axis_of(make_scenario(**DP), wanted) == Axis("neuron.alpha", (0, 0.5, 1))


@pytest.mark.parametrize(
    "wanted", [None, 3, ("neuron.alpha",), (3, [0, 1]), {"neuron.alpha": [0, 1]}, Axis("seed", (1,))]
)
def test_what_is_written_in_no_such_way_is_refused(make_scenario, wanted):
    with pytest.raises(InputError, match=r"axis: expected|allowed: whole numbers from 2"):
        axis_of(make_scenario(**DP), wanted)


@pytest.mark.parametrize("networks", [0, -2, 1.5, True, None, 10_001])
def test_a_number_of_networks_out_of_range_is_refused(make_scenario, networks):
    with pytest.raises(InputError, match=r"networks: .*; allowed: whole numbers from 1 to 10000"):
        points(make_scenario(**DP), Axis("neuron.alpha", (0.0, 0.1)), Axis("neuron.beta", (0.1, 0.2)), networks)


def test_an_axis_of_what_trained_weights_depend_on_is_refused_at_once(make_scenario):
    with pytest.raises(InputError, match="seed: trained weights"):
        points(make_scenario(**DP), Axis("seed", (0.0, 1.0)), Axis("neuron.beta", (0.1, 0.2)), fixed=("seed",))


def test_x_varies_fastest_and_all_else_is_the_scenarios(make_scenario):
    scenario = make_scenario(**DP)
    made = points(scenario, Axis("neuron.alpha", (0.4, 0.5)), Axis("neuron.beta", (0.1, 0.2)))
    assert [(point.x, point.y) for point in made] == [(0.4, 0.1), (0.5, 0.1), (0.4, 0.2), (0.5, 0.2)]
    assert [own.neuron.alpha for point in made for own in point.scenarios] == [0.4, 0.5, 0.4, 0.5]
    assert made[0].scenarios[0].dynamics.settle.tolerance == pytest.approx(0.1 / 500)


def test_points_that_the_scenario_refuses_tell_why(make_scenario):
    """Proximal outputs need (1 - alpha) beta < 1."""
    made = points(make_scenario(**DP), Axis("neuron.alpha", (0.0, 0.6)), Axis("neuron.beta", (0.5, 2.0)))
    assert [bool(point.refusal) for point in made] == [False, False, True, False]
    assert "too strong" in made[2].refusal


def test_a_diagram_of_refused_points_alone_is_an_error(make_scenario):
    with pytest.raises(InputError, match="no point of the diagram"):
        points(make_scenario(**DP), Axis("neuron.alpha", (0.0, 0.1)), Axis("neuron.beta", (2.0, 3.0)))


def test_the_same_setting_on_both_axes_is_refused(make_scenario):
    axis = Axis("neuron.alpha", (0.0, 0.1))
    with pytest.raises(InputError, match="both axes"):
        points(make_scenario(**DP), axis, axis)


def test_networks_are_seeds_from_the_scenarios_own_on(make_scenario):
    made = points(make_scenario(seed=7, **DP), Axis("neuron.alpha", (0.0, 0.1)), Axis("neuron.beta", (0.1, 0.2)), 3)
    assert [own.seed for own in made[0].scenarios] == [7, 8, 9]


@pytest.mark.parametrize(
    ("changes", "common"),
    [
        ({"neuron": {"model": "dp", "alpha": 0.9, "beta": 0.1}, "seed": 3}, True),
        ({"mismatch": {"alpha": 0.1}}, True),
        ({"mismatch": {"gain": 0.1}}, False),
        ({"noise": {"membrane": 0.1}}, False),
        ({"neuron": {"model": "dp", "alpha": 0.3, "tau": "2 us"}}, False),
        ({"dynamics": {"clock": "sweep"}}, False),
        ({"dynamics": {"clock": "sweep", "order": "random"}}, False),
    ],
)
def test_points_that_differ_in_what_chips_may_differ_in_lie_side_by_side(make_scenario, changes, common):
    assert (together(make_scenario(**DP)) == together(make_scenario(**{**DP, **changes}))) == common
