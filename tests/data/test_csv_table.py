"""Tables of the user's own."""

import csv

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from analogdp import api, data
from analogdp.data.csv_table import CsvSettings
from analogdp.errors import InputError
from analogdp.scenario.schema import Scenario

IRIS = load_iris()
KINDS = [IRIS.target_names[label] for label in IRIS.target]
COLUMNS = ["sepal length", "sepal width", "petal length", "petal width", "kind"]


@pytest.fixture
def iris(tmp_path):
    """Fisher's irises, with their kinds as words."""
    path = tmp_path / "iris.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(COLUMNS)
        writer.writerows([*numbers, kind] for numbers, kind in zip(IRIS.data.tolist(), KINDS, strict=True))
    return path


def test_words_are_classes_and_all_other_columns_are_learnt_from(iris):
    settings = CsvSettings(file=iris, target="kind")
    loaded = data.load(settings, 0).to("cpu", torch.float64)
    assert loaded.classes == ("setosa", "versicolor", "virginica")
    assert (settings.sizes(), settings.samples()) == ((4, 3), (120, 30))
    found = torch.cat((loaded.train_inputs[:], loaded.test_inputs[:])).numpy()
    labels = torch.cat((loaded.train_labels, loaded.test_labels)).numpy()
    ours = sorted(map(tuple, np.column_stack((found, labels))))
    assert ours == sorted(map(tuple, np.column_stack((IRIS.data, IRIS.target))))


def test_columns_can_be_chosen_and_several_learnt(iris):
    settings = CsvSettings(
        file=iris, target=["petal width", "petal length"], columns=["sepal width"], task="regression"
    )
    loaded = data.load(settings, 0).to("cpu", torch.float64)
    assert settings.sizes() == (1, 2)
    found = torch.cat((loaded.train_inputs[:], loaded.train_targets[:]), 1).numpy()
    known = {tuple(row) for row in IRIS.data[:, [1, 3, 2]]}
    assert {tuple(row) for row in found} <= known


@pytest.mark.parametrize(("cells", "classes"), [("10 9 10 9", ("9", "10")), ("-1 1.0 1 -1", ("-1", "1"))])
def test_whole_numbers_are_classes_in_their_order(tmp_path, cells, classes):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(f"{row}.5,{cell}" for row, cell in enumerate(cells.split())))
    loaded = data.load(CsvSettings(file=path, target="2", test_fraction=0.5), 0)
    assert loaded.classes == classes
    for inputs, labels in ((loaded.train_inputs[:], loaded.train_labels), (loaded.test_inputs[:], loaded.test_labels)):
        rows = inputs[:, 0].long().tolist()
        assert [float(cells.split()[row]) for row in rows] == [float(classes[label]) for label in labels.tolist()]


@pytest.mark.parametrize(
    ("keys", "text", "words"),
    [
        ({"target": "kindd"}, None, r"has no column 'kindd'; did you mean 'kind'\?"),
        ({"target": "kind", "columns": ["sepal widht"]}, None, "no column 'sepal widht'; did you mean 'sepal width'"),
        ({"target": "kind", "columns": ["kind"]}, None, "column 'kind' is among both columns and target"),
        ({"target": "sepal width"}, None, r"iris.csv:2: column 'kind' is 'setosa', which is no finite number"),
        ({"target": "kind", "task": "regression"}, None, "column 'kind' is 'setosa', which is no finite number"),
        (
            {"target": "petal width", "columns": ["petal length"]},
            None,
            "is 0.2, but classes are whole numbers or words",
        ),
        ({"target": ["kind", "petal width"]}, None, "a class stands in one column, not in 2; use task: regression"),
        ({"target": "b"}, "a,b\n1,x\n2,x\n", "column 'b' has one class only, 'x'; there is nothing to learn"),
        ({"target": "b"}, "a,b\nnan,x\n2,y\n", r"iris.csv:2: column 'a' is 'nan', which is no finite number"),
        ({"target": "b"}, "b\nx\ny\n", "has no columns to learn from beside b"),
        ({"target": "b"}, "", "is empty"),
        ({"target": 5}, None, "data.target"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_learnt_is_refused_when_the_scenario_is_read(iris, keys, text, words):
    if text is not None:
        iris.write_text(text)
    with pytest.raises(ValueError, match=words):
        Scenario(data={"name": "csv", "file": str(iris), **keys}, network={"layers": (4, 3)}, learning={"batch": 1})


def test_a_file_that_has_changed_since_is_refused(iris):
    settings = Scenario(data={"name": "csv", "file": str(iris), "target": "kind"}, network={"layers": (4, 3)}).data
    iris.write_text(iris.read_text() + "1;2;3;4;setosa\n")
    with pytest.raises(InputError, match=r"holds 151 samples of 4 inputs .* the scenario says 150 samples"):
        data.load(settings, 0)


def test_a_network_learns_from_a_table_and_its_run_is_open_without_it(iris, tmp_path):
    """Fisher's irises: 80 % within seconds; linear discriminants are right for 98 %."""
    scenario = Scenario(
        data={"name": "csv", "file": str(iris), "target": "kind", "normalise": "standard"},
        network={"layers": (4, 8, 3)},
        dynamics="sweep",
        learning={"epochs": 10, "batch": 8, "rate": 0.02},
        run={"device": "cpu", "directory": tmp_path / "runs"},
    )
    result = api.run(scenario)
    iris.unlink()
    opened = api.open_run(result.directory)
    assert opened.scenario == scenario.model_copy(update={"run": opened.scenario.run})
    assert opened.metrics[-1]["test_accuracy"] > 0.8
