"""Phase diagrams from Python: what they hold, and the files that they leave."""

import math

import pyarrow.parquet
import pytest

import analogdp as adp
from analogdp.diagrams import PAGE, PICTURE, TABLE, PhaseDiagram
from analogdp.errors import InputError

LAYERS = (16, 8, 4)
X, Y = ("neuron.alpha", [0.2, 0.5, 0.8]), ("neuron.beta", ["20 %", 0.6, 1.4])


@pytest.fixture
def scenario(make_scenario, tmp_path):
    return make_scenario(
        LAYERS, neuron={"model": "dp", "activation": "tanh"}, run={"directory": str(tmp_path / "runs")}
    )


def test_a_diagram_is_kept_with_its_table_pictures_and_scenario(scenario):
    first, second = (adp.stability(scenario, X, Y, samples=2) for _ in range(2))
    assert first.directory.name == "scenario-stability-1"
    assert second.directory.name == "scenario-stability-2"
    assert {file.name for file in first.directory.iterdir()} == {TABLE, PICTURE, PAGE, "scenario.yaml"}
    assert [file.name for file in first.directory.parent.iterdir() if file.name.startswith(".")] == []
    assert adp.load_scenario(first.directory / "scenario.yaml") == scenario
    assert first.cells == second.cells


def test_the_table_has_a_row_for_each_point(scenario, tmp_path):
    found = adp.stability(scenario, X, Y, samples=2, out=tmp_path / "mine")
    table = pyarrow.parquet.read_table(tmp_path / "mine" / TABLE)
    assert table.to_pylist() == found.rows
    assert [row["neuron.alpha"] for row in found.rows[:3]] == [0.2, 0.5, 0.8]
    refused = [row for row in found.rows if row["outcome"] == "refused"]
    assert [(row["neuron.alpha"], row["neuron.beta"]) for row in refused] == [(0.2, 1.4)]
    assert "too strong" in refused[0]["reason"]
    assert math.isclose(sum(found.shares.values()), 1)


def test_critical_values_are_the_last_before_the_first_that_is_unstable(scenario):
    found = adp.stability(scenario, X, Y, samples=2, keep=False)
    assert found.directory is None
    assert [value for value, _, _ in found.critical] == [0.2, 0.5, 0.8]
    assert found.critical[1][1:] == (1.4, 1.4)


def test_it_shows_itself_in_notebooks(scenario):
    found = adp.stability(scenario, X, Y, samples=2, keep=False)
    assert isinstance(found, PhaseDiagram)
    assert "neuron.beta" in found._repr_html_()
    assert "9 points" in repr(found)


def test_what_is_there_already_is_left_alone(scenario, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="exists"):
        adp.stability(scenario, X, Y, out=tmp_path / "mine")


def test_a_runs_trained_weights_are_taken(make_scenario, tmp_path):
    neuron = {"model": "dp", "activation": "tanh", "beta": 0.2}
    learning = {"epochs": 1, "rate": 0.02}
    scenario = make_scenario(LAYERS, neuron=neuron, learning=learning, run={"directory": str(tmp_path)})
    run = adp.run(scenario)
    trained = adp.stability(scenario, X, Y, samples=2, run=run, keep=False)
    random = adp.stability(scenario, X, Y, samples=2, keep=False)
    assert trained.cells[0].loop_gain != random.cells[0].loop_gain
    with pytest.raises(InputError, match="seed"):
        adp.stability(scenario.model_copy(update={"seed": 3}), X, Y, run=run, keep=False)
    with pytest.raises(InputError, match=r"network\.gain: trained weights"):
        adp.stability(scenario, X, ("network.gain", [0.5, 1.0]), samples=2, run=run, keep=False)
    assert trained.weights.startswith("weights of update ")
    assert "not finished" not in trained.weights


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": None}, "x: expected"),
        ({"run": 3}, "run: expected"),
        ({"together": 0}, "together"),
        ({"at": "nowhere"}, "nowhere"),
        ({"samples": 1.5}, "samples"),
        ({"networks": 1.5}, "networks"),
    ],
)
def test_what_is_no_diagram_is_refused_in_words(scenario, changes, words):
    with pytest.raises(InputError, match=words):
        adp.stability(**{"scenario": scenario, "x": X, "y": Y, "samples": 2, "keep": False, **changes})


def test_an_axis_may_be_text(scenario):
    found = adp.stability(scenario, "neuron.alpha=0:1:2", Y, samples=2, keep=False)
    assert found.x.values == (0.0, 1.0)


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(scenario, tmp_path):
    (tmp_path / "file").write_text("")
    told = []
    with pytest.raises(InputError, match="cannot be written"):
        adp.stability(
            scenario, X, Y, samples=2, out=tmp_path / "file" / "sub", progress=lambda *count: told.append(count)
        )
    assert told == []
