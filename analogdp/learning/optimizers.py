"""From wanted updates to changed weights: torch's optimizers for numbers, write pulses for physical cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from analogdp.network import Network
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate, UpdateReport

DigitalOptimizer = Literal["sgd", "momentum", "adam"]


class WeightUpdater:
    """Applies the local updates of all synapses, and those of the biases, which are always digital.

    Args:
        network: what is trained.
        optimizer: torch's optimizer for ideal weights; ``pulses`` for physical cells, whose biases then follow plain SGD.
        rate: learning rate of the weights.
        bias_rate: learning rate of the biases.
        momentum: of the momentum optimizer.
    """

    def __init__(
        self,
        network: Network,
        optimizer: DigitalOptimizer | Literal["pulses"],
        rate: float,
        bias_rate: float,
        momentum: float,
    ) -> None:
        self.network, self.rate = network, rate
        self._weights = [synapse.parameter for synapse in network.synapses]
        digital = [weight for weight in self._weights if weight is not None]
        biases = [layer.bias for layer in network.layers if layer.bias is not None]
        groups = [{"params": group, "lr": lr} for group, lr in ((digital, rate), (biases, bias_rate)) if group]
        self._torch = _torch_optimizer(groups, optimizer, momentum) if groups else None

    def apply(self, updates: Sequence[LocalUpdate], stream: Stream) -> UpdateReport | None:
        """Make one update of every synapse and bias.

        Args:
            updates: one for each synapse, without a learning rate.
            stream: at this update's index, for the devices' randomness.

        Returns:
            The pulses of all physical synapses, or None if there are none.

        Raises:
            ValueError: a rule asks ideal weights for more than a sum of outer products.
        """
        report: UpdateReport | None = None
        for index, (synapse, weight, update) in enumerate(
            zip(self.network.synapses, self._weights, updates, strict=True)
        ):
            if weight is not None:
                if update.decay is not None or update.polarity != "both":
                    raise ValueError(
                        "torch's optimizers follow sums of outer products; this rule's decay and polarity need apply_update"
                    )
                if weight.grad is None:
                    weight.grad = torch.empty_like(weight)
                torch.baddbmm(weight.grad, update.post.mT, update.pre, beta=0, alpha=-1, out=weight.grad)
            else:
                own = synapse.apply_update(
                    update._replace(post=update.post * self.rate), stream.child(f"synapse{index}")
                )
                report = own if report is None else report + own
        for layer, update in zip(self.network.layers, updates, strict=True):
            if layer.bias is not None:
                layer.bias.grad = update.post.sum(1, keepdim=True).neg_()
        if self._torch is not None:
            self._torch.step()
        return report

    def tensors(self) -> dict[str, Tensor]:
        """The optimizer's memory, by flat names."""
        if self._torch is None:
            return {}
        state: Mapping[int, Mapping[str, Any]] = self._torch.state_dict()["state"]
        return {
            f"{index}.{name}": torch.as_tensor(value)
            for index, own in state.items()
            for name, value in own.items()
            if value is not None
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the memory of :meth:`tensors` back."""
        if self._torch is None:
            return
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, entry = name.split(".", 1)
            state.setdefault(int(index), {})[entry] = value
        self._torch.load_state_dict({"state": state, "param_groups": self._torch.state_dict()["param_groups"]})


def _torch_optimizer(groups: list[dict[str, Any]], name: str, momentum: float) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.SGD(groups, momentum=momentum if name == "momentum" else 0.0)
