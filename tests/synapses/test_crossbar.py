"""Crossbars: built from weights, read, written through their devices, saved and restored."""

import math
import pickle
from typing import Any

import pytest
import torch

from analogdp.errors import InputError
from analogdp.streams import Stream
from analogdp.synapses import Crossbar, CrossbarSettings, LocalUpdate

QUIET = {
    "card": "gokmen_vlasov",
    "step_spread": 0,
    "asymmetry_spread": 0,
    "upper_spread": 0,
    "lower_spread": 0,
    "cycle_noise": 0,
}
NOISY = {"card": "reram_sb", "read_noise": 0.01}


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def build(weights: torch.Tensor, chips: tuple[int, ...] | None = None, **settings: Any) -> Crossbar:
    section = CrossbarSettings.model_validate({"device": QUIET, "weight_range": 1.0, **settings})
    return Crossbar.build(section, weights, Stream(7, "crossbar", chips or tuple(range(len(weights)))))


def small_update(chips: int = 2, seed: int = 3, dtype: torch.dtype = torch.float64) -> LocalUpdate:
    return LocalUpdate(0.02 * draw(chips, 6, 5, seed=seed, dtype=dtype), draw(chips, 6, 8, seed=seed + 1, dtype=dtype))


WEIGHTS = 0.2 * draw(2, 5, 8)
STREAM = Stream(8, "update", (0, 1), dtype=torch.float64)
PAIRS = ["reference", "balanced"]


def test_a_pickled_crossbar_reads_the_same_and_takes_states() -> None:
    crossbar, other = (build(WEIGHTS * factor, device=NOISY, pair="reference") for factor in (1, 0.5))
    copy = pickle.loads(pickle.dumps(crossbar))
    x = draw(2, 3, 8, seed=4)
    assert torch.equal(copy.forward(x), crossbar.forward(x))
    copy.load_state_dict(other.state_dict())
    assert torch.equal(copy.forward(x), other.forward(x))


@pytest.mark.parametrize("pair", PAIRS)
def test_it_holds_the_weights_it_is_built_with(pair: str) -> None:
    torch.testing.assert_close(build(WEIGHTS, pair=pair).weights, WEIGHTS)


def test_weights_beyond_a_device_go_to_its_bound() -> None:
    crossbar = build(torch.full((1, 5, 8), 3.0), weight_range=1.0)
    torch.testing.assert_close(crossbar.weights, torch.ones(1, 5, 8))
    torch.testing.assert_close(crossbar.target_weights, torch.ones(1, 5, 8))


def test_a_card_with_write_noise_shows_it_from_the_first_read_on() -> None:
    weights = torch.zeros(1, 100, 100)
    crossbar = build(weights, device={**QUIET, "card": "gokmen_vlasov", "write_noise": 50.0})
    assert crossbar.weights.std().item() == pytest.approx(50 * 0.0016, rel=0.05)


def test_symmetry_points_are_subtracted() -> None:
    weights = torch.zeros(1, 100, 100)
    crossbar = build(weights, device={"card": "reram_array_om", "write_noise": 0})
    table = crossbar.conductances()
    assert table.minus.std().item() == pytest.approx(0.05 * (table.high - table.low) / 2, rel=0.1)
    assert crossbar.weights.abs().median() < 1e-6


@pytest.mark.parametrize("pair", PAIRS)
def test_reads_in_both_directions_are_of_the_same_weights(pair: str) -> None:
    crossbar, x, e = build(WEIGHTS, pair=pair, device=NOISY), draw(2, 3, 8), draw(2, 3, 5)
    torch.testing.assert_close((e * crossbar(x)).sum(), (crossbar.backward_read(e) * x).sum())
    torch.testing.assert_close(crossbar(x), torch.bmm(x, crossbar.weights.mT))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("accumulate", ["batch", "sample"])
