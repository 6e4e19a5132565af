"""Networks out of the simulator, and what was measured of a chip back into it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import analogdp
from analogdp import registry
from analogdp.errors import InputError, RunError, ScenarioError
from analogdp.exports import Exporter, OneChipSettings
from analogdp.imports import Measured, read_measured
from analogdp.runs import RunDirectory, change_manifest
from analogdp.runs.checkpoints import checkpoint_files, load_newest
from analogdp.scenario import Scenario
from analogdp.scenario.schema import ExportSettings
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate
from analogdp.transfer import WithConductances
from tests.small_runs import small_run

WIRED = {"word_line": "2 ohm", "bit_line": "3 ohm", "source": "50 ohm", "sense": "20 ohm"}
NOISY = {"card": "reram_sb", "read_noise": "1 %", "read_time": "1 us"}


@registry.exporters.register("text_of_a_test")
class Text(Exporter):
    """One chip's weights in words: a format as another package would add it."""

    class Settings(OneChipSettings):
        format: str = "text_of_a_test"
        digits: int = 3

    file_name = "weights.txt"

    def write(self, network: Any, scenario: Scenario, path: Path) -> None:
        path.write_text(" ".join(f"{float(own.weights.sum()):.{self.settings.digits}f}" for own in network.synapses))


@registry.exporters.register("breaks_of_a_test")
class Breaks(Exporter):
    """A folder whose writing ends midway."""

    class Settings(ExportSettings):
        format: str = "breaks_of_a_test"

    file_name = "broken"
    folder = True

    def write(self, network: Any, scenario: Scenario, path: Path) -> None:
        (path / "half").write_text("half")
        raise InputError("the format cannot hold this after all")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One chip with all that a read can have: tiles, lines with resistance, converters and noise."""
    synapse = {
        "model": "crossbar",
        "device": NOISY,
        "tile": "8x4",
        "wires": WIRED,
        "dac": {"bits": 6},
        "adc": {"bits": 8},
    }
    return small_run(tmp_path_factory.mktemp("run"), synapse=synapse)


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three chips."""
    return small_run(tmp_path_factory.mktemp("chips"), chips=3)


