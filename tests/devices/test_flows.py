"""Laws that are not affine: many pulses at once against single pulses, in numpy and from the formulas alone."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from analogdp.devices import (
    DeviceState,
    ExponentialStep,
    PiecewiseStep,
    PowerStep,
    PulsedDevice,
    SoftBounds,
    load_card,
)
from analogdp.devices.steps import SoftBoundsSettings
from analogdp.streams import Stream

CELLS = (1, 50, 100)
Law = Callable[[np.ndarray, int], np.ndarray]
"""Size of a step relative to dw_min, of a weight and a direction, for the nominal bounds."""


def reram(w: np.ndarray, d: int) -> np.ndarray:
    z = 2 * -0.5 * w / 2 - 0.5
    return 1 + 1.18445 * np.exp(5 * z) if d > 0 else (1 - 0.259359) * (1 + 0.081404 * np.exp(-5 * z))


def crystallisation(w: np.ndarray, d: int) -> np.ndarray:
    return 1 + 27.235 * np.exp(2.5 * 2 * -1 * w / 2)


def stopping(w: np.ndarray, d: int) -> np.ndarray:
    z = 2 * 0.3 * w / 2 + 0.2
    return np.maximum(0, 1 - 0.3 * np.exp(d * 4 * z))


def power(exponent: float) -> Law:
    return lambda w, d: np.asarray((np.clip(1 - d * w, 0, None) / 2) ** exponent)


NODES_UP, NODES_DOWN = (3.0, 1.5, 1.5, 0.5), (0.2, 1.0, 1.0, 2.0)


def nodes(w: np.ndarray, d: int) -> np.ndarray:
    return np.asarray(np.interp(w, np.linspace(-1, 1, 4), NODES_UP if d > 0 else NODES_DOWN))


ALIKE = dict.fromkeys(("step_spread", "asymmetry_spread", "upper_spread", "lower_spread"), 0.0)
LASTING = dict.fromkeys(("drift", "flicker_noise"))


@cache
def shipped(name: str, **changes: Any) -> PulsedDevice:
    device = load_card(name, {**ALIKE, **LASTING, **changes}).device()
    assert isinstance(device, PulsedDevice)
    return device


def made(model: type[PulsedDevice], **parameters: Any) -> PulsedDevice:
    return model.build(model.Settings.model_validate(parameters), 40e-6, 90e-6)


def stops(**changes: Any) -> PulsedDevice:
    law = {"factor_up": 0.3, "factor_down": 0.3, "exponent_up": 4.0, "exponent_down": 4.0, "scale": 0.3, "offset": 0.2}
    return made(ExponentialStep, step=0.01, **law, **changes)


def raised(exponent: float) -> Callable[..., PulsedDevice]:
    return lambda **changes: made(PowerStep, step=0.02, exponent_up=exponent, exponent_down=exponent, **changes)


def interpolated(**changes: Any) -> PulsedDevice:
    return made(PiecewiseStep, step=0.01, steps_up=NODES_UP, steps_down=NODES_DOWN, **changes)


MODELS: dict[str, tuple[Callable[..., PulsedDevice], Law, float]] = {
    "reram_es": (lambda **changes: shipped("reram_es", write_noise=0.0, **changes), reram, 0.03),
    "exponential that stops": (stops, stopping, 0.002),
    "power 0.5": (raised(0.5), power(0.5), 0.005),
    "power 1": (raised(1.0), power(1.0), 0.005),
    "power 2.5": (raised(2.5), power(2.5), 0.005),
    "piecewise": (interpolated, nodes, 0.01),
}
"""Models, their laws, and how many steps a mean may be wrong by without noise."""


def cells(model: PulsedDevice, weight: float) -> DeviceState:
    state = model.sample(CELLS, Stream(3, "cells", dtype=torch.float64))
    for variable in state.variables.values():
        variable.fill_(weight)
    return state


def written(model: PulsedDevice, weight: float, count: float) -> np.ndarray:
    state = cells(model, weight)
    model.pulse(state, torch.full((1, *CELLS), count, dtype=torch.float64), Stream(3, "write", dtype=torch.float64))
    return state.variables["stored"].numpy()


def pulse_by_pulse(law: Law, step: float, noise: float, weight: float, direction: int, pulses: int) -> np.ndarray:
    generator, w = np.random.default_rng(5), np.full(CELLS, weight)
    for _ in range(pulses):
        w = np.clip(w + direction * step * law(w, direction) * (1 + noise * generator.standard_normal(CELLS)), -1, 1)
    return w


@pytest.mark.parametrize("start", [-0.8, 0.0, 1.0])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("pulses", [1, 2, 100])
@pytest.mark.parametrize("name", MODELS)
def test_quiet_pulses_follow_the_law_of_single_ones(name: str, pulses: int, direction: int, start: float) -> None:
    build, law, error = MODELS[name]
    model = build(cycle_noise=0.0)
    step = model.parameters.nominal_step
    w = np.array(start)
    for _ in range(pulses):
        w = np.clip(w + direction * step * law(w, direction), -1, 1)
    ours = written(model, start, direction * pulses)
    np.testing.assert_allclose(
        ours / step, w / step, rtol=0, atol=error if pulses > 1 or isinstance(model, ExponentialStep) else 1e-6
    )


@pytest.mark.parametrize("start", [-0.8, 0.0])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("pulses", [1, 3, 100])
@pytest.mark.parametrize("name", MODELS)
def test_noisy_pulses_have_the_mean_and_spread_of_the_loop(
    name: str, pulses: int, direction: int, start: float
) -> None:
    build, law, _ = MODELS[name]
    noise = 5.0 if name == "reram_es" else 0.4
    model = build(cycle_noise=noise)
    step = model.parameters.nominal_step
    loop = pulse_by_pulse(law, step, noise, start, direction, pulses) / step
    ours = written(model, start, direction * pulses) / step
    chance = 5 * float(np.sqrt((ours.var() + loop.var()) / ours.size))
    # One pulse is exact. The rest: a twentieth of the noise of a step in the mean, 8 % and as much in the spread.
    rest = 0.05 * noise * (pulses > 1)
    assert ours.mean() == pytest.approx(loop.mean(), abs=rest + chance)
    assert ours.std() == pytest.approx(loop.std(), rel=0.08 if pulses > 1 else 0.0, abs=rest + chance)


@pytest.mark.parametrize("pulses", [1, 2, 5, 20])
def test_phase_change_cells_crystallise_like_the_loop_without_noise(pulses: int) -> None:
    w = np.array(0.0)
    for _ in range(pulses):
        w = np.minimum(w + 0.01 * crystallisation(w, 1), 2.0)
    ours = written(shipped("pcm_gst", cycle_noise=0.0), 0.0, pulses)
    np.testing.assert_allclose(ours / 0.01, w / 0.01, rtol=0, atol=0.5 if pulses > 1 else 1e-9)


@pytest.mark.parametrize(("pulses", "error"), [(3, 0.02), (34, 0.16), (300, 0.16)])
def test_large_noise_where_the_step_changes_fast_is_an_approximation(pulses: int, error: float) -> None:
    loop = pulse_by_pulse(reram, 0.00135, 5.0, 0.8, -1, pulses) - 0.8
    ours = written(shipped("reram_es", write_noise=0.0), 0.8, -pulses) - 0.8
    chance = 5 * float(np.sqrt((ours.var() + loop.var()) / ours.size))
    assert ours.mean() == pytest.approx(loop.mean(), abs=error * abs(loop.mean()) + chance)


@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize(("pulses", "error"), [(1, 0.0), (3, 0.25), (10, 0.3)])
def test_phase_change_noise_has_an_offset_and_a_slope(pulses: int, error: float, start: float) -> None:
    generator, w = np.random.default_rng(5), np.full(CELLS, start)
    for _ in range(pulses):
        change = 0.01 * crystallisation(w, 1)
        w = np.clip(w + change + 0.6 * (0.042 + change + 0.108 * w) * generator.standard_normal(CELLS), 0, 2)
    ours = written(shipped("pcm_gst"), start, pulses)
    chance = 5 * float(np.sqrt((ours.var() + w.var()) / ours.size))
    assert ours.mean() == pytest.approx(w.mean(), abs=chance + 0.05 * (pulses > 1))
    assert ours.std() == pytest.approx(w.std(), abs=chance, rel=error)


def test_a_reset_leaves_the_cards_weight_and_only_in_the_chosen_cells() -> None:
    model = shipped("pcm_gst")
    state = cells(model, 1.5)
    chosen = torch.zeros(1, *CELLS, dtype=torch.bool)
    chosen[..., ::2] = True
    model.reset(state, chosen, Stream(3, "reset", dtype=torch.float64))
    reset, kept = state.variables["stored"][..., ::2], state.variables["stored"][..., 1::2]
    assert (kept == 1.5).all()
    # A normal of 0.01 +- 0.02 with what is below 0 put there: mean 0.0140, standard deviation 0.0144.
    assert reset.mean().item() == pytest.approx(0.01396, abs=5 * 0.0144 / 2500**0.5)
    assert model.unidirectional
    assert model.zero == 0.0


def test_cells_without_pulses_keep_their_bits_and_extremes_stay_finite() -> None:
    for build, _, _ in MODELS.values():
        model = build(cycle_noise=2.0, upper_spread=0.3, lower_spread=0.3, step_spread=0.3)
        stream = Stream(3, "cells")
        state = model.sample(CELLS, stream)
        count = torch.zeros(1, *CELLS)
        count[..., ::4], count[..., 1::4] = 1e6, -1e6
        model.pulse(state, count, stream.child("write"))
        stored, own = state.variables["stored"], state.parameters
        assert ((stored >= own["lower"]) & (stored <= own["upper"])).all()
        assert (stored[..., 2::4] == 0).all()
        assert (stored[..., 3::4] == 0).all()


@pytest.mark.parametrize(("count", "left", "exponent"), [(1.0, 0.35, 1.0), (-1.0, 0.65, 3.0)])
def test_each_direction_has_its_own_power(count: float, left: float, exponent: float) -> None:
    moved = written(made(PowerStep, step=0.02, exponent_up=1.0, exponent_down=3.0), 0.3, count) - 0.3
    np.testing.assert_allclose(moved, count * 0.02 * left**exponent, rtol=1e-9)


def test_a_power_of_one_is_a_soft_bound() -> None:
    soft = SoftBounds.build(SoftBoundsSettings(step=0.01), 40e-6, 90e-6)
    power_of_one = made(PowerStep, step=0.02, exponent_up=1.0, exponent_down=1.0)
    np.testing.assert_allclose(written(power_of_one, 0.3, 50), written(soft, 0.3, 50), atol=2e-5)


def test_the_step_that_a_controller_divides_by_is_that_of_mid_range() -> None:
    reram_model, phase_change = shipped("reram_es"), shipped("pcm_gst")
    w = np.zeros(1)
    mean = 0.00135 * float(np.mean([1 + 1.18445 * np.exp(-2.5), 1 + 0.081404 * np.exp(2.5)]))
    assert reram_model.increment == pytest.approx(mean * 40e-6, rel=1e-6)
    assert phase_change.increment == pytest.approx(0.01 * crystallisation(w + 1, 1).item() * 12.5e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": 0.0}, "use model 'constant'"),
        ({"cycle_noise_form": "additive", "cycle_noise_offset": 0.1}, "go with cycle_noise_form 'multiplicative'"),
    ],
)
def test_contradictory_parameters_are_refused(changes: dict[str, Any], said: str) -> None:
    own = {"step": 0.01, "factor_up": 0.3, "factor_down": 0.3, "exponent_up": 4.0, "exponent_down": 4.0}
    with pytest.raises(ValueError, match=said):
        ExponentialStep.Settings.model_validate(own | {"scale": 0.3, "offset": 0.2} | changes)
