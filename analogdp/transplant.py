"""Networks that torch trained, on this package's hardware: programmed, tested, and trained on in place."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from analogdp import api, registry
from analogdp.analysis.gradients import forward
from analogdp.data import Dataset
from analogdp.data import load as load_data
from analogdp.dynamics import Simulation
from analogdp.errors import InputError, ScenarioError
from analogdp.exports.base import one_chip
from analogdp.exports.inference import Term, inference_stages, why_no_forward_pass
from analogdp.exports.torch_module import module_of
from analogdp.files import write_bytes
from analogdp.imports.torch_files import StateDict, of_mapping, read_state_dict
from analogdp.imports.torch_models import read_model, without_softmax
from analogdp.learning.evaluation import EVALUATION_BATCH, evaluate
from analogdp.network import Network, build
from analogdp.network.initial_weights import InitialWeights, initial_weights
from analogdp.network.normalisation import EPSILON
from analogdp.nn.misfits import LayerErrors, layer_errors, warn_of_misfits
from analogdp.runs import Observer
from analogdp.runs.origin import with_weights
from analogdp.scenario import Scenario, load_scenario
from analogdp.scenario.loading import change_scenario
from analogdp.scenario.settings import ProblemList
from analogdp.scenario.weights import SUFFIX, LayerEntries, match, weight_shape
from analogdp.scenario.yaml import parse_yaml
from analogdp.streams import Stream
from analogdp.synapses import Crossbar

OPTION = "from_torch"
USUAL = "quickstart"
"""The shipped scenario that says what a torch model does not, where the user names none."""

_WAY_OUT = "from_torch(..., **{{'synapse.weight_range': {}}})"

_AT_ONCE = 1024
"""Samples that the torch model is shown together."""


@dataclass(frozen=True)
class Comparison:
    """How the imported network does on test samples, for each chip, beside the torch model; no accuracies for regression.

    Attributes:
        loss, accuracy: of every chip.
        torch_loss, torch_accuracy: of the torch model.
        from_rest: largest distance, for each chip, of an output from the one at rest through the same cells and neurons, of the
            first 256 test samples without noise: what a network that settles for longer would still move, and what converters
            round.
    """

    loss: tuple[float, ...]
    accuracy: tuple[float, ...] | None
    torch_loss: float
    torch_accuracy: float | None
    from_rest: tuple[float, ...]


@dataclass(frozen=True, repr=False)
class Imported:
    """A network of torch on this package's hardware.

    Attributes:
        scenario: with its layers, activation and biases, and ``network.weights``: a file that lives as long as this process. It
            can be run like any other; the run directory keeps a copy of the file.
        network: with the weights programmed into its synapses.
        torch_model: a copy of what was given, or what the state_dict stands for, in evaluation mode.
        notes: what was left out or changed, in words.
    """

    scenario: Scenario
    network: Network
    torch_model: nn.Module
    notes: tuple[str, ...]
    _wanted: tuple[InitialWeights, ...]
    _shape: tuple[int, ...]

    @property
    def errors(self) -> list[LayerErrors]:
        """What became of the weights of every layer, the lowest first."""
        layers = enumerate(zip(self.network.synapses, self._wanted, strict=True), start=1)
        return [
            layer_errors(
                number, own.weights, synapse.weights, synapse.mapping if isinstance(synapse, Crossbar) else None
            )
            for number, (synapse, own) in layers
        ]

    def evaluate(self, data: Dataset | None = None) -> Comparison:
        """Test the network as it is now, with all its noise, beside the torch model.

        Args:
            data: whose test samples are shown; by default those of the scenario, prepared as its data section says.
        """
        data = data or load_data(self.scenario.data, self.scenario.seed)
        network, scenario = self.network, self.scenario
        clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
        simulation = Simulation(network, clock, scenario.noise, tau=scenario.neuron.tau, compiled=scenario.run.compile)
        placed = data.to(network.device, network.dtype)
        stream = Stream(scenario.seed, OPTION, network.chip_indices, network.device, network.dtype)
        found = evaluate(simulation, placed.test_inputs, placed.test_targets, placed.test_labels, stream)
        accuracy = None if found.accuracy is None else tuple(found.accuracy.tolist())
        rest = self._from_rest(simulation, placed.test_inputs[:EVALUATION_BATCH], stream)
        return Comparison(tuple(found.loss.tolist()), accuracy, *self._of_torch(data), rest)

    def train(self, out: Path | str | None = None, progress: Observer | None = None) -> api.Result:
        """Go on training in place, as a run whose directory holds all that it needs to be resumed.

        Args:
            out: the run directory; see :func:`analogdp.run`.
            progress: is told how the run goes.
        """
        return api.run(self.scenario, out=out, progress=progress)

    def _from_rest(self, simulation: Simulation, inputs: Tensor, stream: Stream) -> tuple[float, ...]:
        """How far each chip's outputs to inputs ``(batch, in)`` are from those at rest."""
        shown = inputs.unsqueeze(0)
        simulation.present(shown, stream=stream, quiet=True)
        outputs = self.network.neurons[-1].upward(simulation.settle().state[-1])
        return tuple((outputs - forward(self.network, shown)).abs().amax((1, 2)).tolist())

    @torch.no_grad()
    def _of_torch(self, data: Dataset) -> tuple[float, float | None]:
        """Loss and accuracy of the torch model."""
        model = without_softmax(self.torch_model)
        parameter = next(model.parameters())
        placed = data.to(parameter.device, parameter.dtype)
        starts = range(0, len(placed.test_inputs), _AT_ONCE)
        parts = (placed.test_inputs[start : start + _AT_ONCE] for start in starts)
        outputs = torch.cat([model(part.reshape(len(part), *self._shape)) for part in parts])
        loss = self.network.loss.value(outputs.unsqueeze(0), placed.test_targets[:].unsqueeze(0)).mean()
        labels = placed.test_labels
        return float(loss), None if labels is None else float(Dataset.correct(outputs, labels).double().mean())

    def __repr__(self) -> str:
        sizes, chips = "-".join(map(str, self.network.sizes)), self.network.chips
        head = f"Imported({self.scenario.name}: {sizes}, {chips} chip{'s' if chips > 1 else ''})"
        told = [f"  layer {own.layer}: {own.rms:.3g} rms error, {own.clipped:.2%} clipped" for own in self.errors]
        return "\n".join([head, *told])


