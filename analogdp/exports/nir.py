"""The inference network of one chip as a graph of the Neuromorphic Intermediate Representation (NIR).

Weights are ``Affine``, ``Linear`` and ``Conv2d`` nodes, average pools ``AvgPool2d``. A free linear neuron is a leaky integrator,

    tau dv/dt = v_leak - v + r a        a: its drive; r, v_leak: its gain and offset, 1 and 0 without mismatch

and so is one with a step, behind a ``Threshold``. NIR has no node for other functions (Pedersen et al. 2024, Nat. Commun. 15,
8122, Table 1; https://neuroir.org/docs/primitives.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.exports.base import Exporter, extra, one_chip, refused
from analogdp.exports.inference import FeedforwardSettings, Stage, inference_stages, way_to_lose
from analogdp.files import written_by_library
from analogdp.network import Network
from analogdp.network.network import Layer
from analogdp.neurons.activations import Activation, Identity, LeakyRelu, Step
from analogdp.neurons.threshold import Threshold
from analogdp.scenario.loading import dump_scenario
from analogdp.scenario.schema import Scenario
from analogdp.scenario.wiring import Pool, Shape

if TYPE_CHECKING:
    import nir

Loss = Literal["activations", "messages", "mismatch", "time_constants"]

Losses = list[tuple[Loss, str]]
"""What a graph does not hold: what allows that, and in words."""

JUST_BELOW = float(np.finfo(np.float32).tiny)
"""NIR's thresholds answer only to what is larger, a step here to what is as large; this is normal in float32."""


class NirSettings(FeedforwardSettings):
    """The inference network as ``network.nir``."""

    format: Literal["nir"] = "nir"
    neurons: Literal["li", "none"] = Field(
        default="li",
        description="li: leaky integrators with the neurons' time constants; none: weights, pools and steps only",
    )
    lossy: tuple[Loss, ...] = Field(
        default=(),
        description="what may be lost, where NIR has no node for it; activations: those that are neither linear nor a step, "
        "named in metadata instead; messages: what free neurons whose compartments differ send down; mismatch: of neurons, "
        "which get their nominal function; time_constants: of compartments, which get their neuron's mean",
    )


@registry.exporters.register("nir")
class Nir(Exporter):
    """One chip, as it answers without nudging, messages from above and noise."""

    Settings = NirSettings
    file_name = "network.nir"

    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        nir = extra("nir", "nir", "export in the format 'nir'")
        own = one_chip(network, scenario, self.settings.chip)
        graph = nir_graph(own, self.settings)
        without = [*self.settings.left_out(scenario), *graph.metadata.pop("without")]
        graph.metadata = {
            "scenario": dump_scenario(scenario),
            "name": scenario.name,
            "chip": str(own.chip_indices[0]),
            "without": ", ".join(without),
        }
        with written_by_library(path) as file:
            nir.write(file, graph)


def nir_graph(network: Network, settings: NirSettings) -> nir.NIRGraph:
    """The free network of one chip; ``without`` in its metadata lists what NIR has no nodes for.

    Raises:
        InputError: NIR cannot hold it, or not without a loss that ``settings`` do not allow; nir is not installed.
    """
    nir = extra("nir", "nir", "a graph of NIR")
    stages = inference_stages(network)
    if pools := _pools_without_node(stages):
        raise refused(pools, "nir")
    chain = _Chain(nir, _input_shape(stages[0]))
    losses = Losses()
    for number, (stage, layer) in enumerate(zip(stages, network.layers, strict=True), start=1):
        losses += _add_stage(chain, f"layer{number}", stage, layer, settings.neurons == "li")
    _refuse(losses, settings)
    graph = chain.graph()
    graph.metadata = {"without": sorted({kind.replace("_", " ") for kind, _ in losses})}
    return graph


class _Chain:
    """Nodes one after the other."""

    def __init__(self, nir: Any, shape: Shape) -> None:
        self.nir, self.shape = nir, shape
        self.nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(shape)})}

    def add(self, name: str, node: Any, shape: Shape | None = None) -> None:
        self.nodes[name] = node
        self.shape = self.shape if shape is None else shape

    @property
    def last(self) -> Any:
        """The node that was added last."""
        return self.nodes[list(self.nodes)[-1]]

    def flatten(self, name: str) -> None:
        """NIR counts dimensions without that of the batch."""
        if len(self.shape) > 1:
            node = self.nir.Flatten(input_type={"input": np.array(self.shape)}, start_dim=0, end_dim=-1)
            self.add(name, node, (int(np.prod(self.shape)),))

    def pool(self, name: str, pool: Pool) -> None:
        size, stride, padding = (np.array([value, value]) for value in (pool.size, pool.stride, 0))
        node = self.nir.AvgPool2d(kernel_size=size, stride=stride, padding=padding)
        after = pool.of(self.shape)
        # The node does not compute shapes, which readers check.
        node.input_type, node.output_type = {"input": np.array(self.shape)}, {"output": np.array(after)}
        self.add(name, node, after)

    def graph(self) -> nir.NIRGraph:
        self.flatten("output_flatten")
        self.add("output", self.nir.Output(output_type={"output": np.array(self.shape)}))
        names = list(self.nodes)
        made: nir.NIRGraph = self.nir.NIRGraph(nodes=self.nodes, edges=list(pairwise(names)))
        return made


