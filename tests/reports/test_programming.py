"""What a report says about programming: numbers against sums over single devices, and words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analogdp.exports import CrossbarConductances, read_conductances, write_conductances
from analogdp.reports.programming import describe_programming, summarise_programming
from tests.exports.networks import VERIFIED, fake_network, network_of, of_units, programmed, table

SHARES = (0.75, 0.25)


def crossbar(folder: Path, polarities: int = 2, verified: bool = True) -> CrossbarConductances:
    """Units of two devices on two chips, read back from a file."""
    cells = of_units(table(9, 7, chips=2, tile=(4, 4)), SHARES, polarities)
    network = network_of(programmed(cells, polarities, verified), chips=(2, 5))
    return read_conductances(write_conductances(folder / "c.h5", network, VERIFIED))[0]


@pytest.mark.parametrize("polarities", [1, 2])
def test_the_error_of_a_weight_is_that_of_its_devices_by_sign_and_share(tmp_path: Path, polarities: int) -> None:
    array = crossbar(tmp_path, polarities)
    summary = summarise_programming(array)
    assert summary is not None
    assert array.programming is not None
    errors = []
    for chip, i, j in np.ndindex(2, 9, 7):
        own = array.programming.error[chip, :, i, j].astype(float)
        plus, minus = own[:2], own[2:]
        errors.append(array.scale * (plus @ SHARES - (minus @ SHARES if polarities == 2 else 0.0)))
    assert summary.weight_deviation == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-12)
    counts, _ = np.histogram(errors, summary.weight_error.edges)
    np.testing.assert_array_equal(summary.weight_error.counts["error"], counts)


def test_errors_of_devices_are_relative_to_the_conductance_range(tmp_path: Path) -> None:
    array = crossbar(tmp_path)
    summary = summarise_programming(array)
    assert summary is not None
    assert array.programming is not None
    percent = 100 * array.programming.error.astype(float) / (array.high - array.low)
    assert summary.device_deviation == pytest.approx(np.sqrt((percent**2).mean()), rel=1e-12)
    for name, own in (("plus", percent[:, :2]), ("minus", percent[:, 2:])):
        counts, _ = np.histogram(own, summary.device_error.edges)
        np.testing.assert_array_equal(summary.device_error.counts[name], counts)
        assert counts.sum() == own.size


def test_pulses_reads_energy_and_what_is_unfinished_agree_with_the_devices(tmp_path: Path) -> None:
    array = crossbar(tmp_path)
    found, summary = array.programming, summarise_programming(array)
    assert summary is not None
    assert found is not None
    assert found.unfinished is not None
    assert (summary.total_pulses, summary.total_reads) == (found.pulses.sum(), found.reads.sum())
    assert (summary.mean_pulses, summary.mean_reads) == (found.pulses.mean(), found.reads.mean())
    assert summary.unfinished == found.unfinished.mean()
    assert summary.energy == pytest.approx(1.5e-9)
    assert {name: counts.sum() for name, counts in summary.pulses.counts.items()} == {"plus": 252, "minus": 252}


def test_without_programmable_minus_cells_there_are_none_in_the_distributions(tmp_path: Path) -> None:
    summary = summarise_programming(crossbar(tmp_path, polarities=1))
    assert summary is not None
    assert list(summary.pulses.counts) == list(summary.device_error.counts) == ["plus"]


def test_writing_and_verifying_is_told_with_its_settings_and_results(tmp_path: Path) -> None:
    summary = summarise_programming(crossbar(tmp_path))
    assert summary is not None
    known = replace(
        summary,
        total_pulses=12_345,
        mean_pulses=2_076.4,
        total_reads=999,
        mean_reads=4.874,
        unfinished=0.0185,
        device_deviation=1.9012,
        weight_deviation=0.02341,
    )
    assert describe_programming(known) == (
        "Pulses and reads in turn, to 2 % of the conductance range, in at most 30 reads of a device. "
        "12\u2009345 pulses, 2\u2009076 per device. 999 reads, 4.87 per device; 1.85 % of the devices were out of tolerance at "
        "their last one. Root mean square error 1.9 % of the conductance range, 0.0234 of a weight. "
        "The pulses took 1.5 nJ per chip."
    )


def test_an_open_loop_is_told_without_reads_and_with_what_the_card_leaves_open(tmp_path: Path) -> None:
    summary = summarise_programming(crossbar(tmp_path, verified=False))
    assert summary is not None
    text = describe_programming(replace(summary, method="open_loop"))
    assert text.startswith("Open loop: as many pulses as a nominal device would need.")
    assert "reads" not in text
    assert text.endswith("The card does not state the energy of pulses.")


def test_weights_put_in_place_exactly_have_no_programming(tmp_path: Path) -> None:
    array = read_conductances(write_conductances(tmp_path / "c.h5", fake_network(), VERIFIED))[0]
    assert summarise_programming(array) is None


def test_a_device_that_needed_no_pulse_and_has_no_error_can_be_shown(tmp_path: Path) -> None:
    array = crossbar(tmp_path)
    assert array.programming is not None
    still = replace(
        array.programming,
        pulses=np.zeros_like(array.programming.pulses),
        error=np.zeros_like(array.programming.error),
    )
    summary = summarise_programming(replace(array, programming=still))
    assert summary is not None
    assert (summary.total_pulses, summary.device_deviation, summary.pulses.most) == (0, 0.0, 252)
