import numpy as np
import pytest
import torch

from analogdp import registry
from analogdp.errors import InputError
from analogdp.neurons import by_name

FORMULAS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x >= 0, x, 0.1 * x),
    "hard_sigmoid": lambda x: np.minimum(np.maximum(x, 0), 1),
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "identity": lambda x: x,
    "step": lambda x: np.where(x >= 0, 1.0, 0.0),
}


def test_every_registered_activation_has_its_formula_checked_here():
    assert registry.activations.names() == sorted(FORMULAS)


@pytest.mark.parametrize("name", FORMULAS)
def test_activation_follows_its_formula_in_place_and_not(name):
    x = torch.linspace(-4, 4, 101, dtype=torch.float64)
    activation = by_name(name)
    expected = FORMULAS[name](x.numpy())
    np.testing.assert_allclose(activation(x), expected, rtol=1e-14, atol=1e-15)
    assert torch.equal(activation.apply_(x.clone()), activation(x))


@pytest.mark.parametrize("name", [name for name in FORMULAS if name != "step"])
def test_a_derivative_is_that_of_autograd(name):
    x = torch.linspace(-4, 4, 101, dtype=torch.float64, requires_grad=True)
    activation = by_name(name)
    (expected,) = torch.autograd.grad(activation(x).sum(), x)
    torch.testing.assert_close(activation.derivative(x.detach()), expected, rtol=1e-13, atol=1e-15)


def test_a_step_has_no_derivative():
    with pytest.raises(InputError, match="step has no derivative"):
        by_name("step").derivative(torch.zeros(1))


def test_leaky_relu_takes_its_slope():
    assert by_name("leaky_relu", slope=0.3)(torch.tensor(-2.0)).item() == pytest.approx(-0.6)


def test_an_unknown_activation_names_the_nearest():
    with pytest.raises((InputError, ValueError), match="did you mean 'relu'"):
        by_name("rellu")
