"""Independent solvers of a crossbar's circuit: a sparse nodal analysis with scipy, and a deck for ngspice."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

NGSPICE = Path("/usr/bin/ngspice")
needs_ngspice = pytest.mark.skipif(not NGSPICE.exists(), reason="needs ngspice at /usr/bin/ngspice")


@dataclass(frozen=True)
class Case:
    """An array's wires, in ohms."""

    word_line: float
    bit_line: float
    source: float = 0.0
    sense: float = 0.0
    drive: str = "word_lines"

    @property
    def ends(self) -> tuple[float, float]:
        return (self.source, self.sense) if self.drive == "word_lines" else (self.sense, self.source)


def resistors(conductance: np.ndarray, case: Case) -> list[tuple[str, str, float]]:
    """All resistors of the circuit by their nodes; names of nodes that no resistance parts are joined by `merged`."""
    rows, columns = conductance.shape
    word_end, bit_end = case.ends
    found = []
    for i in range(rows):
        found.append((f"left{i}", f"leftpad{i}", word_end))
        found += [(f"w{i}_{j - 1}" if j else f"leftpad{i}", f"w{i}_{j}", case.word_line) for j in range(columns)]
    for j in range(columns):
        found.append((f"bottom{j}", f"bottompad{j}", bit_end))
        found += [
            (f"b{i}_{j}", f"b{i + 1}_{j}" if i + 1 < rows else f"bottompad{j}", case.bit_line) for i in range(rows)
        ]
    return found


def merged(wires: list[tuple[str, str, float]]) -> dict[str, str]:
    """A representative of every node, where nodes without resistance between them are one."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for first, second, resistance in wires:
        one, other = root(first), root(second)
        if resistance == 0 and one != other:
            keep, gone = (one, other) if one.startswith(("left", "bottom")) and "pad" not in one else (other, one)
            parent[gone] = keep
    return {node: root(node) for node in list(parent)}


def nodal(conductance: np.ndarray, voltages: np.ndarray, case: Case) -> np.ndarray:
    """Currents ``(sensed lines, vectors)`` for ``voltages`` ``(driven lines, vectors)``."""
    rows, columns = conductance.shape
    wires = resistors(conductance, case)
    node = merged(wires)
    cells = [(f"w{i}_{j}", f"b{i}_{j}", 1 / g) for (i, j), g in np.ndenumerate(conductance) if g > 0]
    driven, sensed = ("left", "bottom") if case.drive == "word_lines" else ("bottom", "left")
    fixed = {node[f"{driven}{k}"]: voltages[k] for k in range(len(voltages))}
    lines = columns if case.drive == "word_lines" else rows
    fixed |= {node[f"{sensed}{k}"]: np.zeros(voltages.shape[1]) for k in range(lines)}
    free = {name: k for k, name in enumerate(sorted(set(node.values()) - set(fixed)))}
    entries: list[tuple[int, int, float]] = []
    right = np.zeros((len(free), voltages.shape[1]))
    branches = [(node[a], node[b], 1 / r) for a, b, r in wires + cells if r > 0]
    for a, b, g in branches:
        for here, there in ((a, b), (b, a)):
            if here in free:
                entries.append((free[here], free[here], g))
                if there in free:
                    entries.append((free[here], free[there], -g))
                else:
                    right[free[here]] += g * fixed[there]
    solved = np.zeros_like(right)
    if free:
        i, j, g = zip(*entries, strict=True)
        solved = np.asarray(spsolve(coo_array((g, (i, j))).tocsc(), right)).reshape(right.shape)
    at = {name: solved[k] for name, k in free.items()} | fixed
    currents = np.zeros((lines, voltages.shape[1]))
    index = {node[f"{sensed}{k}"]: k for k in range(lines)}
    for a, b, g in branches:
        for here, there in ((a, b), (b, a)):
            if here in index:
                currents[index[here]] += g * (at[there] - at[here])
    return currents


def ngspice(
    conductance: np.ndarray,
    voltages: np.ndarray,
    case: Case,
    folder: Path,
    device: Callable[[float, str, str], str] | None = None,
) -> np.ndarray:
    """Currents of the bit lines for one vector at the word lines; ``device`` writes a cell's current between two nodes."""
    deck = ["crossbar"]
    wires = resistors(conductance, case)
    node = merged(wires)
    for k, (a, b, resistance) in enumerate(wires):
        if resistance > 0:
            deck.append(f"Rw{k} {node[a]} {node[b]} {resistance!r}")
    for (i, j), g in np.ndenumerate(conductance):
        word, bit = node[f"w{i}_{j}"], node[f"b{i}_{j}"]
        if device is not None:
            deck.append(f"B{i}_{j} {word} {bit} I={device(float(g), word, bit)}")
        elif g > 0:
            deck.append(f"Rc{i}_{j} {word} {bit} {1 / float(g)!r}")
    deck += [f"Vd{i} {node[f'left{i}']} 0 {float(v)!r}" for i, v in enumerate(voltages)]
    deck += [f"Vs{j} {node[f'bottom{j}']} 0 0" for j in range(conductance.shape[1])]
    deck.append(".options reltol=1e-12 abstol=1e-18 vntol=1e-15 gmin=1e-30 itl1=500")
    prints = "\n".join(f"print i(vs{j})" for j in range(conductance.shape[1]))
    deck.append(f".control\nset numdgt=15\nop\n{prints}\nquit\n.endc\n.end\n")
    path = folder / "crossbar.cir"
    path.write_text("\n".join(deck))
    run = subprocess.run([NGSPICE, "-b", path], capture_output=True, text=True, timeout=120)
    values = [float(line.split("=")[1]) for line in run.stdout.splitlines() if line.startswith("i(vs")]
    assert len(values) == conductance.shape[1], run.stderr
    return np.array(values)
