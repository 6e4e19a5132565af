"""A simulation: a network, a clock and noise. Samples are presented, the state moves, and is watched as it settles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.dynamics.clocks import Clock, Step
from analogdp.dynamics.noise import SettlingNoise
from analogdp.errors import RunError
from analogdp.network import Field, Network
from analogdp.scenario.schema import NoiseSettings
from analogdp.streams import Stream

LARGEST_STATE = 1e6
"""A state beyond this (or not finite) has diverged; rates of a working network are of order 1."""


class Diverged(RunError):
    """The state of the network grew without bounds.

    Attributes:
        step: the first step after which a state was out of bounds.
        time: that step in seconds since the samples were presented, or None for clocks without time.
        layer: the lowest such layer, 1 for the first hidden layer.
        chip: index of the first such chip.
    """

    def __init__(self, step: int, time: float | None, layer: int, chip: int) -> None:
        self.step, self.time, self.layer, self.chip = step, time, layer, chip
        when = f"step {step}" if time is None else f"{time:.3g} s (step {step})"
        super().__init__(
            f"the dynamics diverged: layer {layer} of chip {chip} passed {LARGEST_STATE:g} at {when} "
            "after the samples were presented. A smaller neuron.beta or learning.rate, alpha nearer to 1/2, "
            "model: dp_transposed, or smaller weights may help"
        )

    def __reduce__(self) -> tuple[type[Diverged], tuple[int, float | None, int, int]]:
        # Without it the error could not come back from a worker process.
        return type(self), (self.step, self.time, self.layer, self.chip)


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
    """

    state: tuple[Tensor, ...]
    prediction: Tensor
    steps: int
    chip_steps: Tensor
    settled_after: Tensor | None


class _Workspace:
    """The buffers of one batch size."""

    def __init__(self, network: Network, clock: Clock, noise: NoiseSettings, decay: float, batch: int) -> None:
        self.field = Field(network, batch)
        self.state = self.field.new_state()
        self.layers = self.field.layout.views(self.state)
        self.noisy_step = clock.prepare(self.field, noise.membrane)
        self.quiet_step = clock.prepare(self.field, 0.0)
        self.noise = SettlingNoise(self.field, noise, decay, clock.timestep)
        self.residual = torch.empty(self.field.layout.chips, batch, device=network.device, dtype=network.dtype)
        # A chip stops when all its own samples have settled, whichever chips run beside it; alone it needs no copy.
        self.kept = (self.layers, self.field.output_drive)
        if self.field.layout.chips > 1:
            self.kept = (tuple(map(torch.empty_like, self.layers)), torch.empty_like(self.field.output_drive))

    def keep(self, chips: Tensor) -> None:
        """Keep the present state of some chips ``(chips,)`` for the end of the settling."""
        layers, drive = self.kept
        if layers is self.layers:
            return
        chosen = chips.view(-1, 1, 1)
        torch.where(chosen, self.field.output_drive, drive, out=drive)
        for kept, present in zip(layers, self.layers, strict=True):
            torch.where(chosen, present, kept, out=kept)


