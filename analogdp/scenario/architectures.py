"""Networks of the literature by their names, as layers for inputs and outputs of some size."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod

from analogdp.registry import suggestion
from analogdp.scenario.layers import ConvolutionSettings, ImageShape, LayerSettings, PoolSettings

Layers = tuple[int | ImageShape | LayerSettings, ...]

_MLP = re.compile(r"^mlp(?:-[1-9]\d{0,6})*$")


def lenet5(inputs: ImageShape, outputs: int) -> Layers:
    """LeNet-5 (LeCun et al. 1998) as it is used today, for images of at least 12 x 12; pools are set apart from neurons.

    Quadratic-mean pools of the activities are those of Troiano et al. 2025.
    """
    pool = PoolSettings(kind="quadratic_mean", of="activity")
    return (
        inputs,
        ConvolutionSettings(conv=6, kernel=5, padding=2, pool=pool),
        ConvolutionSettings(conv=16, kernel=5, pool=pool),
        120,
        84,
        outputs,
    )


def vgg16(inputs: ImageShape, outputs: int) -> Layers:
    """VGG16 (Simonyan & Zisserman 2015, configuration D) for images of at least 32 x 32, with classifiers of 4096 units."""
    layers: list[int | ImageShape | LayerSettings] = [inputs]
    for channels, convolutions in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for number in range(convolutions):
            pool = PoolSettings() if number == convolutions - 1 else None
            layers.append(ConvolutionSettings(conv=channels, kernel=3, padding=1, pool=pool))
    return (*layers, 4096, 4096, outputs)


CONVOLUTIONAL: dict[str, tuple[Callable[[ImageShape, int], Layers], int]] = {
    "lenet5": (lenet5, 12),
    "vgg16": (vgg16, 32),
}
"""Networks for images by name, with the smallest side that they take."""


def known(name: str) -> str:
    """``name``, if it is the name of an architecture.

    Raises:
        ValueError: with the known names.
    """
    if name in CONVOLUTIONAL or _MLP.match(name):
        return name
    if name.startswith("mlp-"):
        raise ValueError(f"unknown architecture {name!r}: hidden sizes are whole numbers from 1, such as mlp-512-512")
    examples = [*CONVOLUTIONAL, "mlp-512-512"]
    raise ValueError(f"unknown architecture {name!r}: {suggestion(name, examples)} (mlp with any hidden sizes)")


def layers_of(name: str, shape: tuple[int, ...], outputs: int) -> Layers:
    """The layers of an architecture.

    Args:
        name: a known one.
        shape: of an input.
        outputs: numbers in a target.

    Raises:
        ValueError: it does not take such inputs.
    """
    if name not in CONVOLUTIONAL:
        return (prod(shape), *map(int, name.split("-")[1:]), outputs)
    make, smallest = CONVOLUTIONAL[name]
    if len(shape) != 3 or min(shape[1:]) < smallest:
        found = " x ".join(map(str, shape[1:])) if len(shape) == 3 else f"{shape[0]} numbers"
        raise ValueError(f"{name} needs images of at least {smallest} x {smallest}, not {found}")
    return make(ImageShape(*shape), outputs)