def from_torch(
    model: nn.Module | Mapping[str, Tensor] | Path | str,
    scenario: Scenario | Path | str | None = None,
    *,
    epsilon: float | None = None,
    **changes: Any,
) -> Imported:
    """Put a network that torch trained on this package's hardware.

    Weights go into the synapses of the scenario, by the devices and the programming that it names; batch normalisation is folded
    into them. Inputs must be prepared as those that the model was trained on: see the scenario's ``data``.

    Args:
        model: an ``nn.Sequential``, also of others, which says layers and activation; or a ``state_dict``, or its file
            (``.safetensors``, ``.pt``), for which the scenario says them.
        scenario: data, neurons, synapses, learning; a name or a file of one; None: what an exported file says, or quickstart,
            which has digits and crossbars.
        epsilon: of batch normalisations, which a state_dict does not tell; None: torch's usual 1e-5.
        changes: other settings, by dotted path: ``synapse="ideal"``, ``**{"synapse.weight_range": 2.0}``.

    Raises:
        InputError: modules that are not supported, tensors that do not fit, a file that is none; an epsilon that is none, or
            that nothing needs.
        ScenarioError: settings that do not go together, or with the model.

    Warns:
        AnalogdpWarning: weights lie beyond the range of the cells; or the errors of what cells hold are, in the root of the mean
            square, above half of the weights.
    """
    given = model if isinstance(model, nn.Module) else _state_dict(model)
    base = _base(scenario, given)
    asked = deepcopy(changes)
    if isinstance(given, nn.Module):
        if epsilon is not None:
            raise InputError("epsilon: the model's batch normalisations tell their own; leave it away")
        imported = _of_model(given, base, asked)
    else:
        imported = _of_tensors(given, base, asked, epsilon)
    warn_of_misfits(imported.errors, _WAY_OUT, stacklevel=2)
    return imported


