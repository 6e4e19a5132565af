"""Cells that a controller programs to a target."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from analogdp.devices import ProgrammedDevice
from analogdp.devices.programmed import ProgrammedSettings
from analogdp.streams import Stream

CELLS = (1, 20, 30)
LOW, HIGH = 5e-6, 25e-6
WRITE = Stream(1, "write")


def device(**settings: Any) -> ProgrammedDevice:
    return ProgrammedDevice.build(ProgrammedSettings.model_validate(settings), LOW, HIGH)


def wanted(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return Stream(2, "wanted", chips=(0, 1), dtype=dtype).uniform(CELLS) * 30e-6


def programmed(model: ProgrammedDevice, dtype: torch.dtype = torch.float64) -> Any:
    state = model.sample(CELLS, Stream(1, "cells", chips=(0, 1), dtype=dtype))
    model.program(state, wanted(dtype), WRITE)
    return state


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cells_are_where_they_were_programmed_within_the_range(dtype: torch.dtype) -> None:
    model = device()
    assert torch.equal(model.conductance(programmed(model, dtype)), wanted(dtype).clamp(LOW, HIGH))


def test_cells_with_levels_are_at_the_nearest_of_them() -> None:
    model = device(levels=5)
    found = model.conductance(programmed(model)) * 1e6
    levels = torch.tensor([5.0, 10.0, 15.0, 20.0, 25.0], dtype=torch.float64)
    distance = (wanted().mul(1e6).clamp(5, 25).unsqueeze(-1) - levels).abs()
    torch.testing.assert_close(found, levels[distance.argmin(-1)], rtol=1e-12, atol=0)


@pytest.mark.parametrize("count", [1.0, -3.0, 2000.0, -0.25])
def test_a_pulse_moves_the_target_by_a_step(count: float) -> None:
    model = device()
    state = programmed(model)
    before = model.conductance(state)
    model.pulse(state, torch.full_like(before, count), WRITE)
    expected = (before + count * 20e-6 / 1000).clamp(LOW, HIGH)
    torch.testing.assert_close(model.conductance(state), expected, rtol=1e-12, atol=0)


def test_a_step_is_a_level_where_there_are_levels() -> None:
    model = device(levels=5)
    state = programmed(model)
    for count in (1.0, -1.0, -1.0):
        model.pulse(state, torch.full_like(wanted(), count), WRITE)
    found = (model.conductance(state) - LOW) / 5e-6
    torch.testing.assert_close(found, found.round(), rtol=0, atol=1e-9)
    assert model.increment == pytest.approx(5e-6)
    assert not model.fractional


def test_cells_that_are_not_written_keep_their_bits() -> None:
    model = device()
    state = programmed(model, torch.float32)
    model.transform(state, lambda conductance: conductance * 0.9)
    before, count = model.conductance(state), torch.zeros(2, *CELLS)
    count[..., ::2] = 3
    model.pulse(state, count, WRITE)
    changed = model.conductance(state) != before
    assert not changed[..., 1::2].any()
    assert changed[..., ::2].any()


def test_a_write_starts_from_what_the_controller_remembers() -> None:
    model = device()
    state = programmed(model)
    remembered = model.conductance(state)
    model.transform(state, lambda conductance: conductance * 0.5)
    model.pulse(state, torch.full_like(remembered, 1e-9), WRITE)
    torch.testing.assert_close(model.conductance(state), remembered, rtol=1e-9, atol=0)


def test_weight_zero_is_in_the_middle_of_the_range() -> None:
    model = device()
    assert model.zero == pytest.approx(15e-6)
    assert (model.conductance(model.sample(CELLS, Stream(1, "cells"))) == torch.tensor(15e-6)).all()


def test_read_noise_is_relative_to_the_range() -> None:
    model = device(read_noise="1 %", read_time="1 us")
    assert (model.read_noise, model.read_time) == (pytest.approx(0.2e-6), pytest.approx(1e-6))


@pytest.mark.parametrize("levels", [1, 0, 2_000_000])
def test_a_number_of_levels_that_is_none_is_told_the_range(levels: int) -> None:
    with pytest.raises(ValidationError, match="out of range; allowed: 2 to 1"):
        ProgrammedSettings(levels=levels)
