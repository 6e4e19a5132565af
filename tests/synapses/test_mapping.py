"""Weights and conductances."""

import pytest
import torch

from analogdp.devices import load_card
from analogdp.synapses.mapping import Mapping

WEIGHTS = torch.linspace(-0.7, 0.7, 12, dtype=torch.float64).view(1, 3, 4)


def test_half_the_conductance_range_of_one_cell_is_the_full_scale() -> None:
    device = load_card("gokmen_vlasov").device()
    mapping = Mapping.of(device, "reference", 0.5)
    assert mapping.scale * (device.high - device.zero) == pytest.approx(0.5)
    assert (mapping.lowest, mapping.highest) == (pytest.approx(-0.5), pytest.approx(0.5))


def test_the_nominal_range_follows_where_a_cards_zero_lies() -> None:
    mapping = Mapping.of(load_card("reram_sb").device(), "reference", 1.0)
    assert (mapping.lowest, mapping.highest) == (pytest.approx(-0.75), pytest.approx(1.25))


@pytest.mark.parametrize("pair", ["reference", "balanced"])
def test_conductances_stand_for_the_weights_they_were_made_for(pair: str) -> None:
    device = load_card("reram_sb").device()
    mapping = Mapping.of(device, pair, 1.0)  # type: ignore[arg-type]
    reference = torch.full((1, 1, 1), device.zero, dtype=torch.float64) if pair == "reference" else None
    conductance = mapping.wanted(WEIGHTS, reference)
    offset = None if reference is None else -mapping.scale * reference
    torch.testing.assert_close(mapping.weights(conductance, offset, torch.empty_like(WEIGHTS)), WEIGHTS)
    torch.testing.assert_close(mapping.held(conductance, reference).sum(1), WEIGHTS)


def test_balanced_cells_move_in_opposite_directions() -> None:
    device = load_card("gokmen_vlasov").device()
    conductance = Mapping.of(device, "balanced", 1.0).wanted(WEIGHTS, None)
    torch.testing.assert_close(conductance.mean(1), torch.full_like(WEIGHTS, device.zero))
