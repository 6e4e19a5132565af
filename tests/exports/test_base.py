"""The driver of all formats: whole files or none, one chip of several, sidecars, options, optional packages."""

import json

import pytest
import torch

from analogdp.analysis.gradients import forward
from analogdp.errors import AnalogdpWarning, InputError, Problem, ScenarioError
from analogdp.exports.base import (
    Exporter,
    OneChipSettings,
    export_all,
    export_network,
    exporter,
    extra,
    one_chip,
    refused,
    tables,
    why_no_cells,
)
from analogdp.scenario.schema import ExportSettings

CROSSBAR = {"model": "crossbar", "device": "ecram_mo", "pair": "balanced", "tile": "4x3"}


class Text(Exporter):
    """One file of text; a registered format would be known to all other tests."""

    Settings = ExportSettings
    file_name = "text.txt"

    def write(self, network, scenario, path):
        path.write_text(f"{scenario.name} {network.sizes}")


class Described(Text):
    def sidecar(self, network, scenario):
        return {"chips": list(network.chip_indices)}


class Parts(Exporter):
    Settings = ExportSettings
    file_name = "parts"
    folder = True

    def write(self, network, scenario, path):
        assert list(path.iterdir()) == []
        (path / "one").write_text("1")
        (path / "two").write_text("2")


class Failing(Parts):
    def write(self, network, scenario, path):
        super().write(network, scenario, path)
        raise refused(["it is too red", "it is too round"], "failing")


class FailingFile(Described):
    def write(self, network, scenario, path):
        super().write(network, scenario, path)
        raise refused(["it is too green"], "failing")


class Lacking(Described):
    def lacks(self, network):
        return "there is nothing in it"


class RefusingSettings(ExportSettings):
    def contradictions(self, scenario):
        return [Problem("format", "no")]


def made(kind, settings=ExportSettings):
    return kind(settings(format="test"))


@pytest.fixture
def small(make_scenario, make_network):
    """A scenario and its network."""
    return make_scenario((6, 4, 3)), make_network((6, 4, 3))


class TestWriting:
    def test_a_file_is_written_and_told(self, small, tmp_path):
        scenario, network = small
        assert export_network(network, scenario, made(Text), tmp_path / "a.txt") == [tmp_path / "a.txt"]
        assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
        assert (tmp_path / "a.txt").read_text() == "scenario (6, 4, 3)"

    def test_a_folder_is_written_empty_before(self, small, tmp_path):
        scenario, network = small
        assert export_network(network, scenario, made(Parts), tmp_path / "folder") == [tmp_path / "folder"]
        assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["one", "two"]

    def test_a_sidecar_stands_beside_the_file_as_json(self, small, tmp_path):
        scenario, network = small
        written = export_network(network, scenario, made(Described), tmp_path / "a.txt")
        assert written == [tmp_path / "a.txt", tmp_path / "a.txt.json"]
        assert json.loads(written[1].read_text()) == {"chips": [0]}

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            (made(Failing), "failing: it is too red\nfailing: it is too round"),
            (made(FailingFile), "failing: it is too green"),
            (made(Lacking), "there is nothing in it"),
            (made(Text, RefusingSettings), "format: no"),
        ],
        ids=["a folder", "a file with a sidecar", "nothing to write", "a refused scenario"],
    )
    def test_what_cannot_be_written_leaves_nothing(self, small, tmp_path, kind, error):
        scenario, network = small
        with pytest.raises(InputError) as caught:
            export_network(network, scenario, kind, tmp_path / "target")
        assert error in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("there", ["a.txt", "a.txt.json"])
    def test_a_file_or_sidecar_that_is_there_is_left_alone(self, small, tmp_path, there):
        scenario, network = small
        (tmp_path / there).write_text("mine")
        with pytest.raises(InputError, match=there):
            export_network(network, scenario, made(Described), tmp_path / "a.txt")
        assert [path.name for path in tmp_path.iterdir()] == [there]
        assert (tmp_path / there).read_text() == "mine"

    def test_a_failure_leaves_what_should_have_been_replaced(self, small, tmp_path):
        scenario, network = small
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "mine").write_text("mine")
        with pytest.raises(InputError):
            export_network(network, scenario, made(Failing), tmp_path / "folder", replace=True)
        assert [path.name for path in tmp_path.rglob("*")] == ["folder", "mine"]

    def test_a_folder_that_gives_way_leaves_none_of_its_files(self, small, tmp_path):
        scenario, network = small
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "mine").write_text("mine")
        export_network(network, scenario, made(Parts), tmp_path / "folder", replace=True)
        assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["one", "two"]


