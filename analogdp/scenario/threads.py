"""With how many CPU threads a scenario is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from analogdp.scenario.schema import Scenario

SMALL_STEP = 4_000_000
"""Multiplications in all products of a batch below which a second thread does not make a step faster (2 cores, 2026)."""


def threads_for(scenario: Scenario) -> int:
    """As many as the scenario asks for; else one where a second would gain nothing and lose much as soon as another
    program runs; else torch's choice."""
    if scenario.run.threads is not None:
        return scenario.run.threads
    products = sum(wiring.fan_in * wiring.lines * wiring.positions for wiring in scenario.wirings)
    small = products * scenario.learning.batch * len(scenario.simulated_chips) < SMALL_STEP
    return 1 if small else torch.get_num_threads()


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Compute with this many CPU threads, and with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
