"""The scenario: everything that defines a simulation, as the user writes it.

Sections that are the same for every simulation are declared here. Sections that a registered part brings along
(``data``, ``neuron``, ``synapse``, ``dynamics``, ``learning``) are declared beside that part; here stands only what all
parts of a kind have in common.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from analogdp import registry
from analogdp.errors import Problem
from analogdp.scenario.data import DataSettings
from analogdp.scenario.energy import EnergySettings
from analogdp.scenario.feedback import FeedbackField, FeedbackSettings
from analogdp.scenario.measure import MeasureSettings
from analogdp.scenario.mismatch import MismatchSettings
from analogdp.scenario.network import NetworkSettings
from analogdp.scenario.noise import NoiseSettings
from analogdp.scenario.quantities import Time
from analogdp.scenario.record import RecordSettings
from analogdp.scenario.running import RunSettings
from analogdp.scenario.settings import OneOf, ProblemList, Settings
from analogdp.scenario.wiring import Wiring, wire

MAX_SEED = 2**63 - 1


def _names(members: registry.Registry[Any], compares_phases: bool) -> str:
    """Those registered parts that compare phases, or those that do not, in words."""
    names = [name for name in members.names() if members.get(name).Settings.compares_phases == compares_phases]
    return " or ".join(names)


class NeuronSettings(Settings):
    """What every neuron model's section has."""

    compares_phases: ClassVar[bool] = False
    """Whether errors are differences between phases of a sample, not something that neurons have at every moment."""
    sweeps: ClassVar[int] = 1
    """Sweeps that a settling takes at least, unless the scenario says otherwise."""

    model: str
    tau: Time = Field(default=1e-6, gt=0, description="membrane time constant")

    @property
    def may_differ(self) -> frozenset[str]:
        """The settings that chips may differ in which are simulated together."""
        return frozenset()


class SynapseSettings(Settings):
    """What every synapse model's section has."""

    model: str
    written_by_pulses: ClassVar[bool] = False
    """Whether the weights are physical cells that only pulses change, not numbers that an optimizer may write."""

    @property
    def written_continuously(self) -> bool:
        """Whether cells are written for as long as a change takes, not by whole pulses."""
        return False

    @property
    def noisy_reads(self) -> bool:
        """Whether every read has noise of its own."""
        return False

    def why_not_apart(self) -> str | None:
        """The reason why excitatory and inhibitory weights cannot be written each for itself, or None if they can."""
        return f"weights of synapse.model: {self.model} are one number each; use pair"

    def beside(self, fan_in: int) -> Self:
        """The section of a feedback path beside a synapse of some fan-in, whose weights it has to hold."""
        return self

    def cell_bytes(self, dtype_bytes: int) -> int:
        """Memory in bytes that one weight takes on one chip, its devices and an update's temporaries included."""
        return dtype_bytes

    def read_passes(self) -> int:
        """Passes over its inputs and outputs that a read takes beside the product: converters, noise."""
        return 0

    def solving_passes(self, inputs: int, outputs: int) -> int:
        """Passes over its weights, for each sample, that a read takes beside the product: wires."""
        return 0

    def write_passes(self) -> int:
        """Passes over its weights that an update takes beside the product: for numbers those of an optimizer."""
        return 12

    def write_operations(self, inputs: int, outputs: int) -> int:
        """Multiplications on one chip that it takes after an update to find what reads see: wires."""
        return 0


class ClockSettings(Settings, ABC):
    """What every clock's section has."""

    clock: str
    has_time: ClassVar[bool] = True
    """Whether a step takes a known time in seconds."""
    uses_tau: ClassVar[bool] = True
    """Whether neurons move with their membrane time constants."""

    @property
    def same_for_all(self) -> bool:
        """Whether anything is drawn at random that all chips share which are simulated together."""
        return False

    def buffer_bytes(self, scenario: Scenario, dtype_bytes: int) -> int:
        """Memory in bytes for messages that are on their way, on one chip."""
        return 0

    def time_step(self, scenario: Scenario) -> float | None:
        """Seconds in a step, or None for clocks without a time; also of a section that is not resolved yet."""
        return None

    def why_not_compiled(self, scenario: Scenario) -> str | None:
        """The reason why steps of this clock cannot be compiled, or None if they can."""
        return f"only steps of clock: continuous can be compiled, not of {self.clock}"

    @abstractmethod
    def evaluations(self) -> int:
        """Target evaluations of the longest settling, each with two products per synapse; of a resolved section."""


