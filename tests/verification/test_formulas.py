"""The formulas that neurons write for other engines, computed by numpy, against the neurons themselves."""

import numpy as np
import pytest
import torch

from analogdp import registry
from analogdp.errors import InputError
from analogdp.neurons import Loss, NeuronModel, by_name
from analogdp.neurons.activations import Activation, ActivationSettings
from tests.verification.scenarios import small

FUNCTIONS = {"exp": np.exp, "tanh": np.tanh, "clip": np.clip, "inf": np.inf, "__builtins__": {}}
ACTIVATIONS = [
    name for name in registry.activations.names() if registry.activations.get(name).__module__.startswith("analogdp.")
]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_its_formula(name):
    activation, x = by_name(name), np.linspace(-3, 3, 25)
    expected = activation(torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(eval(activation.formula("x"), FUNCTIONS, {"x": x}), expected, rtol=1e-14, atol=1e-15)
    # In the middle of a larger expression, of a larger expression.
    np.testing.assert_allclose(
        eval(f"-2 * {activation.formula('x - 1 + 1')}", FUNCTIONS, {"x": x}), -2 * expected, atol=1e-14
    )


@pytest.mark.parametrize("name", ["least_squares", "cross_entropy"])
def test_a_loss_has_the_gradient_of_its_formula(name):
    loss = registry.losses.get(name)()
    s, y = np.array([0.3, -0.2, 0.9]), np.array([0.0, 1.0, 0.0])
    formula, sums = loss.gradient_formula("s")
    values = {"s": s, "label": y}
    values |= {name: eval(each, FUNCTIONS, values).sum() for name, each in sums.items()}
    expected = loss.gradient(torch.as_tensor(s), torch.as_tensor(y)).numpy()
    np.testing.assert_allclose(eval(formula, FUNCTIONS, values), expected, rtol=1e-14)


def test_parts_without_formulas_are_refused_by_name():
    class Mute(Activation):
        __call__ = apply_ = None

    for formula in (
        lambda: Mute(ActivationSettings(name="mute")).formula("x"),
        lambda: Loss.gradient_formula(object(), "s"),
        lambda: NeuronModel.equations(object(), small().neuron, output=True),
    ):
        with pytest.raises(InputError, match=r"as text|has no equations"):
            formula()
