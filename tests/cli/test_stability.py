"""The command that draws phase diagrams."""

import pytest
from typer.testing import CliRunner

from analogdp.cli.application import application
from analogdp.errors import InputError

TINY = (
    "name: tiny\ndata: {name: digits, test_fraction: 0.9}\nnetwork: {layers: [64, 4, 10]}\n"
    "neuron: {model: dp, activation: tanh}\n"
)


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    return str(tmp_path / "tiny.yaml")


def invoke(*arguments):
    return CliRunner().invoke(application, ["stability", *arguments])


def test_it_prints_shares_and_critical_beta_and_names_the_files(tiny, tmp_path):
    answer = invoke(tiny, "--points", "3", "--samples", "2", "--out", str(tmp_path / "out"))
    assert answer.exit_code == 0, answer.output
    assert "settled" in answer.stdout
    assert "stable up to beta" in answer.stdout
    assert "9 of 9 networks" not in answer.stdout
    for name in ("diagram.parquet", "diagram.png", "diagram.html"):
        assert str(tmp_path / "out" / name) in answer.stdout
        assert (tmp_path / "out" / name).is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either a scenario or"),
        (["SCENARIO", "--x", "neuron.alpa=0:1"], "did you mean 'alpha'"),
        (["SCENARIO", "--x", "neuron.model=0:1"], "no number"),
        (["SCENARIO", "--x", "neuron.beta=0.1:1"], "both axes"),
        (["SCENARIO", "--points", "1"], "from 2 to"),
        (["SCENARIO", "--samples", "0"], "samples"),
        (["SCENARIO", "--networks", "0"], "networks"),
        (["SCENARIO", "--at", "home"], "Known: free, rest"),
        (["SCENARIO", "--set", "neuron={model: untied}"], "no dyads"),
        (["--run", "FOLDER"], "not a run directory"),
    ],
)
def test_bad_input_is_refused_in_words(tiny, tmp_path, arguments, words):
    own = {"SCENARIO": tiny, "FOLDER": str(tmp_path)}
    answer = invoke(*(own.get(argument, argument) for argument in arguments))
    assert isinstance(answer.exception, InputError)
    assert words in str(answer.exception)
