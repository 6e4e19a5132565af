"""What cannot go together in a crossbar's section, and with the rest of a scenario."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from analogdp.errors import InputError, Problem
from analogdp.scenario.schema import Scenario

if TYPE_CHECKING:
    from analogdp.synapses.settings import CrossbarSettings


def contradictions(crossbar: CrossbarSettings, scenario: Scenario) -> list[Problem]:
    """All problems of a completed section; their paths begin in it."""
    return [
        *_of_pairs(crossbar),
        *_of_units(crossbar),
        *_of_writing(crossbar, scenario),
        *_of_time(crossbar, scenario),
        *_of_wires(crossbar, scenario),
    ]


def _of_pairs(crossbar: CrossbarSettings) -> Iterator[Problem]:
    card, device = crossbar.device.name, crossbar.device.device()
    reference = getattr(crossbar.device.parameters, "reference", "zero")
    if crossbar.pair != "reference" and reference != "zero":
        message = f"{crossbar.pair} pairs have no reference cell, but card {card!r} puts it at {reference}; use 'pair: reference'"
        yield Problem("pair", message)
    if device.unidirectional and crossbar.pair != "one_sided":
        yield Problem("pair", f"pulses only raise cells of {card!r}; use 'pair: one_sided'")
    if crossbar.refresh is not None and crossbar.pair != "one_sided":
        yield Problem("refresh", f"{crossbar.pair} pairs need none; use 'pair: one_sided', or set it to null")


def _of_units(crossbar: CrossbarSettings) -> Iterator[Problem]:
    unit, write = crossbar.unit, crossbar.write
    if write.devices != "together" and unit.devices < 2:
        yield Problem("write.devices", f"{write.devices} needs several devices; set 'unit.devices', or use together")
    if write.devices == "transfer" and unit.devices > 2:
        yield Problem("unit.devices", f"a transfer is from one device to another, not among {unit.devices}; use 2")
    if write.devices == "transfer" and unit.bits is not None:
        yield Problem(
            "unit.bits", "devices that gather changes are no digits; set it to null, or use devices: together"
        )
    if write.devices == "transfer" and crossbar.pair == "one_sided":
        yield Problem("write.devices", "a one-sided pair cannot take back what was transferred; use another pair")
    if write.transfer is not None and write.devices != "transfer":
        yield Problem("write.transfer", f"is only used by devices: transfer, not by {write.devices}; set it to null")


def _of_writing(crossbar: CrossbarSettings, scenario: Scenario) -> Iterator[Problem]:
    device, write, programming = crossbar.device.device(), crossbar.write, crossbar.programming
    if write.rounding == "none" and not device.fractional:
        message = f"cells of {crossbar.device.name!r} take whole pulses; use stochastic, nearest or carry"
        yield Problem("write.rounding", message)
    if write.rounding == "carry" and write.accumulate == "sample":
        yield Problem("write.rounding", "what is carried over is a net change; use accumulate: batch")
    if write.half_select is not None and device.closed_loop:
        message = (
            f"cells of {crossbar.device.name!r} are programmed in a closed loop, which makes up for it; set it to null"
        )
        yield Problem("write.half_select", message)
    elif write.half_select is not None:
        try:
            device.disturbance(write.half_select)
        except InputError as error:
            yield Problem("write.half_select", f"{error}; set it to null")
    for name in ("tolerance", "budget", "most_pulses"):
        if getattr(programming, name) is not None and programming.method != "write_verify":
            yield Problem(f"programming.{name}", f"is only used by write_verify, not by {programming.method}")
    if write.rounding == "none" and scenario.learning.mode == "always_on" and write.accumulate == "sample":
        yield Problem("write.accumulate", "parts of pulses are written for the net change; use batch")


def _of_time(crossbar: CrossbarSettings, scenario: Scenario) -> Iterator[Problem]:
    device, card = crossbar.device.device(), crossbar.device.name
    if getattr(crossbar.device.parameters, "lifetime", None) is not None and not scenario.dynamics.has_time:
        message = (
            f"cells of {card!r} forget in time, which clock: {scenario.dynamics.clock} does not have; set it to null"
        )
        yield Problem("device.lifetime", message)
    noisy = device.noisy_reads
    if device.read_time is not None and not noisy:
        yield Problem("device.read_time", "it is the time of a noisy read, but read_noise is 0; set both")
    if noisy and device.read_time is None and scenario.dynamics.has_time:
        message = f"cells of {card!r} have read noise; say how long a read integrates that has it, such as 1 us"
        yield Problem("device.read_time", message)


def _of_wires(crossbar: CrossbarSettings, scenario: Scenario) -> Iterator[Problem]:
    if crossbar.wires is None:
        return
    if scenario.noise.conductance is not None:
        yield Problem(
            "wires", "conductances that fluctuate at every step need lines without resistance; set it to null"
        )
    solved = any(crossbar.solves_at_reads(wiring.fan_in, wiring.lines) for wiring in scenario.wirings)
    if solved and scenario.run.compile:
        yield Problem("wires.method", "a solution at every read cannot be compiled; use transfer_matrix")
    if solved and crossbar.pair == "offset_column":
        yield Problem("wires.method", "a shared column cannot be solved for at every read; use transfer_matrix")
