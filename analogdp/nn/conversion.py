"""Putting the layers of a torch model on crossbars, programming them, and letting them grow older."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from analogdp.errors import InputError
from analogdp.nn.cells import OnCrossbar, SynapseLike
from analogdp.nn.misfits import layer_errors, warn_of_misfits
from analogdp.nn.modules import CrossbarConv2d, CrossbarLinear
from analogdp.scenario.quantities import to_si

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
        InputError: there are no such layers, or they are on crossbars already; a convolution has groups, or padding that is
            not a number of zeros; a weight is computed from other tensors, as by ``weight_norm``.
        ScenarioError: the section has problems.

    Warns:
        AnalogdpWarning: weights lie beyond the range of the cells.
    """
    _check_module(model)
    replaced: dict[nn.Module, CrossbarLinear | CrossbarConv2d] = {}
    for name, module in list(model.named_modules()):
        made = _on_crossbar(module, synapse, seed, name)
        if made is not None:
            replaced[module] = made
    if not replaced:
        if any(isinstance(module, OnCrossbar) for module in model.modules()):
            raise InputError(f"the layers of {type(model).__name__} are on crossbars already; convert works in place")
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
        InputError: there are no such layers, no such chip, or ranges to be calibrated and no typical inputs.

    Warns:
        AnalogdpWarning: weights lie beyond the range of the cells; or the errors of what cells hold are, in the root of the mean
            square, above half of the weights.
    """
    _check_module(model)
    if not isinstance(typical, Tensor | None):
        raise InputError(f"typical inputs: expected a tensor, not a {type(typical).__name__}")
    layers = {name: module for name, module in model.named_modules() if isinstance(module, OnCrossbar)}
    if not layers:
        raise InputError(f"{type(model).__name__} has no layers on crossbars; make them with analogdp.nn.convert")
    cells = {name: layer.program(chip).crossbar for name, layer in layers.items()}
    calibrated = [layers[name] for name, crossbar in cells.items() if crossbar is not None and crossbar.calibrated]
    if calibrated and typical is None:
        raise InputError("converters of range: calibrated need typical inputs of the model: program(model, typical)")
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


def age(model: nn.Module, after: str | float) -> nn.Module:
    """Let the programmed cells of a model grow older: they drift, relax and decay as their devices do.

    Args:
        model: with programmed layers on crossbars.
        after: the time since they were programmed or grew older last, in seconds or with a unit: ``"1 day"``.

    Returns:
        The model.

    Raises:
        InputError: no time, no programmed layers, or none whose cells change in time.
    """
    try:
        seconds = float(to_si(after, "second"))
    except (ValueError, TypeError) as error:
        raise InputError(f"after: {error}") from None
    if not 0 < seconds < math.inf:
        raise InputError(f"after: {seconds:g} s is no time to grow older in; write for example '1 day'")
    cells = {
        module: module.crossbar for module in model.modules() if isinstance(module, OnCrossbar) and module.crossbar
    }
    if not cells:
        raise InputError(f"{type(model).__name__} has no programmed layers; call analogdp.nn.program first")
    changing = [layer for layer, crossbar in cells.items() if crossbar.volatile]
    if not changing:
        cards = ", ".join(sorted({layer.settings.device.name for layer in cells}))
        what = "drift, relaxation, retention and flicker_noise of a device card, and the lifetime of linear devices"
        raise InputError(f"cells of {cards} do not change in time; what makes them are {what}")
    for layer in changing:
        layer.age(seconds)
    return model


def refuse_computed_weight(module: nn.Module, name: str) -> None:
    """Nothing for a module whose weight is a parameter, or that has none.

    Raises:
        InputError: the weight of a ``Linear`` or ``Conv2d`` is computed from other tensors; ``name`` is its place in a model.
    """
    if isinstance(module, nn.Linear | nn.Conv2d) and "weight" not in module._parameters:
        found = f"{name or 'the model'} ({type(module).__name__})"
        raise InputError(
            f"{found}: its weight is computed from other tensors, as by weight_norm; make it a parameter with "
            "torch.nn.utils.parametrize.remove_parametrizations, or torch.nn.utils.remove_weight_norm"
        )


def _check_module(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise InputError(f"expected a torch module, not one of class {type(model).__name__}")


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
    refuse_computed_weight(module, name)
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
