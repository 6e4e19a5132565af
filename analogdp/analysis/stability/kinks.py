"""The kink problem: how many random networks settle, against how many linear theory says would.

Theory takes both compartments of a neuron to have the same slope. Nudging moves them apart, and where a kink of ReLU lies between
them one has the slope 0 and the other 1. What comes up then makes errors by itself, which closes loops that no gamma accounts
for: alpha (1 - alpha) (f'_+ - f'_-) of them in DP-transposed. How much that matters is counted here, by simulation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from scipy.stats import binomtest
from torch import Tensor

from analogdp import registry
from analogdp.analysis.stability.outcomes import OUTCOMES, observe
from analogdp.analysis.stability.predict import predict
from analogdp.analysis.stability.system import refuse_unless_dyadic
from analogdp.dynamics import Clock
from analogdp.errors import InputError
from analogdp.network import build
from analogdp.network.build import network_stream
from analogdp.neurons.dyadic_settings import DyadicSettings
from analogdp.scenario.schema import Scenario

CHUNK = 1000
"""Networks simulated together: some hundred megabytes for the few ten neurons of each."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Settled:
    """What became of random networks.

    Attributes:
        model, alpha, beta, gain: of the scenario.
        networks: how many there were.
        settled: the fraction that did.
        low, high: Wilson's interval of 95 % around it.
        diverged: the fraction that left the bounds; the rest oscillated, or was still on the move.
        loops_below_one: the fraction with g Lambda < 1 at the free state, which proves nothing where kinks are crossed.
        predicted: the fraction that is stable there by its leading eigenvalue.
    """

    model: str
    alpha: float
    beta: float
    gain: float
    networks: int
    settled: float
    low: float
    high: float
    diverged: float
    loops_below_one: float
    predicted: float


def settled_fractions(scenarios: Iterable[Scenario], networks: int) -> Iterator[Settled]:
    """How many of so many networks settle, for each scenario: its clock, its neurons, its sizes.

    Networks have seeds from the scenario's own on, so scenarios of one seed see the same weights, times the gain, and the same
    samples: one for each network, of standard normal inputs and a random class as its label.

    Args:
        scenarios: of dyads, resolved; neither their data nor their learning matter.
        networks: at least one.

    Raises:
        InputError: no networks, or neurons that are no dyads.
    """
    if networks < 1:
        raise InputError(f"networks: {networks} are too few to count; allowed: at least 1")
    for scenario in scenarios:
        counts = sum(_counted(scenario, seeds) for seeds in _seeds(scenario.seed, networks))
        assert isinstance(counts, Tensor), "there is at least one network"
        assert isinstance(scenario.neuron, DyadicSettings), "others have been refused"
        settled, diverged, loops_below_one, predicted = counts.tolist()
        interval = binomtest(settled, networks).proportion_ci(CONFIDENCE, method="wilson")
        yield Settled(
            scenario.neuron.model,
            scenario.neuron.alpha,
            scenario.neuron.beta,
            scenario.network.gain,
            networks,
            settled / networks,
            float(interval.low),
            float(interval.high),
            diverged / networks,
            loops_below_one / networks,
            predicted / networks,
        )


def _seeds(first: int, networks: int) -> Iterator[tuple[int, ...]]:
    end = first + networks
    for start in range(first, end, CHUNK):
        yield tuple(range(start, min(start + CHUNK, end)))


def _counted(scenario: Scenario, seeds: tuple[int, ...]) -> Tensor:
    """How many networks settled and diverged, and how many had a small loop gain and were predicted to settle."""
    chips = (0,) * len(seeds)
    network = build(scenario, chips, seeds)
    refuse_unless_dyadic(network)
    stream = network_stream(scenario, chips, seeds).child("kinks")
    inputs = stream.child("inputs").normal((1, network.sizes[0]))
    classes = stream.child("labels").uniform((1, network.sizes[-1])).argmax(-1)
    labels = torch.nn.functional.one_hot(classes, network.sizes[-1]).to(inputs)
    assert isinstance(scenario.neuron, DyadicSettings), "others have been refused"
    beta, clock = scenario.neuron.beta, _clock(scenario)
    outcomes = observe(network, clock, inputs, labels, beta, stream)
    prediction = predict(network, clock, inputs, labels, beta, at="free")
    flags = (
        outcomes.kind == OUTCOMES.index("settled"),
        outcomes.kind == OUTCOMES.index("diverged"),
        prediction.loop_gain < 1,
        prediction.stable,
    )
    return torch.stack([flag.sum() for flag in flags])


def _clock(scenario: Scenario) -> Clock:
    model: type[Clock] = registry.clocks.get(scenario.dynamics.clock)
    return model.build(scenario.dynamics)
