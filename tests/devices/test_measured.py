"""Cells that keep what was measured of them, with the read noise of their device."""

from __future__ import annotations

import pytest
import torch

from analogdp.devices import DeviceModel, DeviceState, MeasuredDevice, load_card
from analogdp.errors import InputError
from analogdp.streams import Stream

SHAPE = (1, 2, 3, 4)


def stream(name: str) -> Stream:
    return Stream(3, name, dtype=torch.float64)


def trained(device: DeviceModel) -> DeviceState:
    return device.sample(SHAPE[1:], stream("fabrication"))


def measured() -> torch.Tensor:
    """From nothing to far above any device's range."""
    return torch.logspace(-9, -2, 24, dtype=torch.float64).reshape(SHAPE) - 1e-9


@pytest.mark.parametrize("card", ["reram_sb", "ecram_li", "pcm_joshi", "rram_wan", "pcm_gst", "vteam_example"])
def test_cells_of_any_device_conduct_what_was_measured_to_the_last_bit(card: str) -> None:
    device = load_card(card).device()
    held = MeasuredDevice(device).holding(measured(), trained(device))
    assert torch.equal(MeasuredDevice(device).conductance(held), measured())


def test_read_noise_is_that_of_the_device() -> None:
    inner = load_card("reram_sb", {"read_noise": "2 %"}).device()
    device = MeasuredDevice(inner)
    held = device.holding(torch.full((1, 2, 100, 100), 1e-3, dtype=torch.float64), trained(inner))
    reads = device.read(held, stream("read")) - 1e-3
    # The standard deviation of 20000 numbers is within 2 % of theirs in all but 1 of 10000 cases.
    assert float(reads.std()) == pytest.approx(0.02 * (inner.high - inner.low), rel=0.02)
    assert device.read_variance(held) is None


def test_flicker_noise_is_that_of_cells_programmed_to_what_they_conduct() -> None:
    inner = load_card("pcm_joshi", {"programming_error": None}).device()
    age = 3600.0
    programmed = trained(inner)
    wanted = torch.linspace(inner.low, inner.high, 24, dtype=torch.float64).reshape(SHAPE)
    inner.program(programmed, wanted, stream("program"))
    fresh = inner.read_variance(programmed)
    device = MeasuredDevice(inner)
    held = device.holding(wanted, programmed)
    torch.testing.assert_close(device.read_variance(held), fresh, rtol=1e-12, atol=0)
    programmed.variables["age"].fill_(age)
    later = device.read_variance(device.holding(wanted, programmed))
    assert bool((later[fresh > 0] > fresh[fresh > 0]).all())


def test_an_open_cell_has_no_flicker_noise() -> None:
    inner = load_card("pcm_joshi").device()
    device = MeasuredDevice(inner)
    variance = device.read_variance(device.holding(torch.zeros(SHAPE, dtype=torch.float64), trained(inner)))
    assert bool((variance == inner.read_noise**2).all())


def test_measured_cells_do_not_move_in_time() -> None:
    inner = load_card("pcm_joshi").device()
    device = MeasuredDevice(inner)
    held = device.holding(measured(), trained(inner))
    assert not device.volatile
    device.relax(held, 1e9, stream("relax"))
    assert torch.equal(device.conductance(held), measured())


@pytest.mark.parametrize("write", ["pulse", "program", "sample"])
def test_what_would_need_more_than_was_measured_is_refused(write: str) -> None:
    inner = load_card("reram_sb").device()
    device = MeasuredDevice(inner)
    held = device.holding(measured(), trained(inner))
    arguments = (SHAPE[1:],) if write == "sample" else (held, torch.ones(SHAPE, dtype=torch.float64))
    with pytest.raises(InputError, match="measured cells can only be read"):
        getattr(device, write)(*arguments, stream("write"))


def test_what_shows_of_measured_cells_can_be_changed() -> None:
    inner = load_card("reram_sb").device()
    device = MeasuredDevice(inner)
    held = device.holding(measured(), trained(inner))
    device.transform(held, lambda conductance: 0.5 * conductance)
    assert torch.equal(device.conductance(held), 0.5 * measured())
