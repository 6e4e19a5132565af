"""Watching over stability while a network learns: how near it is to settling no longer, and a warning before it comes there."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from analogdp import registry
from analogdp.analysis.stability.motion import tick_probability
from analogdp.analysis.stability.predict import Prediction, predict
from analogdp.dynamics import Clock, Continuous, Poisson, Settling
from analogdp.dynamics.timed import TOLERANCE_PER_BETA
from analogdp.network import Network
from analogdp.runs.directory import RunDirectory
from analogdp.runs.metrics import Row, Series, last_evaluation
from analogdp.scenario.measure import StabilitySettings
from analogdp.scenario.schema import Scenario


class Stability(Series):
    """The analyses of some batches, as linear theory has them for the weights of that moment.

    Args:
        settings: which batches, and when to warn.
        scenario: resolved.
        network: whose.
        run: where the rows go.
        say: tells the user.
    """

    def __init__(
        self,
        settings: StabilitySettings,
        scenario: Scenario,
        network: Network,
        run: RunDirectory,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(run.stability_journal, run.stability)
        self._settings, self._network, self._say = settings, network, say
        self._clock: Clock = registry.clocks.get(scenario.dynamics.clock).build(scenario.dynamics)
        self._alone = _left_alone(self._clock, network)
        self._latest: dict[float, Row] = {}

    def see(self, update: int, inputs: Tensor, labels: Tensor, settling: Settling | None) -> None:
        """Analyse a batch, if it is one of those that are wanted, and warn of chips that have come near since the last one."""
        if not self._settings.include(update):
            return
        some, beta = slice(self._settings.samples), float(self._network.neurons[-1].beta)
        prediction = predict(
            self._network,
            self._clock,
            inputs[:, some],
            labels[:, some],
            beta,
            tolerance=self._clock.tolerance or TOLERANCE_PER_BETA * beta,
        )
        if prediction.ignored and not self._latest:
            self._say(f"measure.stability leaves {' and '.join(prediction.ignored)} out of account")
        columns = _columns(prediction, self._alone) | {"steps_taken": _steps_taken(settling, some, self._network.chips)}
        rows: list[Row] = [
            {"update": update, "chip": chip, **{name: own[place] for name, own in columns.items()}}
            for place, chip in enumerate(self._network.chip_indices)
        ]
        self.journal.append(rows)
        for row in rows:
            before = self._latest.get(row["chip"])
            if row["approach"] >= self._settings.warn and not (before and before["approach"] >= self._settings.warn):
                remedy = f"What may help: {self._network.neurons[0].remedy}, a smaller learning.rate"
                self._say(f"inference comes near to where stability ends: {described(row)}. {remedy}")
        self._remember(rows)

    def cut(self, length: int) -> None:
        super().cut(length)
        rows = self.journal.rows()
        self._remember(last_evaluation(rows) if rows else [])

    def last_words(self, chip: int) -> str:
        """What was last found of a chip; empty if nothing was."""
        row = self._latest.get(chip)
        return "" if row is None else f"Its stability was last analysed {described(row)}"

    def _remember(self, rows: list[Row]) -> None:
        self._latest = {row["chip"]: row for row in rows}


def described(row: Row) -> str:
    """A row in words."""
    moves = "grow" if row["growth"] > 1 else "shrink"
    words = f"at update {row['update']}, chip {row['chip']}, loop gain {row['loop_gain']:.3g}, small deviations"
    words += f" {moves} by a factor of {row['growth']:.3g} in a step"
    if not row["converged"]:
        words += " (eigenvalues did not converge)"
    return words if math.isnan(row["steps_taken"]) else f"{words}, settled in {row['steps_taken']:g} steps"


def _columns(prediction: Prediction, alone: Tensor) -> dict[str, list[float]]:
    """Of every chip, about those of its samples that settle worst; ``alone``: growth without a loop, ``(chips, 1)``."""
    growth, worst = prediction.growth.max(-1, keepdim=True)
    leading = prediction.leading.gather(-1, worst)
    gain = prediction.loop_gain.amax(-1, keepdim=True)
    columns = {
        "loop_gain": gain,
        "loop_gain_mean": prediction.loop_gain.mean(-1, keepdim=True),
        "eigenvalue_real": leading.real,
        "eigenvalue_imag": leading.imag,
        "growth": growth,
        "approach": torch.maximum(gain, (growth - alone) / (1 - alone)),
        "converged": prediction.converged.all(-1, keepdim=True).int(),
        "certified": prediction.certificate.all(-1, keepdim=True).int(),
        "at_rest": prediction.at_rest.all(-1, keepdim=True).int(),
        "steps_predicted": prediction.steps.amax(-1, keepdim=True),
    }
    return {name: own.squeeze(-1).tolist() for name, own in columns.items()}


def _left_alone(clock: Clock, network: Network) -> Tensor:
    """What a step leaves of a deviation where there is no loop, of each chip ``(chips, 1)``: from there growth goes its way to 1.

    The slowest neuron decides, or the fastest one if a step is too long for it.
    """
    chips, device = network.chips, network.device
    if isinstance(clock, Poisson):
        return torch.full((chips, 1), 1 - tick_probability(clock) * clock.share, dtype=torch.float64, device=device)
    if not isinstance(clock, Continuous):
        return torch.zeros(chips, 1, dtype=torch.float64, device=device)
    layers = [
        torch.as_tensor(layer.tau, dtype=torch.float64).expand(network.compartments, chips, 1, layer.units)
        for layer in network.layers
    ]
    own = torch.cat([tau.movedim(1, 0).flatten(1) for tau in layers], 1)
    left = [
        [clock.integrator.amplification(clock.timestep / tau, np.zeros(1, dtype=complex)).item() for tau in extremes]
        for extremes in torch.stack(own.aminmax(dim=1), 1).tolist()
    ]
    return torch.tensor(left, dtype=torch.float64, device=device).amax(1, keepdim=True)


def _steps_taken(settling: Settling | None, some: slice, chips: int) -> list[float]:
    """Steps until the last of some samples of each chip had settled; NaN where one had not, or nobody looked."""
    after = None if settling is None else settling.settled_after
    if after is None:
        return [math.nan] * chips
    own = after[:, some]
    taken: list[float] = torch.where((own >= 0).all(-1), own.amax(-1).double(), torch.nan).tolist()
    return taken
