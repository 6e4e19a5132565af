"""What the reads of a crossbar see of its cells: matrices, noise, and what makes up for drift."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analogdp.devices import DeviceModel, DeviceState
from analogdp.synapses.mapping import Mapping
from analogdp.synapses.settings import CrossbarSettings
from analogdp.synapses.wired import IterativeWires, Wires
from analogdp.synapses.wires import Drive


@dataclass
class View:
    """What a read in one direction sees of the cells.

    Attributes:
        matrix: ``(chips, to, from)``, from a message to its reading.
        deviation: standard deviation that the cells of a weight add to a read, in network units, where all have the same.
        variance: its square for each weight ``(chips, to, from)``, where they differ; None otherwise.
        column: the same of one cell of the column that all outputs share, a number or variances ``(chips, 1, inputs)``;
            None without.
        gain: factor on each output line, ``(chips, 1, out or 1)``, that makes up for drift; None for 1.
    """

    matrix: Tensor
    deviation: float = 0.0
    variance: Tensor | None = None
    column: float | Tensor | None = None
    gain: Tensor | None = None


class Views:
    """The views in both directions, kept until the cells change.

    Tensors stay where they are in memory, for steps that were captured as a graph.

    Args:
        settings: the crossbar's section, completed.
        device: the model of its cells.
        mapping: of weights to cells.

    Attributes:
        gain: what each output line is multiplied by ``(chips, 1, out or 1)``, or None; counts from the next renewal on.
        sums: how lines add up, where a read solves for the wires; None where it is a product.
    """

    def __init__(self, settings: CrossbarSettings, device: DeviceModel, mapping: Mapping) -> None:
        self._settings, self._device, self._mapping = settings, device, mapping
        self.gain: Tensor | None = None
        self._wires = None if settings.wires is None else Wires(settings.wires, settings.tile)
        self.sums: IterativeWires | None = None
        self._column = settings.pair == "offset_column"
        self._fixed: dict[Drive, Tensor] = {}
        self._forward: View | None = None
        self._backward: View | None = None

    @property
    def forward(self) -> View:
        """Of bottom-up reads."""
        assert self._forward is not None, "renew() comes first"
        return self._forward

    @property
    def backward(self) -> View:
        """Of transposed reads; its matrix is ``(chips, in, out)``."""
        assert self._backward is not None, "renew() comes first"
        return self._backward

    def renew(self, weights: Tensor, reference: Tensor | None, state: DeviceState, outputs: int) -> None:
        """Look at the cells again.

        Args:
            weights: without wires ``(chips, out, in)``; always the same tensor.
            reference: what single cells are read against in siemens ``(chips, out or 1, in or 1)``, or None.
            state: all cells, the shared column's included.
            outputs: output lines without the shared column.
        """
        if self._forward is None or self._backward is None:
            self._begin(weights)
            if self._wires is not None:
                self._wires.refuse_if_nothing_arrives(self._device.conductance(state))
        forward, backward = self.forward, self.backward
        forward.gain = backward.gain = self.gain
        if self._wires is not None:
            self._solve(self._device.conductance(state), reference, outputs)
        if not self._device.noisy_reads:
            return
        variance = self._device.read_variance(state)
        forward.deviation = backward.deviation = self._deviation()
        if variance is not None:
            self._look_at_noise(variance, outputs)
        elif self._column:
            forward.column = backward.column = self._mapping.scale * self._unit_deviation()

    def _begin(self, weights: Tensor) -> None:
        outputs, inputs = weights.shape[-2:]
        if self._wires is not None and self._settings.solves_at_reads(inputs, outputs):
            self.sums = IterativeWires(self._wires, self._mapping)
        if self._wires is None or self.sums is not None:
            self._forward, self._backward = View(weights), View(weights.mT)
            return
        seen = torch.empty_like(weights)
        back = seen if self._wires.reciprocal else torch.empty_like(weights)
        self._forward, self._backward = View(seen), View(back.mT)

    def seen(self, state: DeviceState, reference: Tensor | None, outputs: int) -> Tensor:
        """The weights that bottom-up reads see, wires included, ``(chips, out, in)``."""
        if self._wires is None or self.sums is None:
            return self.forward.matrix
        seen = self._wires.matrices(self._device.conductance(state), "word_lines")
        out = torch.empty_like(self.forward.matrix)
        return self._mapping.weights(seen[:, :, :outputs], self._offset(seen, reference, outputs, "word_lines"), out)

    def begin(self) -> None:
        """Samples are presented: what was solved for others before does not matter to them."""
        if self.sums is not None:
            self.sums.begin()

    def forget(self) -> None:
        """The fixed cells that others are read against may have been replaced."""
        self._fixed.clear()

    def _solve(self, conductance: Tensor, reference: Tensor | None, outputs: int) -> None:
        """What the lines make of the cells."""
        wires = self._wires
        assert wires is not None
        if self.sums is not None:
            arrays = conductance
            if reference is not None and self._settings.pair == "reference":
                arrays = torch.cat((conductance, self._reference_array(reference, conductance)), 1)
            self.sums.load(arrays, reference if self._settings.pair == "offset" else None)
            return
        directions: tuple[tuple[Drive, Tensor], ...] = (
            ("word_lines", self.forward.matrix),
            ("bit_lines", self.backward.matrix.mT),
        )
        for drive, out in directions[:1] if wires.reciprocal else directions:
            seen = wires.matrices(conductance, drive)
            self._mapping.weights(seen[:, :, :outputs], self._offset(seen, reference, outputs, drive), out)

    def _offset(self, seen: Tensor, reference: Tensor | None, outputs: int, drive: Drive) -> Tensor | None:
        """What is subtracted from arrays with wires, in network units; an array of fixed cells is solved once."""
        if reference is None:
            return None
        if self._column:
            return self._mapping.unit(seen[:, :, outputs:], 0) * -self._mapping.scale
        if self._settings.pair == "offset":
            return reference * -self._mapping.scale
        if drive not in self._fixed:
            assert self._wires is not None
            fixed = self._wires.matrices(self._reference_array(reference, seen), drive)
            self._fixed[drive] = fixed[:, 0] * -self._mapping.scale
        return self._fixed[drive]

    @staticmethod
    def _reference_array(reference: Tensor, cells: Tensor) -> Tensor:
        """Fixed cells as one more array ``(chips, 1, out, in)``."""
        return reference.unsqueeze(1).expand(-1, 1, *cells.shape[-2:])

    def _unit_deviation(self) -> float:
        """Noise of the cells of one polarity, in siemens."""
        return float(self._device.read_noise * sum(share**2 for share in self._mapping.shares) ** 0.5)

    def _deviation(self) -> float:
        """Noise of a weight, in network units; a fixed cell is as noisy as the one that is read against it."""
        units = 2 if self._settings.pair in ("reference", "balanced", "one_sided") else 1
        return self._mapping.scale * self._unit_deviation() * float(units**0.5)

    def _look_at_noise(self, variance: Tensor, outputs: int) -> None:
        squares = variance.new_tensor(self._mapping.coefficients).mul_(self._mapping.scale).square_().view(-1, 1, 1)
        each = (variance * squares).sum(1)
        forward, backward = self.forward, self.backward
        if isinstance(forward.column, Tensor):
            forward.column.copy_(each[:, outputs:])
        elif self._column:
            forward.column = backward.column = each[:, outputs:].contiguous()
        own = each[:, :outputs]
        if self._settings.pair == "reference":
            own = own + (self._mapping.scale * self._unit_deviation()) ** 2
        if forward.variance is None:
            forward.variance = own.contiguous()
            backward.variance = forward.variance.mT
        else:
            forward.variance.copy_(own)
