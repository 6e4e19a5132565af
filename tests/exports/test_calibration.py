"""How converters are set, as ``conductances.h5`` keeps it: against the converters themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from analogdp.exports import export_network, exporter, read_conductances
from analogdp.network import Network
from analogdp.scenario.schema import Scenario
from tests.exports.networks import Export


def test_converters_are_those_of_the_crossbar_line_by_line(export: Export) -> None:
    dac, adc = {"bits": 6, "range": 1.5, "gain_std": "2 %"}, {"bits": 9, "offset_std": "1 %", "noise": 0.5}
    path, network = export(chips=2, tile="5x4", dac=dac, adc=adc)
    found, reader = read_conductances(path)[0].converters, network.synapses[0].reader
    assert set(found) == {"dac", "adc"}
    forward, backward = (found["dac"][direction] for direction in ("forward", "backward"))
    assert forward.bits == 6
    assert forward.limit.tolist() == [1.5, 1.5]
    np.testing.assert_array_equal(forward.gain, reader.dac.gain0[:, 0].numpy())
    np.testing.assert_array_equal(backward.gain, reader.dac.gain1[:, 0].numpy())
    assert (forward.gain.shape, backward.gain.shape) == ((2, 8), (2, 6))
    assert (forward.offset == 0).all()
    # Two rows of tiles sum up 6 outputs each, two columns 8 inputs each.
    assert found["adc"]["forward"].offset.shape == (2, 12)
    assert (found["adc"]["forward"].gain.shape, found["adc"]["backward"].gain.shape) == ((2, 12), (2, 16))
    assert (found["adc"]["forward"].gain == 1).all()
    np.testing.assert_array_equal(found["adc"]["backward"].offset, reader.adc.offset1[:, 0].numpy())
    assert np.isnan(found["adc"]["forward"].limit).all()
    alone = read_conductances(path, chip=1)[0].converters
    np.testing.assert_array_equal(alone["dac"]["forward"].gain, forward.gain[1:])


def test_a_column_of_tiles_has_an_adc_for_each_bit_line_of_every_tile(export: Export) -> None:
    found = read_conductances(export(tile="3x6", adc={"bits": 9})[0])[0]
    assert found.grid == (3, 1)
    assert (found.converters["adc"]["forward"].gain.shape, found.converters["adc"]["backward"].gain.shape) == (
        (1, 3 * 6),
        (1, 8),
    )


def test_calibrated_ranges_are_those_of_their_directions(
    tmp_path: Path, make_network: Callable[..., Network], make_scenario: Callable[..., Scenario]
) -> None:
    calibrated = {"bits": 6, "range": "calibrated"}
    sections = {"synapse": {"model": "crossbar", "device": "reram_sb", "dac": calibrated}}
    network, scenario = make_network((8, 6, 4), **sections), make_scenario((8, 6, 4), **sections)
    crossbar = network.synapses[0]
    dac = crossbar.reader.dac
    assert dac is not None
    for direction, limit in enumerate((0.75, 2.5)):
        dac.limits[direction].fill_(limit)
    path = export_network(network, scenario, exporter("hdf5"), tmp_path / "c.h5")[0]
    found = read_conductances(path)[0].converters["dac"]
    assert (found["forward"].limit.tolist(), found["backward"].limit.tolist()) == ([0.75], [2.5])
