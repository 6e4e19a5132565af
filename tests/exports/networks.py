"""Small networks with made-up cells, for tests that need something to export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from analogdp.network import Network
from analogdp.scenario.schema import Scenario
from analogdp.scenario.wiring import Wiring
from analogdp.synapses.base import ConductanceTable
from analogdp.synapses.programming import ProgrammingReport

Export = Callable[..., tuple[Path, Network]]
"""``export(chips=2, tile="5x4")``, the fixture of that name."""

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

VERIFIED = Scenario.model_validate(
    {
        "name": "verified",
        "synapse": {
            "model": "crossbar",
            "programming": {"method": "write_verify", "tolerance": 0.02, "budget": 30},
            "wires": {"word_line": 2.5, "bit_line": 1.5, "source": 100.0, "sense": 50.0},
        },
    }
)
"""A scenario whose cells are written and verified in turn, on lines with resistance."""


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


def of_units(cells: ConductanceTable, shares: tuple[float, ...], polarities: int, seed: int = 0) -> ConductanceTable:
    """The same with every cell made up of devices around its conductance, so that their sum by shares is exact no more."""
    generator = torch.Generator().manual_seed(seed)
    single = torch.stack((cells.plus, cells.minus)[:polarities], 1).unsqueeze(2)
    spread = torch.rand(*single.shape[:2], len(shares), *single.shape[3:], generator=generator, dtype=single.dtype)
    return replace(cells, units=single * (0.8 + 0.4 * spread), shares=shares)


def programmed(cells: ConductanceTable, polarities: int, verified: bool = True, seed: int = 0) -> ConductanceTable:
    """The same after programming with a few pulses for each cell, one in twenty of which was out of tolerance in the end."""
    generator = torch.Generator().manual_seed(seed)
    chips, outputs, inputs = cells.plus.shape
    shape = (chips, polarities * len(cells.shares), outputs, inputs)
    error = 5e-8 * torch.randn(*shape, generator=generator, dtype=cells.plus.dtype)
    unfinished = torch.rand(*shape, generator=generator) < 0.05
    report = ProgrammingReport(
        pulses=torch.randint(0, 90, shape, generator=generator).to(cells.plus.dtype),
        error=torch.where(unfinished, 20 * error, error),
        unfinished=unfinished if verified else None,
        reads=torch.randint(1, 30, shape, generator=generator).to(cells.plus.dtype) * verified,
        energy=1e-9 * torch.arange(1, chips + 1, dtype=cells.plus.dtype) if verified else None,
    )
    return replace(cells, programming=report)


def with_lossy_lines(cells: ConductanceTable, loss: float = 0.06) -> ConductanceTable:
    """The same read through lines of which the far end loses a share of the current."""
    inputs = cells.plus.shape[-1]
    return replace(cells, weights=cells.weights * (1 - loss * torch.linspace(0, 1, inputs, dtype=cells.plus.dtype)))


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
        projections=[SimpleNamespace(wiring=Wiring((a,), (b,))) for a, b in pairwise(sizes)],
        normalisations={},
    )


def network_of(*tables: ConductanceTable, chips: tuple[int, ...] = (0,)) -> Any:
    """What an exporter sees of a network whose synapses have the given cells, one after the other."""
    sizes = (tables[0].plus.shape[2], *(cells.plus.shape[1] for cells in tables))
    network = fake_network(sizes, chips)
    network.synapses = [_synapse(cells) for cells in tables]
    return network


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