def _state_dict(model: Any) -> StateDict:
    return read_state_dict(Path(model)) if isinstance(model, str | os.PathLike) else of_mapping(model, "model")


def _base(scenario: Scenario | Path | str | None, given: nn.Module | StateDict) -> dict[str, Any]:
    """The scenario to begin with, as plain data, with random weights."""
    if isinstance(given, StateDict) and scenario is None:
        if given.scenario is None:
            raise InputError(
                f"{given.source}: a state_dict does not tell what its layers do; give a scenario with the layers"
            )
        plain: dict[str, Any] = parse_yaml(given.scenario, given.source).data
    else:
        found = scenario if isinstance(scenario, Scenario) else load_scenario(scenario or USUAL)
        plain = found.model_dump(mode="json")
    plain["network"] = {**plain["network"], "weights": None, "gain": 1.0}
    return plain


def _of_model(model: nn.Module, base: dict[str, Any], asked: dict[str, Any]) -> Imported:
    read = read_model(model)
    first, *others = read.layers
    if first is None:
        alone = {**asked, "network.layers": None, "network.architecture": "mlp", "record": []}
        shape = change_scenario(base, alone, OPTION).data.shape()
        if len(shape) != 3:
            raise InputError(
                f"the model takes images, and data have {shape[0]} numbers; put Unflatten before it, or change data"
            )
        first = "x".join(map(str, shape))
    told: dict[str, Any] = {"network.layers": [first, *others], "network.architecture": None}
    if read.activation is not None:
        told["neuron.activation"] = read.activation
    if read.normal is not None:
        told["network.loss"] = "cross_entropy"
    scenario = _scenario(base, asked, told, read.weights)
    shape = scenario.wirings[0].below if read.by_images else (-1,)
    return _imported(scenario, read.weights, deepcopy(model).eval(), read.notes, shape)


def _of_tensors(given: StateDict, base: dict[str, Any], asked: dict[str, Any], epsilon: float | None) -> Imported:
    layers = base["network"]["layers"]
    base["network"]["layers"] = [{**own, "normalise": None} if isinstance(own, dict) else own for own in layers]
    outline = change_scenario(base, asked, OPTION) if asked else Scenario.model_validate(base)
    shapes = {name: tuple(own.shape) for name, own in given.tensors.items()}
    try:
        entries = match(shapes, outline.wirings, True, given.ordered)
    except ProblemList as error:
        raise InputError("\n".join(f"{given.source}: {problem}" for problem in error.problems)) from None
    notes = (*_notes_of_folding(entries, epsilon), *_notes_of_biases(entries))
    weights = tuple(initial_weights(given.tensors, entries, given.source, EPSILON if epsilon is None else epsilon))
    scenario = _scenario(base, asked, {}, weights)
    return _imported(scenario, weights, None, notes, (-1,))


def _notes_of_biases(entries: Iterable[LayerEntries]) -> tuple[str, ...]:
    """Which layers of a state_dict have no bias, where others have one."""
    without = [own.weight for own in entries if own.bias is None and own.normalisation is None]
    some = any(own.bias is not None or own.normalisation is not None for own in entries)
    return tuple(f"{weight} comes without a bias, which is taken to be 0" for weight in without if some)


