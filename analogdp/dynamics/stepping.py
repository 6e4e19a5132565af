"""Ways to compute many steps of the same simulation: one operation after the other, compiled, or as a captured CUDA graph."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from analogdp.dynamics.noise import Fluctuations
from analogdp.dynamics.step import Step
from analogdp.errors import InputError
from analogdp.network import Field

CAPTURED_STEPS = 32
"""Most steps in a captured graph: enough to hide the cost of a launch, few enough to be captured quickly."""

COMPILED_STEPS = 16
"""Most steps that are compiled together, which spreads the cost of a call; a compiler's time grows with it."""


class Snapshot(Protocol):
    """Whatever has the tensors that the next step goes on from."""

    def tensors(self) -> dict[str, Tensor]: ...


class Stepping:
    """Steps of one batch, one operation after the other.

    Args:
        field, state, step, noise: what moves.
    """

    def __init__(self, field: Field, state: Tensor, step: Step, noise: Fluctuations) -> None:
        self.field, self.state, self.step, self.noise = field, state, step, noise

    def move(self, first: int, count: int, quiet: bool, residual: Tensor | None) -> None:
        """Move the state on.

        Args:
            first: steps since the samples were presented.
            count: how many steps to take.
            quiet: without noise.
            residual: receives, at the last step, how far each sample is from rest.
        """
        for step in range(first, first + count):
            self.load(step, 1, quiet)
            self.apply(step, 0, quiet, residual if step == first + count - 1 else None)

    def load(self, first: int, count: int, quiet: bool, hold: bool = False) -> None:
        """Draw what some steps need; ``hold`` keeps it at a fixed place of the memory."""
        self.step.load(first, count, hold)
        if not quiet:
            self.noise.load(first, count, hold)

    def apply(self, step: int, row: int, quiet: bool, residual: Tensor | None) -> None:
        """Take one of the loaded steps."""
        self.step.move(self.state, step, row, None if quiet else self.noise.apply(row), residual)


class Graph(Protocol):
    """What :class:`torch.cuda.CUDAGraph` offers."""

    def replay(self) -> None: ...


def capture(work: Callable[[], None]) -> Graph:
    """A CUDA graph of some work, which is done once beforehand, as capturing demands."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


class CapturedStepping(Stepping):
    """Steps as graphs of up to :data:`CAPTURED_STEPS`: one launch for each, and nothing is read back in between.

    Numbers are drawn outside, into buffers that stay where they are; so does everything else that a step reads.

    Args:
        snapshot: knows the tensors that a step changes and another one needs.
        capture: makes a graph of some work.
    """

    def __init__(
        self,
        field: Field,
        state: Tensor,
        step: Step,
        noise: Fluctuations,
        snapshot: Snapshot,
        capture: Callable[[Callable[[], None]], Graph] = capture,
    ) -> None:
        super().__init__(field, state, step, noise)
        self._snapshot, self._capture = snapshot, capture
        self._graphs: dict[tuple[object, ...], Graph] = {}

    def move(self, first: int, count: int, quiet: bool, residual: Tensor | None) -> None:
        end = first + count
        while first < end:
            steps = min(CAPTURED_STEPS, end - first)
            self._piece(first, steps, quiet, residual if first + steps == end else None)
            first += steps

    def _piece(self, first: int, count: int, quiet: bool, residual: Tensor | None) -> None:
        self.load(first, count, quiet, hold=True)
        key = (count, quiet, None if residual is None else residual.data_ptr(), self.field.clamped)
        if key not in self._graphs:

            def work() -> None:
                for row in range(count):
                    self.apply(first + row, row, quiet, residual if row == count - 1 else None)

            before = {name: tensor.clone() for name, tensor in self._snapshot.tensors().items()}
            self._graphs[key] = self._capture(work)
            for name, tensor in self._snapshot.tensors().items():
                tensor.copy_(before[name])
        self._graphs[key].replay()


class CompiledStepping(Stepping):
    """Steps of exponential or plain Euler, several at a time as one function that torch.compile has fused.

    The last step of a piece is taken as usual: it leaves the messages and drives behind that others read.

    Args:
        steps: how many are compiled together.
        gain: share of the way to the target that a step covers.
        kick: factor of the normal numbers.
    """

    def __init__(
        self,
        field: Field,
        state: Tensor,
        step: Step,
        noise: Fluctuations,
        *,
        steps: int,
        gain: Tensor | float,
        kick: Tensor | float,
    ) -> None:
        if not state.is_cuda and shutil.which(os.environ.get("CXX", "g++")) is None:
            raise InputError("run.compile: there is no C++ compiler (g++, or what CXX names) here; set it to false")
        super().__init__(field, state, step, noise)
        views = field.layout.compartment_views
        self._parts = views(state)
        self._gains = views(gain) if isinstance(gain, Tensor) else gain
        self._kicks = views(kick) if isinstance(kick, Tensor) else kick
        self._together = min(steps, COMPILED_STEPS)
        # Without a wrapper in C++, calling a small network's kernels from Python takes longer than they do.
        options: dict[str, str | int | bool | Callable[..., object]] = {"cpp_wrapper": not state.is_cuda}
        self._steps = torch.compile(self._several, fullgraph=True, options=options)

    def move(self, first: int, count: int, quiet: bool, residual: Tensor | None) -> None:
        # Weights that change in between would be read through drives that were remembered before.
        while count > self._together and not self.field.live:
            self.load(first, self._together, quiet, hold=True)
            rows = [None if quiet else self.noise.apply(row) for row in range(self._together)]
            views = self.field.layout.compartment_views
            self._steps(self._parts, [None if row is None else views(row[0]) for row in rows])
            first, count = first + self._together, count - self._together
        super().move(first, count, quiet, residual)

    def _several(self, parts: Sequence[Sequence[Tensor]], noise: Sequence[Sequence[Sequence[Tensor]] | None]) -> None:
        layers = [list(layer) for layer in parts]
        for row in noise:
            targets = self.field.targets(layers)
            layers = [
                [
                    self._moved(state, target, row, index, compartment)
                    for compartment, (state, target) in enumerate(zip(layer, aims, strict=True))
                ]
                for index, (layer, aims) in enumerate(zip(layers, targets, strict=True))
            ]
        for old, new in zip(parts, layers, strict=True):
            for one, other in zip(old, new, strict=True):
                one.copy_(other)

    def _moved(
        self,
        state: Tensor,
        target: Tensor,
        noise: Sequence[Sequence[Tensor]] | None,
        index: int,
        compartment: int,
    ) -> Tensor:
        gain = self._gains if isinstance(self._gains, float) else self._gains[index][compartment]
        moved = torch.lerp(state, target, gain)
        if noise is None:
            return moved
        kick = self._kicks if isinstance(self._kicks, float) else self._kicks[index][compartment]
        return moved + kick * noise[index][compartment]
