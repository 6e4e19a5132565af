"""Time of continuous dynamics against its matrix products, ODE and SDE libraries, and a loop written by hand.

Dyads (DP-transposed, alpha 0.3), 784(clamped)-512-512-10, ReLU, batch 64, float32: 100 steps of 0.1 tau, by

    ours          analogdp.Simulation with exponential Euler, the clamped input's product included once
    compiled      the same with run.compile
    floor         the four products per step that cannot be avoided (two synapses, up and down), without anything else
    normals       drawing the numbers of the membrane noise
    loop          an in-place torch loop that a careful user would write for this one network
    torchdiffeq   euler, rk4 (fixed steps of the same size) and dopri5 (rtol 1e-3, atol 1e-4) on one flat state
    torchsde      euler with diagonal noise; with its default Brownian motion, and with one that can be asked again

Then the time per step of trivially small layers, 64 chips of 64-32-10 against 64 runs, and what memory 100 and 5000 steps take.
Contenders take turns after a warm-up; medians count.

    pip install torchdiffeq torchsde     # the peers, which the package itself does not need
    python benchmarks/dynamics.py [--profile]

With --profile it only shows where the time of a step goes, and how long the compiler takes. The last line is one JSON
object: milliseconds and ratios, for one thread and two.
"""

import json
import platform
import resource
import sys
import time
from itertools import pairwise

import torch
import torchdiffeq
import torchsde
from timing import Work, medians
from torch import Tensor

import analogdp as adp
from analogdp.dynamics import Continuous, ExponentialEuler, Simulation
from analogdp.network import Network, build
from analogdp.scenario.noise import NoiseSettings
from analogdp.streams import Stream

SIZES, BATCH, STEPS, STEP = (784, 512, 512, 10), 64, 100, 0.1
ALPHA, BETA, TAU, STD = 0.3, 0.5, 1e-6, 0.02
WARM_UP, REPEATS = 2, 9


def network_of(sizes: tuple[int, ...], chips: int = 1, only: tuple[int, ...] | None = None) -> Network:
    scenario = adp.Scenario.model_validate(
        {
            "data": "mnist" if sizes[0] == SIZES[0] else "digits",
            "network": {"layers": sizes},
            "neuron": {"model": "dp_transposed", "alpha": ALPHA, "beta": BETA, "tau": TAU},
            "mismatch": {"gain": 0.05} if chips > 1 else {},
            "chips": chips,
            "run": {"device": "cpu"},
        }
    )
    return build(scenario, only)


def samples(network: Network, batch: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(1, batch, units, generator=generator) for units in (network.sizes[0], network.sizes[-1]))


def ours(network: Network, batch: int, std: float, compiled: bool = False, steps: int = STEPS) -> Work:
    clock = Continuous(ExponentialEuler, STEP * TAU, steps, tolerance=None)
    simulation = Simulation(network, clock, NoiseSettings(membrane=std), compiled=compiled)
    inputs, labels = samples(network, batch)
    stream = Stream(0, "benchmark", network.chip_indices) if std else None

    def work() -> None:
        simulation.present(inputs, labels, BETA, stream)
        simulation.advance(steps)

    return work


def floor(sizes: tuple[int, ...], batch: int) -> Work:
    synapses = [
        (torch.rand(1, batch, n), torch.empty(1, batch, m), torch.rand(1, batch, m), torch.empty(1, batch, n), weights)
        for n, m in pairwise(sizes[1:])
        for weights in [torch.randn(1, m, n)]
    ]

    def work() -> None:
        for _ in range(STEPS):
            for up, drive, down, feedback, weights in synapses:
                torch.bmm(up, weights.mT, out=drive)
                torch.bmm(down, weights, out=feedback)

    return work


def normals(numbers: int) -> Work:
    values = torch.empty(numbers)
    return lambda: [values.normal_() for _ in range(STEPS)] and None


