"""The folder of the format ``spice``: that it runs as it is, reads what the package reads, and keeps all simulators' rules."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.data import load
from analogdp.errors import InputError, ScenarioError
from analogdp.exports import export_network, exporter
from analogdp.network import build
from analogdp.scenario import Scenario
from tests.exports.spice.simulators import NGSPICE, needs_ngspice, printed, run, waves

MEMRISTORS = {
    "model": "crossbar",
    "device": {"card": "vteam_example", "v_off": 0.2},
    "pair": "balanced",
    "tile": "32x10",
}
WIRED = {"model": "crossbar", "device": "reram_sb", "tile": "16x4", "wires": {"word_line": 2.0, "bit_line": 2.0}}
IMAGES = {"layers": ["1x8x8", {"conv": 3, "kernel": 3, "stride": 2}, 10]}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "dense": ({}, {}),
    "wired": ({"synapse": WIRED}, {}),
    "feedback": ({"feedback": {"path": "random"}, "network": {"layers": [64, 6, 5, 10]}}, {}),
    "memristors": ({"synapse": MEMRISTORS, "network": {"layers": [64, 2, 10]}}, {"cells": "memristors"}),
    "images": ({"network": IMAGES}, {"layer": 0}),
    "dyads": ({"network": {"layers": [64, 6, 10], "loss": "cross_entropy"}}, {"neurons": "dyads"}),
}
"""Sections of a scenario, and options."""


def scenario(**sections: Any) -> Scenario:
    whole = {
        "name": "quick",
        "data": {"name": "digits"},
        "network": {"layers": [64, 6, 10]},
        "synapse": {"model": "crossbar", "device": "reram_sb"},
        "run": {"device": "cpu", "dtype": "float64"},
        **sections,
    }
    return Scenario.model_validate(whole)


def written(folder: Path, kind: str, **options: Any) -> Path:
    sections, own = KINDS[kind]
    path, made = folder / "deck", scenario(**sections)
    export_network(build(made, (0,)), made, exporter("spice", **{**own, **options}), path)
    return path


@cache
def texts(kind: str, dialect: str, folder: Path) -> dict[str, str]:
    return {
        path.name: path.read_text() for path in written(folder / kind / dialect, kind, dialect=dialect).glob("*.cir")
    }


def statements(text: str) -> list[str]:
    """Lines that are no comments, with their continuations."""
    return [line for line in text.replace("\n+", "").splitlines() if not line.startswith("*")]


@needs_ngspice
@pytest.mark.parametrize("kind", ["dense", "wired", "feedback"])
def test_the_deck_runs_as_it_is_and_reads_what_the_package_reads(kind: str, tmp_path: Path) -> None:
    folder = written(tmp_path, kind, sample=3)
    run(folder / "network.cir")
    found, wanted = printed(folder / "results.txt"), printed(folder / "expected.txt")
    assert list(found) == list(wanted)
    largest = max(abs(value) for value in wanted.values())
    assert found == pytest.approx(wanted, rel=0, abs=1e-9 * largest)


@needs_ngspice
@pytest.mark.parametrize("kind", ["dense", "dyads", "images"])
def test_results_of_an_earlier_run_are_gone_where_an_analysis_does_not_end(kind: str, tmp_path: Path) -> None:
    folder = written(tmp_path, kind)
    deck = folder / "network.cir"
    deck.write_text(re.sub(r"\n(op|tran .*|dc .*)\n", r"\nno_such_analysis\n", deck.read_text()))
    assert "no_such_analysis" in deck.read_text()
    (folder / "results.txt").write_text("v(layer0_out_0) = 1.0\n")
    subprocess.run([NGSPICE, "-b", deck.name], cwd=folder, capture_output=True, check=False, timeout=60)
    assert "v(layer0_out_0) = 1.0" not in (folder / "results.txt").read_text()
    assert "has no values" in (folder / "README.txt").read_text()


@needs_ngspice
def test_memristors_hold_their_states_and_read_what_the_package_reads(tmp_path: Path) -> None:
    folder = written(tmp_path, "memristors")
    run(folder / "network.cir")
    wanted = printed(folder / "expected.txt")
    found = {name: values[-1] for name, values in waves(folder / "results.txt").items() if name != "time"}
    assert found == pytest.approx(wanted, rel=0, abs=1e-6)


@needs_ngspice
def test_a_convolution_s_array_is_read_once_for_every_window(tmp_path: Path) -> None:
    folder = written(tmp_path, "images")
    run(folder / "network.cir")
    (_, *found), (_, *wanted) = waves(folder / "results.txt").values(), waves(folder / "expected.txt").values()
    assert len(found[0]) == 9
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)


def test_what_is_expected_is_what_the_sample_that_was_asked_for_makes_of_the_crossbars(tmp_path: Path) -> None:
    made = scenario()
    network = build(made, (0,))
    export_network(network, made, exporter("spice", sample=3, layer=0), tmp_path / "deck")
    sample = load(made.data, made.seed).test_inputs[3].double()
    wanted = network.synapses[0].weights[0] @ sample
    found = list(printed(tmp_path / "deck" / "expected.txt").values())
    assert found == pytest.approx(wanted.tolist(), rel=0, abs=1e-12)


def test_windows_are_expected_in_the_order_of_a_convolution_s_outputs(tmp_path: Path) -> None:
    made = scenario(network=IMAGES)
    network = build(made, (0,))
    export_network(network, made, exporter("spice", sample=3, layer=0), tmp_path / "deck")
    image = load(made.data, made.seed).test_inputs[3].double().view(1, 1, 8, 8)
    kernels = network.synapses[0].weights[0].view(3, 1, 3, 3)
    wanted = torch.nn.functional.conv2d(image, kernels, stride=2)[0].flatten(1)
    window, *found = waves(tmp_path / "deck" / "expected.txt").values()
    assert window.tolist() == list(range(9))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dialect", ["ngspice", "ltspice", "xyce"])
class TestRulesOfAllSimulators:
    """What is known of the syntax of ngspice, LTspice and Xyce, of which only ngspice is run here."""

    def test_instances_have_as_many_nodes_as_their_subcircuits_have_ports(
        self, kind: str, dialect: str, shared_folder: Path
    ) -> None:
        lines = [
            line.split(" params:")[0].split()
            for text in texts(kind, dialect, shared_folder).values()
            for line in statements(text)
        ]
        ports = {words[1]: len(words) - 2 for words in lines if words[0] == ".subckt"}
        instances = [words for words in lines if words[0].startswith("X")]
        assert instances
        assert {words[-1]: len(words) - 2 for words in instances}.items() <= ports.items()

    def test_every_number_is_written_without_a_suffix(self, kind: str, dialect: str, shared_folder: Path) -> None:
        for text in texts(kind, dialect, shared_folder).values():
            assert not re.search(r"(?<![\w.])\d+\.?\d*(e[+-]?\d+)?[a-df-zA-DF-Z]", "\n".join(statements(text)))

    def test_names_are_told_apart_without_case_and_elements_once_each(
        self, kind: str, dialect: str, shared_folder: Path
    ) -> None:
        for text in texts(kind, dialect, shared_folder).values():
            for part in re.split(r"\n\.ends.*", text):
                names = [line.split()[0].lower() for line in statements(part) if line[:1].isalpha()]
                names = [
                    name for name in names if name not in ("echo", "print", "set", "op", "wrdata", "quit", "tran", "dc")
                ]
                assert len(set(names)) == len(names)

    def test_powers_are_two_stars(self, kind: str, dialect: str, shared_folder: Path) -> None:
        assert not any("^" in text for text in texts(kind, dialect, shared_folder).values())

    def test_files_are_ascii_with_short_lines_that_begin_with_a_comment(
        self, kind: str, dialect: str, shared_folder: Path
    ) -> None:
        for text in texts(kind, dialect, shared_folder).values():
            assert text.isascii()
            assert text.startswith("* ")
            assert max(map(len, text.splitlines())) <= 500

    def test_control_blocks_are_for_ngspice_alone(self, kind: str, dialect: str, shared_folder: Path) -> None:
        deck = texts(kind, dialect, shared_folder)["network.cir"]
        assert (".control" in deck) == (dialect == "ngspice")
        assert ("\n.print " in deck) == (dialect == "xyce")
        assert ("\n.meas " in deck) == (dialect == "ltspice")
        assert deck.endswith(".end\n")

    def test_expressions_are_in_braces_where_xyce_wants_them(
        self, kind: str, dialect: str, shared_folder: Path
    ) -> None:
        sources = [
            line
            for text in texts(kind, dialect, shared_folder).values()
            for line in statements(text)
            if line.startswith("B")
        ]
        values = [line.split(" ", 3)[3] for line in sources]
        assert values
        for value in values:
            kind_of_source, expression = value.split("=", 1)
            assert kind_of_source in ("V", "I")
            assert expression.count("(") == expression.count(")")
            braced = re.fullmatch(r"\{[^{}]*\}", expression) is not None
            assert braced == (dialect == "xyce")

    def test_conditions_are_functions_but_in_ngspice(self, kind: str, dialect: str, shared_folder: Path) -> None:
        assert not any("?" in text for text in texts(kind, dialect, shared_folder).values()) or dialect == "ngspice"


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spice")
    for kind in KINDS:
        for dialect in ("ngspice", "ltspice", "xyce"):
            (folder / kind / dialect).mkdir(parents=True)
    return folder


def test_one_layer_is_written_alone(tmp_path: Path) -> None:
    folder = written(tmp_path, "feedback", layer=1)
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.txt", "expected.txt", "feedback1.cir", "layer1.cir", "network.cir"}


@needs_ngspice
def test_of_several_chips_the_one_that_is_named_is_written(tmp_path: Path) -> None:
    made = scenario(chips=2, synapse=WIRED)
    network = build(made)
    export_network(network, made, exporter("spice", chip=1, layer=0), tmp_path / "deck")
    run(tmp_path / "deck" / "network.cir")
    sample = load(made.data, made.seed).test_inputs[:1].double().expand(2, -1, -1)
    first, second = network.synapses[0].forward(sample).squeeze(1)
    found = torch.tensor(list(printed(tmp_path / "deck" / "results.txt").values()), dtype=torch.float64)
    torch.testing.assert_close(found, second, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(found, first, rtol=1e-3)


def test_what_is_not_in_the_netlists_is_named(tmp_path: Path) -> None:
    made = scenario(synapse={"model": "crossbar", "device": "reram_sb", "adc": {"bits": 6}})
    export_network(build(made, (0,)), made, exporter("spice"), tmp_path / "deck")
    for name in ("network.cir", "layer0.cir", "README.txt"):
        assert "Converters (adc) are left out" in (tmp_path / "deck" / name).read_text()


@pytest.mark.parametrize(
    ("sections", "options", "message"),
    [
        ({"synapse": {"model": "ideal"}}, {}, "use synapse: crossbar"),
        ({}, {"layer": 2}, "there is no crossbar 2; allowed: 0 to 1"),
        ({"network": IMAGES}, {}, "name one crossbar, 0 to 1"),
        ({}, {"cells": "memristors"}, "ion_drift, vteam, yakopcic"),
        ({"synapse": MEMRISTORS, "network": IMAGES}, {"cells": "memristors", "layer": 0}, "use cells: resistors"),
        (
            {"neuron": "hopfield", "learning": {"mode": "equilibrium_propagation"}},
            {},
            "settle under what comes from above",
        ),
    ],
)
def test_what_the_format_cannot_hold_is_refused_when_a_scenario_is_loaded(
    sections: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    problems = exporter("spice", **options).settings.contradictions(scenario(**sections))
    assert any(message in str(problem) for problem in problems)


def test_dyads_of_images_are_not_told_to_name_one_crossbar_which_dyads_refuse() -> None:
    (problem,) = exporter("spice", neurons="dyads").settings.contradictions(scenario(network=IMAGES))
    assert problem.path == "neurons"
    assert "without windows" in problem.message


@pytest.mark.parametrize("options", [{"dialect": "pspice"}, {"sample": -1}, {"read_voltage": 0}, {"cells": "diodes"}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError):
        exporter("spice", **options)


def test_a_sample_that_is_not_there_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sample 100000 is not there"):
        written(tmp_path, "dense", sample=100_000)
    assert not list(tmp_path.iterdir())