def test_an_update_moves_the_weights_as_asked_on_average(pair: str, accumulate: str) -> None:
    crossbar = build(WEIGHTS, pair=pair, write={"accumulate": accumulate})
    moved = torch.zeros_like(WEIGHTS)
    update = small_update()
    for number in range(200):
        sign = 1 if number % 2 else -1
        before = crossbar.weights.clone()
        crossbar.apply_update(update._replace(post=sign * update.post), STREAM.at(number))
        moved += sign * (crossbar.weights - before)
    wanted = torch.bmm(update.post.mT, update.pre)
    # Rounding to whole pulses of 0.0016 has a spread of less than one pulse (two cells or directions: sqrt(2)).
    torch.testing.assert_close(moved / 200, wanted, rtol=0.02, atol=5 * 0.0016 * math.sqrt(2 / 200))


def test_targets_take_every_request_and_stay_within_the_nominal_range() -> None:
    crossbar, update = build(WEIGHTS, device=NOISY), small_update()
    crossbar.apply_update(update, STREAM.at(0))
    torch.testing.assert_close(crossbar.target_weights, WEIGHTS + torch.bmm(update.post.mT, update.pre))
    crossbar.apply_update(LocalUpdate(1e3 * update.post, update.pre), STREAM.at(1))
    assert crossbar.target_weights.min().item() == pytest.approx(-0.75)
    assert crossbar.target_weights.max().item() == pytest.approx(1.25)


@pytest.mark.parametrize("pair", PAIRS)
def test_rows_decay_before_the_outer_product_is_added(pair: str) -> None:
    crossbar, update = build(WEIGHTS, pair=pair, write={"rounding": "nearest"}), small_update()
    decay = torch.tensor([0.5, 0.0, 0.1, 1.0, 0.0], dtype=torch.float64).expand(2, -1)
    crossbar.apply_update(update._replace(decay=decay), STREAM.at(0))
    want = (1 - decay[..., None]) * WEIGHTS + torch.bmm(update.post.mT, update.pre)
    torch.testing.assert_close(crossbar.weights, want, rtol=0, atol=0.0017)
    torch.testing.assert_close(crossbar.target_weights, want)


@pytest.mark.parametrize(("polarity", "cell"), [("plus", 0), ("minus", 1)])
def test_a_rule_may_write_one_cell_of_each_pair(polarity: Any, cell: int) -> None:
    crossbar, update = (
        build(WEIGHTS, pair="balanced", write={"rounding": "nearest"}),
        small_update()._replace(polarity=polarity),
    )
    before = crossbar.conductances()
    crossbar.apply_update(update, STREAM.at(0))
    after = crossbar.conductances()
    untouched = (after.minus, before.minus) if cell == 0 else (after.plus, before.plus)
    assert torch.equal(*untouched)
    torch.testing.assert_close(crossbar.weights, WEIGHTS + torch.bmm(update.post.mT, update.pre), rtol=0, atol=0.0017)


@pytest.mark.parametrize(("polarity", "cell"), [("plus", 0), ("minus", 1)])
def test_only_the_cells_that_a_rule_writes_decay(polarity: Any, cell: int) -> None:
    crossbar = build(WEIGHTS, pair="balanced", write={"rounding": "nearest"})
    decay = torch.full((2, 5), 0.5, dtype=torch.float64)
    crossbar.apply_update(small_update()._replace(polarity=polarity, decay=decay), STREAM.at(0))
    assert crossbar.write_counts[:, cell].any()
    assert not crossbar.write_counts[:, 1 - cell].any()


