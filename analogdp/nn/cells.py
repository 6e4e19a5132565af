"""What a layer on a crossbar reads: fresh cells at every step of training, and those of one chip once it is programmed.

Backpropagation goes straight through all that cells and converters do: gradients are those of the exact product with the
weights that the cells show, and a weight's is that of its cell, but 0 where it would lead a weight further out of the range
that cells can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.functional import linear

from analogdp.errors import InputError, Problem, ScenarioError
from analogdp.scenario.schema import MAX_SEED
from analogdp.streams import Stream
from analogdp.synapses import Crossbar, CrossbarSettings
from analogdp.synapses.converters import FORWARD
from analogdp.synapses.mapping import Mapping as CellMapping

SynapseLike = CrossbarSettings | Mapping[str, Any] | str | None
"""A crossbar's section, the same as plain data, the name of a device card, or None for all defaults."""


def crossbar_settings(synapse: SynapseLike) -> CrossbarSettings:
    """The section that stands for what a user gave, with all that follows from other keys.

    Raises:
        InputError: it is none of these.
        ScenarioError: with all problems of the section.
    """
    if isinstance(synapse, CrossbarSettings):
        return synapse.completed()
    if not isinstance(synapse, str | Mapping | None):
        raise InputError(f"synapse {synapse!r}: expected a crossbar's section, or the name of a device card")
    section = {"device": synapse} if isinstance(synapse, str) else dict(synapse or {})
    try:
        return CrossbarSettings.model_validate(section).completed()
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ScenarioError([Problem(".".join(map(str, one["loc"])), one["msg"]) for one in details]) from None


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """An argument that has to be a whole number.

    Raises:
        InputError: it is none, or out of range.
    """
    if type(value) is not int or value < least or (most is not None and value > most):
        allowed = f"from {least} on" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} {value!r}: expected a whole number {allowed}")
    return value


