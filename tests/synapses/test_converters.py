"""Converters: levels, clipping and ranges."""

import numpy as np
import pytest
import torch

from analogdp.synapses.converter_settings import ConverterSettings
from analogdp.synapses.converters import BACKWARD, FORWARD, Converter

VALUES = torch.linspace(-3, 3, 1201, dtype=torch.float64).view(1, 1, -1)


def converter(**settings: object) -> Converter:
    return Converter(ConverterSettings.model_validate(settings), 1, VALUES)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_values_go_to_the_nearest_of_2_to_the_bits_minus_one_levels(bits: int) -> None:
    converted = converter(bits=bits, range=2.0)(VALUES, FORWARD)
    levels = np.linspace(-2, 2, 2**bits - 1)
    nearest = np.abs(VALUES.numpy().reshape(-1, 1) - levels).min(1)
    assert len(converted.unique()) == len(levels)
    np.testing.assert_allclose((converted - VALUES).abs().numpy().ravel(), nearest, atol=1e-12)


def test_values_beyond_the_range_are_clipped_to_it() -> None:
    assert converter(bits=8, range=2.0)(VALUES, FORWARD).abs().max().item() == pytest.approx(2.0)


def test_a_dynamic_range_is_that_of_each_vector() -> None:
    rows = torch.tensor([[[0.1, -0.4, 0.0], [10.0, 20.0, 5.0]]], dtype=torch.float64)
    converted = converter(bits=2, range="dynamic")(rows, FORWARD)
    assert converted.tolist() == [[[0.0, -0.4, 0.0], [0.0 if abs(10 / 20 - 0.5) < 1e-12 else 20.0, 20.0, 0.0]]]


def test_a_dynamic_range_of_nothing_gives_nothing() -> None:
    assert torch.equal(converter(range="dynamic")(torch.zeros_like(VALUES), FORWARD), torch.zeros_like(VALUES))


def test_a_calibrated_range_passes_values_until_it_knows_them_and_then_cuts_outliers() -> None:
    own = converter(bits=8, range="calibrated")
    assert torch.equal(own(VALUES, FORWARD), VALUES)
    typical = torch.randn(1, 100, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    own.calibrate([typical], FORWARD)
    assert own.limits[FORWARD].item() == pytest.approx(np.percentile(typical.abs().numpy(), 99.9), rel=1e-2)
    assert own(2 * VALUES, FORWARD).abs().max().item() == pytest.approx(own.limits[FORWARD].item())
    assert torch.equal(own(VALUES, BACKWARD), VALUES)


def test_calibrating_with_silence_keeps_the_range_unknown() -> None:
    own = converter(range="calibrated")
    own.calibrate([torch.zeros_like(VALUES)], FORWARD)
    assert torch.equal(own(VALUES, FORWARD), VALUES)


def test_a_fixed_range_is_not_calibrated() -> None:
    assert not converter(range=1.0).calibrated
    assert not converter(range="dynamic").calibrated
    assert converter(range="calibrated").calibrated


def test_the_input_is_left_alone_unless_asked() -> None:
    values = VALUES.clone()
    converter(range=1.0)(values, FORWARD)
    assert torch.equal(values, VALUES)