@pytest.mark.parametrize(
    ("pair", "accumulate"), [("balanced", "batch"), ("balanced", "sample"), ("one_sided", "batch")]
)
@pytest.mark.parametrize(("polarity", "sign"), [("plus", 1), ("minus", -1)])
def test_the_share_that_one_polarity_loses_is_of_what_its_own_cells_add_to_the_weight(
    polarity: Any, sign: int, pair: Any, accumulate: str
) -> None:
    """Of W = W+ - W-, the plus cells make (1 - decay) W+ + change, the minus cells (1 - decay) W- - change."""
    write = {"rounding": "nearest", "accumulate": accumulate}
    crossbar, update = build(WEIGHTS, pair=pair, write=write), small_update()
    crossbar.apply_update(update._replace(polarity="minus"), STREAM.at(0))
    before, targets = crossbar.conductances(), crossbar.target_weights.clone()
    cells, others = (before.plus, before.minus) if sign > 0 else (before.minus, before.plus)
    held, rest = (sign * before.scale * (own - crossbar.mapping.resting) for own in (cells, others))
    decay = torch.tensor([0.5, 0.0, 0.1, 1.0, 0.0], dtype=torch.float64).expand(2, -1)
    crossbar.apply_update(update._replace(polarity=polarity, decay=decay), STREAM.at(1))
    change = torch.bmm(update.post.mT, update.pre)
    kept = (1 - decay[..., None]) * held + change
    if pair == "one_sided":
        kept = (sign * kept).clamp(min=0) * sign
    # Raised and lowered by whole pulses, one after the other where samples are accumulated.
    torch.testing.assert_close(crossbar.weights, kept - rest, rtol=0, atol=0.0035)
    torch.testing.assert_close(crossbar.target_weights, targets - decay[..., None] * held + change)


def test_transfers_and_refreshes_wait_for_the_second_half_of_an_update() -> None:
    transfer = {"devices": "transfer", "transfer": {"every": 1, "lines": 8}}
    crossbar = build(WEIGHTS, pair="balanced", unit={"devices": 2}, write=transfer)
    crossbar.apply_update(small_update()._replace(polarity="plus"), STREAM.at(0))
    assert not crossbar.write_counts[:, [1, 3]].any()
    crossbar.apply_update(small_update()._replace(polarity="minus"), STREAM.at(0))
    assert crossbar.write_counts[:, 1].any()


def test_cells_that_are_written_continuously_stop_when_the_time_is_over() -> None:
    pulse = {"up": 1.0, "down": -1.0, "width": 5e-4}
    device = {"card": "ion_drift_tio2", "rate_spread": 0, "cycle_noise": 0, "write_pulse": pulse}
    crossbar = build(0 * WEIGHTS, device=device, write={"rounding": "none"})
    ones = torch.ones(2, 1, 8, dtype=torch.float64)
    report = crossbar.apply_update(LocalUpdate(100 * ones[..., :5], ones, duration=3.5 * 5e-4), STREAM.at(0))
    assert report.pulses_up.tolist() == [3.5 * 5 * 8] * 2


def test_the_fixed_cell_of_a_reference_pair_cannot_be_written() -> None:
    with pytest.raises(InputError, match="pair: balanced"):
        build(WEIGHTS).apply_update(small_update()._replace(polarity="minus"), STREAM.at(0))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("accumulate", ["batch", "sample"])
def test_pulses_are_reported_and_counted_for_every_cell(pair: str, accumulate: str) -> None:
    crossbar = build(WEIGHTS, pair=pair, write={"accumulate": accumulate})
    total = torch.zeros(2, dtype=torch.float64)
    for number in range(3):
        report = crossbar.apply_update(small_update(), STREAM.at(number))
        total += report.pulses_up + report.pulses_down
    counts = crossbar.conductances().write_counts
    assert counts.shape == (2, 2, 5, 8)
    assert counts.sum((1, 2, 3)).tolist() == total.tolist()
    assert (counts[:, 1].sum().item() == 0) == (pair == "reference")


def test_up_pulses_raise_and_down_pulses_lower_conductances() -> None:
    crossbar = build(torch.zeros(1, 5, 8, dtype=torch.float64))
    update = LocalUpdate(torch.full((1, 1, 5), 0.16, dtype=torch.float64), torch.ones(1, 1, 8, dtype=torch.float64))
    report = crossbar.apply_update(update, Stream(8, "update", dtype=torch.float64))
    assert report.pulses_up.item() == pytest.approx(100 * 40, abs=40)
    assert report.pulses_down.item() == 0
    assert crossbar.weights.mean().item() == pytest.approx(0.16, abs=0.002)


