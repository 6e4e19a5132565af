"""What fluctuates while a network runs: membranes, currents, nudging, reads and conductances."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from analogdp.dynamics.conductance_noise import ConductanceNoise
from analogdp.dynamics.draws import Blocks, FlatNumbers, OrnsteinUhlenbeck, shared_by_compartments, side_by_side
from analogdp.dynamics.integrators import Noise
from analogdp.errors import InputError
from analogdp.network import Field, ReadNoise
from analogdp.scenario.noise import NoiseSettings
from analogdp.streams import Stream


class Source(ABC):
    """A source of noise: acts on a field, by numbers that are a function of the stream, the chip and the step."""

    @abstractmethod
    def start(self, stream: Stream) -> None:
        """Begin anew with the numbers of ``stream``."""

    @abstractmethod
    def load(self, first: int, count: int, hold: bool) -> None:
        """Draw what the steps from ``first`` on need; see :meth:`analogdp.dynamics.draws.Blocks.load`."""

    @abstractmethod
    def apply(self, row: int) -> None:
        """Let one of the loaded steps' noise act on the field: work on the device alone, asked for in order."""

    def tensors(self) -> dict[str, Tensor]:
        """What goes on from step to step, by name; to be copied into."""
        return {}


class Fluctuations:
    """All noise of one batch.

    Args:
        field: the field that the noise acts on.
        settings: what fluctuates, and how much.
        timestep: seconds between steps, or None for clocks without a time.
        tau: correlation time in seconds of what the neurons' own circuits make: nudging strength and asymmetry.
        normals: flat normal numbers that the clock takes for each step.

    Raises:
        InputError: the clock cannot have this noise.
    """

    def __init__(
        self, field: Field, settings: NoiseSettings, timestep: float | None, tau: float | None, normals: int
    ) -> None:
        self.field = field
        refused = settings.needing_time() if timestep is None else [] if normals else settings.on_membranes()
        if refused:
            raise InputError(f"noise.{refused[0]}: this clock has no time, or no method, in which it could act")
        self._membrane: FlatNumbers | None = None
        if settings.on_membranes():
            draw = shared_by_compartments(field.layout, normals, settings.membrane, settings.common)
            self._membrane = FlatNumbers(field.layout, normals, draw)
        self._sources: dict[str, Source] = {}
        if settings.coloured is not None:
            assert timestep is not None
            self._sources["coloured"] = Coloured(
                field, settings.coloured.std, _decay(timestep, settings.coloured.correlation)
            )
        if settings.nudging:
            self._sources["nudging"] = Nudging(field, settings.nudging, _decay(timestep, tau))
        if settings.asymmetry:
            self._sources["asymmetry"] = Asymmetry(field, settings.asymmetry, _decay(timestep, tau))
        if any(_takes_noise(field)):
            self._sources["reads"] = Reads(field, timestep)
        if settings.conductance is not None:
            assert timestep is not None
            self._sources["conductance"] = Conductances(
                field, settings.conductance.std, timestep / settings.conductance.correlation
            )

    @property
    def sources(self) -> list[str]:
        """What fluctuates besides the membranes."""
        return list(self._sources)

    def start(self, stream: Stream) -> None:
        """Samples are presented to a network at rest: begin anew."""
        if self._membrane:
            self._membrane.start(stream.child("membrane"))
        for name, source in self._sources.items():
            source.start(stream.child(name))

    def load(self, first: int, count: int = 1, hold: bool = False) -> None:
        """Draw what the steps from ``first`` on need."""
        if self._membrane:
            self._membrane.load(first, count, hold)
        for source in self._sources.values():
            source.load(first, count, hold)

    def apply(self, row: int = 0) -> Noise | None:
        """Set the field's fluctuations for one of the loaded steps; returns what drives the membranes, or None."""
        for source in self._sources.values():
            source.apply(row)
        return self._membrane.row(row) if self._membrane else None

    def tensors(self) -> dict[str, Tensor]:
        """What goes on from step to step, by name."""
        return {
            f"{name}.{part}": value
            for name, source in self._sources.items()
            for part, value in source.tensors().items()
        }


def _decay(timestep: float | None, correlation: float | None) -> float:
    return 0.0 if timestep is None or correlation is None else math.exp(-timestep / correlation)


