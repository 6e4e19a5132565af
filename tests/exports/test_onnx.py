"""ONNX files are networks that onnxruntime, or where it has no doubles onnx's reference, computes as the package does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from analogdp.analysis.gradients import forward
from analogdp.errors import InputError
from analogdp.exports import export_network, exporter
from analogdp.exports.base import one_chip
from analogdp.exports.inference import inference_stages
from analogdp.exports.onnx import onnx_model
from analogdp.network import Network
from analogdp.neurons.activations import ActivationSettings, Identity
from analogdp.neurons.dyadic import DualPropagationTransposed
from analogdp.scenario.schema import Scenario
from tests.network.images import image_network, image_scenario, random

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

CLOSE = {torch.float32: 1e-6, torch.float64: 1e-12}
"""Largest difference, relative to the largest output."""

MISMATCH = {"gain": 0.1, "offset": 0.05, "mixing": 0.1}
ACTIVATIONS = ["relu", {"name": "leaky_relu", "slope": 0.2}, "hard_sigmoid", "tanh", "logistic", "identity", "step"]
LENET: list[Any] = [
    "1x12x12",
    {"conv": 4, "kernel": 3, "padding": 1, "pool": {"of": "activity", "kind": "max"}},
    {"conv": 6, "kernel": 3, "pool": {"of": "drive", "kind": "average"}},
    {"dense": 10},
    5,
]


def computed(model: Any, inputs: Tensor) -> np.ndarray[Any, Any]:
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["outputs"], {"inputs": inputs.numpy()})[0])


def by_reference(model: Any, inputs: Tensor) -> np.ndarray[Any, Any]:
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator(model)
    return np.asarray(evaluator.run(["outputs"], {"inputs": inputs.numpy()})[0])


def assert_same(
    network: Network,
    inputs: Tensor,
    precision: torch.dtype,
    compute: Callable[[Any, Tensor], np.ndarray[Any, Any]] = computed,
) -> None:
    model = onnx_model(inference_stages(network), precision)
    onnx.checker.check_model(model, full_check=True)
    found = compute(model, inputs.to(precision))
    expected = forward(network, inputs.unsqueeze(0))[0].numpy()
    assert found.dtype == str(precision).removeprefix("torch.")
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE[precision] * np.abs(expected).max())


@pytest.mark.parametrize("precision", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("mismatch", [{}, MISMATCH], ids=["alike", "mismatch"])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_dense_networks_answer_as_the_package_does(
    make_network: Callable[..., Network], activation: Any, mismatch: Mapping[str, float], precision: torch.dtype
) -> None:
    neuron = {"model": "dp_transposed", "activation": activation}
    network = make_network((9, 7, 5, 3), neuron=neuron, mismatch=mismatch)
    assert_same(network, random(6, 9), precision)


@pytest.mark.parametrize("kind", ["max", "average", "quadratic_mean"])
def test_images_are_convolved_and_pooled_as_the_package_does(kind: str) -> None:
    layers = [LENET[0], *({**own, "pool": {**own["pool"], "kind": kind}} for own in LENET[1:3]), *LENET[3:]]
    network = image_network(layers, mismatch=MISMATCH)
    assert_same(network, random(6, 144), torch.float32)
    assert_same(network, random(6, 144), torch.float64, by_reference)


def test_an_image_that_is_pooled_before_dense_weights_is_flattened() -> None:
    layers = ["2x6x6", {"conv": 3, "kernel": 3, "pool": {"of": "activity", "kind": "average"}}, 4]
    assert_same(image_network(layers), random(5, 72), torch.float32)


def test_a_dense_network_of_an_image_takes_flat_inputs() -> None:
    assert_same(image_network(["2x3x3", 4, 2]), random(5, 18), torch.float64)


def test_normalisation_over_batches_is_folded_into_the_weights() -> None:
    layers = ["1x8x8", {"conv": 3, "kernel": 3, "normalise": "batch"}, {"dense": 6, "normalise": "batch"}, 3]
    network = image_network(layers, neuron="backpropagation", dynamics="sweep")
    for number, own in enumerate(network.normalisations.values()):
        for name in ("gain", "offset", "mean", "variance"):
            values = getattr(own, name)
            values.copy_(1 + 0.3 * random(*values.shape, seed=number).tanh())
    assert_same(network, random(6, 64), torch.float32)
    operators = {node.op_type for node in onnx_model(inference_stages(network), torch.float32).graph.node}
    assert "BatchNormalization" not in operators


def test_membranes_with_thresholds_have_their_offsets_before_the_step(make_network: Callable[..., Network]) -> None:
    neuron = {"model": "threshold", "activation": "step"}
    network = make_network((9, 30, 3), neuron=neuron, mismatch=MISMATCH)
    assert_same(network, random(6, 9), torch.float64)


def test_a_batch_may_have_any_size(make_network: Callable[..., Network]) -> None:
    network = make_network((4, 3, 2))
    model = onnx_model(inference_stages(network), torch.float64)
    assert [len(computed(model, random(count, 4))) for count in (1, 2, 33)] == [1, 2, 33]


def test_the_file_names_its_scenario_chip_and_operators(
    make_scenario: Callable[..., Scenario], make_network: Callable[..., Network], tmp_path: Path
) -> None:
    sections: dict[str, Any] = {"chips": 3, "synapse": {"model": "crossbar"}, "neuron": "dp_transposed"}
    scenario, network = make_scenario((4, 3, 2), **sections), make_network((4, 3, 2), **sections)
    (path,) = export_network(network, scenario, exporter("onnx", chip=1, precision="float32"), tmp_path / "n.onnx")
    model = onnx.load(path)
    properties = {own.key: own.value for own in model.metadata_props}
    assert properties["chip"] == "1"
    assert "dp_transposed" in properties["scenario"]
    assert "network units" in properties["units"]
    assert properties["without"] == ""
    assert [(own.domain, own.version) for own in model.opset_import] == [("", 17)]
    expected = forward(one_chip(network, scenario, 1), random(5, 4).unsqueeze(0))[0].numpy()
    np.testing.assert_allclose(computed(model, random(5, 4).float()), expected, atol=1e-6)


def test_equal_networks_give_equal_bytes(
    make_scenario: Callable[..., Scenario], make_network: Any, tmp_path: Path
) -> None:
    files = [
        export_network(make_network((4, 3, 2)), make_scenario((4, 3, 2)), exporter("onnx"), tmp_path / name)[0]
        for name in ("a.onnx", "b.onnx")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_neurons_that_settle_under_messages_from_above_are_refused_with_the_scenario() -> None:
    scenario = {"neuron": "hopfield", "learning": "equilibrium_propagation", "export": ["onnx"]}
    with pytest.raises(ValueError, match=r"neuron.model: hopfield settle under .* onnx holds feedforward networks"):
        Scenario.model_validate(scenario)


def test_an_activation_that_no_operator_computes_is_refused_by_layer(make_network: Callable[..., Network]) -> None:
    class Cubic(Identity):
        """Another package's."""

    network = make_network((4, 3, 2), neuron="dp_transposed")
    neuron = network.layers[0].neuron
    assert isinstance(neuron, DualPropagationTransposed)
    neuron.activation = Cubic(ActivationSettings(name="cubic"))
    with pytest.raises(InputError, match="onnx: layer 1: no operator computes the activation cubic"):
        onnx_model(inference_stages(network), torch.float64)


def test_several_chips_are_refused_unless_one_is_named() -> None:
    scenario = image_scenario(["1x4x4", 3], chips=2)
    network = image_network(["1x4x4", 3], chips=2)
    with pytest.raises(InputError, match="onnx holds one chip, and there are 2"):
        export_network(network, scenario, exporter("onnx"), Path("never.onnx"))


def test_the_file_names_what_it_lacks_of_the_run(
    make_scenario: Callable[..., Scenario], make_network: Callable[..., Network], tmp_path: Path
) -> None:
    synapse = {"model": "crossbar", "device": "pcm_gst", "pair": "one_sided", "dac": {"bits": 6}}
    scenario, network = make_scenario((4, 3, 2), synapse=synapse), make_network((4, 3, 2), synapse=synapse)
    (path,) = export_network(network, scenario, exporter("onnx"), tmp_path / "network.onnx")
    properties = {own.key: own.value for own in onnx.load(path).metadata_props}
    assert properties["without"] == "converters, read noise"
