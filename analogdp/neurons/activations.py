"""Transfer functions of the compartments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.errors import InputError
from analogdp.scenario.quantities import Ratio
from analogdp.scenario.settings import OneOf, Settings


class ActivationSettings(Settings):
    """An activation without parameters."""

    name: str


class Activation(ABC):
    """An elementwise function ``f``; ``apply_`` overwrites its argument with the same values that a call returns.

    Attributes:
        continuous: whether it has no jumps.
    """

    Settings: ClassVar[type[ActivationSettings]] = ActivationSettings
    projects: ClassVar[bool] = False
    """Whether it takes every number to the nearest one of an interval."""
    continuous: ClassVar[bool] = True

    def __init__(self, settings: ActivationSettings) -> None:
        self.settings = settings

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def apply_(self, x: Tensor) -> Tensor: ...

    def derivative(self, x: Tensor) -> Tensor:
        """df/dx, at a kink the one that torch's autograd takes; functions that carry no errors by their slope have none.

        Raises:
            InputError: there is none.
        """
        raise InputError(f"neuron.activation: {self.settings.name} has no derivative")

    def formula(self, x: str) -> str:
        """The function of an expression ``x``, as text for engines that read equations.

        Raises:
            InputError: there is no such text.
        """
        raise InputError(f"neuron.activation: {self.settings.name} does not write its formula as text")

    def __repr__(self) -> str:
        return self.settings.name


def has_slope(settings: ActivationSettings) -> bool:
    """Whether the function of a scenario's section has a derivative that errors can be multiplied by."""
    activation: type[Activation] = registry.activations.get(settings.name)
    return activation.derivative is not Activation.derivative


AnyActivation = Annotated[ActivationSettings, OneOf(registry.activations, "name", "relu")]


def make_activation(settings: ActivationSettings) -> Activation:
    """The activation that a scenario's section names."""
    made: Activation = registry.activations.get(settings.name)(settings)
    return made


@registry.activations.register("relu")
class Relu(Activation):
    """max(x, 0)."""

    projects = True

    def __call__(self, x: Tensor) -> Tensor:
        return torch.relu(x)

    def apply_(self, x: Tensor) -> Tensor:
        return torch.relu_(x)

    def derivative(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)

    def formula(self, x: str) -> str:
        return f"clip({x}, 0, inf)"


class LeakyReluSettings(ActivationSettings):
    """A ReLU that leaks."""

    slope: Ratio = Field(default=0.1, gt=0, lt=1, description="slope for negative inputs")


@registry.activations.register("leaky_relu")
class LeakyRelu(Activation):
    """x for x >= 0, slope * x below."""

    Settings = LeakyReluSettings

    def __init__(self, settings: ActivationSettings) -> None:
        super().__init__(settings)
        assert isinstance(settings, LeakyReluSettings)
        self.slope = settings.slope

    def __call__(self, x: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(x, self.slope)

    def apply_(self, x: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu_(x, self.slope)

    def derivative(self, x: Tensor) -> Tensor:
        return torch.full_like(x, self.slope).masked_fill_(x > 0, 1.0)

    def formula(self, x: str) -> str:
        return f"(clip({x}, 0, inf) + {self.slope!r} * clip({x}, -inf, 0))"


@registry.activations.register("hard_sigmoid")
class HardSigmoid(Activation):
    """min(max(x, 0), 1), the one of Scellier & Bengio 2017 (torch's own has slope 1/6)."""

    projects = True

    def __call__(self, x: Tensor) -> Tensor:
        return torch.clamp(x, 0, 1)

    def apply_(self, x: Tensor) -> Tensor:
        return x.clamp_(0, 1)

    def derivative(self, x: Tensor) -> Tensor:
        return ((x >= 0) & (x <= 1)).to(x.dtype)

    def formula(self, x: str) -> str:
        return f"clip({x}, 0, 1)"


@registry.activations.register("tanh")
class Tanh(Activation):
    """Hyperbolic tangent."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def apply_(self, x: Tensor) -> Tensor:
        return x.tanh_()

    def derivative(self, x: Tensor) -> Tensor:
        return 1 - torch.tanh(x).square()

    def formula(self, x: str) -> str:
        return f"tanh({x})"


@registry.activations.register("logistic")
class Logistic(Activation):
    """1 / (1 + exp(-x))."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def apply_(self, x: Tensor) -> Tensor:
        return x.sigmoid_()

    def derivative(self, x: Tensor) -> Tensor:
        rates = torch.sigmoid(x)
        return rates * (1 - rates)

    def formula(self, x: str) -> str:
        return f"(1 / (1 + exp(-({x}))))"


@registry.activations.register("identity")
class Identity(Activation):
    """x itself: a linear network."""

    projects = True

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def apply_(self, x: Tensor) -> Tensor:
        return x

    def derivative(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    def formula(self, x: str) -> str:
        return f"({x})"


@registry.activations.register("step")
class Step(Activation):
    """Heaviside's function: 1 for x >= 0, else 0. At 0 it is 1, as in Troiano et al. 2025: who gets no drive fires."""

    continuous = False

    def __call__(self, x: Tensor) -> Tensor:
        return (x >= 0).to(x.dtype)

    def apply_(self, x: Tensor) -> Tensor:
        return x.ge_(0)

    def formula(self, x: str) -> str:
        # All that is negative becomes at least 1 by the factor.
        return f"(1 - clip(-1e300 * ({x}), 0, 1))"


def by_name(name: str, **parameters: Any) -> Activation:
    """An activation from Python: ``by_name("leaky_relu", slope=0.2)``."""
    return make_activation(OneOf(registry.activations, "name", "relu").validate({"name": name, **parameters}))  # type: ignore[arg-type]
