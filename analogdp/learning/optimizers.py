"""From wanted updates to changed weights: torch's optimizers for numbers, write pulses for physical cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from analogdp.network import Network
from analogdp.scenario.feedback import FeedbackSettings
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

    def asked(self, update: LocalUpdate, rate: float | Tensor) -> LocalUpdate:
        """What physical cells are asked to do, at a rate or one for each chip ``(chips, 1)``."""
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
        rate: learning rate of the weights, a number or one for each chip.
        bias_rate: learning rate of the biases, likewise.
        momentum: of the momentum optimizer.
        feedback: whether and how the network's feedback paths learn, of a resolved scenario.
    """

    def __init__(
        self,
        network: Network,
        optimizer: DigitalOptimizer | Literal["pulses"],
        rate: float | Sequence[float],
        bias_rate: float | Sequence[float],
        momentum: float,
        feedback: FeedbackSettings = FeedbackSettings(),  # noqa: B008 - immutable
    ) -> None:
        self.network = network
        rates, bias_rates = _for_each(rate, network.chips), _for_each(bias_rate, network.chips)
        same = len(set(rates)) == 1
        self._rate = rates[0] if same else network.synapses[0].weights.new_tensor(rates).unsqueeze(-1)
        self._learners = list(_learners(network, feedback))
        weights = (learner.synapse.parameter for learner in self._learners)
        self._weights = [weight for weight in weights if weight is not None]
        self._biases = [layer.bias for layer in network.layers if layer.bias is not None]
        # Their gradients are left with them by the passages.
        self._biases += network.normalisations.parameters()
        self._chips = _equal_stretches(list(zip(rates, bias_rates, strict=True)))
        # Torch has a rate for each of its parameters: those of chips with other rates are views.
        self._parts = [[_view(own, chips) for own in self._weights + self._biases] for chips in self._chips]
        count = len(self._weights)
        groups = [
            {"params": group, "lr": lr[chips.start]}
            for chips, parts in zip(self._chips, self._parts, strict=True)
            for group, lr in ((parts[:count], rates), (parts[count:], bias_rates))
            if group
        ]
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
                own = learner.synapse.apply_update(learner.asked(update, self._rate), own_stream)
                report = own if report is None else report + own
        for layer, drive in zip(self.network.layers, drives, strict=True):
            if layer.bias is not None:
                layer.bias.grad = -drive
        if self._torch is not None:
            self._hand_on_gradients()
            self._torch.step()
            for learner in self._learners:
                learner.synapse.constrain()
        return report

    def _hand_on_gradients(self) -> None:
        """Let the views of parameters have views of their gradients."""
        if len(self._chips) == 1:
            return
        for chips, parts in zip(self._chips, self._parts, strict=True):
            for part, own in zip(parts, self._weights + self._biases, strict=True):
                part.grad = None if own.grad is None else own.grad[chips]

    def tensors(self) -> dict[str, Tensor]:
        """The optimizer's memory, by flat names: of each parameter, for all chips."""
        if self._torch is None:
            return {}
        state: Mapping[int, Mapping[str, Any]] = self._torch.state_dict()["state"]
        count = len(self._parts[0])
        named: dict[str, list[Tensor]] = {}
        for index in sorted(state):
            for name, value in state[index].items():
                if value is not None:
                    named.setdefault(f"{index % count}.{name}", []).append(torch.as_tensor(value))
        return {name: torch.cat(own) if len(own) > 1 and own[0].dim() else own[0] for name, own in named.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the memory of :meth:`tensors` back."""
        if self._torch is None:
            return
        state: dict[int, dict[str, Tensor]] = {}
        count = len(self._parts[0])
        for name, value in tensors.items():
            index, entry = name.split(".", 1)
            for stretch, chips in enumerate(self._chips):
                # Torch changes its memory in place.
                own = (value[chips] if value.dim() else value).clone()
                state.setdefault(int(index) + stretch * count, {})[entry] = own
        self._torch.load_state_dict({"state": state, "param_groups": self._torch.state_dict()["param_groups"]})


def _for_each(value: float | Sequence[float], chips: int) -> list[float]:
    return list(value) if isinstance(value, Sequence) else [value] * chips


def _equal_stretches(values: Sequence[object]) -> list[slice]:
    """Where equal values lie that follow one another."""
    ends = accumulate((len(list(same)) for _, same in groupby(values)), initial=0)
    return [slice(start, end) for start, end in pairwise(ends)]


def _view(parameter: nn.Parameter, chips: slice) -> nn.Parameter:
    """The parameter of some chips, in the same memory."""
    if chips == slice(0, len(parameter)):
        return parameter
    return nn.Parameter(parameter.data[chips], requires_grad=False)


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
