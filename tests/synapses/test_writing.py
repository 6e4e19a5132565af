"""From wanted changes to whole pulses."""

import math

import pytest
import torch

from analogdp.streams import Stream
from analogdp.synapses import LocalUpdate
from analogdp.synapses.settings import WriteSettings
from analogdp.synapses.writing import Cells, net_change, opposed_changes, whole_pulses

STREAM = Stream(1, "write", dtype=torch.float64)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("expected", [-3.7, -0.2, 0.001, 0.5, 12.3])
def test_stochastic_rounding_is_right_on_average(expected: float) -> None:
    cells = 250_000
    counts = whole_pulses(torch.full((1, 1, 500, 500), expected, dtype=torch.float64), WriteSettings(), STREAM)
    share = expected - math.floor(expected)
    assert set(counts.unique().tolist()) <= {math.floor(expected), math.ceil(expected)}
    assert counts.mean().item() == pytest.approx(expected, abs=5 * math.sqrt(share * (1 - share) / cells))


def test_nothing_wanted_is_nothing_done() -> None:
    assert not whole_pulses(torch.zeros(1, 1, 500, 500), WriteSettings(), Stream(1, "write")).any()


def test_nearest_rounding_drops_what_is_less_than_half_a_pulse() -> None:
    wanted = torch.tensor([[[[0.49, -0.49, 0.6, -2.4]]]])
    assert whole_pulses(wanted, WriteSettings(rounding="nearest"), STREAM).tolist() == [[[[0, 0, 1, -2]]]]


def test_the_number_of_pulses_can_be_bounded() -> None:
    wanted = torch.tensor([[[[100.0, -100.0]]]])
    assert whole_pulses(wanted, WriteSettings(rounding="nearest", most_pulses=7), STREAM).tolist() == [[[[7, -7]]]]


def test_opposed_changes_sum_what_each_sample_asks_for() -> None:
    update = LocalUpdate(draw(2, 6, 4), draw(2, 6, 5))
    each = torch.einsum("cbo,cbi->cboi", update.post, update.pre)
    net = net_change(update)
    more, less = opposed_changes(update, net)
    torch.testing.assert_close(net, each.sum(1))
    torch.testing.assert_close(more, each.clamp(min=0).sum(1))
    torch.testing.assert_close(less, (-each).clamp(min=0).sum(1))


@pytest.mark.parametrize(
    ("portions", "signs"), [((1.0,), (1.0,)), ((0.5, 0.5), (1.0, -1.0)), ((0.0, 1.0), (1.0, -1.0))]
)
def test_pulses_add_up_to_the_wanted_weight_change(portions: tuple[float, ...], signs: tuple[float, ...]) -> None:
    cells, net = Cells(portions, signs, 0.01), draw(1, 4, 5)
    expected = cells.net_pulses(net, None)
    assert expected.shape == (1, len(signs), 4, 5)
    torch.testing.assert_close((expected * torch.tensor(signs).view(-1, 1, 1)).sum(1) * 0.01, net)


def test_opposed_pulses_raise_one_cell_and_lower_the_other() -> None:
    cells = Cells((0.5, 0.5), (1.0, -1.0), 0.01)
    more, less = draw(1, 4, 5).abs(), draw(1, 4, 6)[..., :5].abs()
    raising, lowering = cells.opposed_pulses(more, less, None)
    torch.testing.assert_close(raising, torch.stack((more, less), 1) / 0.02)
    torch.testing.assert_close(lowering, torch.stack((less, more), 1) / 0.02)