class Peer(torch.nn.Module):
    """The same vector field, as users of the libraries write one: a flat state in, its slope (time in tau) out."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, network: Network, batch: int) -> None:
        super().__init__()
        self.batch, self.units = batch, network.sizes[1:]
        self.weights = [synapse.weights[0].clone() for synapse in network.synapses]
        inputs, labels = samples(network, batch)
        self.drive, self.labels = inputs[0] @ self.weights[0].T, labels[0]
        self.sigma = torch.full((batch, 2 * sum(self.units)), STD * 2**0.5)

    def start(self) -> Tensor:
        return torch.zeros(self.batch, 2 * sum(self.units))

    def forward(self, time: Tensor, state: Tensor) -> Tensor:
        return self.f(time, state)

    def f(self, time: Tensor, state: Tensor) -> Tensor:
        parts = state.split([units for units in self.units for _ in range(2)], 1)
        pairs = list(zip(parts[::2], parts[1::2], strict=True))
        mean = [torch.lerp(minus, plus, ALPHA) for plus, minus in pairs]
        targets: list[Tensor] = []
        for k in range(len(pairs)):
            drive = self.drive if k == 0 else mean[k - 1] @ self.weights[k].T
            if k == len(pairs) - 1:
                push = -BETA * (mean[k] - self.labels)
                targets += [drive + (1 - ALPHA) * push, drive - ALPHA * push]
            else:
                push = (pairs[k + 1][0] - pairs[k + 1][1]) @ self.weights[k + 1]
                targets += [torch.relu(drive + (1 - ALPHA) * push), torch.relu(drive - ALPHA * push)]
        return torch.cat(targets, 1) - state

    def g(self, time: Tensor, state: Tensor) -> Tensor:
        return self.sigma


def loop(peer: Peer) -> Work:
    """In place, with preallocated buffers and everything known about this one network."""
    shapes = [(peer.batch, units) for units in peer.units]
    plus, minus, up, down, push, mean, aim = ([torch.zeros(shape) for shape in shapes] for _ in range(7))
    drive = [peer.drive, *(torch.zeros(shape) for shape in shapes[1:])]
    gain, last = 1 - 2.718281828459045**-STEP, len(shapes) - 1

    def step() -> None:
        for k in range(1, last + 1):
            torch.sub(plus[k], minus[k], out=down[k])
        for k in range(last + 1):
            if k:
                torch.mm(up[k - 1], peer.weights[k].t(), out=drive[k])
            torch.lerp(minus[k], plus[k], ALPHA, out=mean[k])
            up[k] = mean[k]
            if k < last:
                torch.mm(down[k + 1], peer.weights[k + 1], out=push[k])
            else:
                torch.sub(peer.labels, mean[k], out=push[k]).mul_(BETA)
            for part, share in ((plus, 1 - ALPHA), (minus, -ALPHA)):
                torch.add(drive[k], push[k], alpha=share, out=aim[k])
                part[k].lerp_(aim[k].relu_() if k < last else aim[k], gain)

    def work() -> None:
        for part in (*plus, *minus):
            part.zero_()
        for _ in range(STEPS):
            step()

    return work


def diffeq(peer: Peer, method: str) -> Work:
    ends, options = torch.tensor([0.0, STEP * STEPS]), {"step_size": STEP} if method != "dopri5" else {}

    def work() -> None:
        torchdiffeq.odeint(peer, peer.start(), ends, method=method, rtol=1e-3, atol=1e-4, options=options)

    return work


def sde(peer: Peer, resumable: bool) -> Work:
    ends = torch.tensor([0.0, STEP * STEPS])

    def work() -> None:
        start = peer.start()
        motion = torchsde.BrownianInterval(0.0, STEP * STEPS, size=start.shape, cache_size=None) if resumable else None
        torchsde.sdeint(peer, start, ends, bm=motion, dt=STEP, method="euler")

    return work


def main_network() -> dict[str, float]:
    network = network_of(SIZES)
    peer = Peer(network, BATCH)
    contenders = {
        "floor": floor(SIZES, BATCH),
        "ours": ours(network, BATCH, 0.0),
        "compiled": ours(network, BATCH, 0.0, compiled=True),
        "loop": loop(peer),
        "torchdiffeq_euler": diffeq(peer, "euler"),
        "torchdiffeq_rk4": diffeq(peer, "rk4"),
        "torchdiffeq_dopri5": diffeq(peer, "dopri5"),
        "normals": normals(2 * BATCH * sum(SIZES[1:])),
        "ours_noisy": ours(network, BATCH, STD),
        "compiled_noisy": ours(network, BATCH, STD, compiled=True),
        "torchsde": sde(peer, resumable=False),
        "torchsde_resumable": sde(peer, resumable=True),
    }
    with torch.no_grad():
        found = medians(contenders, WARM_UP, REPEATS)
    noisy_floor = found["floor"] + found["normals"]
    ratios = {
        "ours_over_floor": found["ours"] / found["floor"],
        "compiled_over_floor": found["compiled"] / found["floor"],
        "loop_over_floor": found["loop"] / found["floor"],
        "torchdiffeq_euler_over_ours": found["torchdiffeq_euler"] / found["ours"],
        "noisy_over_noisy_floor": found["ours_noisy"] / noisy_floor,
        "compiled_noisy_over_noisy_floor": found["compiled_noisy"] / noisy_floor,
        "torchsde_over_ours": found["torchsde"] / found["ours_noisy"],
    }
    return found | ratios


def overhead() -> dict[str, float]:
    """Microseconds per step where the layers are trivially small."""
    network = network_of((64, 4, 4, 10))
    steps = {"eager": ours(network, 2, 0.0), "compiled": ours(network, 2, 0.0, compiled=True)}
    found = medians(steps, WARM_UP, 30)
    return {f"overhead_{name}_us": 1e3 * value / STEPS for name, value in found.items()}


def chips() -> dict[str, float]:
    """64 chips together against 64 runs of one chip each, 64-32-10 at batch 32."""
    sizes, count = (64, 32, 10), 64
    together, compiled = (ours(network_of(sizes, count), 32, 0.0, compiled) for compiled in (False, True))
    runs = [ours(network_of(sizes, count, (chip,)), 32, 0.0) for chip in range(count)]

    def one_by_one() -> None:
        for run in runs:
            run()

    ways = {"chips_together": together, "chips_compiled": compiled, "chips_one_by_one": one_by_one}
    found = medians(ways, WARM_UP, 5)
    shares = {f"{name}_share": found[name] / found["chips_one_by_one"] for name in ("chips_together", "chips_compiled")}
    return found | shares


def memory() -> dict[str, float]:
    """Megabytes by which the peak of the process grows in 5000 noisy steps, after 100."""
    network = network_of(SIZES)
    peaks = []
    for steps in (STEPS, 50 * STEPS):
        ours(network, BATCH, STD, steps=steps)()
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {"peak_growth_in_5000_steps_mb": peaks[1] - peaks[0]}


def profile() -> None:
    """Where the time of a step goes: torch's own profiler, one thread; and how long the first, compiling call takes."""
    torch.set_num_threads(1)
    network = network_of(SIZES)
    work = ours(network, BATCH, 0.0)
    work()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        work()
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=24))
    start = time.perf_counter()
    ours(network, BATCH, 0.0, compiled=True)()
    seconds = time.perf_counter() - start
    microseconds = {row.key: round(row.self_cpu_time_total / STEPS, 1) for row in found.key_averages()}
    print(json.dumps({"microseconds_per_step": microseconds, "first_compiled_call_s": round(seconds, 1)}))


def main() -> None:
    if "--profile" in sys.argv[1:]:
        profile()
        return
    figures: dict[str, object] = {"torch": torch.__version__, "machine": platform.processor()}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found = main_network() | overhead() | chips()
        for name, value in found.items():
            print(f"{threads} threads  {name:34} {value:10.3f}")
        figures[f"threads_{threads}"] = {name: round(value, 3) for name, value in found.items()}
    figures |= memory()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
