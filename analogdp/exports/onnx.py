"""The inference network of one chip as an ONNX graph: effective weights, folded normalisation, the neurons' functions.

Made of the operators of one pinned operator set, whose documentation is their reference (https://onnx.ai/onnx/operators/).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from analogdp import __version__, registry
from analogdp.exports.base import Exporter, extra, one_chip, refused
from analogdp.exports.inference import FeedforwardSettings, Stage, Term, inference_stages
from analogdp.network import Network
from analogdp.neurons.activations import Activation, HardSigmoid, Identity, LeakyRelu, Logistic, Relu, Step, Tanh
from analogdp.scenario.loading import dump_scenario
from analogdp.scenario.schema import Scenario
from analogdp.scenario.wiring import Pool, Shape

if TYPE_CHECKING:
    import onnx

OPERATORS = 17
"""Version of the operator set."""

FILE_VERSION = 8
"""Version of the file format that came with this operator set (https://onnx.ai/onnx/intro/concepts.html)."""


class OnnxSettings(FeedforwardSettings):
    """The inference network as ``network.onnx``."""

    format: Literal["onnx"] = "onnx"
    precision: Literal["float32", "float64"] | None = Field(
        default=None, description="of weights, inputs and outputs; `null`: that of the run"
    )
    lossy: tuple[Literal["messages"], ...] = Field(
        default=(), description="what may be lost; messages: what free neurons whose compartments differ send down"
    )


@registry.exporters.register("onnx")
class Onnx(Exporter):
    """One chip, as it answers without nudging and noise."""

    Settings = OnnxSettings
    file_name = "network.onnx"

    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        onnx = extra("onnx", "onnx", "export in the format 'onnx'")
        own = one_chip(network, scenario, self.settings.chip)
        precision = getattr(torch, self.settings.precision) if self.settings.precision else own.dtype
        model = onnx_model(inference_stages(own), precision)
        onnx.helper.set_model_props(
            model,
            {
                "scenario": dump_scenario(scenario),
                "name": scenario.name,
                "chip": str(own.chip_indices[0]),
                "without": ", ".join(self.settings.left_out(scenario)),
                "units": "inputs and outputs are in network units; inputs are those that the data section prepares",
            },
        )
        onnx.checker.check_model(model, full_check=True)
        path.write_bytes(model.SerializeToString(deterministic=True))


def onnx_model(stages: list[Stage], precision: torch.dtype) -> onnx.ModelProto:
    """The stages as a model with the input ``inputs`` ``(batch, units)`` and the output ``outputs`` ``(batch, units)``.

    Raises:
        InputError: an activation that no operator computes; onnx is not installed.
    """
    unknown = [
        f"layer {number}: no operator computes the activation {stage.activation}"
        for number, stage in enumerate(stages, start=1)
        if stage.activation is not None and type(stage.activation) not in _ACTIVATIONS
    ]
    if unknown:
        raise refused(unknown, "onnx")
    graph = _Graph(precision)
    message = "inputs"
    shape: Shape = (stages[0].wiring.inputs,)
    for number, stage in enumerate(stages, start=1):
        message, shape = _add_stage(graph, f"layer{number}", stage, message, shape)
    if len(shape) > 1:
        message = graph.add("Flatten", message, name="flattened", axis=1)
    graph.add("Identity", message, name="outputs")
    return graph.model(stages[0].wiring.inputs, prod(shape))


class _Graph:
    """Nodes and constants that are added one after the other; every node is named after its only output."""

    def __init__(self, precision: torch.dtype) -> None:
        self.onnx: Any = extra("onnx", "onnx", "a graph of operators")
        self.precision = precision
        self.type = {torch.float32: self.onnx.TensorProto.FLOAT, torch.float64: self.onnx.TensorProto.DOUBLE}[precision]
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: Tensor | float) -> str:
        return self._constant(name, torch.as_tensor(values, dtype=self.precision))

    def shape(self, name: str, sizes: Shape) -> str:
        return self._constant(name, torch.tensor((-1, *sizes)))

    def model(self, inputs: int, outputs: int) -> onnx.ModelProto:
        helper = self.onnx.helper
        ends = [
            [helper.make_tensor_value_info(name, self.type, ["batch", units])]
            for name, units in (("inputs", inputs), ("outputs", outputs))
        ]
        graph = helper.make_graph(self.nodes, "analogdp", *ends, initializer=self.constants)
        made: onnx.ModelProto = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPERATORS)],
            ir_version=FILE_VERSION,
            producer_name="analogdp",
            producer_version=__version__,
        )
        return made

    def _constant(self, name: str, values: Tensor) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(values.contiguous().numpy(), name))
        return name


