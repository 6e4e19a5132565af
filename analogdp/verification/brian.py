"""The network of a job, built and run with Brian2 alone.

A time step goes through these slots (``SCHEDULE``); all that a step does follows from the states at its beginning:

    paths        what fluctuates takes this step's value, from a TimedArray
    send         continuous messages: neurons send their present one, delay lines shift by one place
    thresholds   events: a neuron whose message is off what it told by a quantum or more has some
    synapses     events arrive, at once or their delay later, and are counted by the receivers
    resets       senders note what they told
    sums         receivers add up what they have received, times the weights
    targets      targets are computed and held for the step
    groups       states move: by Brian2's euler or exponential_euler, or at the ticks of random clocks
    noise        membranes are kicked
    end          states are recorded

No quantity comes from a namespace: parameters are constants of the groups, whose namespaces hold TimedArrays alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import brian2
import numpy as np

from analogdp.verification.job import Array, Job, Outcome
from analogdp.verification.population import Population

SCHEDULE = ["start", "paths", "send", "thresholds", "synapses", "resets", "sums", "targets", "groups", "noise", "end"]


def simulate(job: Job) -> Outcome:
    """Run a job."""
    brian2.prefs.codegen.target = "numpy"
    brian2.start_scope()
    plan = job.plan
    brian2.defaultclock.dt = plan.dt * brian2.second
    populations = [Population(job, index) for index in range(len(plan.layers))]
    synapses = [*_between_layers(job, populations), *_within_layers(plan.samples, populations)]
    monitors = [brian2.StateMonitor(own.group, own.layer.compartments, record=True, when="end") for own in populations]
    network = brian2.Network(*(own.group for own in populations), *synapses, *monitors)
    network.schedule = SCHEDULE
    network.run(plan.steps * plan.dt * brian2.second, namespace={})
    return Outcome(
        states=tuple(
            {name: np.asarray(getattr(monitor, name)).T for name in own.layer.compartments}
            for own, monitor in zip(populations, monitors, strict=True)
        ),
        sent=np.stack([np.sum([own.sent(way) for own in populations], 0) for way in ("up", "down")]).astype(np.int64),
        equations=tuple(own.equations for own in populations),
        engine=f"Brian2 {brian2.__version__}",
    )


def _between_layers(job: Job, populations: list[Population]) -> Iterator[Any]:
    """The synapses that carry messages up and down."""
    for index in range(1, len(populations)):
        below, above = populations[index - 1], populations[index]
        numbers = job.of_layer(index)
        yield _synapses(job, below, above, "up", numbers["weights"].T, "drive")
        yield _synapses(job, above, below, "down", numbers["feedback"].T, "top_down")


def _synapses(job: Job, source: Population, target: Population, way: str, weights: Array, into: str) -> Any:
    """Synapses of ``weights`` ``(source, target)`` for messages in one direction."""
    axon, packets = source.axons[way], source.packets(way)
    received = f"{way}{axon.delay}_pre"
    model = "w : 1 (constant)\n"
    if axon.threshold is not None:
        # What has arrived is counted in whole quanta, by every receiver for itself.
        model += "threshold : 1 (shared, constant)\nheard : 1\n"
        received = "threshold * heard"
    synapses = brian2.Synapses(
        source.group,
        target.group,
        f"{model}{into}_post = w * {received} : 1 (summed)",
        on_pre={packet.name: f"heard += {packet.quanta}" for packet in packets},
        on_event={packet.name: packet.name for packet in packets},
        delay={packet.name: axon.delay * job.plan.dt * brian2.second for packet in packets},
        namespace={},
    )
    _connect(synapses, job.plan.samples, weights.shape)
    synapses.w = np.tile(weights.ravel(), job.plan.samples)
    if axon.threshold is not None:
        synapses.threshold = axon.threshold
    synapses.summed_updaters[f"{into}_post"].when = "sums"
    return synapses


def _within_layers(samples: int, populations: list[Population]) -> Iterator[Any]:
    """The synapses by which the neurons of a layer add something up, such as the partition function of a softmax."""
    for own in populations:
        for name in own.layer.sums:
            synapses = brian2.Synapses(
                own.group, own.group, f"{name}_post = {name}_part_pre : 1 (summed)", namespace={}
            )
            _connect(synapses, samples, (own.layer.units, own.layer.units))
            updater = synapses.summed_updaters[f"{name}_post"]
            # It may rest on the drives, which come first.
            updater.when, updater.order = "sums", 1
            yield synapses


def _connect(synapses: Any, samples: int, shape: tuple[int, ...]) -> None:
    """Join all to all within each sample, in the order of a matrix ``(samples, source, target)``."""
    sample, source, target = (axis.ravel() for axis in np.indices((samples, *shape)))
    synapses.connect(i=sample * shape[0] + source, j=sample * shape[1] + target)
