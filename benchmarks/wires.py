"""Time and error of reads of crossbars with wire resistance, against badcrossbar's nodal solver.

    python benchmarks/wires.py

1 ohm segments, devices uniform in 1 to 100 kilohm, float64, one thread, medians. Errors are the largest relative ones of
the output currents against badcrossbar's. The last line is one JSON object with milliseconds, ratios and errors.
"""

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from timing import medians

from analogdp.synapses.wires import solve, transfer_matrix

SIZES, VECTORS, SEGMENT = (128, 256), (1, 32), 1.0
WARM_UP, REPEATS = 1, 5
HINT = (
    "This benchmark needs badcrossbar: pip install --no-deps badcrossbar==1.1.0 pathvalidate. "
    "It leaves a folder named tests in site-packages, which hides the tests of this repository: remove it."
)


def median(call: Callable[[], Any]) -> tuple[float, Any]:
    """Median milliseconds of a call, and what it returns."""
    results = []
    found = medians({"call": lambda: results.append(call())}, WARM_UP, REPEATS)
    return round(found["call"], 3), results[-1]


def ours(conductance: torch.Tensor, voltages: torch.Tensor) -> Iterator[tuple[str, float, torch.Tensor]]:
    """Name, milliseconds and currents: of both ways of one solve, of the transfer matrix, and of a read through it."""
    for method, name in (("conjugate_gradients", "conjugate gradients"), ("transfer_matrix", "direct solve")):
        milliseconds, solution = median(partial(solve, conductance, voltages, SEGMENT, SEGMENT, method=method))
        yield name, milliseconds, solution.currents
    milliseconds, matrix = median(partial(transfer_matrix, conductance, SEGMENT, SEGMENT))
    yield "transfer matrix", milliseconds, voltages @ matrix.mT
    milliseconds, currents = median(partial(torch.matmul, voltages, matrix.mT))
    yield "read through it", milliseconds, currents


def measure() -> dict[str, float]:
    """Milliseconds, ratios and errors, printed as they come.

    Raises:
        ImportError: badcrossbar is not installed.
    """
    # The package warns when its plots, which need cairo, are missing.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)
        from badcrossbar import compute
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    figures: dict[str, float] = {}
    for size in SIZES:
        resistance = 1e3 + 99e3 * torch.rand(size, size, dtype=torch.float64, generator=generator)
        for count in VECTORS:
            voltages = torch.rand(count, size, dtype=torch.float64, generator=generator)
            arguments = (voltages.mT.numpy(), resistance.numpy(), SEGMENT)
            theirs, solution = median(partial(compute, *arguments, node_voltages=False, all_currents=False))
            expected = solution.currents.output
            figures[f"{size}_{count}_badcrossbar"] = theirs
            print(f"{size:4} lines, {count:2} vectors  {'badcrossbar':19} {theirs:9.3f} ms")
            for name, milliseconds, currents in ours(1 / resistance, voltages):
                error, ratio = float(np.abs(currents.numpy() / expected - 1).max()), round(theirs / milliseconds, 1)
                print(f"{'':24} {name:19} {milliseconds:9.3f} ms {ratio:9} times faster, error {error:.1e}")
                values = {"": milliseconds, "_ratio": ratio, "_error": error}
                figures |= {f"{size}_{count}_{name}{suffix}": value for suffix, value in values.items()}
    return figures


def main() -> None:
    try:
        print(json.dumps(measure()))
    except ImportError as problem:
        print(f"{HINT} ({problem})", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
