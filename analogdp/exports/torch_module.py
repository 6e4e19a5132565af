"""One chip as a module of torch's own layers, with the effective weights and mismatch of its neurons."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from analogdp.exports.inference import Stage, Term, inference_stages
from analogdp.network import Network
from analogdp.network.pools import QuadraticMeanPooling
from analogdp.neurons.activations import Activation, HardSigmoid, Identity, LeakyRelu, Logistic, Relu, Tanh
from analogdp.scenario.wiring import Pool, Shape


class QuadraticMeanPool2d(nn.Module):
    """The root of the mean square of each window of images ``(batch, channels, height, width)``."""

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, images: Tensor) -> Tensor:
        pool = Pool("quadratic_mean", self.kernel_size, self.stride)
        return QuadraticMeanPooling(pool, tuple(images.shape[1:])).forward(images)[0]

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


class Transfer(nn.Module):
    """An activation that torch has no module for."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, drive: Tensor) -> Tensor:
        return self.activation(drive)

    def extra_repr(self) -> str:
        return repr(self.activation)


class MismatchedNeurons(nn.Module):
    """The activity of neurons that differ: the sum over terms of ``weight * f(slope * (drive + offset))``.

    Args:
        terms: one for each compartment.
        function: f.
        shape: of the layer.
    """

    weight: Tensor
    slope: Tensor
    offset: Tensor

    def __init__(self, terms: Sequence[Term], function: nn.Module, shape: Shape) -> None:
        super().__init__()
        self.function = function
        for name in Term._fields:
            values = torch.stack([getattr(term, name).view(shape) for term in terms])
            self.register_buffer(name, values)

    def forward(self, drive: Tensor) -> Tensor:
        parts = zip(self.weight, self.slope, self.offset, strict=True)
        activities = [weight * self.function(slope * (drive + offset)) for weight, slope, offset in parts]
        return torch.stack(activities).sum(0)


def torch_module(network: Network) -> nn.Sequential:
    """A network of one chip as it answers without nudging, noise, converters and messages down, in evaluation mode.

    Inputs are ``(batch, ...)`` of any shape with as many numbers as the network has inputs; outputs are ``(batch, out)``. Batch
    normalisation is folded into the weights.

    Raises:
        InputError: the network has several chips, or its free neurons are no function of what comes from below.
    """
    return module_of(inference_stages(network))


def module_of(stages: Sequence[Stage]) -> nn.Sequential:
    """The same of stages; see :func:`torch_module`."""
    modules: list[nn.Module] = [nn.Flatten()]
    flat = True
    for stage in stages:
        added = _of_stage(stage, flat)
        modules += added
        flat = stage.wiring.kernel is None
    return nn.Sequential(*modules).eval()


def _of_stage(stage: Stage, flat: bool) -> list[nn.Module]:
    wiring = stage.wiring
    modules: list[nn.Module] = []
    as_images = wiring.kernel is not None or wiring.activity_pool is not None
    if flat and as_images:
        modules.append(nn.Unflatten(1, wiring.below))
    if wiring.activity_pool is not None:
        modules.append(_pool(wiring.activity_pool))
    if wiring.kernel is None and (as_images or not flat):
        modules.append(nn.Flatten())
    modules.append(_weights(stage))
    if wiring.drive_pool is not None:
        modules.append(_pool(wiring.drive_pool))
    function = _function(stage.activation)
    if not stage.uniform:
        modules.append(MismatchedNeurons(stage.terms, function or nn.Identity(), wiring.above))
    elif function is not None:
        modules.append(function)
    return modules


def _weights(stage: Stage) -> nn.Module:
    wiring, (weights, bias) = stage.wiring, stage.folded()
    made: nn.Module
    options = {"bias": bias is not None, "dtype": weights.dtype}
    if (kernel := wiring.kernel) is None:
        made = skip_init(nn.Linear, wiring.fan_in, wiring.lines, **options)  # type: ignore[no-untyped-call]
    else:
        geometry = (wiring.read[0], kernel.channels, kernel.size, kernel.stride, kernel.padding)
        made = skip_init(nn.Conv2d, *geometry, **options)  # type: ignore[no-untyped-call]
    state = {"weight": weights.view_as(made.get_parameter("weight"))}
    made.load_state_dict(state if bias is None else {**state, "bias": bias})
    return made


def _pool(pool: Pool) -> nn.Module:
    if pool.kind == "quadratic_mean":
        return QuadraticMeanPool2d(pool.size, pool.stride)
    return (nn.MaxPool2d if pool.kind == "max" else nn.AvgPool2d)(pool.size, pool.stride)


def _function(activation: Activation | None) -> nn.Module | None:
    """Torch's module of an activation; None for linear neurons."""
    match activation:
        case None | Identity():
            return None
        case Relu():
            return nn.ReLU()
        case LeakyRelu():
            return nn.LeakyReLU(activation.slope)
        case HardSigmoid():
            return nn.Hardtanh(0.0, 1.0)
        case Tanh():
            return nn.Tanh()
        case Logistic():
            return nn.Sigmoid()
    return Transfer(activation)