def _add_stage(chain: _Chain, name: str, stage: Stage, layer: Layer, rates: bool) -> Losses:
    linear = stage.activation is None or isinstance(stage.activation, Identity)
    folds = linear and not rates and stage.wiring.kernel is None
    _add_weights(chain, name, stage, folds)
    losses = Losses()
    if not (stage.uniform or folds or (linear and rates)):
        losses.append(("mismatch", f"{name}: NIR has no node for the gains and offsets of its neurons"))
    if not linear and not isinstance(stage.activation, Step):
        assert stage.activation is not None
        losses.append(("activations", f"{name}: NIR has no node for the activation {stage.activation}"))
        chain.last.metadata = _described(stage.activation)
    return losses + _add_neurons(chain, name, stage, layer, linear, rates)


def _add_weights(chain: _Chain, name: str, stage: Stage, folds: bool) -> None:
    wiring = stage.wiring
    if wiring.activity_pool is not None:
        chain.pool(f"{name}_activity_pool", wiring.activity_pool)
    if wiring.kernel is None:
        chain.flatten(f"{name}_flatten")
    response = _linear_response(stage) if folds else ()
    chain.add(f"{name}_weights", _weights(chain.nir, stage, *response), wiring.drives)
    if wiring.drive_pool is not None:
        chain.pool(f"{name}_drive_pool", wiring.drive_pool)


def _add_neurons(chain: _Chain, name: str, stage: Stage, layer: Layer, linear: bool, rates: bool) -> Losses:
    nodes, losses = {}, Losses()
    if isinstance(stage.activation, Step):
        nodes[f"{name}_step"] = chain.nir.Threshold(threshold=np.full(chain.shape, -JUST_BELOW))
    if rates:
        gain, offset = _linear_response(stage) if linear else (torch.ones(layer.units), torch.zeros(layer.units))
        tau, differ = _time_constants(layer, gain)
        losses += [("time_constants", f"{name}: the compartments of its neurons have different ones")] * differ
        arrays = {"tau": tau, "r": gain, "v_leak": offset}
        nodes[name] = chain.nir.LI(**{key: _array(value).reshape(chain.shape) for key, value in arrays.items()})
    # Membranes come before their threshold, rates after it.
    for key in reversed(nodes) if isinstance(layer.neuron, Threshold) else nodes:
        chain.add(key, nodes[key])
    return losses


def _linear_response(stage: Stage) -> tuple[Tensor, Tensor]:
    """Gain and offset of linear neurons, ``(units,)``."""
    gains = [term.weight * term.slope for term in stage.terms]
    offsets = [gain * term.offset for gain, term in zip(gains, stage.terms, strict=True)]
    return torch.stack(gains).sum(0), torch.stack(offsets).sum(0)


def _weights(nir: Any, stage: Stage, gain: Tensor | None = None, offset: Tensor | None = None) -> Any:
    """The node of a stage's weights, with what linear neurons make of the drive if it is given."""
    weights, bias = stage.folded()
    if gain is not None and offset is not None:
        weights = gain.unsqueeze(1) * weights
        bias = offset if bias is None else gain * bias + offset
        bias = bias if stage.bias is not None or offset.any() else None
    kernel = stage.wiring.kernel
    if kernel is None:
        return nir.Linear(_array(weights)) if bias is None else nir.Affine(_array(weights), _array(bias))
    return nir.Conv2d(
        input_shape=tuple(stage.wiring.read[1:]),
        weight=_array(stage.as_kernels(weights)),
        stride=kernel.stride,
        padding=kernel.padding,
        dilation=1,
        groups=1,
        bias=_array(weights.new_zeros(len(weights)) if bias is None else bias),
    )


def _time_constants(layer: Layer, like: Tensor) -> tuple[Tensor, bool]:
    """Of every unit in seconds, and whether those of its compartments differ."""
    if not isinstance(layer.tau, Tensor):
        return torch.full_like(like, layer.tau), False
    own = layer.tau[:, 0, 0].cpu()
    return own.mean(0), bool((own != own[0]).any())


def _described(activation: Activation) -> Mapping[str, Any]:
    """Metadata of the node whose output a function is to be applied to."""
    slope = {"slope": activation.slope} if isinstance(activation, LeakyRelu) else {}
    return {"activation": activation.settings.name, **slope}


def _input_shape(first: Stage) -> Shape:
    """Only what is read as an image comes as one."""
    return first.wiring.below if first.wiring.kernel is not None else (first.wiring.inputs,)


def _pools_without_node(stages: list[Stage]) -> list[str]:
    return [
        f"layer{number}: NIR has no node for {pool.kind} pools; average pools are held"
        for number, stage in enumerate(stages, start=1)
        for pool in (stage.wiring.activity_pool, stage.wiring.drive_pool)
        if pool is not None and pool.kind != "average"
    ]


def _refuse(losses: Losses, settings: NirSettings) -> None:
    """All that would be lost and may not be, at once."""
    forbidden = [(kind, words) for kind, words in losses if kind not in settings.lossy]
    if not forbidden:
        return
    way_out = way_to_lose([*settings.lossy, *(kind for kind, _ in forbidden)])
    raise refused([*(f"{kind} would be lost: {words}" for kind, words in forbidden), way_out], "nir")


def _array(values: Tensor) -> Any:
    return values.numpy()
