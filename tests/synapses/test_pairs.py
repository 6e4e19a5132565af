"""Pairs of every kind and units of several devices: what they hold, read and do when written."""

from typing import Any

import pytest
import torch

from analogdp.streams import Stream
from analogdp.synapses import Crossbar, CrossbarSettings, LocalUpdate

IDENTICAL = {
    "card": "idealized",
    **{f"{name}_spread": 0.0 for name in ("step", "upper", "lower")},
    "cycle_noise": 0.0,
}
PAIRS = ["reference", "balanced", "one_sided", "offset", "offset_column"]
UNITS: list[dict[str, Any]] = [{}, {"devices": 3}, {"devices": 2, "significance": [4.0, 1.0]}]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


WEIGHTS = 0.2 * draw(2, 5, 8)
STREAM = Stream(3, "pairs", (0, 1), dtype=torch.float64)


def build(weights: torch.Tensor = WEIGHTS, **settings: Any) -> Crossbar:
    whole = {"device": IDENTICAL, "weight_range": 1.0, **settings}
    return Crossbar.build(CrossbarSettings.model_validate(whole), weights, STREAM)


def update(size: float = 0.01, **changes: Any) -> LocalUpdate:
    return LocalUpdate(size * draw(2, 6, 5, seed=1), draw(2, 6, 8, seed=2), **changes)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_every_pair_holds_the_weights_it_is_built_with(pair: str, unit: dict[str, Any]) -> None:
    torch.testing.assert_close(build(pair=pair, unit=unit).weights, WEIGHTS)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_an_update_changes_the_weights_as_asked_up_to_rounding(pair: str, unit: dict[str, Any]) -> None:
    crossbar = build(pair=pair, unit=unit)
    asked = update()
    crossbar.apply_update(asked, STREAM.at(0))
    step = crossbar.mapping.scale * crossbar.device.increment
    wanted = WEIGHTS + torch.bmm(asked.post.mT, asked.pre)
    torch.testing.assert_close(crossbar.weights, wanted, rtol=0, atol=2.01 * step)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_reads_agree_with_the_table_of_conductances(pair: str, unit: dict[str, Any]) -> None:
    crossbar = build(pair=pair, unit=unit, device="reram_sb" if pair != "one_sided" else IDENTICAL)
    crossbar.apply_update(update(), STREAM.at(0))
    table, x = crossbar.conductances(), draw(2, 3, 8, seed=5)
    torch.testing.assert_close(table.scale * (table.plus - table.minus), crossbar.weights)
    torch.testing.assert_close(crossbar(x), torch.bmm(x, crossbar.weights.mT))
    torch.testing.assert_close(crossbar.contributions().sum(1), crossbar.effective - _digital(crossbar))
    if table.units is not None:
        shares = torch.tensor(table.shares, dtype=torch.float64).view(-1, 1, 1)
        torch.testing.assert_close((table.units[:, 0] * shares).sum(1), table.plus)


def _digital(crossbar: Crossbar) -> float:
    """What is subtracted without any cell."""
    return -crossbar.mapping.scale * crossbar.device.zero if crossbar.settings.pair == "offset" else 0.0


def test_digits_of_one_number_hold_a_weight_to_their_resolution() -> None:
    coarse, fine = (build(pair="offset", unit={"devices": 2, "bits": bits}) for bits in (2, 5))
    span = coarse.device.high - coarse.device.low
    for crossbar, bits in ((coarse, 2), (fine, 5)):
        resolution = crossbar.mapping.scale * span / (2 ** (2 * bits) - 1)
        error = (crossbar.weights - WEIGHTS).abs().max().item()
        assert 0.1 * resolution < error <= 0.5001 * resolution
        levels = (crossbar.device.conductance(crossbar._state()) - crossbar.device.low) * (2**bits - 1) / span
        torch.testing.assert_close(levels, levels.round(), atol=1e-9, rtol=0)


