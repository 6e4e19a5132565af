"""What the folders of the format ``spice`` say is to be expected, beside what simulators read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.exports import export_network, exporter
from analogdp.exports.spice.crossbar import Circuit
from analogdp.network import Network, build
from analogdp.scenario import Scenario
from analogdp.synapses import Crossbar
from tests.exports.spice.simulators import needs_ngspice, printed, run

CONVERTERS = {"dac": {"bits": 3, "range": 1.0}, "adc": {"bits": 3, "range": 1.0}}


def made(dtype: str = "float64", **synapse: Any) -> tuple[Scenario, Network]:
    whole = {
        "data": {"name": "digits"},
        "network": {"layers": [64, 6, 10]},
        "synapse": {"model": "crossbar", "device": "reram_sb", **synapse},
        "run": {"device": "cpu", "dtype": dtype},
    }
    scenario = Scenario.model_validate(whole)
    return scenario, build(scenario, (0,))


def folder_of(path: Path, scenario: Scenario, network: Network, **options: Any) -> Path:
    export_network(network, scenario, exporter("spice", **options), path)
    return path


def test_dyads_settle_without_the_converters_that_their_deck_has_not(tmp_path: Path) -> None:
    _, plain = made()
    with_converters, coarse = made(**CONVERTERS)
    folders = [
        folder_of(tmp_path / name, with_converters, network, neurons="dyads", duration=2e-5)
        for name, network in (("plain", plain), ("coarse", coarse))
    ]
    assert folders[0].joinpath("expected.txt").read_text() == folders[1].joinpath("expected.txt").read_text()
    assert "also of expected.txt: reads are exact" in folders[1].joinpath("README.txt").read_text()


def test_an_export_gives_a_network_its_converters_back(tmp_path: Path) -> None:
    scenario, network = made(**CONVERTERS)
    x = torch.rand(1, 5, 64, dtype=torch.float64)
    before = network.synapses[0].forward(x, None)
    folder_of(tmp_path / "deck", scenario, network)
    assert torch.equal(network.synapses[0].forward(x, None), before)


@needs_ngspice
def test_readings_of_a_network_in_single_precision_are_expected_in_double(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "deck", *made("float32"))
    run(folder / "network.cir")
    found, wanted = printed(folder / "results.txt"), printed(folder / "expected.txt")
    largest = max(map(abs, wanted.values()))
    assert max(abs(found[name] - wanted[name]) for name in wanted) < 1e-9 * largest


@pytest.mark.parametrize("pair", ["balanced", "one_sided", "reference", "offset", "offset_column"])
def test_cells_are_worth_the_weights_that_a_network_reads(pair: str) -> None:
    synapse = made(pair=pair)[1].synapses[0]
    assert isinstance(synapse, Crossbar)
    wanted = synapse.weights[0].mT.numpy()
    assert np.allclose(Circuit.of(synapse).weights, wanted, rtol=0, atol=1e-12 * abs(wanted).max())
