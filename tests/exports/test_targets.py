"""Programming targets: new cells at them hold the weights that the trained cells hold, for pairs of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.exports.cells import Cells, all_cells
from analogdp.network import Network

PAIRS: dict[str, dict[str, Any]] = {
    "reference": {"pair": "reference"},
    "balanced": {"pair": "balanced"},
    "one_sided": {"pair": "one_sided"},
    "offset": {"pair": "offset"},
    "offset_column": {"pair": "offset_column"},
    "units": {"pair": "balanced", "unit": {"devices": 3, "significance": [4, 2, 1]}},
    "digits": {"pair": "balanced", "unit": {"devices": 3, "bits": 4}},
    "wires": {"pair": "balanced", "wires": {"word_line": 50.0}},
}


@pytest.fixture
def cells(make_network: Callable[..., Network]) -> Callable[..., Cells]:
    """``cells("balanced", tile="4x3")``: the lowest crossbar of a network whose weights fill their range."""

    def make(kind: str, **synapse: Any) -> Cells:
        section = {"model": "crossbar", "device": "reram_sb", "weight_range": 0.5, **PAIRS[kind], **synapse}
        return next(all_cells(make_network((8, 6, 4), synapse=section)))

    return make


def whole(cells: Cells) -> dict[str, np.ndarray]:
    return cells.arrays(0, next(cells.places))


@pytest.mark.parametrize("kind", PAIRS)
def test_cells_at_their_targets_hold_the_weight_that_the_trained_ones_hold(
    kind: str, cells: Callable[..., Cells]
) -> None:
    made = cells(kind)
    found, table = whole(made), made.facts
    assert made.targets is not None
    held = table.scale * (found["plus"] - found["minus"])
    aimed = table.scale * (found["plus_target"] - found["minus_target"])
    inside = np.abs(held) < made.targets.mapping.highest
    if len(made.targets.mapping.signs) == 1:
        inside = (found["plus_target"] > table.low) & (found["plus_target"] < table.high)
    step = 2 * 0.5 / (16**3 - 1) if kind == "digits" else 1e-12
    assert inside.mean() > 0.5
    assert np.abs(aimed - held)[inside].max() <= step
    for name in ("plus_target", "minus_target"):
        assert found[name].min() >= table.low * (1 - 1e-12)
        assert found[name].max() <= table.high * (1 + 1e-12)


def test_balanced_cells_move_together_where_one_would_leave_the_range(cells: Callable[..., Cells]) -> None:
    made = cells("balanced")
    crossbar = made.crossbar
    assert crossbar is not None
    table = crossbar.conductances()
    span = table.high - table.low
    table.plus.fill_(table.high)
    table.minus.fill_(table.low + 0.1 * span)
    assert made.targets is not None
    plus, minus = made.targets.of_cells(table)[0][0]
    torch.testing.assert_close(plus - minus, torch.full_like(plus, 0.9 * span))
    # The middle of this card is at 0.375 of its range: 0.375 - 0.45 is below its low end.
    torch.testing.assert_close(minus, torch.full_like(minus, table.low))


def test_one_cell_of_a_one_sided_pair_stands_at_the_low_end(cells: Callable[..., Cells]) -> None:
    made = cells("one_sided")
    found = whole(made)
    np.testing.assert_allclose(np.minimum(found["plus_target"], found["minus_target"]), made.facts.low)


def test_a_reference_beyond_the_range_is_to_be_at_its_end(cells: Callable[..., Cells]) -> None:
    made = cells("reference")
    crossbar = made.crossbar
    assert crossbar is not None
    assert made.targets is not None
    table = crossbar.conductances()
    span = table.high - table.low
    table.minus.fill_(table.high + 0.1 * span)
    table.plus.fill_(table.high - 0.2 * span)
    plus, minus = made.targets.of_cells(table)[0][0]
    torch.testing.assert_close(minus, torch.full_like(minus, table.high))
    # The weight that the pair holds is kept: it is 0.3 of the range below the reference.
    torch.testing.assert_close(plus, torch.full_like(plus, table.high - 0.3 * span))


@pytest.mark.parametrize("kind", ["units", "digits"])
def test_devices_of_a_cell_conduct_its_target_together(kind: str, cells: Callable[..., Cells]) -> None:
    made = cells(kind)
    found, shares = whole(made), np.array(made.facts.shares)
    for name in ("plus", "minus"):
        together = np.einsum("dwb,d->wb", found[f"{name}_target_devices"], shares)
        np.testing.assert_allclose(together, found[f"{name}_target"], rtol=1e-12)
    if kind == "digits":
        levels = (found["plus_target_devices"] - made.facts.low) / (made.facts.high - made.facts.low) * 15
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-9)


@pytest.mark.parametrize("kind", [kind for kind in PAIRS if kind != "wires"])
def test_tiles_taken_one_by_one_are_parts_of_the_whole(kind: str, cells: Callable[..., Cells]) -> None:
    parts, all_of_it = cells(kind, tile="5x4"), whole(cells(kind))
    for place in parts.places:
        for name, values in parts.arrays(0, place).items():
            np.testing.assert_array_equal(values, all_of_it[name][..., place.word_lines, place.bit_lines])


def test_the_tolerance_is_that_of_the_scenario(cells: Callable[..., Cells]) -> None:
    made = cells("balanced", programming={"method": "write_verify", "tolerance": "3 %"})
    assert made.targets is not None
    assert made.targets.tolerance == pytest.approx(0.03 * (made.facts.high - made.facts.low))
