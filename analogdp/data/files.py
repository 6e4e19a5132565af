"""What data sets in files have in common: their section of a scenario, and where their files are looked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field

from analogdp.errors import InputError
from analogdp.scenario.data import DataSettings
from analogdp.scenario.schema import Scenario

DATA_VARIABLE = "ANALOGDP_DATA"
"""Environment variable with the folder that holds a folder for each data set; ``--data-dir`` sets it for a command."""


class FileSettings(DataSettings):
    """What the sections of data sets in files have.

    Attributes:
        folder: of the data set's files in the common data folder.
        files: what to put there, in words.
        train_samples, test_samples: how many there are.
    """

    folder: ClassVar[str]
    files: ClassVar[str]
    train_samples: ClassVar[int]
    test_samples: ClassVar[int]

    directory: Path | None = Field(
        default=None,
        strict=False,
        description=f"folder with the data set's files; default: ${DATA_VARIABLE}/<data set>",
    )

    def resolved(self, scenario: Scenario) -> Self:
        """With the folder named outright, so that a run can be resumed from anywhere."""
        place = self.place()
        if self.directory is None and place is not None:
            return self.model_copy(update={"directory": place.resolve()})
        return self

    def samples(self) -> tuple[int, int]:
        return self.train_samples, self.test_samples

    def place(self) -> Path | None:
        """The folder to look in, or None where nobody has named one."""
        common = os.environ.get(DATA_VARIABLE)
        return self.directory or (Path(common) / self.folder if common else None)

    def find(self, names: Sequence[str]) -> Path:
        """The first of several files, any of which would do, by their names in the data set's folder.

        Raises:
            InputError: the folder is not known or not there, or has none of them; the message says what to put where.
        """
        place = self.place()
        wanted = f"put {self.files} there"
        if place is None:
            raise InputError(
                f"data: {self.folder} lies in files, and it is not known where: name the folder that holds {self.folder}/ "
                f"by --data-dir or ${DATA_VARIABLE}, or set data.directory; {wanted}{self.other_ways()}"
            )
        if not place.is_dir():
            raise InputError(
                f"data: there is no folder {place}; {wanted}, or name another by --data-dir, ${DATA_VARIABLE} or "
                f"data.directory{self.other_ways()}"
            )
        for name in names:
            if (place / name).is_file():
                return place / name
        raise InputError(
            f"data: there is no {' or '.join(names)} in {place}; {wanted}, or name another folder by --data-dir, "
            f"${DATA_VARIABLE} or data.directory{self.other_ways()}"
        )

    def other_ways(self) -> str:
        """How else to get the files, as the end of a sentence about their absence."""
        return ""
