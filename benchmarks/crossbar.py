"""Time of writing and reading one 784 x 512 crossbar from a batch of 128, against one matrix product and F.linear.

    python benchmarks/crossbar.py

Every shipped card of counted pulses is written at three sizes of the error signal: post = size x normal, pre uniform in
[0, 1], learning rate 0.01. One thread, float32, medians of processor time in one process. Then reads with wire resistance, as
`benchmarks/wires.py` has them. The last line is one JSON object: milliseconds, multiples of a matrix product, and mean pulses
of a cell; and of wires.
"""

import json
import time
from itertools import count

import torch
import wires
from timing import Work, medians

from analogdp import library
from analogdp.devices import ImperfectDevice, PulsedDevice, load_card
from analogdp.streams import Stream
from analogdp.synapses import Crossbar, CrossbarSettings
from analogdp.synapses.base import LocalUpdate

INPUTS, OUTPUTS, BATCH = 784, 512, 128
SIGNALS = (0.1, 0.01, 0.001)
RATE = 0.01
WARM_UP, REPEATS = 3, 15


def median(call: Work) -> float:
    """Median milliseconds of processor time of a call, which other work on the machine disturbs less than the clock's."""
    return medians({"call": call}, WARM_UP, REPEATS, time.thread_time)["call"]


def crossbar(weights: torch.Tensor, **settings: object) -> Crossbar:
    return Crossbar.build(CrossbarSettings.model_validate(settings), weights, Stream(0, "crossbar"))


def write(
    card: str, weights: torch.Tensor, normal: torch.Tensor, pre: torch.Tensor, signal: float
) -> tuple[float, float]:
    """Milliseconds of an update and mean pulses of a cell."""
    array, updates, reports = crossbar(weights, device=card), count(), []
    update = LocalUpdate(RATE * signal * normal, pre)

    def call() -> None:
        reports.append(array.apply_update(update, Stream(0, "write").at(next(updates))))

    milliseconds, cells = median(call), len(array.mapping.coefficients) * INPUTS * OUTPUTS
    return milliseconds, (reports[0].pulses_up + reports[0].pulses_down).item() / cells


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(1, BATCH, OUTPUTS, generator=generator)
    pre = torch.rand(1, BATCH, INPUTS, generator=generator)
    weights = torch.randn(1, OUTPUTS, INPUTS, generator=generator) / INPUTS**0.5
    product = median(lambda: torch.bmm(normal.mT, pre))
    figures: dict[str, dict[str, float]] = {"product": {"ms": product}}
    for card in library.names("devices"):
        device = load_card(card).device()
        if isinstance(device.inner if isinstance(device, ImperfectDevice) else device, PulsedDevice):
            for signal in SIGNALS:
                milliseconds, pulses = write(card, weights, normal, pre, signal)
                figures[f"write {card} {signal:g}"] = {
                    "ms": milliseconds,
                    "products": milliseconds / product,
                    "pulses": pulses,
                }
    array = crossbar(weights, device={"card": "idealized", "read_noise": 0.01}, dac={"bits": 8}, adc={"bits": 8})
    noise = torch.randn(1, BATCH, array.forward_noise.total, generator=generator)
    bias, out = torch.zeros(1, 1, OUTPUTS), torch.empty(1, BATCH, OUTPUTS)
    linear = median(lambda: torch.nn.functional.linear(pre, weights[0], bias[0, 0]))
    read = median(lambda: array.forward(pre, bias, out, noise))
    figures["linear"] = {"ms": linear}
    figures["read, noisy, 8 bits"] = {"ms": read, "linears": read / linear}
    for name, row in figures.items():
        print(f"{name:28}", "  ".join(f"{value:8.2f} {unit}" for unit, value in row.items()))
    rounded = {name: {unit: round(value, 3) for unit, value in row.items()} for name, row in figures.items()}
    try:
        print(json.dumps({**rounded, "wires": wires.measure()}))
    except ImportError as problem:
        print(f"{wires.HINT} ({problem})")
        print(json.dumps(rounded))


if __name__ == "__main__":
    main()
