"""What time is expected to make of cells, against random numbers and published formulas written out here."""

from __future__ import annotations

import numpy as np
import pytest

from analogdp.devices import load_card
from analogdp.exports.drift import expected_drift

SECONDS = np.array([1.0, 3600.0, 86400.0, 2592000.0])


def test_phase_change_cells_drift_as_a_simulation_of_a_million_of_them_does() -> None:
    found = expected_drift(load_card("pcm_joshi"))
    assert found is not None
    np.testing.assert_array_equal(found.time, SECONDS)
    draws = np.random.default_rng(0).standard_normal(10**6)
    for level in (8, 20, 32):
        programmed = found.programmed[level]
        logarithm = np.log(programmed / 25e-6)
        mean, std = (
            np.clip(-0.0155 * logarithm + 0.0244, 0.049, 0.1),
            np.clip(-0.0125 * logarithm - 0.0059, 0.008, 0.045),
        )
        exponents = np.maximum(mean + std * draws, 0)
        for row, seconds in enumerate(SECONDS):
            cells = programmed * ((seconds + 20) / 20) ** -exponents
            assert found.mean[row, level] == pytest.approx(cells.mean(), rel=2e-3)
            assert found.spread[row, level] == pytest.approx(cells.std(), rel=2e-2)


def test_filaments_scatter_after_a_second_and_after_two_days_as_measured() -> None:
    found = expected_drift(load_card("rram_wan"))
    assert found is not None
    share = found.programmed[20] / 40e-6
    second = np.polyval((-16.815, 45.393, -43.853, 16.030, 0.348), share)
    later = np.polyval((-11.934, 37.062, -43.507, 20.274, 0.782), share)
    assert found.spread[0, 20] == pytest.approx(second * 1e-6, rel=1e-3)
    assert found.spread[3, 20] == pytest.approx(later * 1e-6, rel=1e-3)


def test_a_leaking_capacitor_loses_all_of_its_cells_alike() -> None:
    card = load_card("capacitor", {"lifetime": "1000 s"})
    found = expected_drift(card)
    assert found is not None
    middle = (card.low + card.high) / 2
    expected = middle + (found.programmed - middle) * np.exp(-SECONDS[:, None] / 1000)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-9)
    assert found.spread.max() == 0


def test_cards_whose_cells_stay_have_no_expectations() -> None:
    assert expected_drift(load_card("reram_sb")) is None
