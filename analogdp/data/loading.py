"""Loading what a scenario's ``data`` section names."""

from __future__ import annotations

from dataclasses import replace

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.scenario.schema import DataSettings


def load(settings: DataSettings, seed: int) -> Dataset:
    """The data set that a scenario's ``data`` section names; ``seed`` decides how it is split, if it is.

    Raises:
        InputError: its files are missing or damaged; the message says what to put where.
    """
    dataset: Dataset = registry.datasets.get(settings.name).load(settings, seed)
    return replace(dataset, shape=settings.shape())
