"""This package's own side of a check: the first training samples of a scenario, presented to one chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from analogdp import registry
from analogdp.data import load as load_data
from analogdp.dynamics import Simulation
from analogdp.dynamics.continuous import ContinuousSettings
from analogdp.dynamics.divergence import is_bounded
from analogdp.dynamics.draws import Blocks, FlatNumbers, shared_by_compartments
from analogdp.dynamics.timed import TimedClock
from analogdp.errors import RunError
from analogdp.network import build
from analogdp.scenario import Scenario
from analogdp.streams import Stream
from analogdp.verification.job import Motion

MOTIONS: dict[str, Motion] = {"euler": "euler", "exp_euler": "exponential_euler"}
"""Integrators that Brian2 has, too."""


def checkable(scenario: Scenario) -> Scenario:
    """The scenario in double precision on the CPU, with an integrator that both sides have."""
    changes: dict[str, Any] = {"run": scenario.run.model_copy(update={"dtype": "float64", "device": "cpu"})}
    dynamics = scenario.dynamics
    if isinstance(dynamics, ContinuousSettings) and dynamics.integrator not in MOTIONS:
        changes["dynamics"] = dynamics.model_copy(update={"integrator": "euler", "rtol": None, "atol": None})
    return scenario.model_copy(update=changes)


@dataclass(frozen=True)
class Trajectory:
    """What this package's simulation went through.

    Attributes:
        states: flat, after each step.
        fluctuations: by name, their values in each step.
        sent: events sent up and down by each sample, int64 ``(2, samples)``.
        packets: by axon, binary digits of the most quanta that a neuron sent in a step.
    """

    states: Tensor
    fluctuations: dict[str, Tensor]
    sent: Tensor
    packets: dict[str, int]


class Presentation:
    """The first training samples of a scenario, presented to one chip.

    Args:
        scenario: a checkable one.
        chip: index of the chip.
        samples: how many samples.
        steps: how many time steps.
    """

    def __init__(self, scenario: Scenario, chip: int, samples: int, steps: int) -> None:
        self.scenario, self.steps = scenario, steps
        self.network = build(scenario, (chip,))
        data = load_data(scenario.data, scenario.seed).to("cpu", torch.float64)
        self.inputs, self.labels = data.train_inputs[:samples], data.train_targets[:samples]
        self.stream = Stream(scenario.seed, "verification", (chip,), self.network.device, self.network.dtype)
        self.clock: TimedClock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
        self.beta = float(self.network.neurons[-1].beta)
        self.layout = self.network.layout(len(self.inputs))

    def simulate(self) -> Trajectory:
        """Run this package's simulation.

        Raises:
            RunError: it leaves its bounds.
        """
        simulation = Simulation(self.network, self.clock, self.scenario.noise, self.scenario.neuron.tau)
        simulation.present(self.inputs.unsqueeze(0), self.labels.unsqueeze(0), self.beta, self.stream)
        looks: list[dict[str, Tensor]] = []
        for _ in range(self.steps):
            simulation.advance(1)
            looks.append({name: tensor.clone() for name, tensor in simulation.tensors().items()})
        seen = {name: torch.stack([look[name] for look in looks]) for name in looks[0]}
        if not bool(is_bounded(seen["state"])):
            raise RunError(
                f"the dynamics leave their bounds within {self.steps} steps, which no two engines do alike; take fewer --steps"
            )
        messages = simulation.messages
        return Trajectory(
            seen["state"],
            {name.split(".")[1]: path for name, path in seen.items() if name.startswith("noise.")},
            torch.zeros(2, len(self.inputs), dtype=torch.int64) if messages is None else messages[:, 0].clone(),
            {name.split(".")[1]: _digits(path) for name, path in seen.items() if name.endswith(".quanta")},
        )

    def membrane_noise(self) -> Tensor:
        """The normal numbers that drive the membranes, flat, for each step."""
        noise = self.scenario.noise
        numbers = FlatNumbers(self.layout, 1, shared_by_compartments(self.layout, 1, noise.membrane, noise.common))
        numbers.start(self.stream.child("membrane"))
        return torch.stack([self._loaded(numbers, step)[0].clone() for step in range(self.steps)])

    def dice(self, numbers: int) -> Tensor:
        """The uniform numbers that random clocks tick by, ``(steps, numbers)``."""
        blocks = Blocks(numbers, Stream.uniform)
        blocks.start(self.stream.child("clock"))
        return torch.stack([self._loaded(blocks, step)[0].clone() for step in range(self.steps)])

    @staticmethod
    def _loaded(numbers: Blocks | FlatNumbers, step: int) -> Any:
        numbers.load(step)
        return numbers.row()


def _digits(quanta: Tensor) -> int:
    """Binary digits of the largest change of ``quanta`` ``(steps, ...)`` in one step."""
    changes = torch.diff(quanta, dim=0, prepend=torch.zeros_like(quanta[:1]))
    return int(changes.abs().max()).bit_length()
