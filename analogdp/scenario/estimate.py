"""What a scenario will cost, from its numbers alone, before anything is allocated; what cannot fit is refused."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch

from analogdp import registry
from analogdp.errors import InputError
from analogdp.scenario.schema import Scenario
from analogdp.scenario.threads import computing_with, threads_for
from analogdp.scenario.wiring import MOST_NUMBERS, Wiring

# Figures of the simulator, rounded up; what an estimate needs is the order of magnitude.
STATE_COPIES = 8
"""State, target, integrator's stages, noise and messages, each about as large as the state."""
TEST_BATCH = 256
"""Samples tested together. The last batch of an epoch or test may be smaller and has buffers of its own."""
NOISE_BLOCK = 2**17
"""Numbers that each source of noise draws ahead, for each chip."""
WINDOW_COPIES = 3
"""Copies of windows of images that are written out: as read, as converted, and for an update."""
IMAGE_COPIES = 6
"""Numbers that lie between two layers of images: as they come and go, and what pools remember."""
STATE_PASSES = 20
"""Elementwise passes over the state that an evaluation of the target takes beside its products."""
POOL_PASSES = 40
"""Elementwise passes over what is pooled, or convolved, that an evaluation takes, both ways together."""
SLACK = 4.0
"""How much longer operations take in a run, which finds less in the cache and starts them from Python, than when tried alone."""
NOISE_PASSES = 20
"""What drawing membrane noise costs, in passes over the state."""
WHOLE_PROCESS = 400_000_000
"""Bytes of the interpreter and its libraries."""

GROUP = Path("/sys/fs/cgroup")
"""Where Linux tells a container its limits."""
TRIAL_SECONDS = 1e-3
"""How long each operation is tried."""
FOREVER = 10**18
"""Seconds; what takes longer than the age of the universe is not told apart."""


@dataclass(frozen=True)
class Estimate:
    """An upper estimate of a run's cost.

    Attributes:
        memory: bytes at the peak.
        parts: the same by what they are for.
        seconds: for the whole run, if every sample takes the longest settling.
    """

    memory: int
    parts: dict[str, int]
    seconds: float

    def __str__(self) -> str:
        return f"at most about {size_in_words(self.memory)} of memory and {time_in_words(self.seconds)}"


def estimate(scenario: Scenario) -> Estimate:
    """What running the scenario will take; allocates little, and measures the machine for some milliseconds."""
    parts = memory_parts(scenario)
    with computing_with(threads_for(scenario)):
        return Estimate(sum(parts.values()), parts, _seconds(scenario))


def refuse_if_too_large(scenario: Scenario) -> None:
    """Refuse a scenario that cannot fit into the memory that is free where it would be computed.

    Raises:
        InputError: with what it needs, what there is, and what to make smaller.
    """
    parts = memory_parts(scenario)
    needed, free = sum(parts.values()), available_memory(scenario.run.device)
    if needed > free:
        largest = max(parts, key=lambda part: parts[part])
        raise InputError(
            f"{scenario.name} needs about {size_in_words(needed)} of memory ({size_in_words(parts[largest])} for "
            f"{largest}), {size_in_words(free)} are available: make {_REMEDIES[largest]} smaller"
        )


_REMEDIES = {
    "weights": "network.layers or chips",
    "states": "network.layers, learning.batch or chips",
    "images between layers": "learning.batch, network.layers or chips",
    "windows of images": "learning.batch, network.layers or chips",
    "noise": "chips",
    "data": "the data set",
    "messages on their way": "dynamics.axons.delay",
    "what is gathered for a write": "learning.write_every",
    "the program": "other programs",
}