def test_one_sided_pairs_keep_one_cell_at_the_low_end_at_first_and_only_raise_cells() -> None:
    crossbar = build(pair="one_sided", refresh={"every": 1000})
    cells = crossbar.device.conductance(crossbar._state())
    torch.testing.assert_close(cells.amin(1), torch.full_like(WEIGHTS, crossbar.device.low))
    report = crossbar.apply_update(update(), STREAM.at(0))
    assert (crossbar.device.conductance(crossbar._state()) >= cells - 1e-15).all()
    assert report.pulses_down.tolist() == [0.0, 0.0]


def test_worn_out_one_sided_pairs_are_refreshed_with_their_difference_kept() -> None:
    crossbar = build(pair="one_sided", refresh={"every": 3, "above": 0.6})
    swing = update(0.2)
    highest = []
    for number in range(30):
        sign = 1.0 if number % 2 else -1.0
        crossbar.apply_update(swing._replace(post=sign * swing.post), STREAM.at(number))
        highest.append(crossbar.device.conductance(crossbar._state()).max().item())
    span = crossbar.device.high - crossbar.device.low
    tired = crossbar.device.low + 0.6 * span
    assert any(before > tired for before in highest)
    before = crossbar.weights.clone()
    crossbar._restore_range(STREAM.child("refresh"), _tally(crossbar))
    torch.testing.assert_close(crossbar.weights, before, rtol=0, atol=2 * 0.0101)
    cells = crossbar.device.conductance(crossbar._state())
    assert (cells.amin(1)[cells.amax(1) > tired] < crossbar.device.low + 0.02 * span).all()


def test_a_refresh_leaves_pairs_alone_that_are_far_from_the_end_of_their_range() -> None:
    weights = torch.full_like(WEIGHTS, 0.3)
    weights[0, 1, 2], weights[1, 4, 0] = 0.8, -0.8
    crossbar = build(weights, pair="one_sided", refresh={"every": 1, "above": 0.6})
    crossbar.apply_update(update(0.0), STREAM.at(0))
    assert crossbar.write_counts.any(1).nonzero().tolist() == [[0, 1, 2], [1, 4, 0]]


@pytest.mark.parametrize("accumulate", ["batch", "sample"])
def test_weights_of_cells_that_are_only_raised_decay_by_raising_the_other_cell(accumulate: str) -> None:
    crossbar = build(
        pair="one_sided",
        device={**IDENTICAL, "unidirectional": True, "reset_weight": -1.0},
        write={"accumulate": accumulate, "rounding": "nearest"},
    )
    before = crossbar.device.conductance(crossbar._state())
    crossbar.apply_update(update(0.0, decay=torch.full((2, 5), 0.25, dtype=torch.float64)), STREAM.at(0))
    step = crossbar.mapping.scale * crossbar.device.increment
    torch.testing.assert_close(crossbar.weights, 0.75 * WEIGHTS, rtol=0, atol=0.51 * step)
    assert (crossbar.device.conductance(crossbar._state()) >= before).all()


def spread_of_reads(crossbar: Crossbar) -> torch.Tensor:
    """Standard deviation of every weight over 1000 reads of all cells, right to 2.3 %."""
    reads = torch.stack([crossbar.device.read(crossbar._state(), STREAM.at(number)) for number in range(1000)], 1)
    weights = crossbar.mapping.weights(reads.flatten(0, 1), None, torch.empty(2000, 5, 8, dtype=torch.float64))
    return weights.view(2, 1000, 5, 8).std(1)


@pytest.mark.parametrize("unit", UNITS, ids=str)
@pytest.mark.parametrize("pair", ["balanced", "offset"])
def test_reads_have_the_noise_of_all_devices_of_a_weight(pair: str, unit: dict[str, Any]) -> None:
    crossbar = build(pair=pair, unit=unit, device={**IDENTICAL, "read_noise": 0.01})
    found = spread_of_reads(crossbar).square().mean().sqrt().item()
    assert crossbar.views.forward.deviation == pytest.approx(found, rel=0.02)


