"""Putting the layers of a torch model on crossbars, and programming them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from analogdp.errors import InputError
from analogdp.nn.cells import OnCrossbar, SynapseLike
from analogdp.nn.misfits import layer_errors, warn_of_misfits
from analogdp.nn.modules import CrossbarConv2d, CrossbarLinear

_WAY_OUT = "convert(model, {{'weight_range': {}, ...}})"


def convert(model: nn.Module, synapse: SynapseLike = None, seed: int = 0) -> nn.Module:
    """Replace the linear layers and convolutions of a model by such on crossbars.

    Parameters are taken over as they are, so that an optimizer goes on with them. The model is changed; a layer alone is left
    as it is.

    Args:
        model: any; layers of classes that build on torch's stay, for what they compute is their own.
        synapse: of all layers, as of :class:`CrossbarLinear`.
        seed: of all layers, whose places in the model tell their draws apart.

    Returns:
        The model, or what takes the place of a layer alone.

    Raises:
        InputError: there are no such layers, or a convolution has groups, or padding that is not a number of zeros.
        ScenarioError: the section has problems.

    Warns:
        AnalogdpWarning: weights lie beyond the range of the cells.
    """
    replaced: dict[nn.Module, CrossbarLinear | CrossbarConv2d] = {}
    for name, module in list(model.named_modules()):
        made = _on_crossbar(module, synapse, seed, name)
        if made is not None:
            replaced[module] = made
    if not replaced:
        raise InputError(f"{type(model).__name__} has no Linear or Conv2d whose weights a crossbar could hold")
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in replaced:
                parent._modules[name] = replaced[child]
    _warn([(own.name, own, own.clipped) for own in replaced.values()])
    return replaced.get(model, model)


def program(model: nn.Module, typical: Tensor | None = None, chip: int = 0) -> nn.Module:
    """Put the weights of all layers on crossbars into the cells of a chip, which evaluation reads from then on.

    Args:
        model: with such layers.
        typical: inputs of the model, which converters with calibrated ranges are fitted to, layer after layer.
        chip: whose devices they are.

    Returns:
        The model.

    Raises:
        InputError: there are no such layers, or ranges to be calibrated and no typical inputs.

    Warns:
        AnalogdpWarning: weights lie beyond the range of the cells; or the errors of what cells hold are, in the root of the mean
            square, above half of the weights.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, OnCrossbar)}
    if not layers:
        raise InputError(f"{type(model).__name__} has no layers on crossbars; make them with analogdp.nn.convert")
    cells = {name: layer.program(chip).crossbar for name, layer in layers.items()}
    calibrated = [layers[name] for name, crossbar in cells.items() if crossbar is not None and crossbar.calibrated]
    if calibrated and typical is None:
        raise InputError("converters of range: calibrated need typical inputs of the model: program(model, inputs)")
    _warn([(name, layer, layer.crossbar.weights) for name, layer in layers.items() if layer.crossbar is not None])
    if typical is None or not calibrated:
        return model
    hooks = [layer.register_forward_pre_hook(_fit) for layer in calibrated]
    training = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()(typical)
    finally:
        for module, own in training.items():
            module.training = own
        for hook in hooks:
            hook.remove()
    return model


def _fit(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    assert isinstance(layer, CrossbarLinear | CrossbarConv2d)
    layer.calibrate(layer.rows(inputs[0]))


def _warn(layers: Iterable[tuple[str, OnCrossbar, Tensor]]) -> None:
    """Warn of weights that do not go with their cells: names of layers, themselves, and what is read of their weights."""
    errors = [layer_errors(name, own.weight.flatten(1), held, own.mapping) for name, own, held in layers]
    warn_of_misfits(errors, _WAY_OUT, stacklevel=3)


def _on_crossbar(
    module: nn.Module, synapse: SynapseLike, seed: int, name: str
) -> CrossbarLinear | CrossbarConv2d | None:
    """The same layer on a crossbar, with the very parameters; None if it is of another class."""
    made: CrossbarLinear | CrossbarConv2d
    options: dict[str, Any] = {"synapse": synapse, "seed": seed, "name": name}
    if type(module) is nn.Linear:
        made = CrossbarLinear(module.in_features, module.out_features, **_common(module), **options)
    elif type(module) is nn.Conv2d:
        made = CrossbarConv2d(**_geometry(module, name), **options)
    else:
        return None
    made.weight, made.bias = module.weight, module.bias
    return made.train(module.training)


def _geometry(module: nn.Conv2d, name: str) -> dict[str, Any]:
    if module.groups != 1 or module.padding_mode != "zeros" or isinstance(module.padding, str):
        found = f"groups={module.groups}, padding={module.padding!r}, padding_mode={module.padding_mode!r}"
        raise InputError(
            f"{name or 'the model'}: a Conv2d with {found}; a crossbar holds groups=1 with numbers of zeros"
        )
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
    return {own: getattr(module, own) for own in names} | _common(module)


def _common(module: nn.Linear | nn.Conv2d) -> dict[str, Any]:
    return {"device": module.weight.device, "dtype": module.weight.dtype, "bias": module.bias is not None}
