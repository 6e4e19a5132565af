"""Reads through converters, tiles and noise, against loops over cells."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.streams import Stream
from analogdp.synapses.converters import BACKWARD, FORWARD
from analogdp.synapses.reading import Reader
from analogdp.synapses.settings import CrossbarSettings
from analogdp.synapses.views import View


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


WEIGHTS, X, E = draw(2, 10, 14), draw(2, 5, 14, seed=1), draw(2, 5, 10, seed=2)


UP, DOWN = View(WEIGHTS), View(WEIGHTS.mT)


def reader(noisy: bool = False, column: bool = False, **settings: Any) -> Reader:
    return Reader(CrossbarSettings.model_validate(settings), noisy, column, WEIGHTS, Stream(0, "reader"))


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
    np.testing.assert_allclose(own.read(View(matrix), x, direction, bias), want + bias.numpy(), atol=1e-9)


def test_a_read_without_converters_is_the_product_whatever_the_tiles() -> None:
    read = reader(tile="4x3").read(UP, X, FORWARD)
    torch.testing.assert_close(read, torch.bmm(X, WEIGHTS.mT))


def test_transposed_reads_are_of_the_same_cells() -> None:
    own = reader()
    forward, backward = (
        own.read(UP, X, FORWARD),
        own.read(DOWN, E, BACKWARD),
    )
    torch.testing.assert_close((E * forward).sum(), (backward * X).sum())


@pytest.mark.parametrize("adc", [None, {"bits": 20, "range": 1e3}])
@pytest.mark.parametrize("differ", [False, True])
@pytest.mark.parametrize("direction", [FORWARD, BACKWARD])
def test_read_noise_is_that_of_perturbing_every_cell(adc: dict[str, Any] | None, differ: bool, direction: int) -> None:
    trials = 4000
    own = reader(True, tile="4x3", adc=adc)
    std = draw(2, 10, 14, seed=9).abs() if differ else torch.full((2, 10, 14), 0.1, dtype=torch.float64)
    numbers = own.noise_numbers(direction)
    matrix, vector, stds = (WEIGHTS, X, std) if direction == FORWARD else (WEIGHTS.mT, E, std.mT)
    assert numbers.cells == matrix.shape[1] * (1 if adc is None else 4)
    x = vector[:, :1].expand(-1, trials, -1).contiguous()
    view = View(matrix, 0.1, stds.square() if differ else None)
    ours = own.read(view, x, direction, noise=draw(2, trials, numbers.total, seed=3))
    loop = torch.stack(
        [torch.bmm(vector[:, :1], (matrix + stds * draw(*matrix.shape, seed=k)).mT) for k in range(trials)]
    )
    expected = (vector[:, :1].square() @ stds.square().mT).sqrt()
    torch.testing.assert_close(ours.std(1, keepdim=True), expected, rtol=5 / math.sqrt(2 * trials), atol=0)
    torch.testing.assert_close(loop[:, :, 0].std(0).unsqueeze(1), expected, rtol=5 / math.sqrt(2 * trials), atol=0)


@pytest.mark.parametrize("differ", [False, True])
def test_the_noise_of_a_shared_column_is_common_to_all_outputs(differ: bool) -> None:
    own, trials = reader(True, column=True), 4000
    numbers = own.noise_numbers(FORWARD)
    assert numbers.cells == 10 + 1
    variance = torch.full((2, 1, 14), 0.04, dtype=torch.float64)
    view = View(WEIGHTS, column=variance if differ else 0.2)
    x = X[:, :1].expand(-1, trials, -1).contiguous()
    disturbance = own.read(view, x, FORWARD, noise=draw(2, trials, numbers.total, seed=3)) - own.read(view, x, FORWARD)
    torch.testing.assert_close(disturbance[..., :1].expand(-1, -1, 10), disturbance)
    expected = 0.2 * X[:, 0].norm(dim=-1)
    torch.testing.assert_close(disturbance[..., 0].std(1), expected, rtol=5 / math.sqrt(2 * trials), atol=0)


def test_a_shared_column_disturbs_transposed_reads_by_the_sum_of_what_is_driven() -> None:
    own, trials = reader(True, column=True), 4000
    numbers = own.noise_numbers(BACKWARD)
    view = View(WEIGHTS.mT, column=0.2)
    e = E[:, :1].expand(-1, trials, -1).contiguous()
    disturbance = own.read(view, e, BACKWARD, noise=draw(2, trials, numbers.total, seed=3)) - own.read(
        view, e, BACKWARD
    )
    expected = 0.2 * E[:, 0].sum(-1).abs()
    torch.testing.assert_close(disturbance.std(1).mean(-1), expected, rtol=5 / math.sqrt(2 * 14 * trials), atol=0)


@pytest.mark.parametrize("direction", [FORWARD, BACKWARD])
def test_converters_take_their_noise_from_numbers_of_their_own(direction: int) -> None:
    own = reader(tile="4x3", dac={"range": 4.0, "noise": 0.5}, adc={"range": 30.0, "noise": 3.0})
    come_in, go_out = (14, 10) if direction == FORWARD else (10, 14)
    assert own.noise_numbers(direction) == (0, come_in + 4 * go_out)
    view, x = (UP, X) if direction == FORWARD else (DOWN, E)
    noise = draw(2, 5, come_in + 4 * go_out, seed=4)
    quiet, loud = own.read(view, x, direction), own.read(view, x, direction, noise=noise)
    noise[..., :come_in] = 0
    step = 30.0 / 127
    assert not torch.equal(quiet, loud)
    expected = 3.0 * step * 2  # four tiles, each with a noise of its own
    assert (own.read(view, x, direction, noise=noise) - quiet).std().item() == pytest.approx(expected, rel=0.2)


def test_a_gain_makes_up_for_drift_in_both_directions() -> None:
    gain = draw(2, 1, 10, seed=5).abs()
    own = reader(adc={"bits": 20, "range": 1e3})
    up = own.read(View(WEIGHTS, gain=gain), X, FORWARD)
    torch.testing.assert_close(up, torch.bmm(X, WEIGHTS.mT) * gain, atol=1e-2, rtol=1e-3)
    torch.testing.assert_close(reader().read(View(WEIGHTS.mT, gain=gain), E, BACKWARD), torch.bmm(E * gain, WEIGHTS))


def test_without_noise_numbers_a_noisy_read_is_quiet() -> None:
    own = reader(True)
    assert torch.equal(own.read(UP, X, FORWARD), reader().read(UP, X, FORWARD))


def test_a_quiet_reader_takes_no_noise_numbers() -> None:
    assert reader(adc={"bits": 8}).noise_numbers(FORWARD).total == 0


@pytest.mark.parametrize("adc", [None, {"bits": 8, "range": 4.0}])
def test_the_result_goes_where_it_is_wanted(adc: dict[str, Any] | None) -> None:
    own, out, bias = reader(adc=adc), torch.empty(2, 5, 10, dtype=torch.float64), draw(2, 1, 10)
    read = own.read(UP, X, FORWARD, bias, out)
    assert read.data_ptr() == out.data_ptr()
    assert torch.equal(out, own.read(UP, X, FORWARD, bias))


def test_calibration_covers_typical_partial_sums_in_each_direction() -> None:
    own = reader(tile="4x3", dac={"range": "calibrated"}, adc={"range": "calibrated"})
    assert own.calibrated
    own.calibrate(UP, X, FORWARD)
    own.calibrate(DOWN, E, BACKWARD)
    assert own.dac is not None
    assert own.adc is not None
    torch.testing.assert_close(own.dac.limits[FORWARD], X.abs().amax((1, 2)))
    tiles = [torch.bmm(E[..., start : start + 3], WEIGHTS[:, start : start + 3]) for start in range(0, 10, 3)]
    largest = torch.cat(tiles, 1).abs().amax((1, 2))
    torch.testing.assert_close(own.adc.limits[BACKWARD], largest, rtol=0.02, atol=0)


def test_sums_are_calibrated_as_the_converted_inputs_make_them() -> None:
    own = reader(dac={"bits": 2, "range": 1.0}, adc={"range": "calibrated"})
    own.calibrate(UP, X, FORWARD)
    assert own.adc is not None
    converted = torch.from_numpy(quantise(X.numpy(), 2, 1.0))
    largest = torch.bmm(converted, WEIGHTS.mT).abs().amax((1, 2))
    torch.testing.assert_close(own.adc.limits[FORWARD], largest)
    assert (torch.bmm(X, WEIGHTS.mT).abs().amax((1, 2)) > 1.1 * largest).all()
