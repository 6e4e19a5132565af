"""How long a phase diagram of 40 x 40 points takes, and the same points one after the other.

    python benchmarks/stability.py [--points 40] [--samples 8] [--threads 1] [--single 20]

draws diagrams of a 64-32-32-10 network of dyads (DP, tanh) over alpha and beta, in continuous time and in sweeps, and times
one analysis of a larger network as monitoring does it; prints a Markdown table of seconds and, as its last line, everything as
one JSON object. Single simulations are extrapolated from a few.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import torch
from timing import medians

from analogdp.analysis.stability import diagram, predict
from analogdp.analysis.stability.diagram import Surveyor
from analogdp.analysis.stability.grid import parse_axis, points
from analogdp.diagrams import PhaseDiagram
from analogdp.dynamics import Sweep
from analogdp.network import build
from analogdp.reports.phase_diagram import diagram_page, draw_diagram
from analogdp.reports.pictures import save_picture
from analogdp.scenario import Scenario

Made = TypeVar("Made")


class Watch:
    """Seconds by what they were spent on, on the clock and of the processor."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    def of(self, name: str, action: Callable[..., Made]) -> Callable[..., Made]:
        """The same action, timed."""

        def timed(*arguments: Any, **options: Any) -> Made:
            wall, processor = time.perf_counter(), time.process_time()
            try:
                return action(*arguments, **options)
            finally:
                self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
                self.processor[name] = self.processor.get(name, 0.0) + time.process_time() - processor

        return timed


def measure(clock: str, count: int, samples: int, single: int) -> dict[str, Any]:
    """One diagram with its parts, and single simulations."""
    network = {"layers": (64, 32, 32, 10)}
    neuron = {"model": "dp", "activation": "tanh"}
    scenario = Scenario.model_validate(
        {"network": network, "neuron": neuron, "dynamics": {"clock": clock}, "run": {"device": "cpu"}}
    )
    watch = Watch()
    x, y = parse_axis(scenario, "neuron.alpha=0:1", count), parse_axis(scenario, "neuron.beta=0.05:2", count)
    grid = watch.of("scenarios", points)(scenario, x, y)
    observe, predict = watch.of("simulation", diagram.observe), watch.of("prediction", diagram.predict)
    with patch.object(diagram, "observe", observe), patch.object(diagram, "predict", predict):
        cells = watch.of("survey", Surveyor(samples).survey)(grid)
    found = PhaseDiagram(scenario, x, y, tuple(cells), ())
    with tempfile.TemporaryDirectory() as folder:
        watch.of("pictures", lambda: save_picture(Path(folder) / "diagram.png", draw_diagram(found.picture)))()
        watch.of("pictures", lambda: diagram_page(found.picture))()
    allowed = [point for point in grid if point.scenarios]
    few = allowed[:: max(1, len(allowed) // single)]
    watch.of("single", Surveyor(samples, most=1).survey)(few)
    alone = watch.processor.pop("single") * len(allowed) / len(few)
    watch.wall.pop("single")
    total = {name: sum(own[part] for part in ("scenarios", "survey", "pictures")) for name, own in vars(watch).items()}
    return {"clock": clock, "seconds": watch.wall, "processor": watch.processor, "total": total, "one_by_one": alone}


def analysis(samples: int) -> dict[str, float]:
    """Seconds of the processor for one analysis of ``measure.stability``: 784-512-512-10, ReLU, sweeps, at rest under nudging."""
    contenders = {}
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(1, samples, 784, generator=generator)
    labels = torch.eye(10)[torch.arange(samples) % 10].unsqueeze(0)
    for model in ("dp", "dp_transposed"):
        network = build(
            Scenario.model_validate(
                {
                    "data": {"name": "mnist"},
                    "network": {"layers": (784, 512, 512, 10)},
                    "neuron": {"model": model, "alpha": 0.6},
                    "run": {"device": "cpu"},
                }
            )
        )
        contenders[model] = partial(predict, network, Sweep(10, 1e-3), inputs, labels, 0.5)
    return {model: own / 1e3 for model, own in medians(contenders, 1, 3, time.process_time).items()}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--single", type=int, default=20)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    parts = ("scenarios", "simulation", "prediction", "survey", "pictures")
    print(f"| clock | {' | '.join(parts)} | total | total, processor | survey one by one, processor |")
    print("|---" * (len(parts) + 4) + "|")
    results = []
    for clock in ("continuous", "sweep"):
        found = measure(clock, options.points, options.samples, options.single)
        results.append(found)
        numbers = [*(found["seconds"][part] for part in parts), *found["total"].values(), found["one_by_one"]]
        print(f"| {clock} | {' | '.join(f'{number:.3g}' for number in numbers)} |", flush=True)
    seconds = analysis(options.samples)
    words = ", ".join(f"{model} {own:.2g}" for model, own in seconds.items())
    print(f"\nseconds for one analysis of 784-512-512-10: {words}")
    print(json.dumps({"threads": options.threads, "points": options.points, "diagrams": results, "analysis": seconds}))


if __name__ == "__main__":
    main()
