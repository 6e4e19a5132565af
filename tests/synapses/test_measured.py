"""Measured conductances in place of simulated cells, in pairs of every kind."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from analogdp.errors import InputError
from analogdp.streams import Stream
from analogdp.synapses import Crossbar
from analogdp.synapses.measured import hold
from analogdp.synapses.settings import CrossbarSettings

PAIRS = ["reference", "balanced", "one_sided", "offset", "offset_column"]
WIRES = {"word_line": "2 ohm", "bit_line": "3 ohm", "source": "50 ohm", "sense": "20 ohm"}
SOLVED = WIRES | {"method": "conjugate_gradients"}
NOISY = {"card": "reram_sb", "read_noise": "1 %", "read_time": "1 us"}
READS: list[dict[str, Any]] = [
    {},
    {"wires": WIRES, "tile": "3x2"},
    {"wires": SOLVED},
    {"adc": {"bits": 6, "range": 2.0}},
]
"""A shared column is not among what can be solved for at every read."""


def crossbar(seed: int = 1, **section: Any) -> Crossbar:
    """Five word lines and four bit lines on two chips; ``seed`` is that of the weights and of the cells."""
    settings = CrossbarSettings.model_validate({"device": NOISY, **section})
    weights = 0.5 * torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return Crossbar.build(settings, weights, Stream(seed, "synapse", (0, 1), dtype=torch.float64))


def cells(synapse: Crossbar) -> tuple[torch.Tensor, torch.Tensor]:
    table = synapse.conductances()
    return table.plus.clone(), table.minus.clone()


@pytest.mark.parametrize(
    ("pair", "read"),
    [(pair, read) for pair in PAIRS for read in READS if (pair, read) != ("offset_column", {"wires": SOLVED})],
)
def test_a_crossbar_that_holds_the_cells_of_another_reads_as_that_one_does(pair: str, read: dict[str, Any]) -> None:
    one, other = crossbar(1, pair=pair, **read), crossbar(2, pair=pair, **read)
    hold(one, *cells(other))
    for way, (lines, noise) in {"forward": (5, one.forward_noise), "backward_read": (4, one.backward_noise)}.items():
        x = torch.randn(2, 3, lines, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
        numbers = torch.randn(2, 3, noise.total, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
        results = [getattr(synapse, way)(x, noise=numbers) for synapse in (one, other)]
        torch.testing.assert_close(*results, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("pair", PAIRS)
def test_conductances_far_out_of_range_are_held_to_the_last_bit(pair: str) -> None:
    synapse = crossbar(pair=pair)
    plus, minus = cells(synapse)
    plus[:, 1, 2], plus[:, 3, 0] = 1e-2, 0.0
    hold(synapse, plus, minus)
    assert torch.equal(synapse.conductances().plus, plus)
    assert torch.equal(synapse.conductances().minus, minus)
    torch.testing.assert_close(synapse.weights, synapse.mapping.scale * (plus - minus), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pair", PAIRS)
def test_each_device_of_a_cell_holds_what_was_measured_of_that_cell(pair: str) -> None:
    synapse = crossbar(pair=pair, unit={"devices": 2})
    plus, minus = cells(synapse)
    plus[:, 2, 1] *= 1.5
    hold(synapse, plus, minus)
    table = synapse.conductances()
    assert table.units is not None
    for number, wanted in enumerate((plus, minus)[: table.units.shape[1]]):
        for device in range(2):
            assert torch.equal(table.units[:, number, device], wanted)
    torch.testing.assert_close(synapse.weights, synapse.mapping.scale * (plus - minus), rtol=1e-12, atol=1e-12)


def test_both_polarities_of_a_pair_against_fixed_cells_are_held() -> None:
    synapse = crossbar(pair="reference")
    plus, minus = cells(synapse)
    hold(synapse, plus, 1.3 * minus.expand_as(plus))
    assert torch.equal(synapse.conductances().minus, 1.3 * minus.expand_as(plus))


def test_a_number_that_is_subtracted_digitally_stays() -> None:
    synapse = crossbar(pair="offset")
    plus, minus = cells(synapse)
    hold(synapse, plus, 2 * minus)
    assert torch.equal(synapse.conductances().minus, minus)


def test_a_column_that_all_lines_share_has_one_value() -> None:
    synapse = crossbar(pair="offset_column")
    plus, minus = cells(synapse)
    minus[0, 2, 3] *= 1.5
    with pytest.raises(InputError, match=r"minus of word line 3 is .* at bit line 0 and .* at bit line 2"):
        hold(synapse, plus, minus)


@pytest.mark.parametrize("unit", [{"devices": 3}, {"devices": 2, "significance": [4, 1]}])
def test_devices_of_a_unit_hold_together_what_was_measured(unit: dict[str, Any]) -> None:
    synapse = crossbar(unit=unit)
    plus, minus = cells(synapse)
    hold(synapse, 1.7 * plus, minus)
    torch.testing.assert_close(synapse.conductances().plus, 1.7 * plus, rtol=1e-15, atol=0)


def test_devices_of_a_unit_behind_lines_with_resistance_are_refused() -> None:
    synapse = crossbar(unit={"devices": 3}, wires=WIRES)
    with pytest.raises(InputError, match=r"synapse.unit: 3 devices make up a cell"):
        hold(synapse, *cells(synapse))


def test_what_is_held_is_a_copy() -> None:
    synapse = crossbar()
    plus, minus = cells(synapse)
    hold(synapse, plus, minus)
    before = synapse.conductances().plus.clone()
    plus.zero_()
    assert torch.equal(synapse.conductances().plus, before)


def test_lines_that_let_nothing_arrive_are_refused_as_they_are_for_simulated_cells() -> None:
    synapse = crossbar(wires=WIRES)
    plus, minus = cells(synapse)
    with pytest.raises(InputError, match="of the current arrives"):
        hold(synapse, plus + 100.0, minus)
