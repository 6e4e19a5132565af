"""From wanted weight changes to write pulses."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from analogdp.devices import WritePulse
from analogdp.errors import InputError
from analogdp.streams import Stream
from analogdp.synapses.base import LocalUpdate, Polarity
from analogdp.synapses.mapping import Mapping
from analogdp.synapses.parts import WriteSettings


def net_change(update: LocalUpdate) -> Tensor:
    """The outer product summed over the rows, ``(chips, out, in)``."""
    return torch.bmm(update.post.mT, update.pre)


def opposed_changes(update: LocalUpdate, net: Tensor) -> tuple[Tensor, Tensor]:
    """What the rows that want more and the rows that want less ask for: two sums >= 0 whose difference is ``net``."""
    post, pre = update.post, update.pre
    halves_post = torch.cat((post.clamp(min=0), post.clamp(max=0)), 1)
    halves_pre = torch.cat((pre.clamp(min=0), pre.clamp(max=0)), 1)
    more = torch.bmm(halves_post.mT, halves_pre)
    return more, (more - net).clamp_(min=0)


def portions(mapping: Mapping, polarity: Polarity) -> tuple[float, ...]:
    """The share of a weight change that each polarity takes, signed: negative where it lowers the conductance.

    Raises:
        InputError: the update is for a polarity that is not programmable.
    """
    if len(mapping.signs) == 1:
        if polarity == "minus":
            raise InputError(
                f"{mapping.pair} pairs have no minus cells to write; this rule needs 'synapse.pair: balanced' or one_sided"
            )
        return (1.0,)
    if polarity == "both":
        return (0.5, -0.5) if mapping.pair == "balanced" else (1.0, -1.0)
    return (1.0, 0.0) if polarity == "plus" else (0.0, -1.0)


def fading(mapping: Mapping, polarity: Polarity, held: Tensor, share: Tensor) -> Tensor:
    """By how much each polarity's contribution to the weight is to shrink, ``(chips, polarities, out, in)``.

    Args:
        mapping: of weights to cells.
        polarity: which cells may be written.
        held: what each polarity contributes; overwritten.
        share: of it that goes.
    """
    written = held.new_tensor([portion != 0 for portion in portions(mapping, polarity)]).view(-1, 1, 1)
    return held.mul_(-share).mul_(written)


def conductance_changes(
    mapping: Mapping, polarity: Polarity, net: Tensor, fade: Tensor | None, raises_only: bool
) -> Tensor:
    """What each polarity's conductance is to gain, in units of weight, ``(chips, polarities, out, in)``.

    One-sided pairs are only ever raised, one cell or the other.

    Args:
        mapping: of weights to cells.
        polarity: which cells may be written.
        net: wanted change of the weight ``(chips, out, in)``; overwritten where that saves a copy.
        fade: further change of each polarity's contribution to the weight ``(chips, polarities, out, in)``.
        raises_only: no pulse can lower a conductance, so contributions fade by raising the other cell.
    """
    shares = portions(mapping, polarity)
    if mapping.pair == "one_sided" and polarity == "both":
        if fade is not None and raises_only:
            net, fade = net + fade.sum(1), None
        changes = torch.stack((net.clamp(min=0), (-net).clamp_(min=0)), 1)
    elif len(shares) == 1:
        changes = net.unsqueeze(1)
    else:
        changes = torch.stack([net * share for share in shares], 1)
    return changes if fade is None else changes + fade * _signs(mapping, fade)


def opposed_conductance_changes(
    mapping: Mapping, polarity: Polarity, more: Tensor, less: Tensor, fade: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What each polarity is to be raised and lowered by, both >= 0, from the changes that rows ask for separately."""
    shares = portions(mapping, polarity)
    raising = torch.stack([(more if share >= 0 else less) * abs(share) for share in shares], 1)
    lowering = torch.stack([(less if share >= 0 else more) * abs(share) for share in shares], 1)
    if mapping.pair == "one_sided" and polarity == "both":
        lowering.zero_()
    if fade is not None:
        own = fade * _signs(mapping, fade)
        raising.add_(own.clamp(min=0))
        lowering.sub_(own.clamp_(max=0))
    return raising, lowering


def spread(pulses: Tensor, mapping: Mapping, scheme: Literal["together", "in_turn", "transfer"], turn: int) -> Tensor:
    """Expected counts of every device ``(chips, cells, out, in)`` from those of their units.

    Args:
        pulses: ``(chips, polarities, out, in)``, as if a unit were one device.
        mapping: of weights to cells.
        scheme: ``together``: all devices get them; ``in_turn``: one, in proportion to its share; ``transfer``: the first.
        turn: number of the update.
    """
    devices = len(mapping.shares)
    if devices == 1:
        return pulses
    if scheme == "together":
        return pulses.repeat_interleave(devices, 1)
    written = turn % devices if scheme == "in_turn" else 0
    spread_out = pulses.new_zeros(pulses.shape[0], pulses.shape[1], devices, *pulses.shape[2:])
    spread_out[:, :, written] = pulses / mapping.shares[written] if scheme == "in_turn" else pulses
    return spread_out.flatten(1, 2)


def pulse_counts(
    expected: Tensor, settings: WriteSettings, stream: Stream, carried: Tensor | None = None, most: float | None = None
) -> Tensor:
    """Pulse counts for expected ones ``(chips, cells, out, in)``, in place; signs are directions.

    Stochastic rounding is right on average: 2.3 becomes 3 with probability 0.3. A count of exactly 0 stays 0.

    Args:
        expected: what is asked for.
        settings: how it is rounded, and bounded.
        stream: of the dice.
        carried: what was left of earlier updates, of the same shape; takes what is left of this one.
        most: bound of a count in addition to that of the settings.
    """
    if settings.rounding == "stochastic":
        expected.add_(stream.child("rounding").uniform(tuple(expected.shape[1:]))).floor_()
    elif settings.rounding == "nearest":
        expected.round_()
    elif carried is not None:
        asked = carried.add_(expected)
        torch.trunc(asked, out=expected)
    bounds = [bound for bound in (settings.most_pulses, most) if bound is not None]
    if bounds:
        expected.clamp_(-min(bounds), min(bounds))
    if settings.rounding == "carry" and carried is not None:
        carried.sub_(expected)
    return expected


def most_pulses(update: LocalUpdate, settings: WriteSettings, pulse: WritePulse | None) -> float | None:
    """How many pulses fit into the time of a write, of cells that are written for as long as it takes."""
    if settings.rounding != "none" or update.duration is None or pulse is None:
        return None
    return update.duration / pulse.width


def _signs(mapping: Mapping, like: Tensor) -> Tensor:
    return like.new_tensor(mapping.signs).view(-1, 1, 1)