class Coloured(Source):
    """A current into every compartment with a correlation time: an Ornstein-Uhlenbeck process added to its target."""

    def __init__(self, field: Field, std: float, decay: float) -> None:
        self._field = field
        self._process = OrnsteinUhlenbeck(field.new_state(), std, decay)
        self._numbers = FlatNumbers(field.layout)

    def start(self, stream: Stream) -> None:
        self._numbers.start(stream)
        layout = self._field.layout
        beginning = stream.child("start").normal((self._process.value.numel() // layout.chips,))
        self._process.start(side_by_side(beginning, layout, torch.empty_like(self._process.value)))

    def load(self, first: int, count: int, hold: bool) -> None:
        self._numbers.load(first, count, hold)

    def apply(self, row: int) -> None:
        self._field.disturbance = self._process.advance(self._numbers.row(row)[0])

    def tensors(self) -> dict[str, Tensor]:
        return {"value": self._process.value}


class PerSample(Source):
    """A fluctuation that all neurons of a network share, one for each chip and sample."""

    def __init__(self, field: Field, std: float, decay: float) -> None:
        self._field = field
        value = torch.zeros(field.layout.chips, field.layout.batch, 1, device=field.network.device)
        self._process = OrnsteinUhlenbeck(value.to(field.network.dtype), std, decay)
        self._numbers = Blocks(field.layout.batch)

    def start(self, stream: Stream) -> None:
        self._numbers.start(stream)
        self._process.start(stream.child("start").normal((self._field.layout.batch,)).unsqueeze(-1))

    def load(self, first: int, count: int, hold: bool) -> None:
        self._numbers.load(first, count, hold)

    def apply(self, row: int) -> None:
        self.act(self._process.advance(self._numbers.row(row).unsqueeze(-1)))

    @abstractmethod
    def act(self, fluctuation: Tensor) -> None:
        """Let a fluctuation ``(chips, batch, 1)`` act on the field."""

    def tensors(self) -> dict[str, Tensor]:
        return {"value": self._process.value}


class Nudging(PerSample):
    """Multiplies the strength of nudging."""

    def act(self, fluctuation: Tensor) -> None:
        self._field.nudging_factor = fluctuation + 1


class Asymmetry(PerSample):
    """Shifts the asymmetry of nudging."""

    def act(self, fluctuation: Tensor) -> None:
        self._field.neurons = [neuron.at_asymmetry(fluctuation) for neuron in self._field.network.neurons]


def _takes_noise(field: Field) -> list[bool]:
    return [own.noise_up.total + own.noise_down.total > 0 for own in field.network.projections]


class Reads(Source):
    """Normal numbers for the reads of synapses that have read noise.

    Read noise is known for a read that integrates for some time. A shorter step averages less of it, by the square root
    of the ratio; so the effect on the slow neurons does not depend on the step. A conversion has its noise at every step.
    """

    def __init__(self, field: Field, timestep: float | None) -> None:
        self._field = field
        network, batch = field.network, field.layout.batch
        wanted = [("forward", k, own.synapse, own.noise_up) for k, own in enumerate(network.projections)]
        # The layer below the first is clamped: nothing is ever sent down to it.
        wanted += [("backward", k, own.down, own.noise_down) for k, own in enumerate(network.projections) if k > 0]
        self._reads = [
            (way, k, numbers, self._scale(synapse.read_time, timestep), Blocks(numbers.total * batch))
            for way, k, synapse, numbers in wanted
            if numbers.total
        ]
        self._batch = batch
        self._synapses = len(network.synapses)

    @staticmethod
    def _scale(read_time: float | None, timestep: float | None) -> float:
        return 1.0 if read_time is None or timestep is None else math.sqrt(read_time / timestep)

    def start(self, stream: Stream) -> None:
        for way, k, _, _, blocks in self._reads:
            blocks.start(stream.child(f"{way}{k}"))

    def load(self, first: int, count: int, hold: bool) -> None:
        for *_, blocks in self._reads:
            blocks.load(first, count, hold)

    def apply(self, row: int) -> None:
        noise: dict[str, list[Tensor | None]] = {way: [None] * self._synapses for way in ("forward", "backward")}
        for way, k, numbers, scale, blocks in self._reads:
            drawn = blocks.row(row).view(-1, self._batch, numbers.total)
            noise[way][k] = (
                drawn
                if scale == 1.0
                else torch.cat((drawn[..., : numbers.cells] * scale, drawn[..., numbers.cells :]), -1)
            )
        self._field.read_noise = ReadNoise(**noise)


class Conductances(Source):
    """Lets the cells of every synapse fluctuate in proportion to their conductances."""

    def __init__(self, field: Field, std: float, ratio: float) -> None:
        self._field = field
        self._synapses = [ConductanceNoise(synapse, std, ratio) for synapse in field.network.synapses]

    def start(self, stream: Stream) -> None:
        for k, synapse in enumerate(self._synapses):
            synapse.start(stream.child(f"synapse{k}"))

    def load(self, first: int, count: int, hold: bool) -> None:
        for synapse in self._synapses:
            if self._field.live:
                synapse.note_cells()
            synapse.load(first, count, hold)

    def apply(self, row: int) -> None:
        self._field.shown = [synapse.advance(row) for synapse in self._synapses]

    def tensors(self) -> dict[str, Tensor]:
        return {f"synapse{k}": synapse.factor for k, synapse in enumerate(self._synapses)}
