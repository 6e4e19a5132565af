"""Programming cells by pulses: what it takes and what it leaves."""

from typing import Any

import pytest
import torch

from analogdp.devices import load_card
from analogdp.devices.base import DeviceState
from analogdp.streams import Stream
from analogdp.synapses import Crossbar, CrossbarSettings, LocalUpdate
from analogdp.synapses.parts import ProgrammingSettings
from analogdp.synapses.programming import ProgrammingReport, program

STREAM = Stream(5, "programming", (0, 1), dtype=torch.float64)
SHAPE = (1, 40, 50)


def programmed(
    card: Any, settings: dict[str, Any], chosen: torch.Tensor | None = None
) -> tuple[ProgrammingReport, torch.Tensor, float]:
    """The report, what the cells conduct afterwards and their range."""
    name = card.pop("card") if isinstance(card, dict) else card
    device = load_card(name, card if isinstance(card, dict) else None).device()
    state: DeviceState = device.sample(SHAPE, STREAM.child("fabrication"))
    span = device.high - device.low
    wanted = device.low + span * (0.2 + 0.6 * STREAM.child("wanted").uniform(SHAPE))
    report = program(device, state, wanted, ProgrammingSettings(**settings), STREAM.child("writing"), chosen)
    assert report is not None
    torch.testing.assert_close(report.error, device.conductance(state) - wanted)
    return report, wanted, span


def test_written_and_verified_cells_are_within_tolerance() -> None:
    report, _, span = programmed("gokmen_vlasov", {"method": "write_verify", "tolerance": 0.01, "budget": 100})
    assert report.unfinished is not None
    inside = report.error.abs() <= 0.01 * span * (1 + 1e-9)
    assert torch.equal(inside, ~report.unfinished)
    assert inside.double().mean() > 0.97  # Some devices have a range that does not reach.


def test_pulses_without_reads_leave_the_devices_variation() -> None:
    blind, wanted, span = programmed("gokmen_vlasov", {"method": "open_loop"})
    assert blind.unfinished is None
    assert not blind.reads.any()
    # Steps vary by 30 % from device to device: so does the distance gone, until a bound stops it.
    gone = (wanted - wanted.mean()).abs()
    far = gone > 0.2 * span
    assert 0.15 < (blind.error[far] / gone[far]).std() < 0.4


def test_a_budget_of_one_read_leaves_cells_unfinished() -> None:
    report, _, _ = programmed("reram_sb", {"method": "write_verify", "tolerance": 0.01, "budget": 1})
    assert report.unfinished is not None
    assert (report.reads == 1).all()
    assert report.unfinished.double().mean() > 0.5


def test_a_tighter_tolerance_takes_more_pulses_and_leaves_less_error() -> None:
    loose, tight = (
        programmed("idealized", {"method": "write_verify", "tolerance": tolerance, "budget": 200})[0]
        for tolerance in (0.05, 0.002)
    )
    assert tight.pulses.sum() > loose.pulses.sum()
    assert tight.error.square().mean() < loose.error.square().mean()


def test_most_pulses_between_reads_bound_a_burst() -> None:
    report, _, _ = programmed("idealized", {"method": "write_verify", "most_pulses": 3, "budget": 4})
    assert report.pulses.max() <= 12


def test_cells_that_are_not_chosen_keep_their_bits() -> None:
    device = load_card("idealized").device()
    state = device.sample(SHAPE, STREAM.child("fabrication"))
    before = state.variables["stored"].clone()
    chosen = STREAM.child("chosen").uniform(SHAPE) > 0.5
    wanted = torch.full_like(before, device.low + 0.7 * (device.high - device.low))
    program(device, state, wanted, ProgrammingSettings(method="write_verify"), STREAM, chosen)
    assert torch.equal(state.variables["stored"][~chosen], before[~chosen])
    assert not torch.equal(state.variables["stored"][chosen], before[chosen])


def test_read_noise_limits_what_verifying_can_reach() -> None:
    quiet, _, span = programmed("idealized", {"method": "write_verify", "tolerance": 0.005})
    noisy, _, _ = programmed({"card": "idealized", "read_noise": 0.03}, {"method": "write_verify", "tolerance": 0.005})
    assert noisy.error.abs().median() > 3 * quiet.error.abs().median()
    assert noisy.error.abs().median() < 0.05 * span


def test_the_energy_is_that_of_the_pulses() -> None:
    pulse = {"up": 1.0, "down": -2.0, "width": 1e-7}
    report, wanted, _ = programmed(
        {"card": "idealized", "write_pulse": pulse}, {"method": "write_verify", "most_pulses": 1, "budget": 3}
    )
    assert report.energy is not None
    per_pulse = report.energy / report.pulses.sum((1, 2, 3))
    low, high = wanted.amin().item(), wanted.amax().item()
    assert (per_pulse > 1e-7 * low * 0.5).all()
    assert (per_pulse < 4e-7 * high).all()


