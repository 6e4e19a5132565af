"""Networks of images in tests, and the same networks as torch.nn has them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from analogdp.network import Network, build
from analogdp.scenario import Scenario
from analogdp.scenario.wiring import Pool, Wiring


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def image_scenario(layers: Sequence[Any], **sections: Any) -> Scenario:
    """A float64 scenario on random images, of the sizes of the layers."""
    channels, height, width = map(int, str(layers[0]).split("x"))
    outputs = layers[-1] if isinstance(layers[-1], int) else layers[-1]["dense"]
    network = {"layers": layers, **sections.pop("network", {})}
    run = {"device": "cpu", "dtype": "float64", **sections.pop("run", {})}
    data = {"name": "blobs", "inputs": channels * height * width, "classes": outputs}
    return Scenario.model_validate({"data": data, "network": network, "run": run, **sections})


def image_network(layers: Sequence[Any], **sections: Any) -> Network:
    """The network of such a scenario, with small random biases."""
    network = build(image_scenario(layers, **sections))
    for number, layer in enumerate(network.layers):
        if layer.bias is not None:
            layer.bias.copy_(0.1 * random(1, 1, layer.bias.shape[-1], seed=number))
    return network


class QuadraticMean(nn.Module):
    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(x.square(), self.pool.size, self.pool.stride).sqrt()


def torch_pool(pool: Pool | None) -> nn.Module:
    if pool is None:
        return nn.Identity()
    kinds = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
    return kinds[pool.kind](pool.size, pool.stride) if pool.kind in kinds else QuadraticMean(pool)


class Twin(nn.Module):
    """One wiring and its neurons with the weights of one chip: pool, weights, normalisation, pool, activation."""

    def __init__(self, wiring: Wiring, weights: Tensor, bias: Tensor | None, activation: nn.Module) -> None:
        super().__init__()
        self.wiring = wiring
        if wiring.kernel is None:
            self.weights: nn.Module = nn.Linear(wiring.fan_in, wiring.lines, bias is not None, dtype=weights.dtype)
        else:
            kernel = wiring.kernel
            geometry = (wiring.read[0], kernel.channels, kernel.size, kernel.stride, kernel.padding)
            self.weights = nn.Conv2d(*geometry, bias=bias is not None, dtype=weights.dtype)
        with torch.no_grad():
            self.weights.weight.copy_(weights.view_as(self.weights.weight))
            if bias is not None:
                self.weights.bias.copy_(bias.flatten())
        self.activity_pool, self.drive_pool = torch_pool(wiring.activity_pool), torch_pool(wiring.drive_pool)
        self.normalisation: nn.Module = nn.Identity()
        if wiring.normalised:
            kind = nn.BatchNorm1d if wiring.kernel is None else nn.BatchNorm2d
            self.normalisation = kind(wiring.lines, dtype=weights.dtype)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        shown = self.activity_pool(x.reshape(len(x), *self.wiring.below)).reshape(len(x), *self.wiring.read)
        if self.wiring.kernel is None:
            shown = shown.flatten(1)
        return self.activation(self.drive_pool(self.normalisation(self.weights(shown)))).flatten(1)


def torch_twin(network: Network, chip: int = 0, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """The same network in torch.nn, for one chip; outputs are linear."""
    parts = []
    for number, (projection, layer) in enumerate(zip(network.projections, network.layers, strict=True)):
        last = number == len(network.layers) - 1
        bias = None if layer.bias is None else layer.bias[chip]
        own = nn.Identity() if last else activation()
        parts.append(Twin(projection.wiring, projection.synapse.weights[chip], bias, own))
    return nn.Sequential(*parts)
