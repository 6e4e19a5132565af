"""What leaves a run: one interface for every format, and the one place where its files are made, whole or not at all."""

from __future__ import annotations

import importlib
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationError

from analogdp import registry
from analogdp.errors import AnalogdpWarning, InputError, Problem, ScenarioError
from analogdp.files import atomic_folder, atomic_path, refuse_existing, write_text
from analogdp.network import Network, build
from analogdp.network.stacking import part_of
from analogdp.registry import suggestion
from analogdp.scenario.schema import ExportSettings, Scenario
from analogdp.scenario.settings import OneOf
from analogdp.synapses import ConductanceTable, CrossbarSettings

if TYPE_CHECKING:
    from analogdp.scenario.wiring import Wiring

SIDECAR = ".json"
"""What the name of a file with a sidecar is lengthened by."""


class OneChipSettings(ExportSettings):
    """Of formats that hold one chip."""

    chip: int | None = Field(default=None, ge=0, description="index of the chip that is written; `null`: the only one")

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        chips = scenario.simulated_chips
        listed = ", ".join(map(str, chips[:8])) + (", ..." if len(chips) > 8 else "")
        if self.chip is None and len(chips) > 1:
            return [Problem("chip", f"{self.format} holds one chip, and there are {len(chips)}; name one of {listed}")]
        if self.chip is not None and self.chip not in chips:
            return [Problem("chip", f"there is no chip {self.chip}; chips: {listed}")]
        return []


class Exporter(ABC):
    """One format.

    Attributes:
        Settings: its options, as a scenario's ``export`` or the command's ``--set`` names them. What a scenario has that the
            format cannot hold, their ``contradictions`` say before anything is simulated.
        file_name: what it is called in the directory of a run that exports it.
        folder: whether it is a folder of files.

    Args:
        settings: an instance of ``Settings``.
    """

    Settings: ClassVar[type[ExportSettings]]
    file_name: ClassVar[str]
    folder: ClassVar[bool] = False

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def lacks(self, network: Network) -> str | None:
        """Why there is nothing to write of a network whose scenario is not refused, or None."""
        return None

    @abstractmethod
    def write(self, network: Network, scenario: Scenario, path: Path) -> None:
        """Write the file ``path``, or into the empty folder of that name; it gets its name when all is written.

        Raises:
            InputError: the format cannot hold this network, which the scenario alone did not tell.
        """

    def sidecar(self, network: Network, scenario: Scenario) -> Mapping[str, Any] | None:
        """What stands beside the file as ``<file>.json``, for those who do not read the format itself; None: nothing."""
        return None


def exporter(kind: str | Mapping[str, Any] | ExportSettings, **options: Any) -> Exporter:
    """The exporter of a format with its options.

    Raises:
        InputError: an unknown format or option, or a value out of range.
    """
    if not isinstance(kind, str | Mapping | ExportSettings):
        raise InputError(f"{kind!r} is no export format; {suggestion('', registry.exporters.names())}")
    named: Mapping[str, Any] = {"format": kind} if isinstance(kind, str) else dict(kind)
    section = {**named, **options}
    try:
        settings = OneOf(registry.exporters, "format", "hdf5").validate(section)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ScenarioError([Problem(".".join(map(str, one["loc"])), one["msg"]) for one in details]) from None
    except ValueError as error:
        raise InputError(str(error)) from None
    assert isinstance(settings, ExportSettings)
    made: Exporter = registry.exporters.get(settings.format)(settings)
    return made


def export_network(
    network: Network,
    scenario: Scenario,
    form: Exporter,
    path: Path,
    replace: bool = False,
    about: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a network in a format: a file or folder that appears under its name when it is complete.

    Args:
        network: as trained.
        scenario: of the network.
        form: how.
        path: the file or folder, whose parent exists.
        replace: whether one that is there gives way.
        about: what else its sidecar says, so that it has one.

    Returns:
        What was written: ``path``, and its sidecar if it has one.

    Raises:
        InputError: the target exists, or the format cannot hold the network; nothing was written.
        OSError: of the target, which could not be written, as on a full disk; nothing is left of it.
    """
    if problems := form.settings.contradictions(scenario):
        raise ScenarioError(problems)
    if (reason := form.lacks(network)) is not None:
        raise InputError(f"{path}: {reason}")
    beside = form.sidecar(network, scenario)
    if about is not None:
        beside = {**(beside or {}), **about}
    paths = [path] if beside is None else [path, path.with_name(path.name + SIDECAR)]
    if not replace:
        for each in paths:
            refuse_existing(each, "an export")
    with (atomic_folder if form.folder else atomic_path)(path) as temporary:
        form.write(network, scenario, temporary)
        if beside is not None:
            write_text(paths[1], json.dumps(beside, indent=2, allow_nan=False) + "\n")
    return paths


def export_all(network: Network, scenario: Scenario, directory: Path) -> list[Path]:
    """What a scenario's ``export`` lists, in the directory of its run; formats of cells are left out where there are none.

    A format that turns out not to hold the trained network is left out with an :class:`AnalogdpWarning`: the run is worth more.
    """
    written: list[Path] = []
    for form in map(exporter, scenario.export):
        if form.lacks(network) is not None:
            continue
        try:
            written += export_network(network, scenario, form, directory / form.file_name, replace=True)
        except InputError as error:
            warnings.warn(f"{form.file_name} was not written: {error}", AnalogdpWarning, stacklevel=2)
    return written


def one_chip(network: Network, scenario: Scenario, chip: int | None) -> Network:
    """The chip with index ``chip`` of a network, or the only one, as a network of its own."""
    if network.chips == 1:
        return network
    index = network.chip_indices[0] if chip is None else chip
    place = network.chip_indices.index(index)
    own = build(scenario, (index,))
    own.load_state_dict(part_of(network.state_dict(), slice(place, place + 1)))
    return own


def tables(network: Network) -> list[tuple[int, ConductanceTable, Wiring]]:
    """The crossbars that carry messages up, by the layer below, with what lies around them; none for ideal weights."""
    found = [(number, synapse.conductances()) for number, synapse in enumerate(network.synapses)]
    return [(number, own, network.projections[number].wiring) for number, own in found if own is not None]


def why_no_cells(scenario: Scenario, kind: str) -> list[Problem]:
    """The problem of a format of cells with a scenario whose weights are numbers, if it is one."""
    if isinstance(scenario.synapse, CrossbarSettings):
        return []
    refusal = f"{kind} holds conductances, and synapse.model: {scenario.synapse.model} has none; use synapse: crossbar"
    return [Problem("format", refusal)]


def extra(module: str, name: str, needed: str) -> ModuleType:
    """An optional package.

    Args:
        module: what is imported.
        name: of the extra that installs it.
        needed: what it is needed for, in words.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{needed} needs the package {module!r}, which is not installed: pip install 'analogdp[{name}]' ({error})"
        ) from None


def refused(problems: Sequence[str], kind: str) -> InputError:
    """One error of all the reasons why a format cannot hold a network."""
    return InputError("\n".join(f"{kind}: {problem}" for problem in problems))
