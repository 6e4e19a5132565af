"""Networks with numbers everywhere, and how far a torch module is from one."""

import torch

from analogdp.analysis.gradients import forward
from analogdp.network import build
from analogdp.scenario import Scenario

DENSE = (64, 12, 10)
APART = {"synapse": {"model": "crossbar", "adc": {"bits": 8}}, "mismatch": {"gain": {"std": 0.0, "compartments": 0.1}}}
"""Converters, and neurons whose compartments differ."""


def network_of(layers=DENSE, dtype="float64", **sections):
    network = {"layers": layers, **sections.pop("network", {})}
    scenario = Scenario.model_validate(
        {"data": "digits", "network": network, "run": {"device": "cpu", "dtype": dtype}, **sections}
    )
    made, generator = build(scenario), torch.Generator().manual_seed(3)
    for layer in made.layers:
        if layer.bias is not None:
            layer.bias.copy_(0.1 * torch.randn(layer.bias.shape, generator=generator))
    for own in made.normalisations.values():
        for name in ("gain", "offset", "mean", "variance"):
            values = getattr(own, name).detach()
            values.add_(0.3 * torch.rand(values.shape, generator=generator))
    return scenario, made


def largest_difference(network, module):
    x = torch.rand(9, network.sizes[0], generator=torch.Generator().manual_seed(7), dtype=network.dtype)
    expected = forward(network, x.unsqueeze(0))[0]
    found = module(x)
    assert found.dtype == expected.dtype
    return ((found - expected).abs().max() / expected.abs().max()).item()
