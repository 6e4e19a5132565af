"""Accuracies on the embedded Digits: neuron models, device cards, what limits the harsh ones, mismatch within neurons.

    python benchmarks/accuracy.py [neurons] [devices] [limits] [mismatch]

prints Markdown tables (all of them without arguments) and, as its last line, everything as one JSON object. Each training
is one process with one thread; there are as many at a time as the machine has cores. `docs/results.md` holds the output.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import mean, stdev

import torch

from analogdp.data import load
from analogdp.devices import load_card
from analogdp.devices.population import PulsedSettings
from analogdp.dynamics import Diverged
from analogdp.learning import Trainer
from analogdp.network import build
from analogdp.scenario import load_scenario

SEEDS = range(1, 6)
CHIPS = 3
LOWEST, HIGHEST = 95.5, 98.5
"""What the neurons are expected to reach, in percent: 97 +- 1.5."""
SPREADS = (0.0, 0.1, 0.5, 2.0)
"""Mismatch of the neurons' gain in percent."""


HARSH = ("network.loss=cross_entropy", "learning.bias_rate=0.05")
"""Further settings that a search found to help very noisy cells."""
FRESH_SEED = 2
"""The settings of each card were searched for with seed 1: what is reported is other devices, weights and samples."""


@dataclass(frozen=True)
class Training:
    """A shipped scenario with changed settings."""

    scenario: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a training reached: in percent, one number for each chip, by the last weights; None if it diverged.

    ``pulses`` are write pulses per cell and update, mean over chips.
    """

    accuracy: tuple[float | None, ...]
    noise_free: tuple[float | None, ...]
    pulses: float


@dataclass(frozen=True)
class Device:
    """How a card is trained: the settings found best in a short search, with the quickstart's network."""

    card: str
    weight_range: str = "8/sqrt(fan_in)"
    rate: float = 0.15
    batch: int = 16
    epochs: int = 12
    further: tuple[str, ...] = ()

    def training(self, **changes: float | str) -> Training:
        """The training, with parameters of the card changed."""
        device = json.dumps({"card": self.card, **changes})
        settings = {
            "synapse.device": device,
            "synapse.weight_range": self.weight_range,
            "learning.rate": self.rate,
            "learning.batch": self.batch,
            "learning.epochs": self.epochs,
            "chips": CHIPS,
            "seed": FRESH_SEED,
        }
        return Training("quickstart", (*(f"{key}={value}" for key, value in settings.items()), *self.further))


DEVICES = (
    Device("idealized"),
    Device("gokmen_vlasov"),
    Device("capacitor"),
    Device("ecram_li"),
    Device("ecram_mo"),
    Device("reram_sb", "3/sqrt(fan_in)", 0.1, 64, 20, ("synapse.pair=balanced", *HARSH)),
    Device("reram_array_om", "1.5/sqrt(fan_in)", 0.03, 64, 20, ("learning.bias_rate=0.05",)),
    Device("reram_array_hfo2", "1.5/sqrt(fan_in)", 0.03, 128, 20, HARSH),
)


DEMANDING = (
    Device("reram_sb", epochs=6),
    Device("reram_array_om", "4/sqrt(fan_in)", 0.05, 32, 10),
    Device("reram_array_hfo2", "4/sqrt(fan_in)", 0.05, 32, 10),
)
"""The harsh cards at settings that good cells do well with, so that what a cell lacks is seen."""


def train(training: Training) -> Outcome:
    """Train and test once."""
    torch.set_num_threads(1)
    scenario = load_scenario(training.scenario, training.overrides)
    trainer = Trainer(scenario, build(scenario), load(scenario.data, scenario.seed))
    try:
        while trainer.update < trainer.total_updates:
            trainer.advance()
        rows = trainer.evaluate()
    except Diverged:
        lost = (None,) * scenario.chips
        return Outcome(lost, lost, 0.0)
    cells = sum(inputs * outputs for inputs, outputs in pairwise(scenario.network.layers))
    return Outcome(
        accuracy=tuple(100 * row["test_accuracy"] for row in rows),
        noise_free=tuple(100 * row["test_accuracy_noise_free"] for row in rows),
        pulses=mean(row["pulses_up"] + row["pulses_down"] for row in rows) / cells / trainer.total_updates,
    )


Pool = Callable[[Iterable[Training]], list[Outcome]]


def neurons(pool: Pool) -> dict[str, object]:
    """DP-transposed and DP dyads with ideal weights, over alpha."""
    rows = [("dp_transposed", alpha) for alpha in (0.0, 0.25, 0.5, 0.75, 1.0)]
    rows += [("dp", alpha) for alpha in (0.0, 0.25, 0.5, 0.75, 1.0)]
    reached = over_seeds(pool, [(f"neuron.model={model}", f"neuron.alpha={alpha}") for model, alpha in rows])
    table(
        ("neuron", "alpha", "test accuracy, %", "single seeds", f"seeds below {LOWEST}", f"above {HIGHEST}"),
        [
            (model, f"{alpha:g}", spread(row), *singles(finished(row)))
            for (model, alpha), row in zip(rows, reached, strict=True)
        ],
    )
    return {f"{model} alpha {alpha:g}": row for (model, alpha), row in zip(rows, reached, strict=True)}


