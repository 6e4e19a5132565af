"""A simulation: a network, a clock and noise. Samples are presented, the state moves, and is watched as it settles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from analogdp.dynamics.clocks import Clock
from analogdp.dynamics.divergence import Diverged, beyond_bounds, is_bounded
from analogdp.dynamics.workspace import Workspace
from analogdp.network import Field, Network
from analogdp.scenario.noise import NoiseSettings
from analogdp.streams import Stream


@dataclass(frozen=True)
class Settling:
    """How a batch settled.

    Attributes:
        state: the final states of the layers, ``(compartments, chips, batch, units)`` each; overwritten by the next batch.
        prediction: what the outputs would be without nudging, ``(chips, batch, out)``.
        steps: steps taken by the slowest chip.
        chip_steps: steps taken by each chip, int64 ``(chips,)``.
        settled_after: for each sample ``(chips, batch)`` the steps after which it was first seen to stay within the
            tolerance, or -1 if it did not; None if the clock has no tolerance.
        messages: events sent up and down, int64 ``(2, chips, batch)``; None where messages are continuous.
    """

    state: tuple[Tensor, ...]
    prediction: Tensor
    steps: int
    chip_steps: Tensor
    settled_after: Tensor | None
    messages: Tensor | None = None


class Watcher(Protocol):
    """Somebody who looks at a simulation at regular steps, and changes nothing."""

    every: int

    def look(self, simulation: Simulation) -> None: ...


Condition = Callable[["Simulation"], Tensor]
"""A reason to stop, as a flag on the device."""


class Simulation:
    """Runs a network in time.

    Args:
        network: what is simulated.
        clock: how time passes.
        noise: what fluctuates, beside the reads of noisy synapses.
        tau: correlation time in seconds of the noise of nudging (its strength and its asymmetry).
        compiled: let torch.compile fuse several steps, where the clock can.

    Attributes:
        step: steps since the samples were presented.
        watcher: looks at the state when samples are presented and after every ``watcher.every`` steps, or None.

    Raises:
        InputError: the clock cannot simulate this network.
    """

    def __init__(
        self,
        network: Network,
        clock: Clock,
        noise: NoiseSettings | None = None,
        tau: float | None = None,
        compiled: bool = False,
    ) -> None:
        clock.check(network)
        self.network, self.clock = network, clock
        self.watcher: Watcher | None = None
        self._noise, self._tau, self._compiled = noise or NoiseSettings(), tau, compiled
        self._workspaces: dict[int, Workspace] = {}
        self._current: Workspace | None = None
        self._usual = Stream(0, "simulation", network.chip_indices, network.device, network.dtype)
        self._stream = self._usual
        self._quiet = True
        self._switched = False
        self.step = 0

    @property
    def noisy(self) -> bool:
        """Whether anything fluctuates in time."""
        paths = [*self.network.synapses, *(path for path in self.network.feedback_paths if path is not None)]
        return self._noise != NoiseSettings() or any(
            path.forward_noise.total or path.backward_noise.total for path in paths
        )

    @property
    def field(self) -> Field:
        """The vector field of the presented samples."""
        return self._workspace.field

    @property
    def state(self) -> tuple[Tensor, ...]:
        """The present states of the layers, views ``(compartments, chips, batch, units)``."""
        return self._workspace.layers

    @property
    def messages(self) -> Tensor | None:
        """Events sent up and down since the samples were presented, ``(2, chips, batch)``; None without events."""
        return self._workspace.messages

    @property
    def time(self) -> float:
        """Seconds since the samples were presented (steps, for clocks without a time)."""
        return self.step * (self.clock.timestep if self.clock.timestep is not None else 1.0)

    def present(
        self,
        inputs: Tensor,
        label: Tensor | None = None,
        nudging: float | Tensor = 0.0,
        stream: Stream | None = None,
        quiet: bool | None = None,
    ) -> None:
        """Clamp new samples to the input, with the network at rest.

        Args:
            inputs: ``(chips or 1, batch, in)``.
            label: wanted outputs ``(chips or 1, batch, out)`` to nudge towards, or None for a free network.
            nudging: strength beta, a number or ``(chips, 1, 1)``.
            stream: where this batch's noise and a random clock's ticks are drawn; None for the same ticks every time.
            quiet: without noise; by default if there is no stream.
        """
        batch = inputs.shape[1]
        if batch not in self._workspaces:
            self._workspaces[batch] = Workspace(self.network, self.clock, self._noise, self._tau, batch, self._compiled)
        work = self._current = self._workspaces[batch]
        self._quiet = stream is None if quiet is None else quiet
        self._switched = False
        self._stream = stream or self._usual
        work.field.calm()
        self._begin_reads()
        work.field.draw(self._stream.child("neurons"))
        work.field.clamp(inputs, label, nudging)
        self._restart()

    def switch(self, inputs: Tensor, label: Tensor | None = None, nudging: float | Tensor = 0.0) -> None:
        """Clamp other samples, of the same number, to the network as it is: no rest, no new noise in time."""
        self._begin_reads()
        self._switched = True
        self.field.draw(self._stream.child("neurons").at(self.step))
        self.field.switch(inputs, label, nudging)

    def _begin_reads(self) -> None:
        for synapse in (*self.network.synapses, *self.network.feedback_paths):
            if synapse is not None:
                synapse.begin()

    @torch.no_grad()
    def advance(self, steps: int, residual: Tensor | None = None) -> None:
        """Move on by a number of steps, without reading anything back from the device.

        Args:
            steps: how many.
            residual: receives, at the last step, how far each sample is from rest, ``(chips, batch)``.
        """
        end = self.step + steps
        while self.step < end:
            count = end - self.step
            if self.watcher is not None:
                count = min(count, self.watcher.every - self.step % self.watcher.every)
            last = residual if self.step + count == end else None
            self._workspace.stepping.move(self.step, count, self._quiet, last)
            self.step += count
            if self.watcher is not None and self.step % self.watcher.every == 0:
                self.watcher.look(self)

    def run(self, steps: int, every: int = 1, until: Sequence[Condition] = ()) -> Iterator[tuple[Tensor, ...]]:
        """Move on by ``steps``, yielding the layers' states (views, overwritten later) after every ``every`` steps.

        Args:
            steps: time limit.
            every: steps between looks.
            until: reasons to stop earlier, such as ``converged(1e-3)`` and ``diverged()``; with one, each look reads one flag
                back from the device.
        """
        end = self.step + steps
        while self.step < end:
            self.advance(min(every, end - self.step), self._workspace.residual)
            yield self.state
            if until and bool(torch.stack([condition(self) for condition in until]).any()):
                return

    @property
    def residual(self) -> Tensor:
        """How far each sample was from rest when last looked at by :meth:`run` or :meth:`settle`, ``(chips, batch)``."""
        return self._workspace.residual

    @property
    def patience(self) -> int:
        """Steps that messages take all the way up and down again."""
        return self._workspace.patience

    def settle(self, whole: bool = False) -> Settling:
        """Let the presented samples settle, as long as the clock says.

        A chip has settled when all its samples are within the tolerance at once (where messages take time: for as long as
        they are on their way); its state is that of this moment.

        Args:
            whole: take all the steps even so, and leave all chips at the same moment. Other samples may follow on that.

        Raises:
            Diverged: with the first place that left the bounds.
        """
        work, clock = self._workspace, self.clock
        finished = torch.zeros(self.network.chips, dtype=torch.bool, device=self.network.device)
        chip_steps = torch.full_like(finished, clock.steps, dtype=torch.int64)
        begin, end = self.step, self.step + clock.steps
        if clock.tolerance is None:
            self.advance(clock.steps)
            self._refuse_divergence(finished)
            work.keep(~finished)
            return self._settling(work, begin, chip_steps, None)
        patience = work.patience
        settled_after = torch.full_like(work.residual, -1, dtype=torch.int64)
        while self.step < end:
            self.advance(min(clock.check_every, end - self.step), work.residual)
            settled = work.residual < clock.tolerance
            after = torch.where(settled_after < 0, self.step, settled_after).masked_fill_(~settled, -1)
            settled_after = torch.where(finished.unsqueeze(1), settled_after, after)
            if whole:
                continue
            work.keep(~finished)
            newly = (settled & (settled_after <= self.step - patience)).all(1) & ~finished
            chip_steps.masked_fill_(newly, self.step - begin)
            # The one read-back of this chunk of steps.
            all_finished, bounded = torch.stack(((finished | newly).all(), is_bounded(work.state))).tolist()
            if not bounded:
                self._refuse_divergence(finished)
            finished |= newly
            if all_finished:
                break
        if whole:
            self._refuse_divergence(finished)
            work.keep(~finished)
        # What is at rest only because nothing has arrived yet has not settled.
        hasty = (settled_after > self.step - patience) & ~finished.unsqueeze(1)
        settled_after = torch.where(settled_after < 0, -1, settled_after - begin)
        return self._settling(work, begin, chip_steps, settled_after.masked_fill(hasty, -1))

    def tensors(self) -> dict[str, Tensor]:
        """What the presented samples go on from: with these and the same stream every further step is the same."""
        return {"step": torch.tensor(self.step)} | self._workspace.tensors()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to the moment of :meth:`tensors`; the same samples must have been presented."""
        self.step = int(tensors["step"])
        for name, tensor in self._workspace.tensors().items():
            tensor.copy_(tensors[name])

    def go_back(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the state, messages and memories of the moment of :meth:`tensors`; time, noise and counts go on."""
        for name, tensor in self._workspace.tensors().items():
            if not name.startswith("noise.") and name != "axons.sent":
                tensor.copy_(tensors[name])

    def _settling(self, work: Workspace, begin: int, chip_steps: Tensor, settled_after: Tensor | None) -> Settling:
        kept = work.kept
        if not work.alone:
            for slopes, own in zip(work.slopes, kept.slopes, strict=True):
                slopes.copy_(own)
        prediction = work.field.prediction(kept.drive)
        return Settling(kept.layers, prediction, self.step - begin, chip_steps, settled_after, kept.messages)

    @property
    def _workspace(self) -> Workspace:
        if self._current is None:
            raise RuntimeError("nothing to simulate yet: call present() first")
        return self._current

    def _refuse_divergence(self, finished: Tensor) -> None:
        """Replay the settling step by step if it left the bounds, to say exactly where it did first.

        Chips that had finished ``(chips,)`` do not matter: their neighbours only kept them going.
        """
        work = self._workspace
        if bool(is_bounded(work.state)):
            return
        left = [beyond_bounds(layer) & ~finished for layer in work.layers]
        if not bool(torch.stack(left).any()):
            return
        reached, watcher, self.watcher = self.step, self.watcher, None
        if not self._switched:  # What came before other samples were presented is gone.
            work.field.rest()
            self._restart()
        while self.step < reached:
            self.advance(1)
            outside = [beyond_bounds(layer) & ~finished for layer in work.layers]
            if bool(torch.stack(outside).any()):
                break
        else:  # Compiled steps round differently: the bounds that they have left, single steps may just have not.
            outside = left
        self.watcher = watcher
        layer = next(number for number, chips in enumerate(outside) if bool(chips.any()))
        place = int(outside[layer].int().argmax())
        time = self.time if self.clock.timestep is not None else None
        chip, remedy = self.network.chip_indices[place], self.network.neurons[layer].remedy
        raise Diverged(self.step, time, layer + 1, chip, place, remedy)

    def _restart(self) -> None:
        work = self._workspace
        work.field.begin(work.state)
        self.step = 0
        work.step.start(self._stream.child("clock"))
        if not self._quiet:
            work.noise.start(self._stream)
        if self.watcher is not None:
            self.watcher.look(self)


def converged(tolerance: float) -> Condition:
    """Stop :meth:`Simulation.run` when no state of any sample is further than ``tolerance`` from its target.

    Where messages take time: when this has been so at every look for as long as they are on their way.
    """
    since: list[Tensor] = []

    def has_converged(simulation: Simulation) -> Tensor:
        near = (simulation.residual < tolerance).all()
        begun = torch.where(near, since.pop() if since else simulation.step, simulation.step + 1)
        since.append(begun)
        return near & (begun <= simulation.step - simulation.patience)

    return has_converged


def diverged() -> Condition:
    """Stop :meth:`Simulation.run` when a state is not finite, or beyond 1e6."""
    return lambda simulation: ~torch.stack([is_bounded(layer) for layer in simulation.state]).all()
