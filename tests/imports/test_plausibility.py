"""Measured conductances in a wrong unit, and such as no cell has."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from analogdp.errors import AnalogdpWarning, InputError
from analogdp.imports.measured import MISSING, Measured, MeasuredCrossbar
from analogdp.imports.plausibility import check_range
from analogdp.imports.replacing import replace_cells
from analogdp.network import Network
from analogdp.synapses import ConductanceTable


class Cells(NamedTuple):
    """The plus cells of a crossbar as simulated, ``(word lines, bit lines)``, and all of its table."""

    trained: np.ndarray
    table: ConductanceTable
    network: Network

    def check(self, measured: np.ndarray) -> None:
        check_range(measured, self.trained, self.table, "bench: synapse0: plus")


@pytest.fixture
def of_card(make_network: Callable[..., Network]) -> Callable[[str], Cells]:
    def make(card: str) -> Cells:
        network = make_network((40, 20), synapse={"model": "crossbar", "device": card})
        table = network.synapses[0].conductances()
        assert table is not None
        return Cells(table.plus[0].mT.double().numpy().copy(), table, network)

    return make


@pytest.mark.parametrize("card", ["reram_sb", "pcm_gst", "sonos_agrawal"])
@pytest.mark.parametrize("factor", [0.3, 1, 3])
def test_cells_somewhat_out_of_range_pass_without_a_word(
    card: str, factor: float, of_card: Callable[[str], Cells]
) -> None:
    cells = of_card(card)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cells.check(factor * cells.trained)


def test_the_median_may_lie_ten_times_out_of_range(of_card: Callable[[str], Cells]) -> None:
    cells = of_card("reram_sb")
    assert cells.table.low > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cells.check(np.full((3, 3), 9.9 * cells.table.high))
        cells.check(np.full((3, 3), cells.table.low / 9.9))
    with pytest.warns(
        AnalogdpWarning, match=r"plus is usually .* S \(median\), 10.1 times above the range of reram_sb"
    ):
        cells.check(np.full((3, 3), 10.1 * cells.table.high))
    with pytest.warns(
        AnalogdpWarning, match=r"plus is usually .* S \(median\), 10.1 times below the range of reram_sb"
    ):
        cells.check(np.full((3, 3), cells.table.low / 10.1))


@pytest.mark.parametrize("card", ["reram_sb", "pcm_gst"])
@pytest.mark.parametrize(("factor", "unit"), [(1e-3, "mS"), (1e-6, "uS"), (1e-9, "nS")])
def test_siemens_under_another_unit_are_told_as_such(
    card: str, factor: float, unit: str, of_card: Callable[[str], Cells]
) -> None:
    cells = of_card(card)
    with pytest.warns(AnalogdpWarning, match=f"these seem to be values in S that were read as {unit}: check the unit"):
        cells.check(factor * cells.trained)


@pytest.mark.parametrize(("factor", "unit"), [(1e6, "uS"), (1e9, "nS")])
def test_other_units_under_siemens_are_refused_as_such(
    factor: float, unit: str, of_card: Callable[[str], Cells]
) -> None:
    cells = of_card("reram_sb")
    with pytest.raises(InputError, match=f"these seem to be values in {unit} that were read as S: check the unit"):
        cells.check(factor * cells.trained)


def test_no_unit_is_guessed_of_cells_that_conduct_nothing(of_card: Callable[[str], Cells]) -> None:
    cells = of_card("reram_sb")
    with pytest.warns(AnalogdpWarning, match=r"usually 0 S \(median\), far below the range of .* S$"):
        cells.check(np.zeros((3, 3)))


def test_a_single_cell_may_not_conduct_a_thousand_times_the_range(of_card: Callable[[str], Cells]) -> None:
    cells = of_card("reram_sb")
    measured = cells.trained.copy()
    measured[2, 1] = 999 * cells.table.high
    cells.check(measured)
    measured[2, 1] = 1001 * cells.table.high
    said = (
        r"plus of word line 2, bit line 1 is .* S, 1e\+03 times the upper end of the range of reram_sb, .*; mark a cell"
    )
    with pytest.raises(InputError, match=said):
        cells.check(measured)


def test_missing_cells_say_nothing(of_card: Callable[[str], Cells]) -> None:
    cells = of_card("reram_sb")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cells.check(np.full((3, 3), np.nan))
        cells.check(np.array([[np.nan, cells.table.high], [np.nan, np.nan]]))
    with pytest.warns(AnalogdpWarning, match="20 times above"):
        cells.check(np.array([[np.nan, 20 * cells.table.high], [np.nan, np.nan]]))


def test_each_polarity_has_a_unit_of_its_own(of_card: Callable[[str], Cells]) -> None:
    cells = of_card("reram_sb")
    minus = cells.table.minus[0].mT.double().numpy()
    states = [np.zeros(minus.shape, np.uint8) for _ in range(2)]
    states[0][0, 0] = MISSING
    plus = np.where(states[0] == MISSING, np.nan, cells.trained)
    own = MeasuredCrossbar(0, False, plus, 1e-6 * minus, *states)
    with pytest.warns(AnalogdpWarning, match="bench: synapse0: minus is usually") as caught:
        replace_cells(cells.network, Measured(Path("bench"), 0, (own,)), "trained")
    assert len(caught) == 1
