"""The command that runs a scenario with several values of some settings."""

import pytest
from typer.testing import CliRunner

from analogdp.cli.application import application
from analogdp.cli.replicas import _choice
from analogdp.errors import InputError

TINY = "name: tiny\ndata: {name: digits, test_fraction: 0.9}\nnetwork: {layers: [64, 4, 10]}\n"
SWEEP = "dynamics: {clock: sweep}\nlearning: {epochs: 0}\n"


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("seed=0..3", [0, 1, 2, 3]),
        ("neuron.alpha=0,0.5,1", [0, 0.5, 1]),
        ("neuron.tau=1 us,2 us", ["1 us", "2 us"]),
        ("network.layers=[64,10],[64,8,10]", [[64, 10], [64, 8, 10]]),
    ],
)
def test_values_are_written_as_a_range_or_a_list(option, values):
    assert _choice(option) == (option.partition("=")[0], values)


@pytest.mark.parametrize("option", ["seed", "seed=", "=1", "neuron..alpha=1", "seed=4..1", "seed=0..99999999"])
def test_what_is_no_setting_with_values_is_refused(option):
    with pytest.raises(InputError, match="--vary"):
        _choice(option)


def test_a_table_has_a_row_for_each_combination_other_than_seeds(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY + SWEEP)
    arguments = [str(tmp_path / "tiny.yaml"), "--vary", "seed=0..1", "--vary", "neuron.alpha=0,1"]
    answer = CliRunner().invoke(application, ["replicate", *arguments, "--out", str(tmp_path / "out")])
    assert answer.exit_code == 0, answer.output
    lines = answer.stdout.splitlines()
    assert lines[0].split()[:4] == ["neuron.alpha", "runs", "finished", "test_accuracy"]
    assert [line.split()[:3] for line in lines[1:3]] == [["0", "2", "2"], ["1", "2", "2"]]
    assert str(tmp_path / "out" / "summary.parquet") in answer.stdout
