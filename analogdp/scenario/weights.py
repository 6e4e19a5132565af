"""Files of initial weights: what they hold, told by names and shapes alone, and which of it belongs to which layer.

Names are those of a torch ``state_dict``: ``<module>.weight`` and ``<module>.bias`` of layers, and of batch normalisations also
``running_mean`` and ``running_var``. A safetensors file keeps no order, so there the numbers in the names tell it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from analogdp.errors import Problem
from analogdp.scenario.settings import ProblemList
from analogdp.scenario.wiring import Wiring

SUFFIX = ".safetensors"

Shapes = Mapping[str, tuple[int, ...]]
"""Of tensors, by their names."""

_STATISTICS = ("running_mean", "running_var")
_WEIGHTS = (
    "a weight (out, in) or (out, in, height, width) with its bias, or batch normalisation with running statistics"
)


class LayerEntries(NamedTuple):
    """Where the tensors of one layer are.

    Attributes:
        weight: name of the weights.
        bias: name of the bias, or None.
        normalisation: names of the batch normalisation that follows, by ``weight``, ``bias``, ``running_mean`` and
            ``running_var``, of which the first two may be missing; None without.
    """

    weight: str
    bias: str | None
    normalisation: Mapping[str, str] | None = None


def shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors of a safetensors file.

    Raises:
        ValueError: there is no such file, or it is damaged or of another kind.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix != SUFFIX:
        raise ValueError(
            f"{path} is no {SUFFIX} file; write one with safetensors.torch.save_file(model.state_dict(), 'model{SUFFIX}')"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: damaged, or no safetensors file: {error}") from None


def match(shapes: Shapes, wirings: Sequence[Wiring], bias: bool, ordered: bool = False) -> tuple[LayerEntries, ...]:
    """Which tensors belong to which layer.

    Args:
        shapes: of everything there is.
        wirings: of the layers of weights, the lowest first.
        bias: whether the layers have biases.
        ordered: whether the tensors come in the order of their layers; else numbers in their names tell it.

    Raises:
        ProblemList: something does not fit; the path of each problem is the name of a tensor, or empty.
    """
    modules: dict[str, dict[str, str]] = {}
    for name in shapes:
        prefix, _, leaf = name.rpartition(".")
        modules.setdefault(prefix, {})[leaf] = name
    names = list(modules) if ordered else _by_number(modules, shapes)
    found = _layers(shapes, [modules[name] for name in names])
    if not ordered:
        _refuse_unknown_order(found, shapes)
    if len(found) != len(wirings):
        listed = ", ".join(own.weight for own in found) or "none"
        raise ProblemList(
            [Problem("", f"{len(found)} layers of weights ({listed}), and the network has {len(wirings)}")]
        )
    problems = [
        problem for own, wiring in zip(found, wirings, strict=True) for problem in _misfits(own, shapes, wiring, bias)
    ]
    if problems:
        raise ProblemList(problems)
    return found


def weight_shape(wiring: Wiring) -> tuple[int, ...]:
    """Of a layer's weights as torch has them: ``(out, in)``, or ``(channels, channels below, size, size)``."""
    kernel = wiring.kernel
    if kernel is None:
        return (wiring.lines, wiring.fan_in)
    return (kernel.channels, wiring.read[0], kernel.size, kernel.size)


def _layers(shapes: Shapes, modules: Sequence[Mapping[str, str]]) -> tuple[LayerEntries, ...]:
    found: list[LayerEntries] = []
    problems = []
    for module in modules:
        if all(leaf in module for leaf in _STATISTICS):
            if not found or found[-1].normalisation is not None:
                refusal = "batch normalisation follows no layer of weights here; number the modules in their order"
                problems.append(Problem(module[_STATISTICS[0]], refusal))
                continue
            known = {leaf: name for leaf, name in module.items() if leaf in ("weight", "bias", *_STATISTICS)}
            found[-1] = found[-1]._replace(normalisation=known)
            unknown = [name for leaf, name in module.items() if leaf not in (*known, "num_batches_tracked")]
        elif "weight" in module and len(shapes[module["weight"]]) in (2, 4):
            found.append(LayerEntries(module["weight"], module.get("bias")))
            unknown = [name for leaf, name in module.items() if leaf not in ("weight", "bias")]
        else:
            unknown = [*module.values()]
        problems += [Problem(name, f"shape {_shown(shapes[name])} is not of {_WEIGHTS}") for name in unknown]
    if problems:
        raise ProblemList(problems)
    return tuple(found)


def _misfits(own: LayerEntries, shapes: Shapes, wiring: Wiring, bias: bool) -> Iterator[Problem]:
    wanted = {own.weight: weight_shape(wiring)}
    lines = [own.bias] if own.bias is not None else []
    wanted |= dict.fromkeys((*lines, *(own.normalisation or {}).values()), (wiring.lines,))
    for name, shape in wanted.items():
        if shapes[name] != shape:
            yield Problem(name, f"shape {_shown(shapes[name])}, and the network has {_shown(shape)} there")
    if not bias and (own.bias is not None or own.normalisation is not None):
        yield Problem(own.bias or own.weight, "comes with a bias, and network.bias is false; set it to true")


def _by_number(modules: Mapping[str, Mapping[str, str]], shapes: Shapes) -> list[str]:
    """Modules in the order of the numbers in their names; groups with images come before those of units alone."""
    images = {
        prefix.rpartition(".")[0]
        for prefix, names in modules.items()
        if "weight" in names and len(shapes[names["weight"]]) == 4
    }

    def key(prefix: str) -> tuple[bool, list[str | int]]:
        parts: list[str | int] = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", prefix)]
        return prefix.rpartition(".")[0] not in images, parts

    return sorted(modules, key=key)


def _refuse_unknown_order(found: Sequence[LayerEntries], shapes: Shapes) -> None:
    """Two layers that could stand in each other's place must be told apart by numbers."""
    first: dict[tuple[int, ...], str] = {}
    for own in found:
        other = first.setdefault(shapes[own.weight], own.weight)
        if re.sub(r"\d+", "#", own.weight) != re.sub(r"\d+", "#", other):
            refusal = f"as large as {other}, and no numbers in their names tell which comes first; name them 1.weight, 2.weight"
            raise ProblemList([Problem(own.weight, refusal)])


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) if shape else "of a single number"
