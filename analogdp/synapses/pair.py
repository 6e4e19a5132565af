"""Weights that are differences of two numbers, an excitatory and an inhibitory one, which rules may write each for itself."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from analogdp import registry
from analogdp.scenario.schema import SynapseSettings
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate, Polarity, Synapse, UpdateReport, product

SETS: dict[Polarity, tuple[tuple[int, float], ...]] = {
    "both": ((0, 0.5), (1, -0.5)),
    "plus": ((0, 1.0),),
    "minus": ((1, -1.0),),
}
"""The sets that an update is for, each with its share of the weight change, signed."""


class PairSettings(SynapseSettings):
    """The section of ideal weights of two sets."""

    model: Literal["pair"] = "pair"
    non_negative: bool = Field(
        default=False, description="no number of either set falls below 0, as if it were a conductance"
    )

    def why_not_apart(self) -> str | None:
        return None

    def cell_bytes(self, dtype_bytes: int) -> int:
        """Two sets, their difference, and what learning keeps for the second set: its gradient and moments."""
        return 6 * dtype_bytes

    def write_passes(self) -> int:
        return 8


@registry.synapses.register("pair")
class PairSynapse(Synapse):
    """``W = W1 - W2``, exact and noise-free: what a crossbar of two cells for each weight does without its devices.

    Initial weights are in W1 while W2 is 0, or, if both are non-negative, the positive ones in W1 and the negative ones in
    W2. An update for both sets moves each by half of the change in opposite directions; of a set that is kept at 0 its half is
    lost.

    Attributes:
        weight: W1 and W2 ``(chips, 2, out, in)``, for an optimizer of :mod:`torch.optim`; autograd does not track it.
        effective: their difference ``(chips, out, in)``.
    """

    Settings: ClassVar[type[SynapseSettings]] = PairSettings
    effective: Tensor
    exact = True

    def __init__(self, weights: Tensor, non_negative: bool = False) -> None:
        chips, outputs, inputs = weights.shape
        super().__init__(chips, inputs, outputs)
        self.non_negative = non_negative
        sets = (weights.clamp(min=0), (-weights).clamp(min=0)) if non_negative else (weights, torch.zeros_like(weights))
        self.weight = nn.Parameter(torch.stack(sets, 1), requires_grad=False)
        self.register_buffer("effective", weights.clone(memory_format=torch.contiguous_format), persistent=False)
        self.register_load_state_dict_post_hook(lambda module, keys: module.constrain())  # type: ignore[no-untyped-call]

    @classmethod
    def build(cls, settings: SynapseSettings, weights: Tensor, stream: Stream) -> Self:
        if not isinstance(settings, PairSettings):
            raise TypeError(f"{cls.__name__} takes PairSettings, not {type(settings).__name__}")
        return cls(weights, settings.non_negative)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        out: Tensor | None = None,
        noise: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        return product(self.effective if weights is None else weights, x, bias, out)

    def backward_read(
        self, e: Tensor, out: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        return torch.bmm(e, self.effective if weights is None else weights, out=out)

    def apply_update(self, update: LocalUpdate, stream: Stream) -> UpdateReport:
        """One step of plain descent at rate 1, as exact as the range allows."""
        self.add_gradient(update, fresh=True)
        assert self.weight.grad is not None
        self.weight.data.sub_(self.weight.grad)
        self.constrain()
        none = self.weight.new_zeros(self.chips)
        return UpdateReport(none, none)

    def add_gradient(self, update: LocalUpdate, fresh: bool) -> None:
        if self.weight.grad is None:
            self.weight.grad = torch.zeros_like(self.weight)
        elif fresh:
            self.weight.grad.zero_()
        for number, share in SETS[update.polarity]:
            gradient = self.weight.grad[:, number]
            gradient.baddbmm_(update.post.mT, update.pre, alpha=-share)
            if update.decay is not None:
                gradient.addcmul_(self.weight.data[:, number], update.decay.unsqueeze(-1))

    def constrain(self) -> None:
        """Bring both sets back to 0 where they fell below, if they must not, and renew their difference."""
        if self.non_negative:
            self.weight.data.clamp_(min=0)
        torch.sub(self.weight.data[:, 0], self.weight.data[:, 1], out=self.effective)

    @property
    def parameter(self) -> nn.Parameter:
        return self.weight

    @property
    def weights(self) -> Tensor:
        return self.effective

    def contributions(self) -> Tensor:
        return self.weight.data * self.weight.new_tensor((1.0, -1.0)).view(-1, 1, 1)