def test_sample_by_sample_writing_costs_the_pulses_that_cancel_in_a_batch() -> None:
    post = torch.tensor([[[0.16], [-0.16]]], dtype=torch.float64).expand(1, 2, 5)
    update = LocalUpdate(post, torch.ones(1, 2, 8, dtype=torch.float64))
    reports = [
        build(WEIGHTS[:1], write={"accumulate": accumulate}).apply_update(
            update, Stream(8, "update", dtype=torch.float64)
        )
        for accumulate in ("batch", "sample")
    ]
    assert reports[0].pulses_up.item() == 0
    assert reports[1].pulses_up.item() == pytest.approx(100 * 40, abs=40)
    assert reports[1].pulses_down.item() == pytest.approx(100 * 40, abs=40)


def test_the_table_says_how_conductances_and_weights_belong_together() -> None:
    crossbar = build(WEIGHTS, device=NOISY, tile="4x3")
    table = crossbar.conductances()
    torch.testing.assert_close(table.scale * (table.plus - table.minus), table.weights)
    assert table.tile == (4, 3)
    assert (table.low, table.high) == (pytest.approx(20e-6), pytest.approx(70e-6))
    assert table.card["name"] == "reram_sb"
    assert table.plus.min() >= 0


@pytest.mark.parametrize(
    "settings",
    [
        {"device": NOISY},
        {"device": NOISY, "pair": "balanced", "write": {"accumulate": "sample"}},
        {"device": "reram_array_om"},
        {"device": "ecram_li", "adc": {"range": "calibrated"}},
    ],
)
def test_a_restored_crossbar_goes_on_with_the_same_bits(settings: dict[str, Any]) -> None:
    weights, update = WEIGHTS.float(), small_update(dtype=torch.float32)
    first = build(weights, **settings)
    first.calibrate(draw(2, 9, 8, dtype=torch.float32), draw(2, 9, 5, dtype=torch.float32))
    first.apply_update(update, STREAM.at(0))
    second = build(torch.zeros_like(weights), (5, 6), **settings)
    saved = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    assert all(tensor.is_contiguous() for tensor in saved.values())
    second.load_state_dict(saved)
    x = draw(2, 3, 8, dtype=torch.float32)
    assert torch.equal(first(x), second(x))
    for crossbar in (first, second):
        crossbar.apply_update(update, Stream(8, "update", (0, 1)).at(1))
    assert torch.equal(first.weights, second.weights)
    assert all(torch.equal(tensor, second.state_dict()[name]) for name, tensor in first.state_dict().items())


@pytest.mark.parametrize("pair", PAIRS)
def test_a_chip_replayed_alone_has_the_same_bits(pair: str) -> None:
    weights, update = WEIGHTS[:1].float(), small_update(1, dtype=torch.float32)
    results = []
    for chips in ((4,), (1, 4, 9)):
        crossbar = build(weights.expand(len(chips), -1, -1), chips, device=NOISY, pair=pair)
        many = LocalUpdate(update.post.expand(len(chips), -1, -1), update.pre.expand(len(chips), -1, -1))
        crossbar.apply_update(many, Stream(8, "update", chips).at(1))
        results.append(crossbar.weights[chips.index(4)])
    assert torch.equal(*results)


def test_large_arrays_are_written_whole() -> None:
    crossbar = build(torch.zeros(1, 300, 500, dtype=torch.float64), write={"rounding": "nearest"})
    post, pre = 0.03 * draw(1, 4, 300), draw(1, 4, 500, seed=1)
    crossbar.apply_update(LocalUpdate(post, pre), Stream(8, "update", dtype=torch.float64))
    want = torch.bmm(post.mT, pre).clamp(-1, 1)
    torch.testing.assert_close(crossbar.weights, want, rtol=0, atol=0.00081)


@pytest.mark.parametrize("accumulate", ["batch", "sample"])
def test_the_energy_of_a_large_update_is_that_of_all_its_pulses_once(accumulate: str) -> None:
    pulse = {"up": 1.0, "down": -1.0, "width": 1e-7}
    crossbar = build(torch.zeros(1, 300, 300), device={**QUIET, "write_pulse": pulse}, write={"accumulate": accumulate})
    asked = LocalUpdate(0.02 * draw(1, 3, 300, dtype=torch.float32), draw(1, 3, 300, seed=1, dtype=torch.float32))
    report = crossbar.apply_update(asked, Stream(8, "update").at(0))
    assert report.energy is not None
    conducting = (report.energy / (report.pulses_up + report.pulses_down) / 1e-7).item()
    assert conducting == pytest.approx(40e-9, rel=0.1)


