"""Device cards: one YAML file per measured device, with its model's parameters, conductance range and source.

A scenario names a card, a path to one, a card with changed values, or writes a whole card in place::

    device: reram_sb
    device: my_devices/filament.yaml
    device: {card: reram_sb, step: 0.001, high: 80 uS}
    device: {card: pcm_joshi, drift: null, faults: {stuck_off: 1 %}}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from analogdp import library, registry
from analogdp.devices.aging import Drift, Relaxation, Retention
from analogdp.devices.base import DeviceModel, DeviceSettings, WritePulse
from analogdp.devices.endurance import Endurance
from analogdp.devices.faults import Faults
from analogdp.devices.flicker import FlickerNoise
from analogdp.devices.imperfect import ImperfectDevice, Imperfections
from analogdp.devices.programming_errors import ProgrammingError
from analogdp.errors import InputError, Problem, ScenarioError
from analogdp.registry import suggestion
from analogdp.scenario.problems import problems_from
from analogdp.scenario.quantities import Conductance
from analogdp.scenario.settings import NameIn, ProblemList, Settings
from analogdp.scenario.yaml import read_yaml

_ROUNDING = 1e-9
_ENDS_WITH_UNIT = re.compile(r".*[A-Za-zµμΩ]\s*")


class _ParametersOfModel:
    """Annotation of a section whose type the sibling field ``model`` chooses."""

    @staticmethod
    def validate(value: Any, info: ValidationInfo) -> DeviceSettings:
        if "model" not in info.data:
            raise ValueError("cannot be checked before 'model' names a device model")
        settings: type[DeviceSettings] = registry.devices.get(info.data["model"]).Settings
        return settings.model_validate(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda part: part.model_dump(mode="json")),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        models = (registry.devices.get(name).Settings for name in registry.devices.names())
        return {"anyOf": [handler(model.__pydantic_core_schema__) for model in models]}


class DeviceCard(Settings):
    """A device as measured: what it is made of, who measured it, and its model's parameters."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="at most 100 of the letters a-z and A-Z, digits, '.', '_' and '-', the first a letter or a digit",
    )
    model: Annotated[str, NameIn(registry.devices)]
    description: str = ""
    material: str = Field(min_length=1)
    source: str = Field(min_length=1, description="where it was measured: venue and year, or DOI")
    note: str = Field(default="", description="what was fitted and what was assumed")
    low: Conductance = Field(ge=0, le=1, description="nominal lower end of the conductance range, in siemens")
    high: Conductance = Field(gt=0, le=1, description="nominal upper end of the conductance range, in siemens")
    write_pulse: WritePulse | None = Field(
        default=None, description="voltages of a write: what cells with a state equation, and energies, need"
    )
    programming_error: ProgrammingError | None = Field(
        default=None, description="what write-verify leaves between the wanted and the programmed conductance"
    )
    relaxation: Relaxation | None = Field(default=None, description="how ReRAM settles after a write")
    drift: Drift | None = Field(default=None, description="power-law drift of phase-change memory")
    retention: Retention | None = Field(default=None, description="exponential loss of what was written")
    flicker_noise: FlickerNoise | None = Field(default=None, description="read noise that grows with time")
    faults: Faults | None = Field(default=None, description="cells that are stuck")
    endurance: Endurance | None = Field(default=None, description="how the range shrinks with the number of writes")
    parameters: Annotated[DeviceSettings, _ParametersOfModel()]

    @field_validator("high")
    @classmethod
    def _range_is_not_empty(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("low")
        if low is not None and low >= high:
            raise ValueError(f"{high:g} S is not above the card's low, {low:g} S; a cell needs a range to move in")
        return high

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = list(self._contradictions())
        if problems:
            raise ProblemList(problems)
        return self

    def _contradictions(self) -> Iterator[Problem]:
        """What the sections do not allow of each other."""
        error, relaxation = self.programming_error, self.relaxation
        if error is not None and error.validity is not None:
            lowest, highest = error.validity
            if self.low < lowest * (1 - _ROUNDING) or self.high > highest * (1 + _ROUNDING):
                message = (
                    f"{error.model} was measured from {lowest:g} to {highest:g} S, but cells of card {self.name!r} have "
                    f"{self.low:g} to {self.high:g} S; change low and high, or stretch it with full_scale"
                )
                yield Problem("programming_error", message)
        if relaxation is not None and self.high > relaxation.full_scale * (1 + _ROUNDING):
            message = (
                f"was measured up to full_scale, {relaxation.full_scale:g} S, but cells of card {self.name!r} have up to "
                f"{self.high:g} S; change high or full_scale"
            )
            yield Problem("relaxation", message)
        if relaxation is not None and error is not None and error.model == "rram_wan":
            yield Problem("relaxation", "holds the programming error rram_wan already; set one of them to null")
        if self.flicker_noise is not None and getattr(self.parameters, "read_noise", None):
            message = (
                f"card {self.name!r} has read noise of its own kind; set parameters.read_noise to 0, or this to null"
            )
            yield Problem("flicker_noise", message)
        yield from registry.devices.get(self.model).problems(self.parameters, self.low, self.high, self.write_pulse)

    @property
    def imperfections(self) -> Imperfections:
        """What this card says beside its model."""
        return Imperfections(
            self.programming_error,
            self.relaxation,
            self.drift,
            self.retention,
            self.flicker_noise,
            self.faults,
            self.endurance,
        )

    def device(self) -> DeviceModel:
        """The device model with this card's parameters and imperfections."""
        model: type[DeviceModel] = registry.devices.get(self.model)
        inner = model.build(self.parameters, self.low, self.high, self.write_pulse)
        return ImperfectDevice(inner, self.imperfections) if self.imperfections else inner

    def write_passes(self) -> int:
        """Elementwise passes over all cells that a write costs, roughly."""
        return self.parameters.write_passes * (1 if self.imperfections == Imperfections() else 4)

    def tensors_per_cell(self) -> int:
        """How many numbers of single precision describe one cell."""
        return self.parameters.tensors_per_cell() + self.imperfections.tensors_per_cell()


def load_card(name_or_path: str | Path, overrides: Mapping[str, Any] | None = None) -> DeviceCard:
    """Read a card.

    Args:
        name_or_path: a card of the library, for example ``"reram_sb"``, or a path that ends in ``.yaml`` or ``.yml``.
        overrides: values that replace the card's, by the name of a parameter or of another field of the card.

    Raises:
        InputError: there is no such card or the file cannot be read.
        ScenarioError: the card, or an override, is not valid; all problems with file and line.
    """
    is_path = str(name_or_path).endswith((".yaml", ".yml"))
    path = Path(name_or_path) if is_path else library.find("devices", str(name_or_path))
    document = read_yaml(path)
    written = document.data if isinstance(document.data, Mapping) else {}
    without_unit = [
        document.problem(field, f"{written[field]!r} has no unit; write for example '20 uS'")
        for field in ("low", "high")
        if field in written and not _ENDS_WITH_UNIT.fullmatch(str(written[field]))
    ]
    if without_unit:
        raise ScenarioError(without_unit)
    try:
        card = DeviceCard.model_validate(document.data)
    except ValidationError as error:
        raise ScenarioError(problems_from(error, document)) from None
    try:
        return _changed(card, overrides or {})
    except ValidationError as error:
        problems = problems_from(error)
        raise ScenarioError([replace(own, path=own.path.removeprefix("parameters.")) for own in problems]) from None


def _changed(card: DeviceCard, overrides: Mapping[str, Any]) -> DeviceCard:
    """The card with values replaced."""
    if not overrides:
        return card
    fields, parameters = set(DeviceCard.model_fields) - {"model", "parameters"}, set(type(card.parameters).model_fields)
    unknown = [
        Problem(str(key), f"unknown key {key!r}: {suggestion(str(key), fields | parameters)}{_owners(str(key))}")
        for key in overrides
        if key not in fields | parameters
    ]
    if unknown:
        raise ScenarioError(unknown)
    new_parameters = {key: value for key, value in overrides.items() if key in parameters}
    new_fields = {key: value for key, value in overrides.items() if key in fields}
    plain = card.model_dump(mode="json")
    return DeviceCard.model_validate({**plain, **new_fields, "parameters": {**plain["parameters"], **new_parameters}})


def _owners(key: str) -> str:
    """Which device models have a parameter, if any."""
    names = registry.devices.names()
    owners = [name for name in names if key in registry.devices.get(name).Settings.model_fields]
    return f". It belongs to model: {' or '.join(owners)}" if owners else ""


def _from_scenario(value: Any) -> Any:
    """A card from what a scenario may write for it; whole cards are left for pydantic."""
    if isinstance(value, Mapping) and "card" in value:
        name, overrides = value["card"], {key: part for key, part in value.items() if key != "card"}
    elif isinstance(value, str):
        name, overrides = value, {}
    else:
        return value
    try:
        return load_card(name, overrides)
    except ScenarioError as error:
        raise ProblemList([_seen_from_scenario(problem) for problem in error.problems]) from None
    except InputError as error:
        raise ValueError(str(error)) from None


def _seen_from_scenario(problem: Problem) -> Problem:
    """A problem of a card's file, which a scenario that names the file has at the place of the name."""
    return Problem("", str(problem)) if problem.file else problem


CardField = Annotated[
    DeviceCard, BeforeValidator(_from_scenario, json_schema_input_type=str | dict[str, Any] | DeviceCard)
]
"""A scenario's field that holds a device card."""
