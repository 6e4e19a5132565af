"""Measured cells in the place of simulated ones: what is counted of them, and where weights err most."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from analogdp.imports.measured import Measured, MeasuredCrossbar
from analogdp.imports.replacing import WeightErrors, replace_cells
from analogdp.network import Network
from analogdp.synapses import ConductanceTable

WORD_LINES, BIT_LINES = 8, 4


class Chip(NamedTuple):
    """A network of one crossbar, its cells as simulated, and as measured: at first the same."""

    network: Network
    table: ConductanceTable
    own: MeasuredCrossbar

    def replaced(self) -> WeightErrors:
        return replace_cells(self.network, Measured(Path("bench"), 0, (self.own,)))[0]


@pytest.fixture
def chip(make_network: Callable[..., Network]) -> Callable[..., Chip]:
    """``chip("balanced")``."""

    def make(pair: str) -> Chip:
        synapse = {"model": "crossbar", "device": "reram_sb", "pair": pair}
        network = make_network((WORD_LINES, BIT_LINES), synapse=synapse)
        table = network.synapses[0].conductances()
        assert table is not None
        plus, minus = (values[0].mT.numpy().copy() for values in (table.plus, table.minus))
        states = np.zeros(plus.shape, np.uint8), np.zeros(plus.shape, np.uint8)
        return Chip(network, table, MeasuredCrossbar(0, False, plus, minus, *states))

    return make


def test_cells_at_the_ends_of_the_range_lie_within_it(chip: Callable[..., Chip]) -> None:
    made = chip("balanced")
    low, high = made.table.low, made.table.high
    # A tenth of a millionth is the rounding of single precision; a thousandth is not.
    made.own.plus[:, 0] = [low, high, low * (1 - 1e-7), high * (1 + 1e-7), low * 0.999, high * 1.001, low, high]
    assert made.replaced().out_of_range == 2


@pytest.mark.parametrize("sign", [1, -1])
def test_the_worst_error_is_found_whatever_its_sign(sign: int, chip: Callable[..., Chip]) -> None:
    made = chip("balanced")
    made.own.plus[6, 1] += sign * 2e-6
    made.own.plus[2, 3] -= sign * 1e-6
    found = made.replaced()
    assert found.worst_at == (6, 1)
    assert found.worst == pytest.approx(2e-6 * made.table.scale, rel=1e-9)


@pytest.mark.parametrize(
    ("pair", "cells"),
    [
        ("balanced", 2 * WORD_LINES * BIT_LINES),
        ("reference", 2 * WORD_LINES * BIT_LINES),
        ("offset", WORD_LINES * BIT_LINES),
        ("offset_column", WORD_LINES * BIT_LINES + WORD_LINES),
    ],
)
def test_a_cell_that_several_pairs_share_is_counted_once_and_a_number_not_at_all(
    pair: str, cells: int, chip: Callable[..., Chip]
) -> None:
    made = chip(pair)
    made.own.minus_state[3] = 1
    found = made.replaced()
    assert found.cells == cells
    assert found.stuck == {"offset": 0, "offset_column": 1}.get(pair, BIT_LINES)
