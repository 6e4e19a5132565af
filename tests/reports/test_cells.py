"""Reducing a crossbar to what a report shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analogdp.exports import CrossbarConductances, read_conductances, write_conductances
from analogdp.reports.cells import block_average, largest, summarise
from analogdp.scenario.schema import Scenario
from tests.exports.networks import VERIFIED, fake_network, network_of, of_units, table, with_lossy_lines


@pytest.fixture
def crossbar(tmp_path: Path) -> CrossbarConductances:
    network = fake_network(sizes=(9, 7), chips=(2, 5, 6), tile=(4, 4))
    return read_conductances(write_conductances(tmp_path / "c.h5", network, Scenario()))[0]


def test_every_cell_of_every_chip_is_counted_once(crossbar: CrossbarConductances) -> None:
    summary = summarise(crossbar, mapped=1)
    cells = 3 * 9 * 7
    for histogram in (summary.conductances, summary.writes):
        assert {name: counts.sum() for name, counts in histogram.counts.items()} == {"plus": cells, "minus": cells}
    assert summary.error.counts["error"].sum() == summary.agreement.sum() == cells


def test_the_numbers_agree_with_the_cells(crossbar: CrossbarConductances) -> None:
    summary = summarise(crossbar, mapped=2)
    error = crossbar.weights.astype(float) - crossbar.target_weights
    assert summary.deviation == pytest.approx(np.sqrt((error**2).mean()), rel=1e-12)
    assert summary.total_writes == crossbar.plus_writes.sum() + crossbar.minus_writes.sum()
    assert summary.most_writes == max(crossbar.plus_writes.max(), crossbar.minus_writes.max())
    assert list(summary.maps) == [2, 5]
    np.testing.assert_array_equal(summary.maps[5]["difference"], error[1])
    np.testing.assert_array_equal(summary.maps[5]["minus_writes"], crossbar.minus_writes[1])


def test_the_range_of_the_card_is_inside_the_histogram(crossbar: CrossbarConductances) -> None:
    edges = summarise(replace(crossbar, low=1e-9, high=1e-3), mapped=1).conductances.edges
    assert (edges[0], edges[-1]) == (1e-9, 1e-3)


def test_cells_that_were_never_written_or_are_exact_can_be_shown(crossbar: CrossbarConductances) -> None:
    still = np.zeros_like(crossbar.plus_writes)
    flat = np.full_like(crossbar.weights, 0.25)
    same = replace(crossbar, plus_writes=still, minus_writes=still, weights=flat, target_weights=flat)
    summary = summarise(same, mapped=1)
    assert (summary.written, summary.most_writes, summary.deviation) == (0.0, 0, 0.0)
    assert summary.writes.counts["plus"].tolist() == [still.size]
    assert summary.agreement.sum() == still.size
    assert largest(summary.maps, "difference") == 1.0


def test_minus_cells_that_are_one_fixed_reference_are_told_apart(crossbar: CrossbarConductances) -> None:
    same, never = np.full_like(crossbar.minus, 4e-6), np.zeros_like(crossbar.minus_writes)
    summary = summarise(replace(crossbar, minus=same, minus_writes=never), mapped=1)
    assert summary.reference == pytest.approx(4e-6, rel=1e-6)
    assert set(summary.conductances.counts) == {"plus"}
    for written in (replace(crossbar, minus=same), replace(crossbar, minus_writes=never)):
        assert summarise(written, mapped=1).reference is None


def test_fixed_reference_cells_are_not_in_the_distribution_of_pulses(crossbar: CrossbarConductances) -> None:
    plus = np.arange(crossbar.plus_writes.size).reshape(crossbar.plus_writes.shape) % 4
    summary = summarise(replace(crossbar, plus_writes=plus, minus_writes=np.zeros_like(plus)), mapped=1)
    assert list(summary.writes.counts) == ["plus"]
    assert summary.written == pytest.approx((plus > 0).mean())


def test_single_devices_are_counted_each_on_the_same_edges(tmp_path: Path) -> None:
    cells = of_units(table(9, 7, chips=3, tile=(4, 4)), (0.5, 0.3, 0.2), polarities=2)
    path = write_conductances(tmp_path / "c.h5", network_of(cells, chips=(2, 5, 6)), Scenario())
    array = read_conductances(path)[0]
    summary = summarise(array, mapped=1)
    assert summary.shares == (0.5, 0.3, 0.2)
    assert array.plus_devices is not None
    assert array.minus_devices is not None
    for device, counted in enumerate(summary.devices):
        for name, values in (("plus", array.plus_devices), ("minus", array.minus_devices)):
            expected, _ = np.histogram(values[:, device].astype(float), summary.devices[0].edges)
            np.testing.assert_array_equal(counted.counts[name], expected)
            assert expected.sum() == 3 * 9 * 7


def test_the_loss_on_lines_is_what_reads_differ_by_from_the_cells(tmp_path: Path) -> None:
    cells = with_lossy_lines(table(9, 7, chips=1, tile=None), 0.1)
    array = read_conductances(write_conductances(tmp_path / "c.h5", network_of(cells), VERIFIED))[0]
    wires = summarise(array, mapped=1).wires
    assert wires is not None
    losses, magnitudes = [], []
    for i, j in np.ndindex(9, 7):
        ideal = array.scale * (float(array.plus[0, i, j]) - float(array.minus[0, i, j]))
        losses.append(abs(ideal - float(array.weights[0, i, j])))
        magnitudes.append(abs(ideal))
    assert wires.mean == pytest.approx(np.mean(losses), rel=1e-6)
    assert wires.largest == pytest.approx(max(losses), rel=1e-6)
    assert wires.share == pytest.approx(np.sum(losses) / np.sum(magnitudes), rel=1e-6)
    assert wires.resistances == (2.5, 1.5, 100.0, 50.0)


def test_single_cells_on_lines_without_resistance_have_neither_devices_nor_losses(
    crossbar: CrossbarConductances,
) -> None:
    summary = summarise(crossbar, mapped=1)
    assert (summary.devices, summary.wires, summary.programming) == ((), None, None)


def test_values_that_are_not_finite_are_left_out(crossbar: CrossbarConductances) -> None:
    weights = crossbar.weights.copy()
    weights[0, 0, 0], weights[0, 0, 1] = np.nan, np.inf
    summary = summarise(replace(crossbar, weights=weights), mapped=1)
    assert summary.agreement.sum() == weights.size - 2
    assert np.isfinite(summary.deviation)
    assert np.isfinite(largest(summary.maps, "achieved"))


def test_a_diverged_crossbar_without_any_finite_weight_can_be_reduced(crossbar: CrossbarConductances) -> None:
    summary = summarise(replace(crossbar, weights=np.full_like(crossbar.weights, np.nan)), mapped=1)
    assert summary.agreement.sum() == 0
    assert np.isnan(summary.deviation)


def test_write_counts_have_bins_of_equally_many_whole_numbers(crossbar: CrossbarConductances) -> None:
    edges = summarise(crossbar, mapped=1).writes.edges
    assert np.unique(np.diff(edges)).size == 1
    assert np.all((edges + 0.5) % 1 == 0)


@pytest.mark.parametrize(("shape", "block"), [((6, 4), (2, 2)), ((7, 5), (3, 2)), ((5, 3), (1, 1)), ((4, 9), (8, 1))])
def test_a_block_average_is_the_mean_over_each_block(shape: tuple[int, int], block: tuple[int, int]) -> None:
    values = np.random.default_rng(1).standard_normal(shape)
    expected = [
        [values[i : i + block[0], j : j + block[1]].mean() for j in range(0, shape[1], block[1])]
        for i in range(0, shape[0], block[0])
    ]
    np.testing.assert_allclose(block_average(values, block), expected, rtol=1e-12)


def test_a_colour_range_is_not_stretched_by_an_outlier() -> None:
    values = np.ones((100, 100))
    values[0, 0] = 1e6
    assert largest({0: {"difference": values}}, "difference") == 1.0
