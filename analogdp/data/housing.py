"""Median values of houses in the blocks of California."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.data.files import FileSettings
from analogdp.data.splitting import SplitSettings, divide
from analogdp.data.table import Table, read_table
from analogdp.errors import InputError
from analogdp.scenario.data import DataSettings

SAMPLES = 20_640
COLUMNS = (
    "longitude",
    "latitude",
    "housing_median_age",
    "total_rooms",
    "total_bedrooms",
    "population",
    "households",
    "median_income",
)
TARGET = "median_house_value"
DOLLARS = 100_000.0
"""Unit of the targets."""


class HousingSettings(SplitSettings, FileSettings):
    """The section of the houses."""

    folder = "california-housing"
    files = "cal_housing.csv, with the columns' names in its first line,"

    name: Literal["california_housing"] = "california_housing"
    features: Literal["ratios", "raw"] = Field(
        default="ratios",
        description="ratios: rooms, bedrooms and people for each household; raw: the columns as they are",
    )

    def regression(self) -> bool:
        return True

    def sizes(self) -> tuple[int, int]:
        return len(COLUMNS), 1

    def samples(self) -> tuple[int, int]:
        return self.divided(SAMPLES)


@registry.datasets.register("california_housing")
class Housing:
    """Blocks of California and what houses cost there (Pace & Barry 1997, StatLib); needs its file, see ``directory``."""

    Settings = HousingSettings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        """All blocks, split at random by ``seed``; targets are in 100,000 dollars.

        Raises:
            InputError: the file is missing or damaged.
        """
        assert isinstance(settings, HousingSettings)
        table = read_table(settings.find(("cal_housing.csv",)), header=True)
        inputs = _ratios(table) if settings.features == "ratios" else table.numbers(COLUMNS)
        return divide(settings, None, inputs, table.numbers((TARGET,)) / DOLLARS, seed)


def _ratios(table: Table) -> Tensor:
    """The eight features of scikit-learn's ``fetch_california_housing``, in its order.

    Median income, age, rooms and bedrooms per household, population, people per household, latitude, longitude.
    """
    longitude, latitude, age, rooms, bedrooms, population, households, income = table.numbers(COLUMNS).unbind(1)
    if not bool((households > 0).all()):
        raise InputError(f"{table.path}: a block has no households, by which rooms are divided; use features: raw")
    per_household = (rooms / households, bedrooms / households, population, population / households)
    return torch.stack((income, age, *per_household, latitude, longitude), dim=1)
