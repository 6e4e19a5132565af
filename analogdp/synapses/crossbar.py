"""Weights held as conductance differences in a crossbar of memory cells, read through converters and written by
pulses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from analogdp import registry
from analogdp.devices import DeviceModel, DeviceState
from analogdp.errors import InputError
from analogdp.scenario.schema import SynapseSettings
from analogdp.streams import Stream
from analogdp.synapses.base import ConductanceTable, LocalUpdate, Synapse, UpdateReport
from analogdp.synapses.converters import BACKWARD, FORWARD
from analogdp.synapses.mapping import PairMapping
from analogdp.synapses.reading import Reader, pair_noise
from analogdp.synapses.settings import CrossbarSettings
from analogdp.synapses.writing import Cells, net_change, opposed_changes, whole_pulses

_SLAB_CELLS = 1 << 16
"""Cells of one chip that an update handles at a time: few enough for their temporaries to stay in the processor's
cache."""


@registry.synapses.register("crossbar")
class Crossbar(Synapse):
    """One crossbar: pairs of cells, read in both directions, written by counted pulses.

    Initial weights are programmed exactly, as by a long write-verify, up to each device's own bounds; cells with
    write noise show it from the first read on. Afterwards nothing but pulses (and retention loss) changes a cell.

    Buffers: the device's variables and parameters as ``cell_<name>``, ``(chips, cells, out, in)``; ``reference``, the
    fixed cells of reference pairs in siemens; ``target_weights`` and ``write_counts``. The weights that reads use are
    computed from them.
    """

    Settings: ClassVar[type[SynapseSettings]] = CrossbarSettings
    reference: Tensor | None
    target_weights: Tensor
    write_counts: Tensor
    effective: Tensor

    def __init__(self, settings: CrossbarSettings, weights: Tensor, stream: Stream) -> None:
        chips, outputs, inputs = weights.shape
        super().__init__(chips, inputs, outputs)
        self.settings = settings
        self.device: DeviceModel = settings.device.device()
        self.mapping = PairMapping.of(self.device, settings.pair, settings.full_scale(inputs))
        self.reader = Reader(settings, pair_noise(self.device.read_noise, self.mapping.scale), weights)
        self.forward_noise = self.reader.noise_numbers(FORWARD)
        self.backward_noise = self.reader.noise_numbers(BACKWARD)
        self.volatile = self.device.volatile
        self.calibrated = self.reader.calibrated
        self.read_time = self.device.read_time
        self._fabricate(weights, replace(stream, dtype=weights.dtype, device=weights.device))
        self.register_load_state_dict_post_hook(lambda module, keys: module.refresh())  # type: ignore[no-untyped-call]

    @classmethod
    def build(cls, settings: SynapseSettings, weights: Tensor, stream: Stream) -> Self:
        if not isinstance(settings, CrossbarSettings):
            raise TypeError(f"{cls.__name__} takes CrossbarSettings, not {type(settings).__name__}")
        return cls(settings, weights, stream)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        out: Tensor | None = None,
        noise: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        return self.reader.read(self.effective if weights is None else weights, x, FORWARD, bias, out, noise)

    def backward_read(
        self, e: Tensor, out: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        matrix = self.effective if weights is None else weights
        return self.reader.read(matrix.mT, e, BACKWARD, None, out, noise)

    def contributions(self) -> Tensor:
        conductance = self.device.conductance(self._state())
        if self.reference is not None:
            conductance = torch.cat((conductance, self.reference.expand_as(conductance)), 1)
        return conductance * (self.mapping.scale * conductance.new_tensor((1.0, -1.0)).view(-1, 1, 1))

    def apply_update(self, update: LocalUpdate, stream: Stream) -> UpdateReport:
        """Pulse the cells as often as the update asks for, on average, and read back what that made of the weights.

        With ``accumulate: sample``, which direction goes first alternates with the index of ``stream``: what the
        second undoes of the first, and the first of the second, then evens out over the updates.

        Raises:
            InputError: the update is for the fixed cell of a reference pair.
        """
        portions = self._portions(update.polarity)
        stream = self._own(stream)
        raised, lowered = self.effective.new_zeros(2, self.chips, dtype=torch.float64)
        for number, rows in enumerate(self._slabs()):
            own, state = stream.at(number), self._state(rows)
            decay = None if update.decay is None else update.decay[:, rows]
            part = update._replace(post=update.post[..., rows], decay=decay)
            for turn, count in enumerate(self._counts(part, portions, rows, state, own)):
                self.device.pulse(state, count, own.child(f"pulses{turn}"))
                size = count.abs()
                self.write_counts[..., rows, :].add_(size.to(torch.int32))
                total, net = (each.sum((1, 2, 3), dtype=torch.float64) for each in (size, count))
                raised.add_(total + net, alpha=0.5)
                lowered.add_(total - net, alpha=0.5)
            self._refresh(rows, state)
        return UpdateReport(raised, lowered)

    @property
    def mode(self) -> object:
        return self.reader.known_ranges

    def relax(self, elapsed: Tensor | float, stream: Stream) -> None:
        self.device.relax(self._state(), elapsed, self._own(stream))
        self.refresh()

    def calibrate(self, x: Tensor, e: Tensor) -> None:
        self.reader.calibrate(self.effective, x, FORWARD)
        self.reader.calibrate(self.effective.mT, e, BACKWARD)

    def refresh(self) -> None:
        """Compute what reads use from the cells, after these changed."""
        for rows in self._slabs():
            self._refresh(rows, self._state(rows))
        self.reader.refresh()

    @property
    def weights(self) -> Tensor:
        return self.effective

    def conductances(self) -> ConductanceTable:
        conductance = self.device.conductance(self._state())
        fixed = self.reference is not None
        counts = self.write_counts.to(torch.int64)
        return ConductanceTable(
            plus=conductance[:, 0],
            minus=self.reference[:, 0].expand_as(conductance[:, 0])
            if self.reference is not None
            else conductance[:, 1],
            target_weights=self.target_weights,
            weights=self.effective,
            scale=self.mapping.scale,
            write_counts=torch.cat((counts, torch.zeros_like(counts)), 1) if fixed else counts,
            tile=self.settings.tile,
            low=self.device.low,
            high=self.device.high,
            card=self.settings.device.model_dump(mode="json"),
        )

    def _fabricate(self, weights: Tensor, stream: Stream) -> None:
        """Make the cells and program the initial weights."""
        shape = (len(self.mapping.signs), self.outputs, self.inputs)
        state = self.device.sample(shape, stream.child("fabrication"))
        fixed = self.settings.pair == "reference"
        self.register_buffer("reference", self.device.reference(state, stream.child("reference")) if fixed else None)
        for name, cells in (state.variables | state.parameters).items():
            self.register_buffer(f"cell_{name}", cells)
        self._variable_names, self._parameter_names = tuple(state.variables), tuple(state.parameters)
        self.register_buffer("target_weights", weights.clamp(self.mapping.lowest, self.mapping.highest).contiguous())
        self.register_buffer("write_counts", torch.zeros(self.chips, *shape, dtype=torch.int32, device=weights.device))
        self.register_buffer("effective", torch.empty_like(self.target_weights), persistent=False)
        self.device.program(state, self.mapping.wanted(weights, self.reference), stream.child("programming"))
        self.refresh()

    def _own(self, stream: Stream) -> Stream:
        """The stream with numbers of the cells' type, where the cells are."""
        return replace(stream, dtype=self.effective.dtype, device=self.effective.device)

    def _slabs(self) -> Iterator[slice]:
        """Ranges of output lines; the same whatever the number of chips, because each slab has its own random
        numbers."""
        most = max(1, _SLAB_CELLS // (len(self.mapping.signs) * self.inputs))
        return (slice(start, min(start + most, self.outputs)) for start in range(0, self.outputs, most))

    def _state(self, rows: slice = slice(None)) -> DeviceState:
        """The cells of some output lines, as views of the buffers."""
        variables, parameters = (
            {name: self.get_buffer(f"cell_{name}")[..., rows, :] for name in names}
            for names in (self._variable_names, self._parameter_names)
        )
        return DeviceState(variables, parameters)

    def _reference(self, rows: slice) -> Tensor | None:
        shared = self.reference is None or self.reference.shape[-2] == 1 != self.outputs
        return self.reference if self.reference is None or shared else self.reference[..., rows, :]

    def _refresh(self, rows: slice, state: DeviceState) -> None:
        self.mapping.weights(self.device.conductance(state), self._reference(rows), self.effective[:, rows])

    def _portions(self, polarity: Literal["both", "plus", "minus"]) -> tuple[float, ...]:
        """The share of a weight change that each programmable cell takes."""
        if self.settings.pair == "reference":
            if polarity == "minus":
                raise InputError(
                    "the minus cell of a reference pair is fixed; this rule needs 'synapse.pair: balanced'"
                )
            return (1.0,)
        return {"both": (0.5, 0.5), "plus": (1.0, 0.0), "minus": (0.0, 1.0)}[polarity]

    def _counts(
        self, update: LocalUpdate, portions: tuple[float, ...], rows: slice, state: DeviceState, stream: Stream
    ) -> Iterator[Tensor]:
        """Whole pulse counts ``(chips, cells, rows, in)`` of an update, one after the other."""
        write, net = self.settings.write, net_change(update)
        cells = Cells(portions, self.mapping.signs, self.mapping.scale * self.device.increment)
        target, fade = self.target_weights[:, rows], None
        if update.decay is not None:
            kept = update.decay.unsqueeze(-1)
            target.mul_(kept)
            held = self.mapping.held(self.device.conductance(state), self._reference(rows))
            written = held.new_tensor([portion > 0 for portion in portions]).view(-1, 1, 1)
            fade = held.mul_((kept - 1).unsqueeze(1)).mul_(written)
        target.add_(net).clamp_(self.mapping.lowest, self.mapping.highest)
        if write.accumulate == "batch":
            yield whole_pulses(cells.net_pulses(net, fade), write, stream)
            return
        raising, lowering = cells.opposed_pulses(*opposed_changes(update, net), fade)
        turns = [
            whole_pulses(raising, write, stream.child("raise")),
            whole_pulses(lowering, write, stream.child("lower")).neg_(),
        ]
        yield from turns if sum(stream.indices) % 2 == 0 else reversed(turns)
