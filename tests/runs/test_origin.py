import pytest
import torch
from safetensors.torch import save_file

from analogdp.errors import InputError
from analogdp.runs.directory import RunDirectory
from analogdp.runs.origin import as_kept, origin_files
from analogdp.scenario import load_scenario


@pytest.fixture
def scenario(tmp_path):
    save_file({"weight": torch.ones(10, 64)}, tmp_path / "mine.safetensors")
    changes = ["network.layers=[64,10]", f"network.weights={tmp_path / 'mine.safetensors'}"]
    return load_scenario("ideal-weights", changes)


def test_a_run_directory_loads_without_what_it_came_from(scenario, tmp_path):
    run = RunDirectory.create(tmp_path, "run", origin_files(scenario), tmp_path / "kept")
    (tmp_path / "mine.safetensors").unlink()
    again = load_scenario(run.scenario)
    assert again == as_kept(scenario, run)
    assert again.network.weights == run.initial_weights


def test_a_scenario_of_random_weights_is_kept_as_it_is(tmp_path):
    scenario = load_scenario("ideal-weights")
    assert list(origin_files(scenario)) == ["scenario.yaml"]
    assert as_kept(scenario, RunDirectory(tmp_path)) is scenario


def test_a_file_that_vanished_is_named_and_nothing_written(scenario, tmp_path):
    (tmp_path / "mine.safetensors").unlink()
    with pytest.raises(InputError, match=r"network\.weights: .*mine\.safetensors: No such file"):
        origin_files(scenario)
