"""From wanted changes to whole pulses."""

import math

import pytest
import torch

from analogdp.devices import load_card
from analogdp.streams import Stream
from analogdp.synapses import LocalUpdate
from analogdp.synapses.mapping import Mapping, Pair
from analogdp.synapses.parts import WriteSettings
from analogdp.synapses.writing import (
    conductance_changes,
    net_change,
    opposed_changes,
    opposed_conductance_changes,
    pulse_counts,
    spread,
)

STREAM = Stream(1, "write", dtype=torch.float64)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("expected", [-3.7, -0.2, 0.001, 0.5, 12.3])
def test_stochastic_rounding_is_right_on_average(expected: float) -> None:
    cells = 250_000
    counts = pulse_counts(torch.full((1, 1, 500, 500), expected, dtype=torch.float64), WriteSettings(), STREAM)
    share = expected - math.floor(expected)
    assert set(counts.unique().tolist()) <= {math.floor(expected), math.ceil(expected)}
    assert counts.mean().item() == pytest.approx(expected, abs=5 * math.sqrt(share * (1 - share) / cells))


def test_nothing_wanted_is_nothing_done() -> None:
    assert not pulse_counts(torch.zeros(1, 1, 500, 500), WriteSettings(), Stream(1, "write")).any()


def test_nearest_rounding_drops_what_is_less_than_half_a_pulse() -> None:
    wanted = torch.tensor([[[[0.49, -0.49, 0.6, -2.4]]]])
    assert pulse_counts(wanted, WriteSettings(rounding="nearest"), STREAM).tolist() == [[[[0, 0, 1, -2]]]]


def test_the_number_of_pulses_can_be_bounded() -> None:
    wanted = torch.tensor([[[[100.0, -100.0]]]])
    assert pulse_counts(wanted, WriteSettings(rounding="nearest", most_pulses=7), STREAM).tolist() == [[[[7, -7]]]]


def test_opposed_changes_sum_what_each_sample_asks_for() -> None:
    update = LocalUpdate(draw(2, 6, 4), draw(2, 6, 5))
    each = torch.einsum("cbo,cbi->cboi", update.post, update.pre)
    net = net_change(update)
    more, less = opposed_changes(update, net)
    torch.testing.assert_close(net, each.sum(1))
    torch.testing.assert_close(more, each.clamp(min=0).sum(1))
    torch.testing.assert_close(less, (-each).clamp(min=0).sum(1))


def test_what_is_carried_over_is_written_when_it_makes_a_pulse() -> None:
    carried, settings = torch.zeros(1, 1, 1, 1), WriteSettings(rounding="carry")
    counts = [pulse_counts(torch.full((1, 1, 1, 1), 0.4), settings, STREAM, carried).item() for _ in range(5)]
    assert counts == [0, 0, 1, 0, 1]
    assert carried.item() == pytest.approx(0.0, abs=1e-6)


def test_what_a_bound_cuts_off_is_carried_over_too() -> None:
    carried, settings = torch.zeros(1, 1, 1, 1), WriteSettings(rounding="carry", most_pulses=2)
    assert pulse_counts(torch.full((1, 1, 1, 1), 5.0), settings, STREAM, carried).item() == 2
    assert pulse_counts(torch.full((1, 1, 1, 1), 0.0), settings, STREAM, carried).item() == 2


def test_parts_of_pulses_fit_into_the_time_there_is() -> None:
    expected = torch.tensor([[[[0.3, -7.5]]]])
    assert pulse_counts(expected, WriteSettings(rounding="none"), STREAM, most=2.5).tolist() == [
        [[[pytest.approx(0.3), -2.5]]]
    ]


def mapping(pair: Pair, significance: tuple[float, ...] = (1.0,)) -> Mapping:
    return Mapping.of(load_card("idealized").device(), pair, 1.0, significance)


@pytest.mark.parametrize("pair", ["reference", "balanced", "one_sided", "offset", "offset_column"])
@pytest.mark.parametrize("raises_only", [False, True])
def test_changes_of_conductances_add_up_to_the_wanted_change(pair: Pair, raises_only: bool) -> None:
    own, net = mapping(pair), draw(1, 4, 5)
    fade = 0.1 * draw(1, len(own.signs), 4, 5)
    changes = conductance_changes(own, "both", net.clone(), fade, raises_only)
    signs = torch.tensor(own.signs).view(-1, 1, 1)
    torch.testing.assert_close((changes * signs).sum(1), net + fade.sum(1))
    if pair == "one_sided" and raises_only:
        assert (changes >= 0).all()


@pytest.mark.parametrize(("polarity", "cell"), [("plus", 0), ("minus", 1)])
@pytest.mark.parametrize("pair", ["balanced", "one_sided"])
def test_one_polarity_takes_the_whole_change(pair: Pair, polarity: str, cell: int) -> None:
    net = draw(1, 4, 5)
    changes = conductance_changes(mapping(pair), polarity, net, None, False)  # type: ignore[arg-type]
    torch.testing.assert_close(changes[:, cell], net if cell == 0 else -net)
    assert not changes[:, 1 - cell].any()


def test_opposed_changes_raise_one_balanced_cell_and_lower_the_other() -> None:
    more, less = draw(1, 4, 5).abs(), draw(1, 4, 6)[..., :5].abs()
    raising, lowering = opposed_conductance_changes(mapping("balanced"), "both", more, less, None)
    torch.testing.assert_close(raising, torch.stack((more, less), 1) / 2)
    torch.testing.assert_close(lowering, torch.stack((less, more), 1) / 2)


def test_one_sided_cells_are_only_raised() -> None:
    more, less = draw(1, 4, 5).abs(), draw(1, 4, 6)[..., :5].abs()
    raising, lowering = opposed_conductance_changes(mapping("one_sided"), "both", more, less, None)
    torch.testing.assert_close(raising, torch.stack((more, less), 1))
    assert not lowering.any()


@pytest.mark.parametrize("scheme", ["together", "in_turn"])
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_devices_of_a_unit_make_the_change_together_or_one_after_the_other(scheme: str, turn: int) -> None:
    own, pulses = mapping("balanced", (4.0, 1.0)), draw(1, 2, 4, 5)
    counts = spread(pulses, own, scheme, turn).unflatten(1, (2, 2))  # type: ignore[arg-type]
    shares = torch.tensor(own.shares).view(-1, 1, 1)
    torch.testing.assert_close((counts * shares).sum(2), pulses)
    assert int((counts.abs().sum((0, 1, 3, 4)) > 0).sum()) == (2 if scheme == "together" else 1)


def test_what_is_to_be_transferred_later_goes_to_the_first_device() -> None:
    pulses = draw(1, 2, 4, 5)
    counts = spread(pulses, mapping("balanced", (1.0, 5.0)), "transfer", 3).unflatten(1, (2, 2))
    assert torch.equal(counts[:, :, 0], pulses)
    assert not counts[:, :, 1].any()
