"""Small networks with made-up cells, for tests that need something to export."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from analogdp.synapses.base import ConductanceTable

CARD = {
    "name": "test_cell",
    "model": "soft_bounds",
    "description": "made up",
    "material": "HfO2",
    "source": "Nobody, J. Irrepr. Res. 2020",
    "note": "fitted to nothing",
    "low": 1e-7,
    "high": 1e-5,
    "parameters": {"dw_min": 0.002, "up_down": 0.0, "c2c": 3.75},
}


def table(
    inputs: int,
    outputs: int,
    chips: int,
    tile: tuple[int, int] | None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> ConductanceTable:
    """Cells whose weights are near their targets, as after training."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    shape = (chips, outputs, inputs)
    target = 0.3 * normal(*shape)
    middle, half = 5e-6, 4.9e-6
    plus = (middle + half * (target + 0.05 * normal(*shape))).clamp(1e-7, 1e-5)
    minus = (middle + 2e-7 * normal(*shape)).clamp(1e-7, 1e-5)
    scale = 1 / half
    counts = torch.randint(0, 500, (chips, 2, outputs, inputs), generator=generator, dtype=torch.int64)
    return ConductanceTable(plus, minus, target, scale * (plus - minus), scale, counts, tile, 1e-7, 1e-5, dict(CARD))


def fake_network(
    sizes: tuple[int, ...] = (5, 3, 2),
    chips: tuple[int, ...] = (0,),
    tile: tuple[int, int] | None = (2, 2),
    seed: int = 0,
    bias: bool = True,
    dtype: torch.dtype = torch.float32,
    feedback: bool = False,
) -> Any:
    """What an exporter sees of a network with crossbars, and crossbars of their own for feedback if there are."""
    tables = [table(a, b, len(chips), tile, seed + k, dtype) for k, (a, b) in enumerate(pairwise(sizes))]
    back = [table(b, a, len(chips), tile, seed + 100 + k, dtype) for k, (a, b) in enumerate(pairwise(sizes))]
    synapses, paths = ([_synapse(cells) for cells in each] for each in (tables, back))
    biases = [
        torch.arange(len(chips) * units, dtype=dtype).reshape(len(chips), 1, units) if bias else None
        for units in sizes[1:]
    ]
    layers = [SimpleNamespace(bias=values) for values in biases]
    return SimpleNamespace(
        chips=len(chips),
        chip_indices=chips,
        sizes=sizes,
        synapses=synapses,
        feedback_paths=[None, *paths[1:]] if feedback else [None] * len(synapses),
        layers=layers,
    )


def _synapse(cells: ConductanceTable) -> Any:
    return SimpleNamespace(table=cells, conductances=lambda: cells)


def ideal_network() -> Any:
    """A network without physical cells."""
    synapses = [SimpleNamespace(conductances=lambda: None)]
    return SimpleNamespace(
        chips=1,
        chip_indices=(0,),
        sizes=(3, 2),
        synapses=synapses,
        feedback_paths=[None],
        layers=[SimpleNamespace(bias=None)],
    )
