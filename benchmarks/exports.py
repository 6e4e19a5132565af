"""Time and memory of exports: HDF5 of ten million cells against a bare h5py write, netlists against a loop that writes lines.

    python benchmarks/exports.py [--measure NAME]

One thread, processor time beside the time that the disk takes. Peak memory is that of the process beside what it had before, in
bytes, as Linux counts it, with what glibc's heap loses between arrays of a tile; MALLOC_MMAP_THRESHOLD_=32768 in the environment
shows it without. The file is removed afterwards. The last line is one JSON object.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import torch

from analogdp.exports import export_network, exporter
from analogdp.network import build
from analogdp.scenario import Scenario

LAYERS, TILE = (2500, 2000, 1), "128x128"
"""Crossbars whose pairs of two cells are ten million cells."""

SIDE = 128
"""Lines of the crossbar whose netlist is written."""


def hdf5() -> dict[str, float]:
    """``conductances.h5`` of ten million cells, with targets and pulse programs, and a bare write of the same arrays."""
    section = {"model": "crossbar", "device": "reram_sb", "pair": "balanced", "tile": TILE}
    data = {"name": "ones", "dimension": LAYERS[0]}
    scenario = Scenario.model_validate({"data": data, "network": {"layers": LAYERS}, "synapse": section})
    network, form = build(scenario), exporter("hdf5")
    with tempfile.TemporaryDirectory() as folder:
        path, bare = Path(folder) / "conductances.h5", Path(folder) / "bare.h5"
        for buffer in network.buffers():
            buffer.copy_(buffer.clone())  # zeros that nobody wrote take no memory yet
        Path("/proc/self/clear_refs").write_text("5")  # forgets the most memory there was
        before = _memory("VmRSS")
        seconds, processor = _timed(lambda: export_network(network, scenario, form, path))
        memory = _memory("VmHWM") - before
        size = path.stat().st_size
        with h5py.File(path) as file:
            arrays = {name: file[name][()] for name in _numbers(file)}
        bare_seconds, bare_processor = _timed(lambda: _write(bare, arrays))
    return {
        "cells": 2 * sum(below * above for below, above in pairwise(LAYERS)),
        "seconds": seconds,
        "processor_seconds": processor,
        "peak_bytes": memory,
        "file_bytes": size,
        "megabytes_per_second": size / seconds / 1e6,
        "bare_seconds": bare_seconds,
        "bare_processor_seconds": bare_processor,
        "bare_ratio": seconds / bare_seconds,
    }


def spice() -> dict[str, float]:
    """Decks of 128 x 128 weights in both directions, without wires and with, a bare loop that writes as many lines, and ngspice.

    ngspice runs the deck without wires: with them, its ordering of the equations takes minutes.
    """
    found: dict[str, float] = {}
    for kind, wires in (("plain", None), ("wired", {"word_line": 1.0, "bit_line": 1.0})):
        section = {"model": "crossbar", "device": "reram_sb", "wires": wires}
        data = {"name": "ones", "dimension": SIDE}
        scenario = Scenario.model_validate({"data": data, "network": {"layers": (SIDE, SIDE, 1)}, "synapse": section})
        network, form = build(scenario), exporter("spice", layer=0)
        with tempfile.TemporaryDirectory() as folder:
            path, bare = Path(folder) / "spice", Path(folder) / "bare.cir"
            seconds, processor = _timed(partial(export_network, network, scenario, form, path))
            lines = len((path / "layer0.cir").read_text().splitlines())
            _, bare_processor = _timed(partial(_write_lines, bare, lines))
            found |= {
                f"{kind}_lines": lines,
                f"{kind}_seconds": seconds,
                f"{kind}_processor_seconds": processor,
                f"{kind}_bare_processor_seconds": bare_processor,
                f"{kind}_bare_ratio": processor / bare_processor,
            }
            if wires is None and shutil.which("ngspice"):
                command = ["ngspice", "-b", "network.cir"]
                ran = partial(subprocess.run, command, cwd=path, capture_output=True, check=True)
                found["ngspice_seconds"], _ = _timed(ran)
    return found


MEASURES: dict[str, Callable[[], dict[str, float]]] = {"hdf5": hdf5, "spice": spice}
"""What is measured, by name."""


def _write_lines(path: Path, lines: int) -> None:
    """As many resistors, one after the other."""
    with path.open("w") as file:
        for line in range(lines):
            file.write(f"R{line} word_{line} bit_{line} {1e5 + line!r}\n")


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and seconds of the processor."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - used


def _memory(name: str) -> int:
    """What Linux says of the memory of this process, in bytes: ``VmRSS`` now, ``VmHWM`` the most since it was forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def _numbers(file: h5py.File) -> list[str]:
    """Paths of all data sets but texts."""
    found: list[str] = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype != object:
            found.append(name)

    file.visititems(look)
    return found


def _write(path: Path, arrays: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", choices=MEASURES, action="append", help="only this one; may be repeated")
    torch.set_num_threads(1)
    figures = {}
    for name in parser.parse_args().measure or MEASURES:
        figures[name] = MEASURES[name]()
        for figure, value in figures[name].items():
            print(f"{name:8} {figure:24} {value:14.6g}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