class OnCrossbar(nn.Module):
    """A layer with a ``weight`` ``(out, ...)`` and perhaps a ``bias`` as torch has them; the weight is held by cells.

    Attributes:
        settings: of the crossbar; what it says about writing and refreshing counts for nothing here.
        seed, name: what all draws are functions of. Layers of one model need different names or seeds.
        draws: how many reads and agings with random numbers there were; a buffer, so that a resumed training goes on with the
            next.
        mapping: between weights and conductances, with the range of the weights that cells can hold.
        crossbar: the programmed cells, or None before :meth:`program`.
    """

    weight: Tensor
    bias: Any  # A parameter or None, which torch's modules declare differently.
    seed: int
    name: str
    draws: Tensor
    crossbar: Crossbar | None

    def _identify(self, seed: int, name: str) -> None:
        """Say what all draws are functions of: before torch's module is made, which draws its weights then."""
        if not isinstance(name, str):
            raise InputError(f"name {name!r}: expected text")
        self.seed, self.name = whole("seed", seed, 0, MAX_SEED), name

    def _settle_in(self, synapse: SynapseLike) -> None:
        self.settings = settings = crossbar_settings(synapse)
        assert settings.pair is not None
        full_scale, unit = settings.full_scale(self.fan_in), settings.unit
        self.mapping = CellMapping.of(settings.device.device(), settings.pair, full_scale, unit.shares, unit.levels)
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))
        self.register_module("crossbar", None)

    @property
    def fan_in(self) -> int:
        """Weights of an output line."""
        return self.weight[0].numel()

    @property
    def clipped(self) -> Tensor:
        """The weights within the range of the cells, ``(out, fan_in)``."""
        return self._shown(self.weight.detach().flatten(1).clamp(self.mapping.lowest, self.mapping.highest))

    @property
    def ideal(self) -> bool:
        """Whether a read is one of the clipped weights, without cells: in evaluation before :meth:`program`."""
        return not self.training and self.crossbar is None

    def reset_parameters(self) -> None:
        """Draw weights and bias as torch does, uniform within 1/sqrt(fan-in), but from the layer's own stream."""
        stream, bound = self._stream("weights"), self.fan_in**-0.5
        with torch.no_grad():
            for name, own in (("weight", self.weight), ("bias", self.bias)):
                if own is not None:
                    own.copy_(stream.child(name).uniform(tuple(own.shape))[0].mul_(2 * bound).sub_(bound))

    @torch.no_grad()
    def program(self, chip: int = 0) -> Self:
        """Put the present weights into the cells of a chip, which evaluation reads from then on.

        Args:
            chip: whose devices they are.

        Returns:
            The layer.

        Raises:
            InputError: the chip is no whole number from 0.
        """
        self.crossbar = self._cells(self._stream("chip", whole("chip", chip, 0)))
        return self

    @torch.no_grad()
    def age(self, seconds: float) -> None:
        """Let the programmed cells change as their devices do in a time. The number of the draw is looked up on the host."""
        if self.crossbar is not None:
            self.crossbar.relax(seconds, self._next("aging"))

    @torch.no_grad()
    def calibrate(self, rows: Tensor) -> None:
        """Fit the ranges of the programmed crossbar's converters to typical inputs ``(rows, fan_in)``."""
        if self.crossbar is not None:
            _calibrate(self.crossbar, rows)

    def read(self, rows: Tensor) -> Tensor:
        """What the cells make of inputs ``(rows, fan_in)``: ``(rows, out)``, without the bias.

        In training the cells are those of another chip for each read, programmed with the present weights, and converters
        with calibrated ranges are fitted to these very inputs. The number of the read is looked up on the host.
        """
        if self.ideal:
            return linear(rows, self.clipped)
        stream = self._next("training" if self.training else "reading")
        with torch.no_grad():
            crossbar = self.crossbar
            if self.training or crossbar is None:
                crossbar = self._cells(stream)
                _calibrate(crossbar, rows)
        return _seen(crossbar, self._shown(crossbar.weights[0]), rows, stream)

    def extra_repr(self) -> str:
        state = "ideal" if self.crossbar is None else "programmed"
        return f"{super().extra_repr()}, device={self.settings.device.name}, {state}"

    def _next(self, name: str) -> Stream:
        self.draws += 1
        return self._stream(name).at(int(self.draws))

    def _stream(self, name: str, chip: int = 0) -> Stream:
        return Stream(self.seed, f"nn/{self.name}/{name}", (chip,), self.weight.device, self.weight.dtype)

    def _shown(self, weights: Tensor) -> Tensor:
        """What stands for the layer's weights, ``(out, fan_in)``, with their gradients."""
        ends = self.mapping.lowest, self.mapping.highest
        shown: Tensor = _StandIn.apply(self.weight.flatten(1), weights, *ends)  # type: ignore[no-untyped-call]
        return shown

    def _cells(self, stream: Stream) -> Crossbar:
        return Crossbar(self.settings, self.weight.detach().flatten(1).unsqueeze(0), stream.child("cells"))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert the layer; what reads see of the cells is computed anew, where they are then."""
        crossbar, self.crossbar = self.crossbar, None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if crossbar is not None:
            self.program().crossbar.load_state_dict(crossbar.state_dict())  # type: ignore[union-attr]
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take what a module like this left, programmed or not, or torch's own module."""
        state_dict.setdefault(f"{prefix}draws", torch.zeros_like(self.draws))
        programmed = any(name.startswith(f"{prefix}crossbar.") for name in state_dict)
        if programmed and self.crossbar is None:
            self.program()
        elif not programmed:
            self.crossbar = None
        super()._load_from_state_dict(state_dict, prefix, *args)


class _StandIn(torch.autograd.Function):
    """Other numbers in the place of weights, which take their gradients but those that lead further out of a range."""

    @staticmethod
    def forward(weights: Tensor, shown: Tensor, lowest: float, highest: float) -> Tensor:
        return shown.view_as(shown)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float, float], output: Tensor) -> None:
        weights, _, ctx.lowest, ctx.highest = inputs
        ctx.save_for_backward(weights)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (weights,) = ctx.saved_tensors
        outwards = torch.where(gradient < 0, weights > ctx.highest, weights < ctx.lowest)
        return gradient.masked_fill(outwards, 0.0), None, None, None


def _calibrate(crossbar: Crossbar, rows: Tensor) -> None:
    if crossbar.calibrated:
        crossbar.reader.calibrate(crossbar.views.forward, rows.detach().unsqueeze(0), FORWARD, crossbar.views.sums)


def _seen(crossbar: Crossbar, matrix: Tensor, rows: Tensor, stream: Stream) -> Tensor:
    """What the crossbar reads, with the gradients of the exact product with ``matrix`` ``(out, fan_in)``."""
    exact = linear(rows, matrix)
    count = crossbar.forward_noise.total
    with torch.no_grad():
        noise = stream.child("noise").normal((len(rows), count)) if count else None
        missing = crossbar.forward(rows.detach().unsqueeze(0), noise=noise)[0] - exact
    return exact + missing
