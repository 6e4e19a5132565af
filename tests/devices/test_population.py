"""Device-to-device variation against the formulas of the literature, within confidence intervals."""

import math

import pytest
import torch

from analogdp import registry
from analogdp.devices import PulsedDevice, load_card
from analogdp.devices.population import PulsedSettings, draw_population, symmetry_point
from analogdp.errors import InputError
from analogdp.streams import Stream

CELLS = 40_000
EXPONENTIAL = {
    "factor_up": 0.1,
    "factor_down": 0.1,
    "exponent_up": 2.0,
    "exponent_down": 2.0,
    "scale": 0.5,
    "offset": 0.0,
}
LAWS: dict[str, dict[str, object]] = {
    "exponential": {"step": 0.01, **EXPONENTIAL},
    "power": {"step": 0.01, "exponent_up": 2.0, "exponent_down": 2.0},
    "neurosim": {"pulses": 100.0},
    "piecewise": {"step": 0.01, "steps_up": (2.0, 1.0), "steps_down": (1.0, 2.0)},
}
"""What a model needs to be told; the others need a step alone."""
PULSED = [name for name in registry.devices.names() if issubclass(registry.devices.get(name), PulsedDevice)]


def population(chips: tuple[int, ...] = (0,), floor: float = -100.0, **changes: object) -> dict[str, torch.Tensor]:
    settings = PulsedSettings.model_validate({"step": 0.01, **changes})
    return draw_population(settings, (1, 200, 200), floor, Stream(3, "population", chips, dtype=torch.float64))


def assert_moments(sample: torch.Tensor, mean: float, std: float) -> None:
    """Within five standard errors, of a normal sample."""
    assert sample.mean().item() == pytest.approx(mean, abs=5 * std / math.sqrt(CELLS))
    assert sample.std().item() == pytest.approx(std, abs=5 * std / math.sqrt(2 * CELLS))


def test_steps_share_a_size_and_differ_by_the_asymmetry() -> None:
    cells = population(step_spread=0.1, asymmetry_spread=0.05)
    up, down = cells["step_up"] / 0.01, -cells["step_down"] / 0.01
    assert_moments((up + down) / 2, 1.0, 0.1)
    assert_moments((up - down) / 2, 0.0, 0.05)


@pytest.mark.parametrize(("asymmetry", "up", "down"), [(0.25, 1.0, 0.75), (-0.25, 0.75, 1.0)])
def test_asymmetry_makes_one_direction_smaller(asymmetry: float, up: float, down: float) -> None:
    cells = population(asymmetry=asymmetry)
    assert cells["step_up"].flatten()[0].item() == pytest.approx(0.01 * up)
    assert cells["step_down"].flatten()[0].item() == pytest.approx(-0.01 * down)


def test_a_lognormal_population_has_normal_logarithms() -> None:
    cells = population(step_spread=0.7829, step_distribution="lognormal")
    assert_moments((cells["step_up"] / 0.01).log(), 0.0, 0.7829)


def test_bounds_vary_about_their_nominal_values() -> None:
    cells = population(upper=1.25, lower=-0.75, upper_spread=0.1, lower_spread=0.2)
    assert_moments(cells["upper"], 1.25, 0.125)
    assert_moments(cells["lower"], -0.75, 0.15)


def test_no_lower_bound_passes_the_floor() -> None:
    assert population(lower_spread=0.5, floor=-1.2)["lower"].min().item() == -1.2


def test_a_chip_is_the_same_whichever_others_are_fabricated_with_it() -> None:
    together, alone = population((0, 5), step_spread=0.3), population((5,), step_spread=0.3)
    for name, cells in alone.items():
        assert torch.equal(together[name][1:], cells)


def test_steps_up_and_down_are_equal_at_the_symmetry_point() -> None:
    cells = population(step_spread=0.3, asymmetry_spread=0.2, upper_spread=0.1, lower_spread=0.1)
    point = symmetry_point(**cells)
    up = cells["step_up"] * (1 - point / cells["upper"])
    down = cells["step_down"] * (1 - point / cells["lower"])
    torch.testing.assert_close(up, -down)


@pytest.mark.parametrize("model", PULSED)
@pytest.mark.parametrize(
    "changes",
    [{}, {"write_noise": 1.0}, {"reference_std": 0.1}, {"reference": "symmetry_point", "write_noise": 1.0}],
    ids=lambda changes: " ".join(changes) or "plain",
)
def test_the_numbers_of_a_cell_are_those_that_fabrication_makes(model: str, changes: dict[str, object]) -> None:
    kind = registry.devices.get(model)
    own = {key: value for key, value in changes.items() if key in kind.Settings.model_fields}
    settings = kind.Settings.model_validate(LAWS.get(model, {"step": 0.01}) | own)
    device, stream = kind.build(settings, 40e-6, 90e-6), Stream(3, "cells")
    state = device.sample((1, 4, 5), stream)
    made = [*state.variables.values(), *state.parameters.values(), device.reference(state, stream)]
    assert settings.tensors_per_cell() == sum(tensor.numel() == 20 for tensor in made)


def test_a_range_may_begin_at_weight_zero() -> None:
    cells = population(lower=0.0, upper=2.0, lower_spread=0.3, floor=0.0)
    assert (cells["lower"] == 0).all()
    assert_moments(cells["upper"], 2.0, 0.0)


def test_a_reset_outside_the_bounds_is_refused_with_these() -> None:
    with pytest.raises(InputError, match=r"reset_weight: 5 is outside the bounds of the weight, 0 to 2"):
        load_card("pcm_gst", {"reset_weight": 5.0})