def devices(pool: Pool) -> dict[str, object]:
    """The eight cards that settings were searched for, with the quickstart's neurons, noise, mismatch and converters."""
    reached = pool(device.training() for device in DEVICES)
    names = [own.card for own in DEVICES]
    sources = [load_card(name).source for name in names]
    settings = [(own.weight_range, f"{own.rate:g}", str(own.batch), str(own.epochs)) for own in DEVICES]
    figures = [(spread(own.accuracy), spread(own.noise_free), f"{own.pulses:.2g}") for own in reached]
    table(
        ("card", "source", "weight range", "rate", "batch", "epochs", "accuracy, %", "noise-free, %", "pulses"),
        [(*row, *how, *found) for *row, how, found in zip(names, sources, settings, figures, strict=True)],
    )
    return {own.card: asdict(outcome) for own, outcome in zip(DEVICES, reached, strict=True)}


def limits(pool: Pool) -> dict[str, object]:
    """The harsh cards with imperfections taken away, at demanding settings; last, the best cells at their own settings."""
    rows = [(device, *cells) for device in DEMANDING for cells in better_cells(device).items()]
    rows += [(own, *list(better_cells(own).items())[-1]) for own in DEVICES if own.card.startswith("reram")]
    reached = pool(device.training(**parameters) for device, _, parameters in rows)
    table(
        ("card", "weight range", "rate", "cells", "accuracy, %", "pulses"),
        [
            (own.card, own.weight_range, f"{own.rate:g}", cells, spread(outcome.accuracy), f"{outcome.pulses:.2g}")
            for (own, cells, _), outcome in zip(rows, reached, strict=True)
        ],
    )
    return {
        f"{own.card}, rate {own.rate:g}, {cells}": asdict(outcome)
        for (own, cells, _), outcome in zip(rows, reached, strict=True)
    }


def better_cells(device: Device) -> dict[str, dict[str, float]]:
    """Changed parameters of a card, by what they take away; the best cells last."""
    card = load_card(device.card).parameters
    assert isinstance(card, PulsedSettings)
    return {
        "as measured": {},
        "no write noise": {"write_noise": 0},
        "no cycle-to-cycle noise": {"cycle_noise": 0},
        "no spread from device to device": {f"{name}_spread": 0 for name in ("step", "asymmetry", "upper", "lower")},
        # Write noise is given in steps; as a share of the range it stays what it was.
        "steps ten times smaller": {"step": card.step / 10, "write_noise": 10 * card.write_noise},
        "no write noise, steps ten times smaller": {"step": card.step / 10, "write_noise": 0},
    }


def mismatch(pool: Pool) -> dict[str, object]:
    """The same spread of the gain from neuron to neuron, and between the two compartments of each neuron."""
    kinds = {"std": "between neurons", "compartments": "between compartments"}
    rows = [(kind, size) for kind in kinds for size in SPREADS]
    reached = dict(
        zip(rows, over_seeds(pool, [(f"mismatch.gain.{kind}={size} %",) for kind, size in rows]), strict=True)
    )
    table(
        ("spread of the gain", *(f"{name}, %" for name in kinds.values())),
        [(f"{size:g} %", *(spread(reached[kind, size]) for kind in kinds)) for size in SPREADS],
    )
    return {f"{kinds[kind]}, {size:g} %": row for (kind, size), row in reached.items()}


TABLES = {table.__name__: table for table in (neurons, devices, limits, mismatch)}


def singles(values: Sequence[float]) -> tuple[str, str, str]:
    """All values, and how many are below and above what is expected."""
    below, above = sum(value < LOWEST for value in values), sum(value > HIGHEST for value in values)
    return ", ".join(f"{value:.1f}" for value in values), str(below), str(above)


def over_seeds(pool: Pool, settings: Sequence[tuple[str, ...]]) -> list[list[float | None]]:
    """Accuracies of the ideal-weights scenario with each of some settings, one for each seed."""
    trainings = [Training("ideal-weights", (*row, f"seed={seed}")) for row in settings for seed in SEEDS]
    reached = [outcome.accuracy[0] for outcome in pool(trainings)]
    return [reached[start : start + len(SEEDS)] for start in range(0, len(reached), len(SEEDS))]


def finished(values: Sequence[float | None]) -> list[float]:
    """Those of trainings that did not diverge."""
    return [value for value in values if value is not None]


def spread(values: Sequence[float | None]) -> str:
    """Mean and standard deviation of a sample, and how many are missing from it."""
    found = finished(values)
    lost = f"{len(values) - len(found)} of {len(values)} diverged" if len(found) < len(values) else ""
    if not found:
        return lost
    figure = f"{mean(found):.2f} ± {stdev(found):.2f}" if len(found) > 1 else f"{found[0]:.2f}"
    return f"{figure} ({lost})" if lost else figure


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table."""
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |", flush=True)


def machine() -> str:
    """Processor, system and versions, in a line."""
    cores = os.cpu_count()
    return f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, torch {torch.__version__}"


def main() -> None:
    names = sys.argv[1:] or list(TABLES)
    if unknown := set(names) - TABLES.keys():
        sys.exit(f"unknown tables: {', '.join(sorted(unknown))}; known: {', '.join(TABLES)}")
    # Forked children would inherit torch's threads in an unknown state.
    context = multiprocessing.get_context("spawn")
    results: dict[str, object] = {"machine": machine(), "seeds": list(SEEDS), "chips": CHIPS}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as workers:
        for name in names:
            print(f"\n## {name}: {(TABLES[name].__doc__ or '').strip()}\n", flush=True)
            begin = time.perf_counter()
            results[name] = TABLES[name](lambda trainings: list(workers.map(train, trainings)))
            print(f"\n{time.perf_counter() - begin:.0f} s on {machine()}", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