def _add_stage(graph: _Graph, name: str, stage: Stage, message: str, shape: Shape) -> tuple[str, Shape]:
    wiring, images = stage.wiring, len(stage.wiring.read) > 1 and (stage.wiring.kernel or stage.wiring.activity_pool)
    if images and len(shape) == 1:
        message = graph.add("Reshape", message, graph.shape(f"{name}.shape", wiring.below), name=f"{name}.image")
    if wiring.activity_pool is not None:
        message = _add_pool(graph, f"{name}.activity_pool", wiring.activity_pool, message)
    if wiring.kernel is None and (images or len(shape) > 1):
        message = graph.add("Flatten", message, name=f"{name}.flattened", axis=1)
    drive = _add_weights(graph, name, stage, message)
    if wiring.drive_pool is not None:
        drive = _add_pool(graph, f"{name}.drive_pool", wiring.drive_pool, drive)
    terms = [
        _add_term(graph, f"{name}.term{place}", stage, term, drive) for place, term in enumerate(stage.terms, start=1)
    ]
    total = terms[0] if len(terms) == 1 else graph.add("Sum", *terms, name=f"{name}.activity")
    return total, wiring.above


def _add_weights(graph: _Graph, name: str, stage: Stage, message: str) -> str:
    weights, bias = stage.folded()
    kernel = stage.wiring.kernel
    inputs = [message, graph.constant(f"{name}.weights", weights if kernel is None else stage.as_kernels(weights))]
    if bias is not None:
        inputs.append(graph.constant(f"{name}.bias", bias))
    if kernel is None:
        return graph.add("Gemm", *inputs, name=f"{name}.drive", transB=1)
    square = [kernel.size] * 2
    geometry = {"kernel_shape": square, "strides": [kernel.stride] * 2, "pads": [kernel.padding] * 4}
    return graph.add("Conv", *inputs, name=f"{name}.drive", **geometry)


def _add_pool(graph: _Graph, name: str, pool: Pool, message: str) -> str:
    windows = {"kernel_shape": [pool.size] * 2, "strides": [pool.stride] * 2}
    if pool.kind == "max":
        return graph.add("MaxPool", message, name=name, **windows)
    if pool.kind == "average":
        return graph.add("AveragePool", message, name=name, **windows)
    squares = graph.add("Mul", message, message, name=f"{name}.squares")
    return graph.add("Sqrt", graph.add("AveragePool", squares, name=f"{name}.mean", **windows), name=name)


def _add_term(graph: _Graph, name: str, stage: Stage, term: Term, drive: str) -> str:
    def changed(operator: str, value: str, part: str, by: Tensor, neutral: float) -> str:
        if (by == neutral).all():
            return value
        own = graph.constant(f"{name}.{part}", by.reshape(stage.wiring.above))
        return graph.add(operator, value, own, name=f"{name}.with_{part}")

    value = changed("Add", drive, "offset", term.offset, 0.0)
    value = changed("Mul", value, "slope", term.slope, 1.0)
    if stage.activation is not None:
        value = _ACTIVATIONS[type(stage.activation)](graph, name, stage.activation, value)
    return changed("Mul", value, "weight", term.weight, 1.0)


def _add_leaky_relu(graph: _Graph, name: str, activation: Activation, x: str) -> str:
    assert isinstance(activation, LeakyRelu)
    # The attribute of LeakyRelu is a float32 even among doubles.
    slope = graph.constant(f"{name}.leak", activation.slope)
    return graph.add("PRelu", x, slope, name=f"{name}.leaky_relu")


def _add_hard_sigmoid(graph: _Graph, name: str, activation: Activation, x: str) -> str:
    ends = graph.constant(f"{name}.lowest", 0.0), graph.constant(f"{name}.highest", 1.0)
    return graph.add("Clip", x, *ends, name=f"{name}.clipped")


def _add_step(graph: _Graph, name: str, activation: Activation, x: str) -> str:
    above = graph.add("GreaterOrEqual", x, graph.constant(f"{name}.threshold", 0.0), name=f"{name}.above")
    return graph.add("Cast", above, name=f"{name}.step", to=graph.type)


def _operator(operator: str) -> Callable[[_Graph, str, Activation, str], str]:
    return lambda graph, name, activation, x: graph.add(operator, x, name=f"{name}.{operator.lower()}")


_ACTIVATIONS: dict[type[Activation], Callable[[_Graph, str, Activation, str], str]] = {
    Relu: _operator("Relu"),
    LeakyRelu: _add_leaky_relu,
    HardSigmoid: _add_hard_sigmoid,
    Tanh: _operator("Tanh"),
    Logistic: _operator("Sigmoid"),
    Identity: lambda graph, name, activation, x: x,
    Step: _add_step,
}
