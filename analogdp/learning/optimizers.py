"""From wanted updates to changed weights: torch's optimizers for numbers, write pulses for physical cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from analogdp.network import Network
from analogdp.scenario.schema import FeedbackSettings
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate, Synapse, UpdateReport

DigitalOptimizer = Literal["sgd", "momentum", "adam"]


@dataclass(frozen=True)
class _Learner:
    """A synapse that learns.

    Attributes:
        name: of its random stream.
        synapse: itself.
        layer: whose update it gets.
        downward: whether it carries messages down, and so gets the update transposed.
        decay: share of its weights that every update takes away, whatever the learning rate.
    """

    name: str
    synapse: Synapse
    layer: int
    downward: bool = False
    decay: float = 0.0

    def asked(self, update: LocalUpdate, rate: float) -> LocalUpdate:
        """What physical cells are asked to do."""
        update = (transposed(update) if self.downward else update).times(rate)
        if not self.decay:
            return update
        own = update.post.new_full((len(update.post), update.post.shape[-1]), self.decay)
        return update._replace(decay=own if update.decay is None else own + update.decay)

    def descend(self, weight: nn.Parameter, updates: Sequence[LocalUpdate]) -> None:
        """Let the weights decay, and hand their optimizer the gradient that stands for the updates."""
        for number, update in enumerate(updates):
            self.synapse.add_gradient(transposed(update) if self.downward else update, fresh=number == 0)
        if self.decay:
            weight.mul_(1 - self.decay)


def transposed(update: LocalUpdate) -> LocalUpdate:
    """The update of a feedback path from that of the synapse that it stands beside.

    Raises:
        ValueError: the update shrinks rows, which are columns of the path.
    """
    if update.decay is not None:
        raise ValueError("a rule that shrinks rows cannot teach a feedback path, where they are columns")
    return update._replace(post=update.pre, pre=update.post)


class WeightUpdater:
    """Applies the local updates of all synapses, and those of the biases, which are always digital.

    Feedback paths that learn get the same updates, transposed. With the same decay of both ways they align:
    ``W - B^T`` shrinks by the factor 1 - decay with every update (Kolen & Pollack 1994; Akrout et al. 2019, Sec. 3).

    Args:
        network: what is trained.
        optimizer: torch's optimizer for ideal weights; ``pulses`` for physical cells, whose biases then follow plain SGD.
        rate: learning rate of the weights.
        bias_rate: learning rate of the biases.
        momentum: of the momentum optimizer.
        feedback: whether and how the network's feedback paths learn, of a resolved scenario.
    """

    def __init__(
        self,
        network: Network,
        optimizer: DigitalOptimizer | Literal["pulses"],
        rate: float,
        bias_rate: float,
        momentum: float,
        feedback: FeedbackSettings = FeedbackSettings(),  # noqa: B008 - immutable
    ) -> None:
        self.network, self.rate = network, rate
        self._learners = list(_learners(network, feedback))
        weights = (learner.synapse.parameter for learner in self._learners)
        digital = [weight for weight in weights if weight is not None]
        biases = [layer.bias for layer in network.layers if layer.bias is not None]
        groups = [{"params": group, "lr": lr} for group, lr in ((digital, rate), (biases, bias_rate)) if group]
        self._torch = _torch_optimizer(groups, optimizer, momentum) if groups else None

    def apply(
        self, updates: Sequence[Sequence[LocalUpdate]], drives: Sequence[Tensor], stream: Stream
    ) -> UpdateReport | None:
        """Make one update of every synapse, learning feedback path and bias.

        Args:
            updates: those of each synapse, at rate 1.
            drives: minus the gradient by the drives of each layer, mean over the samples, ``(chips, 1, lines)``.
            stream: at this update's index, for the devices' randomness.

        Returns:
            The pulses of all physical synapses and feedback paths, or None if there are none.

        Raises:
            ValueError: a rule asks ideal weights for more than a sum of outer products, or shrinks rows where a
                feedback path learns.
        """
        report: UpdateReport | None = None
        for learner in self._learners:
            weight = learner.synapse.parameter
            if weight is not None:
                learner.descend(weight, updates[learner.layer])
                continue
            for update in updates[learner.layer]:
                own_stream = stream.child(
                    learner.name if update.polarity == "both" else f"{learner.name}/{update.polarity}"
                )
                own = learner.synapse.apply_update(learner.asked(update, self.rate), own_stream)
                report = own if report is None else report + own
        for layer, drive in zip(self.network.layers, drives, strict=True):
            if layer.bias is not None:
                layer.bias.grad = -drive
        if self._torch is not None:
            self._torch.step()
            for learner in self._learners:
                learner.synapse.constrain()
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


def _learners(network: Network, feedback: FeedbackSettings) -> Iterator[_Learner]:
    """The synapses, each followed by its feedback path if that learns."""
    decay = feedback.decay or 0.0
    for k, (synapse, path) in enumerate(zip(network.synapses, network.feedback_paths, strict=True)):
        taught = path if feedback.learns else None
        yield _Learner(f"synapse{k}", synapse, k, decay=0.0 if taught is None else decay)
        if taught is not None:
            yield _Learner(f"feedback{k}", taught, k, downward=True, decay=decay)