def memory_parts(scenario: Scenario) -> dict[str, int]:
    """Bytes by what they are for. Plain integers: no layer is large enough to overflow."""
    number = torch.finfo(getattr(torch, scenario.run.dtype)).bits // 8
    layers, chips = scenario.sizes, len(scenario.simulated_chips)
    held, learned = scenario.synapse.cell_bytes(number), scenario.learning.weight_bytes(number)
    compartments = len(registry.neurons.get(scenario.neuron.model).compartments)
    rows = 2 * (scenario.learning.batch + TEST_BATCH)
    sources = 2 + 2 * (len(layers) - 1)
    noisy = scenario.noise.membrane or scenario.noise.nudging or scenario.synapse.model != "ideal"
    path, wirings = scenario.feedback, scenario.wirings
    between = sum(prod(own.read) + prod(own.drives) for own in wirings if not own.plain)
    upward, downward = (sum(own.fan_in * own.lines for own in wirings) for wirings in (wirings, wirings[1:]))
    weights = upward * (held + learned)
    if path.separate:
        weights += downward * (held + learned if path.learns else held)
    return {
        "weights": weights * chips,
        "states": sum(layers) * rows * chips * compartments * STATE_COPIES * number,
        "images between layers": between * rows * chips * IMAGE_COPIES * number,
        "windows of images": _windows(scenario) * WINDOW_COPIES * number,
        "noise": NOISE_BLOCK * sources * chips * number if noisy else 0,
        "data": scenario.data.memory(number),
        "messages on their way": scenario.dynamics.buffer_bytes(scenario, number) * chips,
        "what is gathered for a write": scenario.learning.buffer_bytes(scenario, number) * chips,
        "the program": WHOLE_PROCESS,
    }


def _windows(scenario: Scenario) -> int:
    """Numbers in the windows of images that are written out at the same time.

    Exact weights are convolved without. Others read some windows at a time; but where a weight change is more than a sum of
    products, it takes all windows of a batch, layer after layer.
    """
    chips, batch = len(scenario.simulated_chips), scenario.learning.batch
    sizes = [own.fan_in * own.positions * chips for own in scenario.wirings if own.kernel]
    read = 0 if registry.synapses.get(scenario.synapse.model).exact else max(sizes, default=0) * max(batch, TEST_BATCH)
    rule = registry.plasticity.get(getattr(scenario.learning, "rule", None) or "contrastive_hebbian")
    write = getattr(scenario.synapse, "write", None)
    summed = rule.linear and (write is None or write.accumulate == "batch")
    return min(read, MOST_NUMBERS) + (0 if summed else sum(sizes) * batch)


def available_memory(device: str) -> int:
    """Bytes that are free on a device; ``auto`` is the first CUDA device, or the CPU where there is none."""
    if device != "cpu" and torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info("cuda" if device == "auto" else device)
        return int(free)
    limits = [_free_on_machine(), _free_in_group()]
    return min(limit for limit in limits if limit is not None)


