"""What a run was started from: its scenario, and a copy of the file of initial weights that the scenario names."""

from __future__ import annotations

from pathlib import Path

from analogdp.errors import InputError
from analogdp.runs.directory import INITIAL_WEIGHTS, SCENARIO, RunDirectory
from analogdp.scenario import Scenario, dump_scenario


def origin_files(scenario: Scenario) -> dict[str, str | bytes]:
    """The files of a run directory that say what is simulated, and need nothing outside of it.

    Raises:
        InputError: the file of initial weights cannot be read.
    """
    source = scenario.network.weights
    if source is None:
        return {SCENARIO: dump_scenario(scenario)}
    try:
        weights = source.read_bytes()
    except OSError as error:
        raise InputError(f"network.weights: {source}: {error.strerror or error}") from None
    return {SCENARIO: dump_scenario(with_weights(scenario, Path(INITIAL_WEIGHTS))), INITIAL_WEIGHTS: weights}


def as_kept(scenario: Scenario, run: RunDirectory) -> Scenario:
    """The scenario of a run that has begun, as its directory has it."""
    return scenario if scenario.network.weights is None else with_weights(scenario, run.initial_weights)


def with_weights(scenario: Scenario, path: Path) -> Scenario:
    """The scenario with its initial weights in another file, which holds the same."""
    return scenario.model_copy(update={"network": scenario.network.model_copy(update={"weights": path})})