def test_the_energy_of_all_rounds_adds_up() -> None:
    pulse = {"up": 1.0, "down": -1.0, "width": 1e-7}
    settings = {"method": "write_verify", "most_pulses": 1, "budget": 30}
    report, _, _ = programmed({"card": "gokmen_vlasov", "write_pulse": pulse, "upper_spread": 0}, settings)
    assert report.energy is not None
    conducting = report.energy / report.pulses.sum((1, 2, 3)) / 1e-7
    assert ((conducting > 20e-9) & (conducting < 60e-9)).all()


def test_a_cell_is_read_no_more_once_it_is_within_tolerance() -> None:
    report, _, _ = programmed("gokmen_vlasov", {"method": "write_verify", "tolerance": 0.1})
    untouched = report.pulses == 0
    assert untouched.any()
    assert (report.reads[untouched] == 1).all()


def test_cells_that_pulses_only_raise_get_none_to_lower_them() -> None:
    device = load_card("pcm_gst").device()
    state = device.sample(SHAPE, STREAM.child("fabrication"))
    device.program(state, torch.full((2, *SHAPE), 10e-6, dtype=torch.float64), STREAM.child("high"))
    wanted = torch.full((2, *SHAPE), 5e-6, dtype=torch.float64)
    report = program(device, state, wanted, ProgrammingSettings(method="open_loop"), STREAM.child("low"))
    assert report is not None
    assert not report.pulses.any()


def test_a_crossbar_reports_its_programming_and_counts_its_pulses() -> None:
    weights = 0.1 * torch.randn(2, 6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    settings = {
        "device": "idealized",
        "weight_range": 1.0,
        "pair": "balanced",
        "programming": {"method": "write_verify"},
    }
    crossbar = Crossbar.build(CrossbarSettings.model_validate(settings), weights, STREAM)
    report = crossbar.conductances().programming
    assert report is not None
    assert torch.equal(crossbar.write_counts, report.pulses.to(torch.int32))
    assert 0 < (crossbar.weights - weights).abs().max() < 0.05


def disturbed(scheme: str, direction: float, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """Steps that ten pulses for the cell at output 4 and input 1 make of all cells; those down disturb twice as much."""
    weights = torch.zeros(1, 6, 9, dtype=torch.float64)
    pulse = {"up": 1.0, "down": -1.0, "width": 1e-7, "half_select": 1.0, "third_select": 1.0}
    identical = {f"{name}_spread": 0.0 for name in ("step", "upper", "lower")}
    device = {"card": "idealized", "cycle_noise": 0.0, "write_pulse": pulse, **identical}
    settings = {
        "device": device,
        "weight_range": 1.0,
        "tile": "5x3",
        "write": {"half_select": scheme, "rounding": "nearest"},
    }
    crossbar = Crossbar.build(CrossbarSettings.model_validate(settings), weights, Stream(5, "one", dtype=torch.float64))
    monkeypatch.setattr(crossbar.device, "disturbance", lambda scheme: (1.0, 2.0))
    step = crossbar.mapping.scale * crossbar.device.increment
    post, pre = torch.zeros(1, 1, 6, dtype=torch.float64), torch.zeros(1, 1, 9, dtype=torch.float64)
    post[0, 0, 4], pre[0, 0, 1] = direction, 10 * step
    crossbar.apply_update(LocalUpdate(post, pre), Stream(5, "update", dtype=torch.float64).at(0))
    assert crossbar.write_counts.sum() == 10
    return (crossbar.weights / step).round()[0]


@pytest.mark.parametrize(("direction", "disturb"), [(1.0, 10.0), (-1.0, -20.0)])
def test_cells_on_the_lines_of_a_written_one_are_disturbed(
    direction: float, disturb: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = torch.zeros(6, 9, dtype=torch.float64)
    expected[4, 0:5] = expected[3:6, 1] = disturb
    expected[4, 1] = 10 * direction
    assert torch.equal(disturbed("half", direction, monkeypatch), expected)


def test_a_third_of_the_voltage_disturbs_all_cells_of_the_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = torch.zeros(6, 9, dtype=torch.float64)
    expected[
        3:6, 0:5
    ] = -20  # The other way round on lines that are not selected, where a step down is twice as large here.
    expected[4, 0:5] = expected[3:6, 1] = 10
    assert torch.equal(disturbed("third", 1.0, monkeypatch), expected)
