"""Loading what a scenario's ``data`` section names."""

from __future__ import annotations

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.data.preprocessing import prepared
from analogdp.scenario.data import DataSettings


def load(settings: DataSettings, seed: int) -> Dataset:
    """The data set that a scenario's ``data`` section names, prepared as it says; ``seed`` decides whatever is random.

    Raises:
        InputError: its files are missing or damaged; the message says what to put where. Or no samples are left of them.
    """
    dataset: Dataset = registry.datasets.get(settings.name).load(settings, seed)
    return prepared(dataset, settings, seed)
