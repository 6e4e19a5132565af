"""Plasticity rules: from what a layer knows of its error and what it reads from below, to a local update."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from analogdp import registry
from analogdp.neurons import NeuronModel
from analogdp.synapses.base import LocalUpdate

PlasticityRule = Callable[[NeuronModel, Tensor, Tensor], LocalUpdate]
"""``rule(neuron, state, below)``: state of the layer above the synapse, message ``(chips, batch, in)`` from the one below."""


@registry.plasticity.register("contrastive_hebbian")
def contrastive_hebbian(neuron: NeuronModel, state: Tensor, below: Tensor) -> LocalUpdate:
    """dW = mean over the batch of (delta / beta) s_bar(below)^T: minus the loss gradient as the dyads estimate it.

    Hoier & Zach 2024, Sec. 3.
    """
    signal = neuron.learning_signal(state)
    return LocalUpdate(post=signal.div_(signal.shape[1]), pre=below)
