"""Downloads from a data set's publisher: only when a scenario says so, and only files whose checksum is known."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import ClassVar

from pydantic import Field

from analogdp.data.cache import cache_directory
from analogdp.data.files import FileSettings
from analogdp.errors import InputError

TIMEOUT = 60
"""Seconds without a byte after which a server is given up."""


class DownloadSettings(FileSettings):
    """What the sections of data sets have that can be downloaded.

    Attributes:
        addresses: folders of the publisher and of its mirrors, in the order in which they are tried.
        checksums: MD5 of each file there, as published: it shows damage, and a wrong file.
    """

    addresses: ClassVar[tuple[str, ...]]
    checksums: ClassVar[dict[str, str]]
    input_bytes = 1

    download: bool = Field(default=False, description="get files that are missing from their publisher")

    def place(self) -> Path | None:
        """The folder to look in; what is downloaded without one goes to the user's cache."""
        return super().place() or (cache_directory() / self.folder if self.download else None)

    def find_or_download(self, names: tuple[str, ...], download: str) -> Path:
        """The first of several files that is there; if none is, and the scenario allows it, ``download`` is fetched.

        Raises:
            InputError: none is there and nothing may be downloaded, or the download failed.
        """
        place = self.place()
        if not self.download or place is None or any((place / name).is_file() for name in names):
            return self.find(names)
        return fetch(download, self.checksums[download], self.addresses, place)

    def other_ways(self) -> str:
        return f"; or set data.download: true to get them from {self.addresses[0]}"


def fetch(name: str, md5: str, addresses: tuple[str, ...], directory: Path) -> Path:
    """Download a file into a folder, which is made if need be; a file with another checksum is not kept.

    Raises:
        InputError: no address gave the file, or the folder cannot be written to.
    """
    # Importing it takes a tenth of a second, which only those who download should wait for.
    import pooch

    try:
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            pass
    except OSError as error:
        problem = f"data: {name} cannot be kept in {directory} ({error.strerror or error})"
        raise InputError(f"{problem}; set data.directory to a folder that you may write to") from error
    failures = []
    for address in addresses:
        downloader = pooch.HTTPDownloader(timeout=TIMEOUT)
        try:
            return Path(pooch.retrieve(address + name, f"md5:{md5}", name, directory, downloader=downloader))
        except (ValueError, OSError) as error:  # A wrong checksum; or a bad connection, or no room on the disk.
            failures.append(f"{address}{name}: {error}")
    reasons = "\n".join(failures)
    raise InputError(f"data: {name} could not be downloaded; try again later, or put it into {directory}:\n{reasons}")