class TestOptions:
    def test_a_name_stands_for_its_defaults(self):
        assert exporter("hdf5").settings == exporter({"format": "hdf5"}).settings

    def test_a_section_and_options_are_one(self):
        assert (
            exporter({"format": "brian2", "chip": 3}, samples=7).settings
            == exporter("brian2", chip=3, samples=7).settings
        )

    def test_settings_and_options_are_one(self):
        settings = exporter("brian2", chip=3).settings
        assert exporter(settings).settings == settings
        assert exporter(settings, samples=7).settings == exporter("brian2", chip=3, samples=7).settings

    def test_one_loss_need_be_no_list(self):
        assert exporter("crosssim", lossy="wires").settings == exporter("crosssim", lossy=["wires"]).settings

    @pytest.mark.parametrize(
        ("kind", "options", "said"),
        [
            ("hdf6", {}, r"hdf6.*did you mean 'hdf5'"),
            ("hdf5", {"colour": "red"}, "colour"),
            ("brian2", {"samples": 0}, "samples.*allowed"),
            ("brian2", {"chip": -1}, "chip.*allowed"),
            ("brian2", {"samples": "7"}, "samples"),
            (None, {}, "None is no export format; Known: aihwkit, "),
            (5, {}, "5 is no export format"),
            ("crosssim", {"lossy": "wire"}, "lossy.*did you mean 'wires'"),
            ("crosssim", {"lossy": 3}, "lossy: expected a list"),
        ],
    )
    def test_unknown_formats_and_options_are_refused_by_name(self, kind, options, said):
        with pytest.raises(InputError, match=f"(?s){said}"):
            exporter(kind, **options)


class TestOneChip:
    @pytest.mark.parametrize(
        ("chips", "only", "chip", "refusal"),
        [
            (3, None, None, "holds one chip, and there are 3; name one of 0, 1, 2"),
            (20, None, None, r"name one of 0, 1, 2, 3, 4, 5, 6, 7, \.\.\."),
            (3, None, 3, "there is no chip 3; chips: 0, 1, 2"),
            (9, (4, 7), 0, "there is no chip 0; chips: 4, 7"),
        ],
    )
    def test_a_chip_must_be_named_and_there(self, make_scenario, chips, only, chip, refusal):
        run = {} if only is None else {"only_chips": only}
        scenario = make_scenario((6, 4, 3), chips=chips, run=run)
        (problem,) = OneChipSettings(format="test", chip=chip).contradictions(scenario)
        assert problem.path == "chip"
        with pytest.raises(ScenarioError, match=refusal):
            raise ScenarioError([problem])

    @pytest.mark.parametrize(("chips", "chip"), [(1, None), (1, 0), (3, 2)])
    def test_the_only_chip_and_one_that_is_named_will_do(self, make_scenario, chips, chip):
        scenario = make_scenario((6, 4, 3), chips=chips)
        assert OneChipSettings(format="test", chip=chip).contradictions(scenario) == []

    def test_a_network_of_one_chip_is_itself(self, small):
        scenario, network = small
        assert one_chip(network, scenario, None) is network

    @pytest.mark.parametrize("chip", [4, 7])
    def test_a_chip_of_several_is_what_it_is_among_them(self, make_scenario, make_network, chip):
        spread = {"std": 0.1, "compartments": 0.05}
        sections = {
            "chips": 9,
            "run": {"only_chips": (4, 7)},
            "mismatch": {"tau": spread, "gain": spread, "offset": spread, "alpha": 0.05},
            "synapse": CROSSBAR | {"wires": {}, "dac": {"bits": 6}, "adc": {"bits": 8}},
            "feedback": "random",
        }
        network = make_network((6, 5, 3), **sections)
        with torch.no_grad():
            for name, own in network.state_dict().items():
                if name.endswith(("bias", "limits")):
                    own.copy_(torch.linspace(0.1, 0.9, own.numel(), dtype=own.dtype).view_as(own))
        place = network.chip_indices.index(chip)
        own = one_chip(network, make_scenario((6, 5, 3), **sections), chip)
        assert own.chip_indices == (chip,)
        inputs = torch.linspace(-1, 1, 24, dtype=torch.float64).view(1, 4, 6)
        torch.testing.assert_close(forward(own, inputs)[0], forward(network, inputs)[place], rtol=1e-12, atol=1e-12)
        for layer, among in zip(own.layers, network.layers, strict=True):
            torch.testing.assert_close(layer.tau[:, 0], among.tau[:, place], rtol=0, atol=0)
        for (_, cells, _), (_, all_cells, _) in zip(tables(own), tables(network), strict=True):
            for name in ("plus", "minus", "weights", "target_weights"):
                torch.testing.assert_close(getattr(cells, name)[0], getattr(all_cells, name)[place], rtol=0, atol=1e-12)
        (path,), (among,) = ([each for each in one.feedback_paths if each is not None] for one in (own, network))
        torch.testing.assert_close(path.weights[0], among.weights[place], rtol=0, atol=1e-12)
        limits = [name for name in own.state_dict() if name.endswith("limits")]
        assert limits
        for name in limits:
            assert torch.equal(own.state_dict()[name][:, 0], network.state_dict()[name][:, place])