def test_any_number_of_steps_of_a_closed_loop_is_one_write() -> None:
    crossbar = build(WEIGHTS, device="rram_milo", pair="balanced")
    report = crossbar.apply_update(small_update(), STREAM.at(0))
    assert crossbar.write_counts.max() == 1
    assert torch.equal(report.pulses_up + report.pulses_down, crossbar.write_counts.sum((1, 2, 3)).double())


def test_a_leaking_cell_forgets_its_weight() -> None:
    device = {"card": "capacitor", "lifetime": "1 s", "upper_spread": 0, "lower_spread": 0}
    crossbar = build(WEIGHTS, device=device)
    crossbar.relax(2.0, STREAM)
    torch.testing.assert_close(crossbar.weights, WEIGHTS * math.exp(-2))


def test_each_chip_forgets_for_its_own_time() -> None:
    device = {"card": "capacitor", "lifetime": "1 s", "upper_spread": 0, "lower_spread": 0}
    crossbar = build(WEIGHTS, device=device)
    crossbar.relax(torch.tensor([0.0, 2.0]), STREAM)
    torch.testing.assert_close(crossbar.weights[0], WEIGHTS[0])
    torch.testing.assert_close(crossbar.weights[1], WEIGHTS[1] * math.exp(-2))


def test_which_direction_is_written_first_alternates_from_update_to_update() -> None:
    # As many pulses up as down; each order alone leaves soft bounds nearer to where the last pulses lead.
    device = {"card": "reram_array_om", "step_spread": 0, "asymmetry_spread": 0, "upper_spread": 0, "lower_spread": 0}
    device |= {"cycle_noise": 0, "write_noise": 0, "reference": "zero", "reference_std": 0, "step": 0.01}
    post = torch.tensor([[[0.2], [-0.2]]], dtype=torch.float64).expand(1, 2, 5)
    update = LocalUpdate(post, torch.ones(1, 2, 8, dtype=torch.float64))
    moved = []
    for number in range(4):
        crossbar = build(torch.zeros(1, 5, 8, dtype=torch.float64), device=device, write={"accumulate": "sample"})
        crossbar.apply_update(update, Stream(8, "update", dtype=torch.float64).at(number))
        moved.append(crossbar.weights.mean().item())
    assert [move > 0 for move in moved] in ([True, False] * 2, [False, True] * 2)
    assert sum(moved) == pytest.approx(0.0, abs=0.2 * max(map(abs, moved)))


@pytest.mark.parametrize(("read_time", "seconds"), [(None, None), ("2 us", 2e-6)])
def test_a_read_takes_the_time_that_the_card_says(read_time: str | None, seconds: float | None) -> None:
    assert build(WEIGHTS, device={**NOISY, "read_time": read_time}).read_time == seconds


def test_there_are_no_numbers_for_an_optimizer() -> None:
    assert build(WEIGHTS).parameter is None
    assert CrossbarSettings.written_by_pulses


def test_noisy_reads_differ_and_quiet_ones_do_not() -> None:
    crossbar, x = build(WEIGHTS, device=NOISY), draw(2, 3, 8)
    assert (crossbar.forward_noise, crossbar.backward_noise) == ((5, 0), (8, 0))
    noise = draw(2, 3, 5, seed=5)
    assert not torch.equal(crossbar(x, noise=noise), crossbar(x, noise=-noise))
    # 1 % of the conductance range is 2 % of the full scale, in each of two cells.
    disturbance = (crossbar(x, noise=noise) - crossbar(x)) / (noise * x.norm(dim=-1, keepdim=True))
    torch.testing.assert_close(disturbance, torch.full_like(disturbance, 0.02 * math.sqrt(2)))