@pytest.fixture(scope="module")
def ideal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that are numbers."""
    return small_run(tmp_path_factory.mktemp("ideal"), synapse="ideal", learning={"epochs": 1})


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copied"))


def exported(run: Path, folder: Path) -> Path:
    """What ``export`` writes of all cells."""
    return analogdp.export(run, "hdf5", folder / "cells.h5")[0]


def edited(path: Path, change: Callable[[h5py.Group], None]) -> Path:
    """The file with every tile changed."""
    with h5py.File(path, "r+") as file:
        for synapse in file["synapses"].values():
            for name in (name for name in synapse if name.startswith("chip_")):
                for tile in synapse[name].values():
                    change(tile)
    return path


# Out


def test_an_export_has_the_files_name_when_it_is_complete_and_is_told(run: Path, tmp_path: Path) -> None:
    paths = analogdp.export(run, "text_of_a_test", tmp_path / "w.txt", digits=1)
    assert paths[0] == tmp_path / "w.txt"
    weights = [float(own.weights.sum()) for own in analogdp.open_run(run).network.synapses]
    assert [float(word) for word in paths[0].read_text().split()] == pytest.approx(weights, abs=0.051)


@pytest.mark.parametrize("chip", ["a", -1, True, 1.5, 1])
def test_a_torch_module_of_no_chip_is_refused(run: Path, chip: Any) -> None:
    with pytest.raises(InputError, match=r"^chip: "):
        analogdp.open_run(run).to_torch(chip)


def test_force_changes_nothing_of_a_finished_run(run: Path, tmp_path: Path) -> None:
    assert analogdp.export(run, "text_of_a_test", tmp_path / "w.txt", force=True) == [tmp_path / "w.txt"]
    assert analogdp.open_run(run).unfinished is None


def test_a_result_and_a_section_will_do_in_place_of_a_directory_and_a_name(run: Path, tmp_path: Path) -> None:
    section = {"format": "text_of_a_test", "digits": 0}
    (path,) = analogdp.export(analogdp.open_run(run), section, tmp_path / "w.txt")
    assert "." not in path.read_text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"status": "diverged", "reason": "layer 1 of chip 0"},
            "diverged, and is no trained network: layer 1 of chip 0",
        ),
        ({"status": "running", "checksums": {}}, "has not come to its end .interrupted.; go on with: analogdp resume"),
        ({"status": "failed", "checksums": {}}, "has not come to its end .failed.; go on with: analogdp resume"),
    ],
)
class TestARunThatDidNotFinish:
    def test_is_not_exported(self, copied: Path, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
        change_manifest(RunDirectory(copied), **changes)
        with pytest.raises(InputError, match=f"{said}.*; --force"):
            analogdp.export(copied, "text_of_a_test", tmp_path / "w.txt")
        assert not (tmp_path / "w.txt").exists()

    def test_is_exported_by_force(self, copied: Path, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
        change_manifest(RunDirectory(copied), **changes)
        assert analogdp.export(copied, "text_of_a_test", tmp_path / "w.txt", force=True)[0].is_file()

    @pytest.mark.parametrize("kind", ["text_of_a_test", "hdf5", "csv"])
    def test_is_said_beside_what_was_exported_by_force(
        self, copied: Path, tmp_path: Path, kind: str, changes: dict[str, Any], said: str
    ) -> None:
        newest = load_newest(RunDirectory(copied).checkpoints, print)
        assert newest is not None
        change_manifest(RunDirectory(copied), **changes)
        _, beside = analogdp.export(copied, kind, tmp_path / "out", force=True)
        assert beside == tmp_path / "out.json"
        told = json.loads(beside.read_text())["run"]
        status = analogdp.open_run(copied).status
        assert (told["status"], told["update"], told["epoch"], told["epochs"]) == (status, newest.update, 1, 1)

    def test_becomes_a_torch_module_by_force_alone(self, copied: Path, changes: dict[str, Any], said: str) -> None:
        change_manifest(RunDirectory(copied), **changes)
        result = analogdp.open_run(copied)
        with pytest.raises(InputError, match=said + r".*force=True"):
            result.to_torch()
        assert isinstance(result.to_torch(force=True), torch.nn.Sequential)

    def test_is_not_evaluated(self, copied: Path, changes: dict[str, Any], said: str) -> None:
        change_manifest(RunDirectory(copied), **changes)
        with pytest.raises(InputError, match=said):
            analogdp.evaluate(copied)
        with pytest.raises(InputError, match=said):
            analogdp.with_conductances(copied, "nowhere")


def test_a_run_without_a_checkpoint_is_no_network_even_by_force(copied: Path, tmp_path: Path) -> None:
    for path in checkpoint_files(RunDirectory(copied).checkpoints):
        path.unlink()
    with pytest.raises(RunError, match="has no checkpoint yet"):
        analogdp.export(copied, "text_of_a_test", tmp_path / "w.txt", force=True)
    assert not (tmp_path / "w.txt").exists()


def test_what_fails_midway_leaves_nothing_behind(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="after all"):
        analogdp.export(run, "breaks_of_a_test", tmp_path / "broken")
    assert list(tmp_path.iterdir()) == []


def test_an_exported_format_of_one_chip_needs_the_chip_of_a_run_with_several(chips: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ScenarioError, match="chip: text_of_a_test holds one chip, and there are 3; name one of 0, 1, 2"
    ):
        analogdp.export(chips, "text_of_a_test", tmp_path / "w.txt")
    with pytest.raises(ScenarioError, match="chip: there is no chip 3; chips: 0, 1, 2"):
        analogdp.export(chips, "text_of_a_test", tmp_path / "w.txt", chip=3)
    assert analogdp.export(chips, "text_of_a_test", tmp_path / "w.txt", chip=2)[0].is_file()


def test_a_scenario_exports_a_section_with_its_options(tmp_path: Path) -> None:
    run = small_run(tmp_path, export=["hdf5", {"format": "text_of_a_test", "digits": 0}])
    result = analogdp.open_run(run)
    names = [path.name for path in result.exports]
    assert {"conductances.h5", "weights.txt"} <= set(names)
    assert "." not in (run / "weights.txt").read_text()


def test_a_scenario_with_a_section_that_the_format_refuses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no chip 7; chips: 0, 1"):
        small_run(tmp_path, chips=2, export=[{"format": "text_of_a_test", "chip": 7}])
    assert list(tmp_path.iterdir()) == []


# In


def measured(run: Path, source: Path, **options: Any) -> WithConductances:
    return analogdp.with_conductances(run, source, **options)


def test_the_cells_of_the_run_itself_change_nothing(run: Path, tmp_path: Path) -> None:
    found = measured(run, exported(run, tmp_path))
    assert found.after == found.before == analogdp.evaluate(run)[0]
    trained = analogdp.open_run(run).network
    for own, synapse in zip(found.network.synapses, trained.synapses, strict=True):
        assert torch.equal(own.weights, synapse.weights)
    assert [(own.rms, own.worst, own.stuck, own.missing) for own in found.layers] == [(0, 0, 0, 0)] * 2
    assert [own.cells for own in found.layers] == [2 * 12 * 6, 2 * 6 * 4]


def test_tables_hold_what_the_hdf5_file_does(chips: Path, tmp_path: Path) -> None:
    (tables,) = analogdp.export(chips, "csv", tmp_path / "tables", chip=1)
    for one, other in zip(read_measured(tables), read_measured(exported(chips, tmp_path), 1), strict=True):
        np.testing.assert_array_equal(one.plus, other.plus)
        np.testing.assert_array_equal(one.minus, other.minus)
    assert measured(chips, tables).after == analogdp.evaluate(chips)[1]


def test_the_run_stays_as_it_was(run: Path, tmp_path: Path) -> None:
    result = analogdp.open_run(run)
    before = {name: tensor.clone() for name, tensor in result.network.state_dict().items()}
    source = edited(exported(run, tmp_path), lambda tile: tile["plus"].write_direct(np.full(tile["plus"].shape, 1e-4)))
    found = analogdp.with_conductances(result, source)
    assert found.after != found.before
    assert all(torch.equal(tensor, before[name]) for name, tensor in result.network.state_dict().items())


def test_cells_out_of_range_are_held_as_they_are_and_counted(chips: Path, tmp_path: Path) -> None:
    source = exported(chips, tmp_path)
    high = analogdp.open_run(chips).network.synapses[0].conductances().high
    with h5py.File(source, "r+") as file:
        file["synapses/0/chip_1/tile_0_0/plus"][3, 2] = 7 * high
        file["synapses/0/chip_1/tile_0_0/minus"][5, 1] = 0.0
    found = measured(chips, source, chip=1)
    table = found.network.synapses[0].conductances()
    assert float(table.plus[0, 2, 3]) == 7 * high
    assert float(table.minus[0, 1, 5]) == 0.0
    low, cells = float(table.low), read_measured(source, 1)[0]
    outside = sum(((own < low * (1 - 1e-6)) | (own > high * (1 + 1e-6))).sum() for own in (cells.plus, cells.minus))
    assert found.layers[0].out_of_range == outside >= 2
    assert found.layers[0].worst_at == (3, 2)


def test_without_wires_a_weight_is_the_scaled_difference_of_what_was_measured(chips: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    source = edited(
        exported(chips, tmp_path),
        lambda tile: [
            tile[name].write_direct(generator.uniform(0, 3e-4, tile[name].shape)) for name in ("plus", "minus")
        ],
    )
    found = measured(chips, source, chip=2)
    for synapse, own, errors in zip(found.network.synapses, read_measured(source, 2), found.layers, strict=True):
        wanted = synapse.conductances().scale * (own.plus - own.minus)
        np.testing.assert_allclose(synapse.weights[0].mT.numpy(), wanted, rtol=1e-12, atol=1e-12)
        before = analogdp.open_run(chips).network.synapses[own.layer].weights[2].mT.numpy()
        assert errors.rms == pytest.approx(np.sqrt(np.mean((wanted - before) ** 2)), rel=1e-9)
        assert errors.worst == pytest.approx(np.abs(wanted - before).max(), rel=1e-9)
        assert errors.correlation == pytest.approx(np.corrcoef(wanted.ravel(), before.ravel())[0, 1], abs=1e-9)


@pytest.mark.parametrize(("missing", "wanted"), [("trained", None), ("open", 0.0)])
def test_a_missing_cell_is_what_it_was_or_open(chips: Path, tmp_path: Path, missing: Any, wanted: float | None) -> None:
    source = exported(chips, tmp_path)
    with h5py.File(source, "r+") as file:
        tile = file["synapses/1/chip_0/tile_0_0"]
        trained = float(tile["plus"][2, 1])
        tile["plus"][2, 1] = np.nan
        states = np.zeros(tile["plus"].shape, np.uint8)
        states[2, 1], states[0, 0] = 2, 1
        tile["plus_state"] = states
    with pytest.raises(InputError, match="synapse1: 1 cells are missing; missing=trained"):
        measured(chips, source, chip=0)
    found = measured(chips, source, chip=0, missing=missing)
    held = float(found.network.synapses[1].conductances().plus[0, 1, 2])
    assert held == (trained if wanted is None else wanted)
    assert (found.layers[1].missing, found.layers[1].stuck) == (1, 1)


def test_a_crossbar_that_was_not_measured_stays_as_trained_if_that_is_asked_for(chips: Path, tmp_path: Path) -> None:
    source = exported(chips, tmp_path)
    with h5py.File(source, "r+") as file:
        del file["synapses/1"]
    with pytest.raises(InputError, match="nothing was measured of synapse1; missing=trained"):
        measured(chips, source, chip=0, missing="open")
    found = measured(chips, source, chip=0, missing="trained")
    assert [own.name for own in found.layers] == ["synapse0"]
    assert found.after == found.before


def test_a_source_of_several_chips_needs_the_chip(chips: Path, tmp_path: Path) -> None:
    source = exported(chips, tmp_path)
    with pytest.raises(InputError, match="several chips were measured; name one of 0, 1, 2"):
        measured(chips, source)
    with pytest.raises(InputError, match="nothing was measured of chip 5; chips: 0, 1, 2"):
        measured(chips, source, chip=5)
    assert measured(chips, source, chip=1).before == analogdp.evaluate(chips)[1]


def test_a_chip_of_a_lab_takes_the_place_of_the_only_one_of_a_run_whatever_its_number(
    run: Path, tmp_path: Path
) -> None:
    source = exported(run, tmp_path)
    with h5py.File(source, "r+") as file:
        for synapse in file["synapses"].values():
            synapse.move("chip_0", "chip_17")
    assert measured(run, source).after.chip == 0


def test_a_chip_that_the_run_does_not_have_is_refused(run: Path, chips: Path, tmp_path: Path) -> None:
    source = exported(chips, tmp_path)
    with h5py.File(source, "r+") as file:
        for synapse in file["synapses"].values():
            synapse.move("chip_2", "chip_17")
    with pytest.raises(InputError, match="is of chip 17, which the run does not have; chips: 0, 1, 2"):
        measured(chips, source, chip=17)


def test_other_shapes_are_refused(run: Path, tmp_path: Path) -> None:
    other = small_run(tmp_path, (12, 5, 4))
    with pytest.raises(InputError, match="synapse0 has 12 word lines x 5 bit lines, but the network's has 12 x 6"):
        measured(run, exported(other, tmp_path))


def test_more_crossbars_than_the_network_has_are_refused(run: Path, tmp_path: Path) -> None:
    other = small_run(tmp_path, (12, 6, 4, 4))
    with pytest.raises(InputError, match="synapse2 is no crossbar of the network; it has synapse0, synapse1"):
        measured(run, exported(other, tmp_path))


def test_ideal_weights_have_no_place_for_conductances(ideal: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the weights of this network are ideal"):
        measured(ideal, exported(run, tmp_path))


def test_an_unknown_way_with_missing_cells_is_refused_with_the_nearest(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown 'traned': did you mean 'trained'"):
        measured(run, exported(run, tmp_path), missing="traned")


@pytest.mark.parametrize("missing", [None, 3, ["open"]])
def test_a_way_with_missing_cells_is_a_word(missing: Any, run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing: unknown .* Known: open, refuse, trained"):
        measured(run, exported(run, tmp_path), missing=missing)


@pytest.mark.parametrize("source", [5, None, ["bench"]])
def test_a_source_of_another_type_is_refused(source: Any, run: Path) -> None:
    with pytest.raises(InputError, match="is no path; give a folder of CSV files or an HDF5 file"):
        measured(run, source)


@pytest.mark.parametrize("own", [5, None, ["run"]])
def test_a_run_of_another_type_is_refused(own: Any) -> None:
    for call in (analogdp.evaluate, lambda run: measured(run, Path("bench"))):
        with pytest.raises(InputError, match="is no run; give its directory"):
            call(own)


def test_the_chip_of_what_was_read_is_not_another_one(chips: Path, tmp_path: Path) -> None:
    read = read_measured(exported(chips, tmp_path), 1)
    assert analogdp.with_conductances(chips, read, chip=1).after.chip == 1
    with pytest.raises(InputError, match="nothing was measured of chip 2; chips: 1"):
        analogdp.with_conductances(chips, read, chip=2)


def test_what_was_read_can_be_changed_in_python_before_it_is_used(run: Path, tmp_path: Path) -> None:
    read = read_measured(exported(run, tmp_path))
    read[0].plus[:] *= 1.1
    found = analogdp.with_conductances(run, Measured(read.source, read.chip, read.crossbars))
    assert found.layers[0].rms > 0 == found.layers[1].rms


def test_a_number_that_is_subtracted_is_no_cell_to_be_measured(tmp_path: Path) -> None:
    run = small_run(tmp_path, (5, 4, 3), synapse={"model": "crossbar", "pair": "offset"})
    source = exported(run, tmp_path)
    assert measured(run, source).layers[0].cells == 5 * 4
    edited(source, lambda tile: tile["minus"].write_direct(1.1 * tile["minus"][()]))
    with pytest.raises(InputError, match="pair: offset has no cell there and subtracts"):
        measured(run, source)


def test_measured_cells_can_be_read_but_not_written(run: Path, tmp_path: Path) -> None:
    synapse = measured(run, exported(run, tmp_path)).network.synapses[0]
    update = LocalUpdate(torch.ones(1, 1, 6, dtype=torch.float64), torch.ones(1, 1, 12, dtype=torch.float64))
    with pytest.raises(InputError, match="measured cells can only be read"):
        synapse.apply_update(update, Stream(0, "update", dtype=torch.float64))


def test_feedback_paths_are_measured_if_the_source_has_them(tmp_path: Path) -> None:
    run = small_run(tmp_path, feedback="random")
    source = exported(run, tmp_path)
    with h5py.File(source, "r+") as file:
        file["feedback/1/chip_0/tile_0_0/plus"][:] = 3e-5
    found = measured(run, source)
    assert [own.name for own in found.layers] == ["synapse0", "synapse1", "feedback1"]
    assert bool((found.network.feedback_paths[1].conductances().plus == 3e-5).all())
    with h5py.File(source, "r+") as file:
        del file["feedback"]
    assert [own.name for own in measured(run, source).layers] == ["synapse0", "synapse1"]


def test_a_score_tells_what_a_row_of_metrics_does(ideal: Path) -> None:
    (score,) = analogdp.evaluate(ideal)
    (row,) = analogdp.open_run(ideal).final
    assert (score.loss, score.accuracy) == (row["test_loss"], row["test_accuracy"])
