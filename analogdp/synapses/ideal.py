"""Weights that are just numbers: exact, unlimited and noise-free."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from analogdp import registry
from analogdp.errors import InputError
from analogdp.scenario.schema import SynapseSettings
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate, Synapse, UpdateReport, with_bias


class IdealSettings(SynapseSettings):
    """The section of ideal weights: nothing to choose."""

    model: Literal["ideal"] = "ideal"


@registry.synapses.register("ideal")
class IdealSynapse(Synapse):
    """Floating-point weights, as a digital computer has them: the reference for every physical synapse.

    Attributes:
        weight: ``(chips, out, in)``, for an optimizer of :mod:`torch.optim`; autograd does not track it.
    """

    Settings: ClassVar[type[SynapseSettings]] = IdealSettings
    exact = True

    def __init__(self, weights: Tensor) -> None:
        chips, outputs, inputs = weights.shape
        super().__init__(chips, inputs, outputs)
        self.weight = nn.Parameter(weights.clone(memory_format=torch.contiguous_format), requires_grad=False)
        self._note_weights()

    @classmethod
    def build(cls, settings: SynapseSettings, weights: Tensor, stream: Stream) -> Self:
        return cls(weights)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        out: Tensor | None = None,
        noise: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        return with_bias(torch.bmm(x, self._transposed if weights is None else weights.mT, out=out), bias, out)

    def backward_read(
        self, e: Tensor, out: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        return torch.bmm(e, self._plain if weights is None else weights, out=out)

    def _note_weights(self) -> None:
        # Looking a parameter up in a module and transposing it takes as long as a small product.
        self._plain: Tensor = self.weight.data
        self._transposed: Tensor = self._plain.mT

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        moved: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._note_weights()
        return moved

    def apply_update(self, update: LocalUpdate, stream: Stream) -> UpdateReport:
        """Add the outer product exactly, after the decay.

        Raises:
            InputError: the update is for one polarity, which numbers do not have.
        """
        self._refuse_polarity(update)
        weight = self.weight.data
        if update.decay is not None:
            weight.mul_(1 - update.decay.unsqueeze(-1))
        weight.baddbmm_(update.post.mT, update.pre)
        none = weight.new_zeros(self.chips)
        return UpdateReport(none, none)

    def add_gradient(self, update: LocalUpdate, fresh: bool) -> None:
        self._refuse_polarity(update)
        if self.weight.grad is None:
            self.weight.grad = torch.empty_like(self.weight)
        gradient = self.weight.grad
        torch.baddbmm(gradient, update.post.mT, update.pre, beta=0 if fresh else 1, alpha=-1, out=gradient)
        if update.decay is not None:
            gradient.addcmul_(self.weight.data, update.decay.unsqueeze(-1))

    @staticmethod
    def _refuse_polarity(update: LocalUpdate) -> None:
        if update.polarity != "both":
            raise InputError(
                f"ideal weights have no {update.polarity} cells of their own; "
                "use 'synapse: pair' or a crossbar with 'pair: balanced'"
            )

    @property
    def parameter(self) -> nn.Parameter:
        return self.weight

    @property
    def weights(self) -> Tensor:
        return self.weight