class TestCells:
    def test_crossbars_are_listed_by_the_layer_below_with_what_lies_around_them(self, make_network):
        network = make_network((6, 5, 3), synapse=CROSSBAR)
        found = tables(network)
        assert [number for number, _, _ in found] == [0, 1]
        assert [(wiring.inputs, wiring.outputs) for _, _, wiring in found] == [(6, 5), (5, 3)]
        torch.testing.assert_close(found[1][1].weights, network.synapses[1].weights)

    def test_ideal_weights_have_no_cells_which_is_a_problem_of_the_format(self, make_scenario, small):
        scenario, network = small
        assert tables(network) == []
        (problem,) = why_no_cells(scenario, "pictures")
        assert str(problem) == (
            "format: pictures holds conductances, and synapse.model: ideal has none; use synapse: crossbar"
        )
        assert why_no_cells(make_scenario((6, 4, 3), synapse=CROSSBAR), "pictures") == []

    def test_a_run_leaves_formats_of_cells_out_where_there_are_none(self, make_scenario, make_network, tmp_path):
        scenario = make_scenario((6, 4, 3), export=("hdf5",))
        assert export_all(make_network((6, 4, 3)), scenario, tmp_path) == []
        assert list(tmp_path.iterdir()) == []

    def test_a_format_that_cannot_hold_the_trained_network_does_not_fail_the_run(
        self, make_scenario, make_network, tmp_path
    ):
        scenario = make_scenario((6, 4, 3), export=({"format": "nir"}, "onnx"))
        with pytest.warns(AnalogdpWarning, match=r"network\.nir was not written: .*activation"):
            written = export_all(make_network((6, 4, 3)), scenario, tmp_path)
        assert [path.name for path in written] == ["network.onnx"]
        assert list(tmp_path.iterdir()) == written


class TestExtra:
    def test_a_package_that_is_there_is_imported(self):
        assert extra("json", "nothing", "this test") is json

    def test_one_that_is_not_there_is_named_with_the_way_to_it(self):
        with pytest.raises(InputError) as caught:
            extra("no_such_package_of_ours", "pictures", "format: pictures")
        assert str(caught.value).startswith(
            "format: pictures needs the package 'no_such_package_of_ours', which is not installed: "
            "pip install 'analogdp[pictures]'"
        )
