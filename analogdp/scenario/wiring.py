"""The shapes of a network: how the messages of each layer reach the neurons of the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from analogdp.errors import Problem
from analogdp.scenario.layers import ConvolutionSettings, DenseSettings, ImageShape, LayerSettings, PoolSettings
from analogdp.scenario.settings import ProblemList

MOST_NUMBERS = 2**26
"""In the windows of images that are written out at once, over all chips: 256 MB in single precision."""

Shape = tuple[int, ...]
"""``(units,)``, or ``(channels, height, width)`` of images, whose units are counted in this order."""


@dataclass(frozen=True)
class Pool:
    """Windows of which each gives one number.

    Attributes:
        kind: what is taken of a window.
        size, stride: of the square windows.
    """

    kind: Literal["max", "average", "quadratic_mean"]
    size: int
    stride: int

    def of(self, image: Shape) -> Shape:
        """The shape that an image is pooled to."""
        return (image[0], *(_steps(side, self.size, self.stride) for side in image[1:]))


@dataclass(frozen=True)
class Kernel:
    """Square windows of an image, each of which is multiplied by the same weights.

    Attributes:
        channels: of the result.
        size, stride, padding: of the windows, and the zeros around the image.
    """

    channels: int
    size: int
    stride: int
    padding: int

    def of(self, image: Shape) -> Shape:
        """The shape that an image is convolved to."""
        return (self.channels, *(_steps(side + 2 * self.padding, self.size, self.stride) for side in image[1:]))


@dataclass(frozen=True)
class Wiring:
    """What lies between two layers: pool, weights, normalisation, pool.

    Attributes:
        below: shape of the messages from below.
        above: shape of the neurons that are reached.
        activity_pool: of the messages, before the weights.
        kernel: of a convolution; None: every unit reaches every unit.
        drive_pool: of the drives, after the weights.
        normalised: drives are normalised over the batch, before they are pooled.
    """

    below: Shape
    above: Shape
    activity_pool: Pool | None = None
    kernel: Kernel | None = None
    drive_pool: Pool | None = None
    normalised: bool = False

    @property
    def inputs(self) -> int:
        """Numbers in a message from below."""
        return prod(self.below)

    @property
    def outputs(self) -> int:
        """Neurons that are reached."""
        return prod(self.above)

    @property
    def read(self) -> Shape:
        """Shape of what the weights read."""
        return self.activity_pool.of(self.below) if self.activity_pool else self.below

    @property
    def drives(self) -> Shape:
        """Shape of what the weights give."""
        return self.kernel.of(self.read) if self.kernel else self.above

    @property
    def fan_in(self) -> int:
        """Weights of an output line."""
        return self.read[0] * self.kernel.size**2 if self.kernel else prod(self.read)

    @property
    def lines(self) -> int:
        """Output lines of the weights."""
        return self.kernel.channels if self.kernel else prod(self.drives)

    @property
    def positions(self) -> int:
        """How often the weights are read for one sample."""
        return prod(self.drives[1:]) if self.kernel else 1

    @property
    def plain(self) -> bool:
        """Whether there are only weights from every unit to every unit."""
        return self.kernel is None and self.activity_pool is None and not self.normalised


def wire(layers: Sequence[int | ImageShape | LayerSettings]) -> tuple[Wiring, ...]:
    """What lies between all layers.

    Args:
        layers: as a scenario says it, the clamped input first.

    Raises:
        ProblemList: a layer does not fit the one below; paths are places in ``layers``.
    """
    first, *others = layers
    if isinstance(first, LayerSettings):
        raise ProblemList([Problem("0", "the first layer is the input: a number, or a shape such as 1x28x28")])
    shape: Shape = (first,) if isinstance(first, int) else first.shape
    pool: Pool | None = None
    wirings = []
    for place, layer in enumerate(others, start=1):
        if isinstance(layer, ImageShape):
            raise ProblemList([Problem(str(place), f"{layer} is a shape, which only the first layer, the input, has")])
        own = DenseSettings(dense=layer) if isinstance(layer, int) else layer
        wiring = _wiring(own, shape, pool, str(place))
        wirings.append(wiring)
        shape, pool = wiring.above, _pool(own.pool if isinstance(own, ConvolutionSettings) else None, "activity")
        if pool is not None:
            _check_window(pool.size, shape, f"{place}.pool.size")
    return tuple(wirings)


def _wiring(layer: LayerSettings, below: Shape, activity_pool: Pool | None, place: str) -> Wiring:
    read = activity_pool.of(below) if activity_pool else below
    normalised = layer.normalise == "batch"
    if isinstance(layer, DenseSettings):
        return Wiring(below, (layer.dense,), activity_pool, normalised=normalised)
    assert isinstance(layer, ConvolutionSettings)
    if len(read) != 3:
        refusal = f"a convolution needs an image below it, not {read[0]} units"
        way_out = "write the input as a shape such as 1x28x28, and convolutions before dense layers"
        raise ProblemList([Problem(place, f"{refusal}; {way_out}")])
    kernel = Kernel(layer.conv, layer.kernel, layer.stride, layer.padding)
    _check_window(kernel.size, (read[0], *(side + 2 * kernel.padding for side in read[1:])), f"{place}.kernel")
    drives = kernel.of(read)
    drive_pool = _pool(layer.pool, "drive")
    if drive_pool is not None:
        _check_window(drive_pool.size, drives, f"{place}.pool.size")
    above = drive_pool.of(drives) if drive_pool else drives
    return Wiring(below, above, activity_pool, kernel, drive_pool, normalised)


def _pool(settings: PoolSettings | None, of: Literal["drive", "activity"]) -> Pool | None:
    if settings is None or settings.of != of:
        return None
    return Pool(settings.kind, settings.size, settings.stride or settings.size)


def _check_window(size: int, image: Shape, path: str) -> None:
    if size > min(image[1:]):
        height, width = image[1:]
        refusal = f"{size} is larger than its image of {height} x {width}; allowed: up to {min(height, width)}"
        raise ProblemList([Problem(path, refusal)])


def _steps(side: int, size: int, stride: int) -> int:
    return (side - size) // stride + 1
