"""Wines with their chemistry and their quality as tasters marked it."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field

from analogdp import registry
from analogdp.data.base import Dataset
from analogdp.data.files import FileSettings
from analogdp.data.splitting import SplitSettings, divide
from analogdp.data.table import read_table
from analogdp.errors import InputError
from analogdp.scenario.data import DataSettings

SAMPLES = {"white": 4898, "red": 1599}
QUALITIES = {"white": range(3, 10), "red": range(3, 9)}
"""The marks that were given, of 0 to 10."""
FEATURES = (
    "fixed acidity",
    "volatile acidity",
    "citric acid",
    "residual sugar",
    "chlorides",
    "free sulfur dioxide",
    "total sulfur dioxide",
    "density",
    "pH",
    "sulphates",
    "alcohol",
)


class WineSettings(SplitSettings, FileSettings):
    """The section of the wines."""

    folder = "wine-quality"
    files = "winequality-white.csv and winequality-red.csv"

    name: Literal["wine_quality"] = "wine_quality"
    colour: Literal["white", "red", "both"] = Field(default="white", description="which wines")
    task: Literal["regression", "classes"] = Field(
        default="regression", description="regression: the quality is a number; classes: every quality is a class"
    )

    @property
    def colours(self) -> tuple[str, ...]:
        return ("white", "red") if self.colour == "both" else (self.colour,)

    @property
    def qualities(self) -> tuple[int, ...]:
        """All marks that such wines have."""
        return tuple(sorted({quality for colour in self.colours for quality in QUALITIES[colour]}))

    def regression(self) -> bool:
        return self.task == "regression"

    def sizes(self) -> tuple[int, int]:
        return len(FEATURES), 1 if self.regression() else len(self.qualities)

    def samples(self) -> tuple[int, int]:
        return self.divided(sum(SAMPLES[colour] for colour in self.colours))


@registry.datasets.register("wine_quality")
class Wine:
    """Wines with 11 measured features and a quality from 3 to 9 (Cortez et al. 2009, UCI); needs files, see ``directory``."""

    Settings = WineSettings

    @staticmethod
    def load(settings: DataSettings, seed: int) -> Dataset:
        """All wines of the colour, split at random by ``seed``.

        Raises:
            InputError: a file is missing or damaged.
        """
        assert isinstance(settings, WineSettings)
        paths = [settings.find((f"winequality-{colour}.csv",)) for colour in settings.colours]
        tables = [read_table(path).numbers((*FEATURES, "quality")) for path in paths]
        values = torch.cat(tables)
        inputs, quality = values[:, :-1], values[:, -1]
        if settings.regression():
            return divide(settings, None, inputs, quality[:, None], seed)
        lowest, *_, highest = settings.qualities
        if bool(((quality < lowest) | (quality > highest) | (quality != quality.round())).any()):
            raise InputError(
                f"{paths[0]}: a quality is no whole number from {lowest} to {highest}; get the file again, "
                f"or use task: regression"
            )
        classes = tuple(map(str, settings.qualities))
        return divide(settings, classes, inputs, quality.to(torch.int64) - lowest, seed)