def test_reads_have_the_noise_that_each_cell_has_at_the_time() -> None:
    crossbar = build(pair="balanced", unit=UNITS[2], device="pcm_joshi")
    for elapsed in (1.0, 1e7):
        crossbar.relax(elapsed, STREAM)
        variance = crossbar.views.forward.variance
        assert variance is not None
        torch.testing.assert_close(variance.sqrt(), spread_of_reads(crossbar), rtol=0.12, atol=0)
        assert torch.equal(crossbar.views.backward.variance, variance.mT)


def _tally(crossbar: Crossbar) -> Any:
    from analogdp.synapses.tally import Tally

    return Tally(crossbar.write_counts, crossbar.effective, None, False)


def test_the_shared_column_is_made_of_cells_and_subtracted_from_every_output() -> None:
    crossbar = build(pair="offset_column", device="reram_sb")
    column = crossbar.device.conductance(crossbar._state(slice(5, 6)))
    assert column.shape == (2, 1, 1, 8)
    assert column.std() > 0
    cells = crossbar.device.conductance(crossbar._state(slice(5)))[:, 0]
    torch.testing.assert_close(crossbar.weights, crossbar.mapping.scale * (cells - column[:, 0]))


@pytest.mark.parametrize("pair", ["balanced", "one_sided", "offset_column"])
def test_a_restored_crossbar_reads_the_same_bits(pair: str) -> None:
    crossbar = build(pair=pair, device="reram_sb", unit={"devices": 2}, write={"rounding": "carry"})
    crossbar.apply_update(update(), STREAM.at(0))
    other = build(pair=pair, device="reram_sb", unit={"devices": 2}, write={"rounding": "carry"})
    other.load_state_dict(crossbar.state_dict())
    for each in (crossbar, other):
        each.apply_update(update(), STREAM.at(1))
    assert torch.equal(crossbar.weights, other.weights)
    assert torch.equal(crossbar.state_dict()["carried"], other.state_dict()["carried"])


@pytest.mark.parametrize("pair", PAIRS)
def test_a_chip_alone_has_the_same_cells(pair: str) -> None:
    both = build(pair=pair, device="reram_sb", unit={"devices": 2})
    settings = both.settings
    alone = Crossbar.build(settings, WEIGHTS[1:], Stream(3, "pairs", (1,), dtype=torch.float64))
    both.apply_update(update(), STREAM.at(0))
    one = update()
    alone.apply_update(LocalUpdate(one.post[1:], one.pre[1:]), Stream(3, "pairs", (1,), dtype=torch.float64).at(0))
    assert torch.equal(both.weights[1:], alone.weights)


def test_devices_in_turn_are_written_one_after_the_other() -> None:
    crossbar = build(unit={"devices": 2}, write={"devices": "in_turn"})
    written = []
    for number in range(4):
        before = crossbar.write_counts.clone()
        crossbar.apply_update(update(), STREAM.at(number))
        written.append([bool((crossbar.write_counts - before)[:, device].any()) for device in range(2)])
    assert written == [[True, False], [False, True]] * 2


def test_what_a_fast_device_gathers_is_transferred_line_by_line() -> None:
    transfer = {"every": 2, "lines": 3, "rate": 0.5}
    crossbar = build(unit={"devices": 2}, write={"devices": "transfer", "transfer": transfer})
    start = crossbar.device.conductance(crossbar._state())
    crossbar.apply_update(update(), STREAM.at(0))
    fast, slow = (crossbar.device.conductance(crossbar._state()) - start)[:, 0], crossbar.write_counts[:, 1]
    assert fast.abs().max() > 0
    assert not slow.any()
    crossbar.apply_update(update(0.0), STREAM.at(1))
    cells = crossbar.device.conductance(crossbar._state())
    held = cells[:, 0, :, :3] - crossbar.device.zero
    moved = cells[:, 1, :, :3] - start[:, 1, :, :3]
    torch.testing.assert_close(moved, 0.5 * held, rtol=0, atol=1.01 * crossbar.device.increment)
    assert not crossbar.write_counts[:, 1, :, 3:].any()


