"""Feedback paths: synapses of their own that carry messages down, in place of the transposed read."""

from __future__ import annotations

import math

from torch import Tensor

from analogdp import registry
from analogdp.network.network import Network
from analogdp.scenario.schema import Scenario
from analogdp.streams import Stream
from analogdp.synapses.base import Synapse


def feedback_path(scenario: Scenario, weights: Tensor, stream: Stream) -> Synapse | None:
    """The synapse that carries messages down beside one that starts with ``weights``, or None for its transposed read.

    Args:
        scenario: what the path is made of: the same as the synapse, with devices of its own.
        weights: intended initial weights of the synapse, ``(1, out, in)``.
        stream: of the path's initial weights and devices.
    """
    settings = scenario.feedback
    if not settings.separate:
        return None
    _, outputs, inputs = weights.shape
    if settings.starts_random:
        assert settings.gain is not None
        # All chips are asked to hold the same, as they are for the synapses.
        start = stream.child("weights").shared().normal((inputs, outputs)) * (settings.gain / math.sqrt(inputs))
    else:
        start = weights.mT
    model: type[Synapse] = registry.synapses.get(scenario.synapse.model)
    own = scenario.synapse.beside(inputs)
    return model.build(own, start.expand(len(stream.chips), -1, -1), stream.child("synapse"))


def named_synapses(network: Network) -> dict[str, Synapse]:
    """All synapses: ``synapse<k>`` carries messages up to layer k + 1, and ``feedback<k>`` down from it."""
    paths = {f"feedback{k}": path for k, path in enumerate(network.feedback_paths) if path is not None}
    return {f"synapse{k}": synapse for k, synapse in enumerate(network.synapses)} | paths
