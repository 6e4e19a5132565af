"""Reads through converters, tiles and noise, against loops over cells."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.synapses.converters import BACKWARD, FORWARD
from analogdp.synapses.reading import Reader, pair_noise
from analogdp.synapses.settings import CrossbarSettings


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


WEIGHTS, X, E = draw(2, 10, 14), draw(2, 5, 14, seed=1), draw(2, 5, 10, seed=2)


def reader(noise: float = 0.0, **settings: Any) -> Reader:
    return Reader(CrossbarSettings.model_validate(settings), noise, WEIGHTS)


def quantise(values: np.ndarray, bits: int, limit: float) -> np.ndarray:
    step = limit / (2 ** (bits - 1) - 1)
    return np.clip(np.round(values / step) * step, -limit, limit)


@pytest.mark.parametrize(
    ("tile", "lines"), [("4x3", {FORWARD: 4, BACKWARD: 3}), ("64x64", {FORWARD: 64, BACKWARD: 64})]
)
@pytest.mark.parametrize("direction", [FORWARD, BACKWARD])
def test_each_tiles_partial_sums_are_converted_and_then_added(tile: str, lines: dict[int, int], direction: int) -> None:
    own = reader(tile=tile, dac={"bits": 5, "range": 2.0}, adc={"bits": 6, "range": 3.0})
    matrix, x = (WEIGHTS, X) if direction == FORWARD else (WEIGHTS.mT, E)
    want = np.zeros((2, 5, matrix.shape[1]))
    for chip in range(2):
        for sample in range(5):
            for output in range(matrix.shape[1]):
                for start in range(0, matrix.shape[2], lines[direction]):
                    part = slice(start, start + lines[direction])
                    volts = quantise(x[chip, sample, part].numpy(), 5, 2.0)
                    current = sum(matrix[chip, output, part].numpy() * volts)
                    want[chip, sample, output] += quantise(current, 6, 3.0)
    bias = draw(2, 1, matrix.shape[1])
    np.testing.assert_allclose(own.read(matrix, x, direction, bias, None, None), want + bias.numpy(), atol=1e-9)


def test_a_read_without_converters_is_the_product_whatever_the_tiles() -> None:
    read = reader(tile="4x3").read(WEIGHTS, X, FORWARD, None, None, None)
    torch.testing.assert_close(read, torch.bmm(X, WEIGHTS.mT))


def test_transposed_reads_are_of_the_same_cells() -> None:
    own = reader()
    forward, backward = (
        own.read(WEIGHTS, X, FORWARD, None, None, None),
        own.read(WEIGHTS.mT, E, BACKWARD, None, None, None),
    )
    torch.testing.assert_close((E * forward).sum(), (backward * X).sum())


@pytest.mark.parametrize("adc", [None, {"bits": 20, "range": 1e3}])
def test_read_noise_is_that_of_perturbing_every_cell(adc: dict[str, Any] | None) -> None:
    trials, std = 4000, 0.1
    own = reader(std, tile="4x3", adc=adc)
    numbers = own.noise_numbers(FORWARD)
    assert numbers == (1 if adc is None else 4)
    noise = draw(numbers, 2, trials, 10, seed=3)
    x = X[:, :1].expand(-1, trials, -1).contiguous()
    ours = own.read(WEIGHTS, x, FORWARD, None, None, noise)
    loop = torch.stack(
        [torch.bmm(X[:, :1], (WEIGHTS + std * draw(2, 10, 14, seed=trial)).mT) for trial in range(trials)]
    )
    ours_std, loop_std = ours.std(1).mean().item(), loop[:, :, 0].std(0).mean().item()
    assert ours_std == pytest.approx(loop_std, rel=5 * math.sqrt(2 / (2 * trials * 20)))


def test_a_pair_has_the_noise_of_two_cells() -> None:
    assert pair_noise(1e-6, 1e5) == pytest.approx(math.sqrt(2) * 0.1)


def test_without_noise_numbers_a_noisy_read_is_quiet() -> None:
    own = reader(0.1)
    assert torch.equal(
        own.read(WEIGHTS, X, FORWARD, None, None, None), reader().read(WEIGHTS, X, FORWARD, None, None, None)
    )


def test_a_quiet_reader_takes_no_noise_numbers() -> None:
    assert reader(adc={"bits": 8}).noise_numbers(FORWARD) == 0


@pytest.mark.parametrize("adc", [None, {"bits": 8, "range": 4.0}])
def test_the_result_goes_where_it_is_wanted(adc: dict[str, Any] | None) -> None:
    own, out, bias = reader(adc=adc), torch.empty(2, 5, 10, dtype=torch.float64), draw(2, 1, 10)
    read = own.read(WEIGHTS, X, FORWARD, bias, out, None)
    assert read.data_ptr() == out.data_ptr()
    assert torch.equal(out, own.read(WEIGHTS, X, FORWARD, bias, None, None))


def test_calibration_covers_typical_partial_sums_in_each_direction() -> None:
    own = reader(tile="4x3", dac={"range": "calibrated"}, adc={"range": "calibrated"})
    assert own.calibrated
    own.calibrate(WEIGHTS, X, FORWARD)
    own.calibrate(WEIGHTS.mT, E, BACKWARD)
    assert own.dac is not None
    assert own.adc is not None
    torch.testing.assert_close(own.dac.limits[FORWARD], X.abs().amax((1, 2)))
    tiles = [torch.bmm(E[..., start : start + 3], WEIGHTS[:, start : start + 3]) for start in range(0, 10, 3)]
    largest = torch.cat(tiles, 1).abs().amax((1, 2))
    torch.testing.assert_close(own.adc.limits[BACKWARD], largest, rtol=0.02, atol=0)


def test_sums_are_calibrated_as_the_converted_inputs_make_them() -> None:
    own = reader(dac={"bits": 2, "range": 1.0}, adc={"range": "calibrated"})
    own.calibrate(WEIGHTS, X, FORWARD)
    assert own.adc is not None
    converted = torch.from_numpy(quantise(X.numpy(), 2, 1.0))
    largest = torch.bmm(converted, WEIGHTS.mT).abs().amax((1, 2))
    torch.testing.assert_close(own.adc.limits[FORWARD], largest)
    assert (torch.bmm(X, WEIGHTS.mT).abs().amax((1, 2)) > 1.1 * largest).all()
