"""Converters: levels, clipping, ranges, noise and mismatch of lines."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from analogdp.streams import Stream
from analogdp.synapses.converter_settings import AdcSettings, ConverterSettings, DacSettings
from analogdp.synapses.converters import BACKWARD, FORWARD, Converter

VALUES = torch.linspace(-3, 3, 1201, dtype=torch.float64).view(1, 1, -1)
KINDS = pytest.mark.parametrize("kind", [DacSettings, AdcSettings])


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def converter(kind: type[ConverterSettings] = DacSettings, **settings: Any) -> Converter:
    return mismatched(kind, (0,), VALUES.shape[-1], **settings)


def mismatched(kind: type[ConverterSettings], chips: tuple[int, ...], lines: int, **settings: Any) -> Converter:
    """Two tiles one way, one the other way."""
    stream = Stream(5, "converter", chips, dtype=torch.float64)
    like = VALUES.expand(len(chips), -1, -1)
    return Converter(kind.model_validate(settings), (2 * lines, lines), like, stream)


@KINDS
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_values_go_to_the_nearest_of_2_to_the_bits_minus_one_levels(kind: type[ConverterSettings], bits: int) -> None:
    converted = converter(kind, bits=bits, range=2.0)(VALUES, FORWARD)
    levels = np.linspace(-2, 2, 2**bits - 1)
    nearest = np.abs(VALUES.numpy().reshape(-1, 1) - levels).min(1)
    assert len(converted.unique()) == len(levels)
    np.testing.assert_allclose((converted - VALUES).abs().numpy().ravel(), nearest, atol=1e-12)


@KINDS
def test_an_ideal_converter_is_nowhere_off_by_more_than_half_a_step(kind: type[ConverterSettings]) -> None:
    inside = VALUES[VALUES.abs() <= 2].view(1, 1, -1)
    error = converter(kind, bits=6, range=2.0)(inside, FORWARD) - inside
    assert error.abs().max().item() <= 0.5 * 2 / 31 + 1e-12


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_rounding_keeps_the_mean_of_values_that_are_spread_out(noise: float) -> None:
    spread = normal(1, 1, 100_000)
    converted = converter(AdcSettings, bits=4, range=5.0, noise=noise)(
        spread, FORWARD, noise=normal(*spread.shape, seed=2)
    )
    step = 5 / 7
    deviation = step * np.sqrt(1 / 12 + noise**2)
    assert abs((converted - spread).mean().item()) < 4 * deviation / np.sqrt(spread.numel())
    assert (converted - spread).std().item() == pytest.approx(deviation, rel=0.02)


@KINDS
def test_a_line_keeps_the_order_of_values(kind: type[ConverterSettings]) -> None:
    rising = VALUES.view(1, -1, 1).expand(1, -1, 8)
    own = mismatched(kind, (0,), 8, bits=5, range=2.0, gain_std=0.1, offset_std=0.1)
    assert bool((own(rising, FORWARD).diff(dim=1) >= 0).all())


def test_values_beyond_the_range_are_clipped_to_it() -> None:
    assert converter(bits=8, range=2.0)(VALUES, FORWARD).abs().max().item() == pytest.approx(2.0)


def test_a_dynamic_range_is_that_of_each_vector() -> None:
    rows = torch.tensor([[[0.1, -0.4, 0.0], [10.0, 20.0, 5.0]]], dtype=torch.float64)
    converted = converter(bits=2, range="dynamic")(rows, FORWARD)
    assert converted.tolist() == [[[0.0, -0.4, 0.0], [0.0 if abs(10 / 20 - 0.5) < 1e-12 else 20.0, 20.0, 0.0]]]


def test_a_dynamic_range_of_nothing_gives_nothing() -> None:
    assert torch.equal(converter(range="dynamic")(torch.zeros_like(VALUES), FORWARD), torch.zeros_like(VALUES))


@pytest.mark.parametrize("percentile", [90.0, 99.9, 100.0])
def test_a_calibrated_range_is_the_percentile_of_magnitudes(percentile: float) -> None:
    own = converter(range="calibrated", percentile=percentile)
    parts = [normal(1, 100, 200), normal(1, 100, 31, seed=2)]
    own.calibrate(parts, FORWARD)
    everything = np.abs(np.concatenate([part.numpy().ravel() for part in parts]))
    assert own.limits[FORWARD].item() == np.percentile(everything, percentile, method="inverted_cdf")


def test_a_calibrated_range_passes_values_until_it_knows_them_and_then_cuts_outliers() -> None:
    own = converter(bits=8, range="calibrated")
    assert torch.equal(own(VALUES, FORWARD), VALUES)
    own.calibrate([normal(1, 100, 200)], FORWARD)
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


@pytest.mark.parametrize(
    "settings", [{"range": 1.0}, {"range": 1.0, "offset_std": 0.1}, {"range": "dynamic", "noise": 1.0}]
)
@KINDS
def test_the_input_is_left_alone_unless_asked(kind: type[ConverterSettings], settings: dict[str, Any]) -> None:
    values = VALUES.clone()
    own = mismatched(kind, (0,), values.shape[-1], **settings)
    converted = own(values, FORWARD, noise=torch.ones_like(values))
    assert torch.equal(values, VALUES)
    torch.testing.assert_close(own(values, FORWARD, in_place=True, noise=torch.ones_like(values)), converted)
    assert not torch.equal(values, VALUES)


def test_a_dac_puts_its_noise_on_the_line() -> None:
    own = converter(DacSettings, bits=4, range=7.0, noise=0.5)
    levels = torch.zeros(1, 1, 100_000, dtype=torch.float64) + 2
    error = (own(levels, FORWARD, noise=normal(*levels.shape)) - levels).numpy().ravel()
    assert stats.kstest(error / 0.5, "norm").pvalue > 0.01


def test_the_noise_of_an_adc_moves_its_codes_as_a_cumulative_normal_distribution_says() -> None:
    own = converter(AdcSettings, bits=4, range=7.0, noise=0.5)
    values = torch.zeros(1, 1, 100_000, dtype=torch.float64) + 1.75
    codes = own(values, FORWARD, noise=normal(*values.shape)).numpy().ravel()
    assert np.array_equal(codes, np.round(codes))
    above = 1 - stats.norm.cdf(2.5, 1.75, 0.5)
    assert stats.binomtest(int((codes >= 3).sum()), codes.size, above).pvalue > 0.01


def test_a_conversion_takes_a_normal_number_only_if_it_is_noisy() -> None:
    assert converter(noise=0.5).noisy
    assert not converter().noisy
    assert torch.equal(converter(range=2.0)(VALUES, FORWARD, noise=VALUES), converter(range=2.0)(VALUES, FORWARD))


def test_without_numbers_a_conversion_has_no_noise() -> None:
    assert torch.equal(converter(range=2.0, noise=0.5)(VALUES, FORWARD), converter(range=2.0)(VALUES, FORWARD))


@pytest.mark.parametrize(("direction", "place"), [(FORWARD, 0), (FORWARD, 1), (BACKWARD, 0)])
@pytest.mark.parametrize("limit", [2.0, "dynamic"])
@KINDS
def test_every_line_has_its_own_gain_and_offset(
    kind: type[ConverterSettings], limit: float | str, direction: int, place: int
) -> None:
    own = mismatched(kind, (0, 3), 6, bits=5, range=limit, gain_std=0.05, offset_std=0.1)
    x = 2 * normal(2, 4, 6)
    gain, offset = (own.get_buffer(f"{name}{direction}")[:, 0, 6 * place :].numpy() for name in ("gain", "offset"))
    want = np.empty((2, 4, 6))
    for chip, sample, line in np.ndindex(2, 4, 6):
        value = x[chip, sample, line].item()
        reach = x[chip, sample].abs().max().item() if isinstance(limit, str) else limit
        step = reach / 15
        shift = offset[chip, line] * reach
        if kind is AdcSettings:
            want[chip, sample, line] = step * np.clip(np.round((gain[chip, line] * value + shift) / step), -15, 15)
        else:
            want[chip, sample, line] = gain[chip, line] * step * np.clip(np.round(value / step), -15, 15) + shift
    np.testing.assert_allclose(own(x, direction, place=place), want, atol=1e-12)


def test_mismatch_is_normal_around_a_gain_of_one_and_an_offset_of_nothing() -> None:
    own = mismatched(AdcSettings, (0,), 20_000, gain_std=0.02, offset_std=0.05)
    for name, middle, std in (("gain0", 1.0, 0.02), ("offset0", 0.0, 0.05)):
        assert stats.kstest((own.get_buffer(name).numpy().ravel() - middle) / std, "norm").pvalue > 0.01


def test_a_chip_has_the_same_mismatch_whichever_run_beside_it_and_a_checkpoint_has_it() -> None:
    alone, together = (mismatched(AdcSettings, chips, 9, gain_std=0.02) for chips in ((3,), (0, 3)))
    assert torch.equal(alone.get_buffer("gain0")[0], together.get_buffer("gain0")[1])
    assert not torch.equal(*together.get_buffer("gain0"))
    assert set(together.state_dict()) == {"limits", "gain0", "gain1"}


def test_a_percentile_without_calibration_is_refused() -> None:
    with pytest.raises(ValidationError, match="percentile 99 is only used by range: calibrated, not dynamic"):
        DacSettings(percentile=99.0)


def test_a_conversion_takes_its_figure_of_merit_for_each_of_2_to_the_bits_steps() -> None:
    assert AdcSettings.model_validate({"bits": 6, "figure_of_merit": "20 fJ"}).conversion_energy == pytest.approx(
        1.28e-12
    )
    assert AdcSettings().conversion_energy is None
