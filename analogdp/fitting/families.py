"""The laws that can be fitted: which numbers give a model's shape, which all devices share, and where a search starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from analogdp import registry
from analogdp.devices.pulsed import PulsedDevice
from analogdp.errors import InputError
from analogdp.fitting.traces import Values
from analogdp.registry import suggestion

SPAN = 2.0
"""Of the normalised weight: the card's nominal range is about -1 to 1."""
NODES = 7
"""Of a piecewise law; the one in the middle is the unit that the others are relative to."""


@dataclass(frozen=True)
class Family:
    """A model, or one branch of it, with a shape that all devices share.

    Attributes:
        model: its registered name.
        start: of the shape's numbers.
        lowest, highest: their ranges.
        fields: the model's settings for a shape and for the mean size of a step, without variation and noise.
    """

    model: str
    start: tuple[float, ...]
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    fields: Callable[[Values, float], dict[str, Any]]

    def device(self, shape: Values, step: float, form: str, **more: Any) -> PulsedDevice:
        """The model with this shape and unit cycle noise, of weights from -1 to 1 that are conductances, too."""
        model: type[PulsedDevice] = registry.devices.get(self.model)
        fields = {**self.fields(shape, step), "cycle_noise": 1.0, "cycle_noise_form": form, **more}
        settings = model.Settings.model_validate(fields)
        return model.build(settings, 0.0, SPAN)


def _step(shape: Values, step: float) -> dict[str, Any]:
    return {"step": min(step, SPAN)}


def _linear(shape: Values, step: float) -> dict[str, Any]:
    return {**_step(shape, step), "slope_up": float(shape[0]), "slope_down": float(shape[1])}


def _power(shape: Values, step: float) -> dict[str, Any]:
    return {**_step(shape, step), "exponent_up": float(shape[0]), "exponent_down": float(shape[1])}


def _neurosim(shape: Values, step: float) -> dict[str, Any]:
    return {"pulses": max(2.0, SPAN / step), "nonlinearity_up": float(shape[0]), "nonlinearity_down": float(shape[1])}


def _exponential(sign: float) -> Callable[[Values, float], dict[str, Any]]:
    def fields(shape: Values, step: float) -> dict[str, Any]:
        names = ("factor_up", "factor_down")
        factors = {name: float(value) for name, value in zip(names, shape, strict=False)}
        exponents = {"exponent_up": math.exp(shape[2]), "exponent_down": math.exp(shape[3])}
        return {**_step(shape, step), **factors, **exponents, "scale": 0.5 * sign, "offset": 0.0}

    return fields


def _piecewise(shape: Values, step: float) -> dict[str, Any]:
    middle, half = NODES // 2, len(shape) // 2
    up, down = (tuple(np.exp(np.insert(part, middle, 0.0)).tolist()) for part in (shape[:half], shape[half:]))
    return {**_step(shape, step), "steps_up": up, "steps_down": down}


_FREE_NODES = 2 * (NODES - 1)
_MOST_APART = math.log(30.0)
"""Logarithm of the largest ratio between nodes."""
_EXPONENTS = (math.log(0.2), math.log(40.0))

FAMILIES: Mapping[str, tuple[Family, ...]] = {
    "constant": (Family("constant", (), (), (), _step),),
    "linear": (Family("linear", (0.5, 0.5), (0.0, 0.0), (1.0, 1.0), _linear),),
    "soft_bounds": (Family("soft_bounds", (), (), (), _step),),
    "exponential": tuple(
        Family(
            "exponential",
            (0.3 * sign, 0.3 * sign, math.log(4.0), math.log(4.0)),
            (-100.0, -100.0, _EXPONENTS[0], _EXPONENTS[0]),
            (0.95, 0.95, _EXPONENTS[1], _EXPONENTS[1]),
            _exponential(sign),
        )
        for sign in (1.0, -1.0)
    ),
    "power": (Family("power", (1.0, 1.0), (0.0, 0.0), (20.0, 20.0), _power),),
    "neurosim": (Family("neurosim", (1.0, -1.0), (-8.9, -8.9), (8.9, 8.9), _neurosim),),
    "piecewise": (
        Family(
            "piecewise", (0.0,) * _FREE_NODES, (-_MOST_APART,) * _FREE_NODES, (_MOST_APART,) * _FREE_NODES, _piecewise
        ),
    ),
}
"""By model, the simplest first; a model with two branches is fitted with each, and the better is kept."""


def chosen_models(names: list[str]) -> list[str]:
    """The models called so; ``all`` is every one of them.

    Raises:
        InputError: an unknown name; the message lists those there are.
    """
    for name in names:
        if name != "all" and name not in FAMILIES:
            raise InputError(f"--model: unknown model {name!r}: {suggestion(name, ['all', *FAMILIES])}")
    return list(FAMILIES) if "all" in names else list(dict.fromkeys(names))


def parameters_of(device: PulsedDevice, own: Values) -> dict[str, torch.Tensor]:
    """A model's parameters of devices with ``own`` steps up and down (sizes) and bounds, ``(..., 4)``; each ``(..., 1)``."""
    up, down, upper, lower = torch.from_numpy(own).unsqueeze(-1).unbind(-2)
    return device.shape_parameters({"step_up": up, "step_down": -down, "upper": upper, "lower": lower})