def _free_on_machine() -> int:
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    # Systems without /proc do not say what is free; what is there is a bound.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free_in_group() -> int | None:
    """What a container's limit leaves, or None where there is no limit."""
    try:
        limit, used = (int((GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
        # Files kept in memory in case they are read again count as used, but make room when asked to.
        return max(0, limit - used + int(statistics["inactive_file"]) + int(statistics["active_file"]))
    except (OSError, ValueError, KeyError):
        return None


def _seconds(scenario: Scenario) -> float:
    train, test = scenario.data.counts()
    epochs = scenario.learning.epochs
    updates = epochs * -(-train // scenario.learning.batch)
    # Every epoch ends with two tests, with noise and without; and there is one before the first.
    tests = 2 * (epochs + 1) * -(-test // TEST_BATCH)
    batch = scenario.learning.batch
    settling = updates * scenario.learning.evaluations(scenario) * _evaluation_seconds(scenario, batch)
    settling += updates * _input_seconds(scenario, batch)
    settling += tests * _input_seconds(scenario, TEST_BATCH)
    settling += tests * scenario.dynamics.evaluations() * _evaluation_seconds(scenario, TEST_BATCH)
    written = [*scenario.wirings, *(scenario.wirings[1:] if scenario.feedback.learns else ())]
    writes = updates * scenario.learning.writes(scenario) * sum(_write_seconds(scenario, own) for own in written)
    return min(SLACK * (settling + writes), float(FOREVER))


def _write_seconds(scenario: Scenario, wiring: Wiring) -> float:
    chips, batch = len(scenario.simulated_chips), scenario.learning.batch * wiring.positions
    inputs, outputs = wiring.fan_in, wiring.lines
    passes = scenario.synapse.write_passes() + scenario.learning.weight_bytes(1)
    product = _measure_product(chips, batch, inputs, outputs)
    solving = product * _ratio(scenario.synapse.write_operations(inputs, outputs), batch * inputs * outputs)
    return product + solving + passes * _measure_pass(chips * inputs * outputs)


def _input_seconds(scenario: Scenario, batch: int) -> float:
    """The product of the clamped input, which is read once."""
    first = scenario.wirings[0]
    chips = len(scenario.simulated_chips)
    return _measure_product(chips, batch * first.positions, first.fan_in, first.lines)


def _evaluation_seconds(scenario: Scenario, batch: int) -> float:
    """One evaluation of all targets: two products for each synapse but the first, whose input is clamped."""
    rows = len(scenario.simulated_chips) * batch
    passes = STATE_PASSES + (NOISE_PASSES if scenario.noise.membrane else 0) + 2 * scenario.synapse.read_passes()
    chips, wirings = len(scenario.simulated_chips), scenario.wirings
    exact = registry.synapses.get(scenario.synapse.model).exact
    windows = 0 if exact else sum(own.fan_in * own.positions for own in wirings if own.kernel)
    products = [2 * _measure_product(chips, batch * own.positions, own.fan_in, own.lines) for own in wirings[1:]]
    solving = sum(
        2
        * scenario.synapse.solving_passes(own.fan_in, own.lines)
        * _measure_pass(rows * own.positions * own.fan_in * own.lines)
        for own in wirings
    )
    unrolling = 2 * _measure_pass(rows * windows) if windows else 0.0
    images = sum(prod(own.drives) + prod(own.below) for own in wirings if not own.plain)
    around = POOL_PASSES * _measure_pass(rows * images) if images else 0.0
    elementwise = sum(passes * _measure_pass(2 * rows * own.outputs) for own in wirings)
    return sum(products) + unrolling + solving + around + elementwise


def _measure_product(chips: int, batch: int, inputs: int, outputs: int) -> float:
    """Seconds of a product of a layer, scaled up from a smaller one where it is large."""
    whole = (chips, batch, inputs, outputs)
    tried = (min(chips, 8), min(batch, 256), min(inputs, 512), min(outputs, 512))
    x, weights = torch.ones(tried[0], tried[1], tried[2]), torch.ones(tried[0], tried[2], tried[3])
    out = torch.empty(tried[0], tried[1], tried[3])
    return _fastest(lambda: torch.bmm(x, weights, out=out)) * _ratio(prod(whole), prod(tried))


def _measure_pass(numbers: int) -> float:
    """Seconds of an elementwise operation, scaled up from a smaller one where it is large."""
    tried = min(numbers, 2**18)
    values = torch.ones(tried)
    return _fastest(lambda: values.mul_(1.0)) * _ratio(numbers, tried)


def _ratio(whole: int, tried: int) -> float:
    return float(min(whole // tried, FOREVER * 10**9)) if whole > tried * 1000 else whole / tried


def _fastest(action: Callable[[], object]) -> float:
    """Seconds that an action takes when nothing disturbs it."""
    action()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < TRIAL_SECONDS and len(times) < 1000):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def size_in_words(count: int) -> str:
    """A number of bytes as people say it, such as ``3.6 TB``."""
    names = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")
    unit = min((len(str(count)) - 1) // 3, len(names) - 1) if count < 10**24 else len(names)
    return f"{count / 1000**unit:.3g} {names[unit]}" if unit < len(names) else f"over a million {names[-1]}"


def time_in_words(seconds: float) -> str:
    """A duration as people say it, such as ``5 minutes``."""
    for name, length in (("years", 31_557_600), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            amount = seconds / length
            return f"{amount:.0f} {name}" if amount < 1_000_000 else f"over a million {name}"
    return f"{max(1, round(seconds))} {'second' if seconds < 1.5 else 'seconds'}"