def _notes_of_folding(entries: Iterable[LayerEntries], epsilon: float | None) -> tuple[str, ...]:
    """What is to be known of a state_dict's batch normalisations.

    Raises:
        InputError: the epsilon is none, or there are none to use it.
    """
    folded = [(own.weight, own.normalisation["running_var"]) for own in entries if own.normalisation is not None]
    if epsilon is not None and not 0 < epsilon < math.inf:
        raise InputError(
            f"epsilon: {epsilon!r} is none; batch normalisation adds a number above 0 to variances, usually {EPSILON:g}"
        )
    if epsilon is not None and not folded:
        raise InputError("epsilon: there is no batch normalisation; leave it away")
    known = f"epsilon {EPSILON:g}, which a state_dict does not tell: from_torch(..., epsilon=...) takes another"
    told = known if epsilon is None else f"the epsilon that was given, {epsilon:g}"
    return tuple(
        f"batch normalisation {statistics.rpartition('.')[0]} was folded into {weight} with {told}"
        for weight, statistics in folded
    )


def _scenario(
    base: dict[str, Any], asked: dict[str, Any], told: dict[str, Any], weights: tuple[InitialWeights, ...]
) -> Scenario:
    """The scenario with what the model tells, and its weights in a file."""
    told = {**told, "network.bias": any(own.bias is not None for own in weights)}
    if clash := [path for path in (*told, "network.weights", "network.gain") if _is_asked(asked, path)]:
        raise InputError(f"{', '.join(clash)}: the model tells that; leave it away")
    if not told["network.bias"] and base["learning"].get("bias_rate") is not None:
        base = {**base, "learning": {**base["learning"], "bias_rate": None}}
    scenario = change_scenario(base, {**asked, **told}, OPTION)
    if problems := why_no_forward_pass(scenario, "a torch model"):
        raise ScenarioError(problems)
    dtype, tensors = getattr(torch, scenario.run.dtype), {}
    for number, (own, wiring) in enumerate(zip(weights, scenario.wirings, strict=True), start=1):
        tensors[f"{number}.weight"] = own.weights.to(dtype).reshape(weight_shape(wiring)).contiguous()
        if own.bias is not None:
            tensors[f"{number}.bias"] = own.bias.to(dtype)
    return with_weights(scenario, _kept(save(tensors)))


def _is_asked(asked: Mapping[str, Any], path: str) -> bool:
    """Whether changes say something of a dotted path."""
    section, _, key = path.partition(".")
    return path in asked or (isinstance(asked.get(section), Mapping) and key in asked[section])


@cache
def _folder() -> TemporaryDirectory[str]:
    """For files that live as long as this process."""
    return TemporaryDirectory(prefix="analogdp-")


def _kept(content: bytes) -> Path:
    """A file of some content, the same for the same."""
    path = Path(_folder().name) / f"{hashlib.sha256(content).hexdigest()[:16]}{SUFFIX}"
    write_bytes(path, content)
    return path


def _imported(
    scenario: Scenario,
    weights: tuple[InitialWeights, ...],
    model: nn.Module | None,
    notes: tuple[str, ...],
    shape: tuple[int, ...],
) -> Imported:
    placed = api.placed_scenario(scenario)
    network = build(placed)
    model = model or _rebuilt(network, placed, weights)
    return Imported(scenario, network, model, notes, weights, shape)


def _rebuilt(network: Network, scenario: Scenario, weights: tuple[InitialWeights, ...]) -> nn.Sequential:
    """The model that a state_dict stands for: exact weights, and neurons without mismatch."""
    stages = []
    for stage, own in zip(inference_stages(one_chip(network, scenario, None)), weights, strict=True):
        dtype, ones = stage.weights.dtype, stage.weights.new_ones(stage.wiring.outputs)
        bias = None if own.bias is None else own.bias.to(dtype)
        terms = (Term(ones, ones, torch.zeros_like(ones)),)
        stages.append(replace(stage, weights=own.weights.to(dtype), bias=bias, gain=None, shift=None, terms=terms))
    return module_of(stages)
