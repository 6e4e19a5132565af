"""The export of real crossbars: what stands in the file agrees with itself, and with the synapse that was exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from analogdp.exports import CrossbarConductances, read_conductances, write_conductances
from analogdp.network import Network, build
from analogdp.scenario.schema import Scenario


def exported(scenario: Scenario, folder: Path) -> tuple[Network, CrossbarConductances]:
    """The first synapse of a scenario's untrained network."""
    network = build(scenario)
    return network, read_conductances(write_conductances(folder / "c.h5", network, scenario))[0]


@pytest.mark.parametrize("pair", ["balanced", "reference", "offset_column"])
def test_cells_are_the_sums_of_their_devices_by_shares(
    make_scenario: Callable[..., Scenario], tmp_path: Path, pair: str
) -> None:
    unit = {"devices": 3, "significance": [4, 2, 1]}
    scenario = make_scenario(
        (7, 5, 3), synapse={"model": "crossbar", "pair": pair, "unit": unit, "tile": "4x4"}, chips=2
    )
    _, array = exported(scenario, tmp_path)
    assert array.plus_devices is not None
    np.testing.assert_allclose(np.einsum("cdij,d->cij", array.plus_devices, array.shares), array.plus, rtol=1e-12)
    assert (array.minus_devices is not None) == (pair == "balanced")
    if array.minus_devices is not None:
        np.testing.assert_allclose(np.einsum("cdij,d->cij", array.minus_devices, array.shares), array.minus, rtol=1e-12)


@pytest.mark.parametrize("method", ["open_loop", "write_verify"])
def test_before_training_a_cell_has_the_pulses_of_its_devices_and_the_error_that_programming_left(
    make_scenario: Callable[..., Scenario], tmp_path: Path, method: str
) -> None:
    synapse = {"model": "crossbar", "pair": "balanced", "unit": {"devices": 2}, "programming": {"method": method}}
    _, array = exported(make_scenario((7, 5, 3), synapse=synapse), tmp_path)
    found = array.programming
    assert found is not None
    assert found.method == method
    np.testing.assert_array_equal(found.pulses[:, :2].sum(1), array.plus_writes)
    np.testing.assert_array_equal(found.pulses[:, 2:].sum(1), array.minus_writes)
    assert found.pulses.any()
    error = (found.error[:, :2] - found.error[:, 2:]).mean(1)
    np.testing.assert_allclose(array.weights - array.target_weights, array.scale * error, atol=1e-12)


@pytest.mark.parametrize(("method", "close"), [("transfer_matrix", 1e-12), ("conjugate_gradients", 1e-6)])
def test_on_lines_with_resistance_weights_are_those_that_a_read_finds(
    make_scenario: Callable[..., Scenario], tmp_path: Path, method: str, close: float
) -> None:
    wires = {"word_line": 2.0, "bit_line": 3.0, "source": 100.0, "sense": 50.0, "method": method}
    synapse = {"model": "crossbar", "pair": "balanced", "wires": wires}
    network, array = exported(make_scenario((7, 5, 3), synapse=synapse), tmp_path)
    single_lines = torch.eye(7, dtype=torch.float64).unsqueeze(0)
    np.testing.assert_allclose(array.weights, network.synapses[0].forward(single_lines).numpy(), rtol=close, atol=close)
    ideal = array.scale * (array.plus - array.minus)
    assert 1e-3 < np.abs(array.weights - ideal).max() / np.abs(ideal).max() < 0.2
    assert array.resistances == (2.0, 3.0, 100.0, 50.0)