class LearningSettings(Settings):
    """What every way of training has."""

    compares_phases: ClassVar[bool] = False
    """Whether a sample is presented in several phases, whose difference is learned from."""
    clamps_outputs: ClassVar[bool] = False
    """Whether labels are imposed on outputs, which then have no loss to lower."""
    trains_together: ClassVar[bool] = False
    """Whether several runs can be trained together, along the axis of chips."""
    nudging: ClassVar[float] = 0.5
    """Nudging strength of neurons that compare phases, unless the scenario says otherwise."""

    mode: str
    epochs: int = Field(default=10, ge=0, le=1_000_000, description="passes over the training set")
    batch: int = Field(default=32, ge=1, le=1_000_000, description="samples settled together")

    @property
    def may_differ(self) -> frozenset[str]:
        """The settings that runs may differ in which are trained together; of a resolved section."""
        return frozenset()

    def buffer_bytes(self, scenario: Scenario, dtype_bytes: int) -> int:
        """Memory in bytes for what is gathered between two updates, on one chip."""
        return 0

    def evaluations(self, scenario: Scenario) -> int:
        """Target evaluations of one batch, at most; of a resolved scenario."""
        return scenario.dynamics.evaluations()

    def writes(self, scenario: Scenario) -> int:
        """Changes of the weights in what counts as one update; of a resolved scenario."""
        return 1

    def why_not_compiled(self) -> str | None:
        """The reason why several steps at once are of no use to this way of training, or None if they are."""
        return None

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        train, _ = scenario.data.counts()
        problems = []
        if self.batch > train:
            refusal = f"{self.batch} is more than there are training samples; allowed: 1 to {train}"
            problems.append(Problem("batch", refusal))
        if self.compares_phases != scenario.neuron.compares_phases:
            ways = _names(registry.trainers, scenario.neuron.compares_phases)
            others = _names(registry.neurons, self.compares_phases)
            learns = "compares phases of a sample" if self.compares_phases else "takes errors from one presentation"
            refusal = f"{self.mode} {learns}, which neuron.model: {scenario.neuron.model} cannot; use {ways}"
            problems.append(Problem("mode", f"{refusal}, or neuron.model: {others}"))
        return problems

    def weight_bytes(self, dtype_bytes: int) -> int:
        """Memory in bytes that learning takes for one weight on one chip: its update and an optimizer's moments."""
        return 3 * dtype_bytes


class ExportSettings(Settings):
    """What every export format's section has. Of losses, if it has them, a word alone stands for a list of one."""

    format: str

    @field_validator("lossy", mode="before", check_fields=False)
    @classmethod
    def _list_of_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


def _by_name(name: str) -> Any:
    """A default that pydantic validates into the settings of the part called ``name``."""
    return Field(default=name)


class Scenario(Settings):
    """Everything that defines a simulation.

    Made by :func:`analogdp.load_scenario` from a file, or from Python with the same names as the file has.
    All numbers are SI.
    """

    name: str = Field(
        default="scenario",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="at most 100 of the letters a-z and A-Z, digits, '.', '_' and '-', the first a letter or a digit",
    )
    description: str = Field(default="", max_length=10_000, description="what this is for, in a sentence or two")
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="of all random numbers")
    data: Annotated[DataSettings, OneOf(registry.datasets, "name", "digits")] = _by_name("digits")
    network: NetworkSettings = Field(default_factory=NetworkSettings)
    neuron: Annotated[NeuronSettings, OneOf(registry.neurons, "model", "dp_transposed")] = _by_name("dp_transposed")
    mismatch: MismatchSettings = MismatchSettings()
    noise: NoiseSettings = NoiseSettings()
    synapse: Annotated[SynapseSettings, OneOf(registry.synapses, "model", "ideal")] = _by_name("ideal")
    feedback: FeedbackField = FeedbackSettings()
    dynamics: Annotated[ClockSettings, OneOf(registry.clocks, "clock", "continuous")] = _by_name("continuous")
    learning: Annotated[LearningSettings, OneOf(registry.trainers, "mode", "settle_then_update")] = _by_name(
        "settle_then_update"
    )
    chips: int = Field(
        default=1, ge=1, le=100_000, description="independent draws of device mismatch, simulated together"
    )
    export: tuple[Annotated[ExportSettings, OneOf(registry.exporters, "format", "hdf5")], ...] = Field(
        default=("hdf5",),  # type: ignore[arg-type]
        description="formats that the trained network is written in when the run ends",
    )
    record: tuple[RecordSettings, ...] = Field(default=(), description="traces kept in recordings.h5")
    measure: MeasureSettings = MeasureSettings()
    energy: EnergySettings = EnergySettings()
    run: RunSettings = RunSettings()

    @property
    def wirings(self) -> tuple[Wiring, ...]:
        """What lies between all layers."""
        return wire(self.network.layers_for(self.data))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of all layers, the clamped input first."""
        wirings = self.wirings
        return (wirings[0].inputs, *(wiring.outputs for wiring in wirings))

    @property
    def simulated_chips(self) -> tuple[int, ...]:
        """Indices of the chips that are simulated."""
        return self.run.only_chips or tuple(range(self.chips))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sections = {
            name: value for name in type(self).model_fields if isinstance(value := getattr(self, name), Settings)
        }
        lists = {"record": self.record, "export": self.export}
        entries = {f"{name}.{number}": entry for name, own in lists.items() for number, entry in enumerate(own)}
        if misshapen := self._misshapen():
            raise ProblemList(misshapen)
        problems = [
            Problem(f"{name}.{problem.path}", problem.message)
            for name, section in {**sections, **entries}.items()
            for problem in section.contradictions(self)
        ] + self._exported_twice()
        if problems:
            raise ProblemList(problems)
        # The model is frozen for its users; filling in dependent defaults is the last step of making it.
        for name, section in sections.items():
            object.__setattr__(self, name, section.resolved(self))
        for name, own in lists.items():
            object.__setattr__(self, name, tuple(entry.resolved(self) for entry in own))
        return self

    def _exported_twice(self) -> list[Problem]:
        """Formats that are listed again, whose files would take the place of the first."""
        formats = [own.format for own in self.export]
        way_out = "a run keeps one of each; export others of the finished run with analogdp export"
        return [
            Problem(f"export.{place}.format", f"{name} is listed already; {way_out}")
            for place, name in enumerate(formats)
            if name in formats[:place]
        ]

    def _misshapen(self) -> list[Problem]:
        """What keeps layers from having sizes, which other sections ask for."""
        try:
            self.sizes  # noqa: B018
        except ValueError:
            return [Problem(f"network.{own.path}", own.message) for own in self.network.contradictions(self)]
        return []