class Simulation:
    """Runs a network in time.

    Args:
        network: what is simulated.
        clock: how time passes.
        noise: membrane and nudging noise.
        nudging_correlation: correlation time of nudging noise in seconds; needed by clocks with a time if there is any.

    Attributes:
        step: steps since the samples were presented.

    Raises:
        InputError: the clock cannot simulate this network.
    """

    def __init__(
        self,
        network: Network,
        clock: Clock,
        noise: NoiseSettings | None = None,
        nudging_correlation: float | None = None,
    ) -> None:
        clock.check(network)
        self.network, self.clock = network, clock
        self._noise = noise or NoiseSettings()
        self._decay = 0.0
        if clock.timestep is not None and nudging_correlation is not None:
            self._decay = math.exp(-clock.timestep / nudging_correlation)
        self._workspaces: dict[int, _Workspace] = {}
        self._current: _Workspace | None = None
        self._stream: Stream | None = None
        self._nudging = 0.0
        self.step = 0

    @property
    def noisy(self) -> bool:
        """Whether anything fluctuates in time."""
        reads = any(synapse.forward_noise or synapse.backward_noise for synapse in self.network.synapses)
        return bool(self._noise.membrane or self._noise.nudging or reads)

    @property
    def field(self) -> Field:
        """The vector field of the presented samples."""
        return self._workspace.field

    @property
    def state(self) -> tuple[Tensor, ...]:
        """The present states of the layers, views ``(compartments, chips, batch, units)``."""
        return self._workspace.layers

    @property
    def time(self) -> float:
        """Seconds since the samples were presented (steps, for clocks without a time)."""
        return self.step * (self.clock.timestep if self.clock.timestep is not None else 1.0)

    def present(
        self, inputs: Tensor, label: Tensor | None = None, nudging: float = 0.0, stream: Stream | None = None
    ) -> None:
        """Clamp new samples to the input, with the network at rest.

        Args:
            inputs: ``(chips or 1, batch, in)``.
            label: wanted outputs ``(chips or 1, batch, out)`` to nudge towards, or None for a free network.
            nudging: strength beta.
            stream: where this batch's noise is drawn; None for a noise-free settling.
        """
        batch = inputs.shape[1]
        if batch not in self._workspaces:
            self._workspaces[batch] = _Workspace(self.network, self.clock, self._noise, self._decay, batch)
        work = self._current = self._workspaces[batch]
        self._stream, self._nudging, self.step = stream, nudging, 0
        work.state.zero_()
        work.field.read_noise = None
        work.field.clamp(inputs, label, nudging)
        if stream is not None:
            work.noise.start(stream, nudging)

    def advance(self, steps: int, residual: Tensor | None = None) -> None:
        """Move on by a number of steps, without reading anything back from the device.

        Args:
            steps: how many.
            residual: receives, at the last step, how far each sample is from rest, ``(chips, batch)``.
        """
        work = self._workspace
        move: Step = work.quiet_step if self._stream is None else work.noisy_step
        for last in range(steps - 1, -1, -1):
            noise = None if self._stream is None else work.noise.at(self.step)
            move(work.state, self.time, noise, None if last else residual)
            self.step += 1

    def run(self, steps: int, every: int = 1) -> Iterator[tuple[Tensor, ...]]:
        """Move on by ``steps``, yielding the layers' states (views, overwritten later) after every ``every`` steps."""
        end = self.step + steps
        while self.step < end:
            self.advance(min(every, end - self.step))
            yield self.state

    def settle(self) -> Settling:
        """Let the presented samples settle, as long as the clock says.

        A chip has settled when all its samples are within the tolerance at once; its state is that of this moment.

        Raises:
            Diverged: with the first place that left the bounds.
        """
        work, clock = self._workspace, self.clock
        finished = torch.zeros(self.network.chips, dtype=torch.bool, device=self.network.device)
        chip_steps = torch.full_like(finished, clock.steps, dtype=torch.int64)
        if clock.tolerance is None:
            self.advance(clock.steps)
            self._refuse_divergence(finished)
            work.keep(~finished)
            return self._settling(work, chip_steps, None)
        settled_after = torch.full_like(work.residual, -1, dtype=torch.int64)
        while self.step < clock.steps:
            self.advance(min(clock.check_every, clock.steps - self.step), work.residual)
            settled = work.residual < clock.tolerance
            after = torch.where(settled_after < 0, self.step, settled_after).masked_fill_(~settled, -1)
            settled_after = torch.where(finished.unsqueeze(1), settled_after, after)
            work.keep(~finished)
            newly = settled.all(1) & ~finished
            chip_steps.masked_fill_(newly, self.step)
            # The one read-back of this chunk of steps.
            all_finished, bounded = torch.stack(((finished | newly).all(), _is_bounded(work.state))).tolist()
            if not bounded:
                self._refuse_divergence(finished)
            finished |= newly
            if all_finished:
                break
        return self._settling(work, chip_steps, settled_after)

    def _settling(self, work: _Workspace, chip_steps: Tensor, settled_after: Tensor | None) -> Settling:
        layers, drive = work.kept
        return Settling(layers, work.field.prediction(drive), self.step, chip_steps, settled_after)

    @property
    def _workspace(self) -> _Workspace:
        if self._current is None:
            raise RuntimeError("nothing to simulate yet: call present() first")
        return self._current

    def _refuse_divergence(self, finished: Tensor) -> None:
        """Replay the settling step by step if it left the bounds, to say exactly where it did first.

        Chips that had finished ``(chips,)`` do not matter: their neighbours only kept them going.
        """
        work = self._workspace
        if bool(_is_bounded(work.state)):
            return
        outside = [_beyond_bounds(layer) & ~finished for layer in work.layers]
        if not bool(torch.stack(outside).any()):
            return
        reached = self.step
        self._restart()
        while self.step < reached:
            self.advance(1)
            outside = [_beyond_bounds(layer) & ~finished for layer in work.layers]
            if bool(torch.stack(outside).any()):
                break
        layer = next(number for number, chips in enumerate(outside) if bool(chips.any()))
        chip = self.network.chip_indices[int(outside[layer].int().argmax())]
        raise Diverged(self.step, self.time if self.clock.timestep is not None else None, layer + 1, chip)

    def _restart(self) -> None:
        work = self._workspace
        work.state.zero_()
        self.step = 0
        work.field.rest()
        if self._stream is not None:
            work.noise.start(self._stream, self._nudging)


def _is_bounded(state: Tensor) -> Tensor:
    """Whether all of a state is finite and within the bounds; comparisons with NaN, which aminmax passes on, are false."""
    low, high = torch.aminmax(state)
    return (low >= -LARGEST_STATE) & (high <= LARGEST_STATE)


def _beyond_bounds(layer: Tensor) -> Tensor:
    """Which chips of a layer's state are not finite or not within the bounds, ``(chips,)``."""
    return ~(layer.abs().amax(dim=(0, 2, 3)) <= LARGEST_STATE)
