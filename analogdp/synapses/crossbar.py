"""Weights held as conductance differences in a crossbar of memory cells, read through converters and written by
pulses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from analogdp import registry
from analogdp.devices import DeviceModel, DeviceState, MeasuredDevice
from analogdp.devices.selection import pick
from analogdp.scenario.schema import SynapseSettings
from analogdp.streams import Stream
from analogdp.synapses.base import ALL, WHOLE, ConductanceTable, LocalUpdate, Part, Synapse, UpdateReport
from analogdp.synapses.converters import BACKWARD, FORWARD
from analogdp.synapses.disturb import disturb
from analogdp.synapses.mapping import Mapping
from analogdp.synapses.patches import Patch, blocks, few_written, lines_of
from analogdp.synapses.programming import ProgrammingReport, program
from analogdp.synapses.reading import Reader
from analogdp.synapses.settings import CrossbarSettings
from analogdp.synapses.tally import Tally
from analogdp.synapses.upkeep import restore_pairs, transfer_counts
from analogdp.synapses.views import Views
from analogdp.synapses.writing import (
    conductance_changes,
    fading,
    most_pulses,
    net_change,
    opposed_changes,
    opposed_conductance_changes,
    portions,
    pulse_counts,
    spread,
)


@registry.synapses.register("crossbar")
class Crossbar(Synapse):
    """One crossbar: units of cells, read in both directions, written by counted pulses.

    Initial weights are programmed as the section says, by default exactly, up to each device's own bounds; cells with
    write noise show it from the first read on. Afterwards nothing but pulses (and time) changes a cell.

    Buffers: the device's variables and parameters as ``cell_<name>``, ``(chips, cells, lines, in)``, whose last line is
    the shared column of an ``offset_column`` pair; ``reference``, what single cells are read against, in siemens;
    ``target_weights``, ``write_counts`` and, where updates are carried over, ``carried``. What reads use is computed from
    them, and kept until the next write.
    """

    Settings: ClassVar[type[SynapseSettings]] = CrossbarSettings
    reference: Tensor | None
    carried: Tensor | None
    target_weights: Tensor
    write_counts: Tensor
    effective: Tensor

    def __init__(self, settings: CrossbarSettings, weights: Tensor, stream: Stream) -> None:
        chips, outputs, inputs = weights.shape
        super().__init__(chips, inputs, outputs)
        self.settings = settings = settings.completed()
        assert settings.pair is not None
        self.device: DeviceModel = settings.device.device()
        full_scale = settings.full_scale(inputs)
        self.mapping = Mapping.of(self.device, settings.pair, full_scale, settings.unit.shares, settings.unit.levels)
        # Nominal change of a weight by one pulse of all devices of a unit.
        self._per_pulse = self.mapping.scale * self.device.increment
        self._has_column = settings.pair == "offset_column"
        stream = replace(stream, dtype=weights.dtype, device=weights.device)
        noisy = self.device.noisy_reads
        self.reader = Reader(settings, noisy, self._has_column, weights, stream.child("converters"))
        self.forward_noise = self.reader.noise_numbers(FORWARD)
        self.backward_noise = self.reader.noise_numbers(BACKWARD)
        self.volatile = self.device.volatile
        self.rowwise = settings.write.accumulate == "sample"
        self.calibrated = self.reader.calibrated
        self.capturable = not settings.solves_at_reads(inputs, outputs)
        self.read_time = self.device.read_time
        self.programming: ProgrammingReport | None = None
        self.views = Views(settings, self.device, self.mapping)
        self._fabricate(weights, stream)
        self.register_load_state_dict_post_hook(Crossbar._loaded)  # type: ignore[no-untyped-call]

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
        view = self.views.forward if weights is None else replace(self.views.forward, matrix=weights)
        return self.reader.read(view, x, FORWARD, bias, out, noise, self.views.sums)

    def backward_read(
        self, e: Tensor, out: Tensor | None = None, noise: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        view = self.views.backward if weights is None else replace(self.views.backward, matrix=weights.mT)
        return self.reader.read(view, e, BACKWARD, None, out, noise, self.views.sums)

    def contributions(self) -> Tensor:
        conductance = self.device.conductance(self._state())[..., : self.outputs, :]
        coefficients = conductance.new_tensor(self.mapping.coefficients).view(-1, 1, 1)
        parts = [conductance * (coefficients * self.mapping.scale)]
        if (reference := self._reference()) is not None and self.settings.pair != "offset":
            parts.append((reference * -self.mapping.scale).unsqueeze(1).expand(-1, 1, self.outputs, self.inputs))
        return torch.cat(parts, 1)

    def apply_update(self, update: LocalUpdate, stream: Stream) -> UpdateReport:
        """Pulse the cells as often as the update asks for, on average, and read back what that made of the weights.

        With ``accumulate: sample``, which direction goes first alternates with the index of ``stream``: what the
        second undoes of the first, and the first of the second, then evens out over the updates. Devices that are
        written in turn, transfers and refreshes follow the index, too.

        Raises:
            InputError: the update is for the fixed cell of a pair.
        """
        portions(self.mapping, update.polarity)
        stream, number = self._own(stream), sum(stream.indices)
        apart = self.settings.write.half_select is not None
        tally = Tally(self.write_counts, self.effective, self.device.write_pulse, apart, self.device.closed_loop)
        for block, rows in enumerate(self._blocks()):
            own, patch = stream.at(block), self._patch(rows)
            decay = None if update.decay is None else update.decay[:, rows]
            part = update._replace(post=update.post[..., rows], decay=decay)
            counts = list(self._counts(part, rows, patch.state, own, number))
            for piece in patch.each_chip():
                self._write(piece, [count[piece.chips] for count in counts], own.of_chips(piece.chips), tally)
            tally.keep_apart(counts, (..., rows, slice(None)))
        whole = update.polarity != "plus"  # Else the same update's minus follows.
        if whole and (transfer := self.settings.write.transfer) and number % transfer.every == transfer.every - 1:
            self._transfer(number // transfer.every, stream.child("transfer"), tally)
        if self.settings.write.half_select:
            self._disturb(tally, stream.child("disturb"))
        if whole and (refresh := self.settings.refresh) and number % refresh.every == refresh.every - 1:
            self._restore_range(stream.child("refresh"), tally)
        self._look()
        return tally.report()

    @property
    def mode(self) -> object:
        return self.reader.known_ranges, self.views.gain is None

    def relax(self, elapsed: Tensor | float, stream: Stream) -> None:
        self.device.relax(self._state(), elapsed, self._own(stream))
        self.refresh()

    def begin(self) -> None:
        self.views.begin()

    def calibrate(self, x: Tensor, e: Tensor) -> None:
        self.reader.calibrate(self.views.forward, x, FORWARD, self.views.sums)
        self.reader.calibrate(self.views.backward, e, BACKWARD, self.views.sums)

    def refresh(self) -> None:
        """Compute what reads use from the cells, after these changed."""
        self.views.forget()
        reference = self._reference()
        # What single cells are read against, as a change of weights ``(chips, out or 1, in or 1)``.
        self._offset = None if reference is None else reference * -self.mapping.scale
        self._refresh_all()
        self._look()
        self.reader.refresh()

    @property
    def weights(self) -> Tensor:
        return self.views.forward.matrix

    def line_currents(self, stream: Stream | None) -> Tensor:
        state = self._state()
        conductance = self.device.conductance(state) if stream is None else self.device.read(state, self._own(stream))
        shares = conductance.new_tensor(self.mapping.coefficients).abs_().view(-1, 1)
        return (conductance[..., : self.outputs, :].sum(-1) * shares).sum(1)

    def compensate(self, gain: Tensor | None) -> None:
        self.views.gain = None if gain is None else self._gain.copy_(gain).unsqueeze(1)
        self._look()

    def cells(self) -> DeviceState:
        """All cells ``(chips, cells, lines, in)``, not to be written: as the buffers are, so the last line may be a column."""
        return self._state()

    def conductances(self, part: Part = WHOLE) -> ConductanceTable:
        """The physical cells, or ``part`` of them: some chips, output and input lines; ``programming`` stays that of all."""
        chips, outputs, inputs = part[0], slice(*part[1].indices(self.outputs)), part[2]
        cells = self.device.conductance(self._state(outputs, inputs, chips))
        polarities, devices = len(self.mapping.signs), len(self.mapping.shares)
        shape = (-1, polarities, devices, *cells.shape[2:])
        reference = self._reference()
        minus = None if reference is None else reference.expand(-1, self.outputs, self.inputs)[part]
        counts = self.write_counts[chips, :, outputs, inputs].to(torch.int64).reshape(shape).sum(2)
        return ConductanceTable(
            plus=self.mapping.unit(cells, 0),
            minus=self.mapping.unit(cells, 1) if minus is None else minus,
            target_weights=self.target_weights[part],
            weights=self.views.seen(self._state(), reference, self.outputs)[part],
            scale=self.mapping.scale,
            write_counts=counts if polarities == 2 else torch.cat((counts, torch.zeros_like(counts)), 1),
            tile=self.settings.tile,
            low=self.device.low,
            high=self.device.high,
            card=self.settings.device.model_dump(mode="json"),
            units=cells.reshape(shape) if devices > 1 else None,
            shares=self.mapping.shares,
            programming=self.programming,
        )

    def hold(self, cells: Tensor, reference: Tensor | None) -> None:
        """Have the cells conduct ``cells``, laid out as the buffers are, and be read against ``reference``, both in siemens.

        They stay outside the range of their device if they are, and can be written no more.
        """
        device = MeasuredDevice(self.device)
        state = device.holding(cells, self._state())
        for name in (*self._variable_names, *self._parameter_names):
            delattr(self, f"cell_{name}")
        self.device, self.volatile = device, device.volatile
        self.views = Views(self.settings, device, self.mapping)
        self._keep(state, reference)
        self.refresh()

    def _fabricate(self, weights: Tensor, stream: Stream) -> None:
        """Make the cells and program the initial weights."""
        mapping, pair = self.mapping, self.settings.pair
        shape = (len(mapping.coefficients), self.outputs, self.inputs)
        state = self.device.sample(
            (shape[0], self.outputs + self._has_column, self.inputs), stream.child("fabrication")
        )
        reference = None
        if pair == "reference":
            own = self.device.reference(state, stream.child("reference"))
            reference = mapping.unit(own.expand(-1, shape[0], -1, -1), 0) if own.shape[1] > 1 else own[:, 0]
        elif pair in ("offset", "offset_column"):
            reference = weights.new_full((self.chips, 1, 1), self.device.zero)
        self._keep(state, reference)
        self.register_buffer("target_weights", weights.clamp(mapping.lowest, mapping.highest).contiguous())
        self.register_buffer("write_counts", torch.zeros(self.chips, *shape, dtype=torch.int32, device=weights.device))
        carries = self.settings.write.rounding == "carry"
        self.register_buffer("carried", weights.new_zeros(self.chips, *shape) if carries else None)
        self.register_buffer("effective", torch.empty_like(self.target_weights), persistent=False)
        self._gain = weights.new_ones(self.chips, self.outputs)  # Stays where it is: captured graphs go on reading it.
        wanted = mapping.wanted(weights, reference)
        if self._has_column:
            wanted = torch.cat((wanted, torch.full_like(wanted[..., :1, :], self.device.zero)), -2)
        report = program(self.device, state, wanted, self.settings.programming, stream.child("programming"))
        if report is not None:
            self.programming = report.of_lines(self.outputs)
            self.write_counts.add_(self.programming.pulses.to(torch.int32))
        self.refresh()

    def _loaded(self, keys: object) -> None:
        """Called by torch with the crossbar that took a state."""
        self.refresh()

    def _keep(self, state: DeviceState, reference: Tensor | None) -> None:
        self.register_buffer("reference", reference)
        for name, cells in (state.variables | state.parameters).items():
            self.register_buffer(f"cell_{name}", cells)
        self._variable_names, self._parameter_names = tuple(state.variables), tuple(state.parameters)

    def _own(self, stream: Stream) -> Stream:
        """The stream with numbers of the cells' type, where the cells are."""
        return replace(stream, dtype=self.effective.dtype, device=self.effective.device)

    def _blocks(self) -> Iterator[slice]:
        return blocks(self.outputs, len(self.mapping.coefficients) * self.inputs)

    def _state(self, rows: slice = ALL, columns: slice = ALL, chips: slice = ALL) -> DeviceState:
        """The cells of some lines, as views of the buffers."""
        variables, parameters = (
            {name: self.get_buffer(f"cell_{name}")[chips, ..., rows, columns] for name in names}
            for names in (self._variable_names, self._parameter_names)
        )
        return DeviceState(variables, parameters)

    def _reference(self) -> Tensor | None:
        """What single cells are read against, in siemens ``(chips, out or 1, in or 1)``; None for two polarities."""
        if not self._has_column:
            return self.reference
        column = self.device.conductance(self._state(slice(self.outputs, self.outputs + 1)))
        return self.mapping.unit(column, 0)

    def _patch(self, rows: slice) -> Patch:
        offset = None if self._offset is None else lines_of(self._offset, rows)
        return Patch(self._state(rows), self.effective[:, rows], self.write_counts[..., rows, :], offset)

    def _write(self, patch: Patch, counts: list[Tensor], stream: Stream, tally: Tally) -> None:
        """Pulse the cells of a patch: all, slab after slab, or those that get pulses alone."""
        written = few_written(counts[0]) if patch.separable and len(counts) == 1 else None
        if written is None:
            for slab, lines in enumerate(patch.slabs()):
                part, own = patch.part(lines=lines), [count[..., lines, :] for count in counts]
                self._pulse(part, own, stream.at(slab), tally)
            return
        few = patch.pick(written)
        self._pulse(few, [pick(counts[0], written)], stream, tally)
        patch.put(written, few)

    def _pulse(self, patch: Patch, counts: list[Tensor], stream: Stream, tally: Tally) -> None:
        """Pulse all cells of a patch, in as many turns as there are counts."""
        for turn, count in enumerate(counts):
            self.device.pulse(patch.state, count, stream.child(f"pulses{turn}"))
            tally.add(count, patch.write_counts, patch.chips)
        self._refresh(patch, tally)

    def _refresh(self, patch: Patch, tally: Tally | None = None) -> None:
        conductance = self.device.conductance(patch.state)
        self.mapping.weights(conductance, patch.offset, patch.weights)
        if tally is not None:
            tally.spend(conductance, patch.chips)

    def _look(self) -> None:
        """Renew what reads see of the cells."""
        self.views.renew(self.effective, self._reference(), self._state(), self.outputs)

    def _counts(
        self, update: LocalUpdate, rows: slice, state: DeviceState, stream: Stream, number: int
    ) -> Iterator[Tensor]:
        """Pulse counts ``(chips, cells, rows, in)`` of an update, one after the other."""
        write, mapping, net = self.settings.write, self.mapping, net_change(update)
        target, fade = self.target_weights[:, rows], None
        if update.decay is not None:
            reference = None if self._offset is None else lines_of(self._offset, rows) / -mapping.scale
            held = mapping.held(self.device.conductance(state), reference)
            fade = fading(mapping, update.polarity, held, update.decay[:, None, :, None])
            target.add_(target * -update.decay.unsqueeze(-1) if update.polarity == "both" else fade.sum(1))
        target.add_(net).clamp_(mapping.lowest, mapping.highest)
        carried = None if self.carried is None else self.carried[..., rows, :]
        most = most_pulses(update, write, self.device.write_pulse)

        def counts(changes: Tensor, own: Stream) -> Tensor:
            expected = spread(changes.mul_(1 / self._per_pulse), mapping, write.devices, number)
            count = pulse_counts(expected, write, own, carried, most)
            return count.clamp_(min=0) if self.device.unidirectional else count

        if write.accumulate == "batch":
            only_raised = self.device.unidirectional
            yield counts(conductance_changes(mapping, update.polarity, net, fade, only_raised), stream)
            return
        more, less = opposed_changes(update, net)
        if fade is not None and self.device.unidirectional:
            more, less = more + fade.sum(1).clamp_(min=0), less - fade.sum(1).clamp_(max=0)
            fade = None
        raising, lowering = opposed_conductance_changes(mapping, update.polarity, more, less, fade)
        turns = [counts(raising, stream.child("raise"))]
        if not self.device.unidirectional:
            turns.append(counts(lowering, stream.child("lower")).neg_())
        yield from turns if number % 2 == 0 else reversed(turns)

    def _transfer(self, number: int, stream: Stream, tally: Tally) -> None:
        """Read what the fast devices of some word lines hold, and ask the slow ones beside them for it."""
        settings = self.settings.write.transfer
        assert settings is not None
        first = number * settings.lines % self.inputs
        lines = (..., slice(self.outputs), slice(first, min(first + settings.lines, self.inputs)))
        state = self._state(*lines[1:])
        cells = self.device.read(state, stream.child("read"))
        reference = self._reference()
        resting = self.mapping.resting if reference is None else reference.expand(-1, self.outputs, self.inputs)[lines]
        count = transfer_counts(cells, resting, self.mapping, self.device.increment, self.settings.write, stream)
        self.device.pulse(state, count, stream.child("pulses"))
        tally.add(count, self.write_counts[lines])
        tally.keep_apart([count], lines)
        cells = self.device.conductance(state)
        offset = None if self._offset is None else self._offset.expand(-1, self.outputs, self.inputs)[lines]
        self.mapping.weights(cells, offset, self.effective[lines])
        tally.spend(cells)

    def _disturb(self, tally: Tally, stream: Stream) -> None:
        """Let cells see the part of the voltage that pulses for others on their lines put across them."""
        scheme = self.settings.write.half_select
        assert scheme is not None
        pulses = tally.raised, tally.lowered
        disturb(self.device, self._state(slice(self.outputs)), *pulses, self.settings.tile, scheme, stream)
        self._refresh_all()

    def _restore_range(self, stream: Stream, tally: Tally) -> None:
        """Reset pairs of which one cell has come near the end of its range, and program their difference anew."""
        state = self._state(slice(self.outputs))
        report = restore_pairs(self.device, state, self.mapping, self.effective, self.settings, stream)
        tally.add(report.pulses, self.write_counts)
        tally.keep_apart([report.pulses], ...)
        tally.spend(self.device.conductance(state))
        self._refresh_all()

    def _refresh_all(self) -> None:
        for rows in self._blocks():
            self._refresh(self._patch(rows))
