"""Binary dyads that learn by the noise of their membranes, without a surrogate for the slope that a step does not have.

    tau du+/dt = a + p D - u+ + noise       s_bar = w step(u+) + (1 - w) step(u-)
    tau du-/dt = a - q D - u- + noise       delta = step(u+) - step(u-)

At rest a potential is normal with standard deviation sigma around its drive, so that on average, Phi the normal distribution,

    E step(u) = Phi(a / sigma)              E delta = Phi((a + p D) / sigma) - Phi((a - q D) / sigma)

which for weak D is the slope of the mean activity times (p + q) D: the dyads of dual propagation, on average. What both
compartments share of the noise does not change these means, but makes it rare that they differ by chance.
"""

from __future__ import annotations

from copy import copy
from typing import Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.neurons.activations import ActivationSettings, AnyActivation
from analogdp.neurons.base import Equations, FreeResponse, NeuronModel, ResponseTerm, State
from analogdp.neurons.dyadic import DualPropagationTransposed
from analogdp.neurons.dyadic_settings import DyadicSettings
from analogdp.scenario.schema import NeuronSettings


class ThresholdSettings(DyadicSettings):
    """Dyads of membrane potentials."""

    model: Literal["threshold"] = "threshold"
    activation: AnyActivation = Field(
        default=ActivationSettings(name="step"), description="what neighbours see of a hidden potential"
    )


@registry.neurons.register("threshold")
class Threshold(DualPropagationTransposed):
    """Dyads of noisy membrane potentials, of which neighbours see whether they are above 0; outputs are linear.

    Push, pull, mixing and outputs are those of DP-transposed.

    Attributes:
        output: whether these are output units, which show their potentials themselves.
    """

    Settings = ThresholdSettings
    output = False

    def as_output(self) -> Self:
        own = copy(self)
        own.output = True
        return own

    def target(
        self, bottom_up: Tensor, top_down: Tensor | None, state: State, out: tuple[Tensor, ...] | None = None
    ) -> State:
        push = torch.zeros_like(bottom_up) if top_down is None else top_down
        return self._transferred(self._apart(bottom_up, push, out), None, out)

    def upward(self, state: State, out: Tensor | None = None) -> Tensor:
        return super().upward(self._seen(state), out)

    def downward(self, state: State, out: Tensor | None = None) -> Tensor:
        return super().downward(self._seen(state), out)

    def free_response(self, output: bool) -> FreeResponse:
        # Gains and offsets are the potential's, which the activation comes after.
        if output or (self._gains is None and self._offsets is None):
            return super().free_response(output)
        terms = zip((self.mix, 1 - self.mix), *self.gains_and_offsets(), strict=True)
        return FreeResponse(self.activation, tuple(ResponseTerm(*own) for own in terms))

    def equations(self, settings: NeuronSettings, output: bool, free: bool = False) -> Equations:
        return NeuronModel.equations(self, settings, output, free)

    def _seen(self, state: State) -> State:
        return state if self.output else tuple(map(self.activation, state))
