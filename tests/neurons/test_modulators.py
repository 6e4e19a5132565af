import numpy as np
import pytest
import torch
from pydantic import ValidationError

from analogdp import registry
from analogdp.neurons import by_name
from analogdp.neurons.modulators import JammingSettings

SLOPE = {
    "tied": lambda a, u: 1 - np.tanh(a) ** 2,
    "logistic_slope": lambda a, u: np.exp(-a) / (1 + np.exp(-a)) ** 2,
    "flat": lambda a, u: np.ones_like(a),
    "rectangle": lambda a, u: np.where(np.abs(a) <= 5, 1.0, 0.0),
    "triangle": lambda a, u: np.clip(0.25 - np.abs(a) / 16, 0, None),
    "jamming": lambda a, u: u,
    "positive_jamming": lambda a, u: np.where(a >= 0, u, 0),
    "rectangular_jamming": lambda a, u: np.where(np.abs(a) <= 5, u, 0),
}


def modulator(name, **parameters):
    model = registry.modulators.get(name)
    return model(model.Settings(name=name, **parameters), by_name("tanh"))


def test_every_registered_modulator_has_its_formula_checked_here():
    assert registry.modulators.names() == sorted(SLOPE)


@pytest.mark.parametrize("name", SLOPE)
def test_a_modulator_follows_its_formula(name):
    drive = torch.linspace(-8, 8, 161, dtype=torch.float64)
    numbers = torch.rand(161, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = modulator(name)(drive, numbers)
    np.testing.assert_allclose(found, SLOPE[name](drive.numpy(), numbers.numpy()), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "parameters", "drive", "expected"),
    [
        ("flat", {"value": 0.3}, 7.0, 0.3),
        ("rectangle", {"half_width": 2.0}, 2.0, 1.0),
        ("rectangle", {"half_width": 2.0}, -2.1, 0.0),
        ("triangle", {"peak": 1.0, "half_base": 2.0}, -0.5, 0.75),
        ("jamming", {"low": -1.0, "high": 3.0}, 0.0, 1.0),
        ("positive_jamming", {}, 0.0, 0.5),
        ("positive_jamming", {}, -1e-9, 0.0),
        ("rectangular_jamming", {"half_width": 1.0}, 1.5, 0.0),
    ],
)
def test_a_modulator_takes_its_parameters(name, parameters, drive, expected):
    found = modulator(name, **parameters)(torch.tensor([drive]), torch.tensor([0.5]))
    assert found.item() == pytest.approx(expected)


def test_numbers_from_high_to_low_are_refused():
    with pytest.raises(ValidationError, match="low = 1 is not below high = 1"):
        JammingSettings(name="jamming", low=1.0)
