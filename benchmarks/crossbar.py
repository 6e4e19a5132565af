"""Time of writing and reading one 784 x 512 crossbar from a batch of 128, against one matrix product and F.linear.

    python benchmarks/crossbar.py

One thread, float32, medians. The last line is one JSON object with milliseconds.
"""

import json
import statistics
import time
from collections.abc import Callable
from itertools import count

import torch

from analogdp.streams import Stream
from analogdp.synapses import Crossbar, CrossbarSettings
from analogdp.synapses.base import LocalUpdate

INPUTS, OUTPUTS, BATCH = 784, 512, 128
CARDS = ("gokmen_vlasov", "ecram_mo", "reram_sb", "reram_array_om")
WARM_UP, REPEATS = 3, 20


def median(call: Callable[[], object]) -> float:
    """Median milliseconds of a call."""
    times = []
    for _ in range(WARM_UP + REPEATS):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times[WARM_UP:]), 2)


def crossbar(weights: torch.Tensor, **settings: object) -> Crossbar:
    return Crossbar.build(CrossbarSettings.model_validate(settings), weights, Stream(0, "crossbar"))


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    post = 1e-4 * torch.randn(1, BATCH, OUTPUTS, generator=generator)
    pre = torch.rand(1, BATCH, INPUTS, generator=generator)
    weights = torch.randn(1, OUTPUTS, INPUTS, generator=generator) / INPUTS**0.5
    figures = {"product": median(lambda: torch.bmm(post.mT, pre))}
    for card in CARDS:
        array, updates = crossbar(weights, device=card), count()

        def write(array: Crossbar = array, updates: "count[int]" = updates) -> None:
            array.apply_update(LocalUpdate(post, pre), Stream(0, "write").at(next(updates)))

        figures[f"write_{card}"] = median(write)
    noisy = {"card": "idealized", "read_noise": 0.01}
    array = crossbar(weights, device=noisy, dac={"bits": 8}, adc={"bits": 8})
    noise = torch.randn(array.forward_noise, 1, BATCH, OUTPUTS, generator=generator)
    bias, out = torch.zeros(1, 1, OUTPUTS), torch.empty(1, BATCH, OUTPUTS)
    figures["read_noisy_8_bit"] = median(lambda: array.forward(pre, bias, out, noise))
    figures["linear"] = median(lambda: torch.nn.functional.linear(pre, weights[0], bias[0, 0]))
    for name, value in figures.items():
        print(f"{name:22} {value:6.2f} ms")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