def test_transfers_take_the_word_lines_in_turn_and_count_their_pulses() -> None:
    transfer = {"every": 1, "lines": 3}
    crossbar = build(unit={"devices": 2}, write={"devices": "transfer", "transfer": transfer})
    for number, lines in enumerate(([0, 1, 2], [3, 4, 5], [6, 7], [1, 2, 3])):
        before = crossbar.write_counts.clone()
        report = crossbar.apply_update(update(0.0), STREAM.at(number))
        written = crossbar.write_counts - before
        assert written[:, 1].sum((0, 1)).nonzero().flatten().tolist() == lines
        assert torch.equal(report.pulses_up + report.pulses_down, written.sum((1, 2, 3)).double())


def test_small_changes_that_are_carried_over_arrive_in_the_end() -> None:
    crossbar = build(write={"rounding": "carry"})
    step = crossbar.mapping.scale * crossbar.device.increment
    small = update(0.01 * step)
    for number in range(50):
        crossbar.apply_update(small, STREAM.at(number))
    wanted = WEIGHTS + 50 * torch.bmm(small.post.mT, small.pre)
    torch.testing.assert_close(crossbar.weights, wanted, rtol=0, atol=1.001 * step)


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_line_currents_are_the_sums_of_all_cells_of_a_line(unit: dict[str, Any]) -> None:
    crossbar = build(pair="balanced", unit=unit)
    table = crossbar.conductances()
    torch.testing.assert_close(crossbar.line_currents(STREAM), (table.plus + table.minus).sum(-1))


def test_a_gain_multiplies_what_lines_read_in_both_directions() -> None:
    crossbar, x, e = build(), draw(2, 3, 8, seed=5), draw(2, 3, 5, seed=6)
    up, down = crossbar(x), crossbar.backward_read(e)
    crossbar.compensate(torch.full((2, 1), 2.0, dtype=torch.float64))
    torch.testing.assert_close(crossbar(x), 2 * up)
    torch.testing.assert_close(crossbar.backward_read(e), 2 * down)
    crossbar.compensate(None)
    assert torch.equal(crossbar(x), up)


def test_later_gains_lie_where_earlier_ones_did_for_graphs_that_read_them_there() -> None:
    crossbar, gain = build(), torch.full((2, 1), 2.0, dtype=torch.float64)
    crossbar.compensate(gain)
    place = crossbar.views.forward.gain
    crossbar.compensate(None)
    crossbar.compensate(torch.linspace(1, 2, 10, dtype=torch.float64).view(2, 5))
    assert place is not None
    assert crossbar.views.forward.gain is not None
    assert crossbar.views.forward.gain.data_ptr() == place.data_ptr()


def test_the_noise_of_aged_cells_lies_where_that_of_young_ones_did_for_graphs_that_read_it_there() -> None:
    crossbar = build(pair="offset_column", device="pcm_joshi")
    view = crossbar.views.forward
    before = [(part.data_ptr(), part.clone()) for part in (view.variance, view.column)]
    crossbar.relax(1e6, STREAM)
    for (place, young), aged in zip(before, (view.variance, view.column), strict=True):
        assert aged.data_ptr() == place
        assert (aged != young).any()


def test_line_currents_without_noise_are_those_that_noisy_ones_scatter_around() -> None:
    crossbar = build(pair="balanced", device={**IDENTICAL, "read_noise": 0.05, "read_time": "1 us"})
    reads = torch.stack([crossbar.line_currents(STREAM.at(read)) for read in range(200)])
    quiet = crossbar.line_currents(None)
    torch.testing.assert_close(quiet, build(pair="balanced").line_currents(None))
    error = (reads.mean(0) - quiet) / (reads.std(0) / 200**0.5)
    assert reads.std(0).min() > 0
    assert error.abs().max() < 4.4  # Of ten t values with 199 degrees of freedom: a chance of 2e-4.
