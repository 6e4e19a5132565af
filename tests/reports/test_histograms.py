"""Edges and counts of histograms."""

from __future__ import annotations

import numpy as np
import pytest

from analogdp.reports.histograms import BINS, edges_around, histogram, root_mean_square, symmetric_edges

VALUES = np.array([-3.0, 1.0, 1.5, np.nan, np.inf])


def test_values_that_are_not_finite_are_not_counted() -> None:
    counted = histogram({"a": VALUES, "b": VALUES[:2]}, edges_around(VALUES))
    assert {name: counts.sum() for name, counts in counted.counts.items()} == {"a": 3, "b": 2}
    assert counted.most == 1


@pytest.mark.parametrize("values", [np.array([]), np.array([np.nan]), np.zeros(3), np.full(3, 0.25)])
def test_edges_leave_room_for_bins_whatever_the_values(values: np.ndarray) -> None:
    for edges in (edges_around(values), symmetric_edges(values)):
        assert len(edges) == BINS + 1
        assert np.all(np.diff(edges) > 0)


def test_symmetric_edges_reach_as_far_as_the_largest_magnitude() -> None:
    edges = symmetric_edges(VALUES, 7)
    assert (edges[0], edges[-1], len(edges)) == (-3.0, 3.0, 8)
    np.testing.assert_allclose(edges, -edges[::-1])


def test_a_root_mean_square_is_that_of_the_finite_values() -> None:
    assert root_mean_square(VALUES) == pytest.approx(np.sqrt((9 + 1 + 2.25) / 3))
    assert np.isnan(root_mean_square(np.array([np.nan])))
