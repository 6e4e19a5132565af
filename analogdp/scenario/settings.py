"""What every section of a scenario shares: strictness, and choosing a section's type by a registered name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError, core_schema

from analogdp.errors import Problem
from analogdp.registry import Registry, suggestion
from analogdp.scenario.words import in_words, shown, unknown_key

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


_WORDED = "worded"


class Settings(BaseModel):
    """A section of a scenario: typed, immutable, without unknown keys, infinities or NaN.

    Types are strict: text or true is no number. Lists become tuples. What is wrong with a section is said in words (see
    :mod:`analogdp.scenario.words`), in the pydantic ``ValidationError`` already.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(_frozen(value))
        except ValidationError as error:
            worded = [cls._word(detail, value) for detail in _without_echoes(error.errors(include_url=False))]
            raise ValidationError.from_exception_data(error.title, worded) from None

    @classmethod
    def _word(cls, error: ErrorDetails, value: Any) -> InitErrorDetails:
        """A finding about this section in words; those of inner sections, and lists of problems, are passed on."""
        place = error["loc"]
        details = InitErrorDetails(type=error["type"], loc=place, input=error["input"], ctx=error.get("ctx", {}))
        if isinstance(details["ctx"].get("error"), ProblemList):
            return details
        if error["type"] == _WORDED:
            words = details["ctx"]["words"]
        elif error["type"] == "extra_forbidden":
            words = unknown_key(str(place[-1]), cls.model_fields)
        else:
            field = cls.model_fields.get(str(place[0])) if place else None
            whole = len(place) == 1 and isinstance(value, Mapping) and place[0] in value
            written = value[place[0]] if whole else error["input"]
            words = in_words(error, written, field if len(place) == 1 else None)
        return {**details, "type": PydanticCustomError(_WORDED, "{words}", {"words": words}), "ctx": {}}

    def resolved(self, scenario: Scenario) -> Self:
        """This section with the defaults filled in that depend on other sections."""
        return self

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        """What in this section does not go with the rest of the scenario; paths are relative to the section."""
        return []


def _frozen(value: Any) -> Any:
    """Lists of a section's fields as tuples: a file has lists, an immutable section tuples."""
    if not isinstance(value, Mapping):
        return value
    return {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}


def _without_echoes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Findings without those that a list has become too short, where its values are what is wrong."""
    outer = {error["loc"][:length] for error in errors for length in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in outer]


class ProblemList(ValueError):
    """Several problems found by one validator; the loader reports each at its own path."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


class OneOf:
    """Annotation of a section whose ``key`` names a member of ``registry``, which brings its own ``Settings``.

    A bare string stands for a section with all defaults: ``synapse: ideal``.

        neuron: Annotated[NeuronSettings, OneOf(registry.neurons, "model", "dp_transposed")]
    """

    def __init__(self, registry: Registry[Any], key: str, default: str) -> None:
        self.registry, self.key, self.default = registry, key, default

    def validate(self, value: Any) -> Settings:
        """The named member's settings, validated."""
        if isinstance(value, Settings):
            return value
        if isinstance(value, str):
            value = {self.key: value}
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a mapping such as {{{self.key}: {self.default}}}, not {shown(value)}")
        name = value.get(self.key, self.default)
        if name not in self.registry:
            problem = f"unknown {self.registry.kind} {name!r}: {suggestion(str(name), self.registry.names())}"
            raise ProblemList([Problem(self.key, problem)])
        settings: type[Settings] = self.registry.get(name).Settings
        try:
            return settings.model_validate({**value, self.key: name})
        except ValidationError as error:
            details = [self._with_owners(detail, settings) for detail in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(error.title, details) from None

    def _with_owners(self, error: ErrorDetails, settings: type[Settings]) -> InitErrorDetails:
        """A finding; where it is about a key that other members have, it names them."""
        details = InitErrorDetails(type=error["type"], loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))
        if error["type"] != _WORDED or not error["loc"]:
            return details
        words, key = details["ctx"]["words"], error["loc"][0]
        if len(error["loc"]) == 1 and key not in settings.model_fields:
            names = self.registry.names()
            owners = [name for name in names if key in self.registry.get(name).Settings.model_fields]
            words += f". It belongs to {self.key}: {' or '.join(owners)}" if owners else ""
        return {**details, "type": PydanticCustomError(_WORDED, "{words}", {"words": words}), "ctx": {}}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda section: section.model_dump(mode="json")
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        names = self.registry.names()
        sections = [self._section_schema(name, handler) for name in names]
        return {"anyOf": [*sections, {"type": "string", "enum": names}], "default": self.default}

    def _section_schema(self, name: str, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The JSON Schema of the section that chooses ``name``; only the default's may leave the choice away."""
        inner = handler(self.registry.get(name).Settings.__pydantic_core_schema__)
        section = dict(handler.resolve_ref_schema(inner))
        required = set(section.get("required", ())) - {self.key} | ({self.key} if name != self.default else set())
        section["title"] = f"{self.key}: {name}"
        section["properties"] = {**section["properties"], self.key: {"const": name, "default": name}}
        section["required"] = sorted(required)
        return section


class NameIn:
    """Annotation of a string that must be a name in ``registry``."""

    def __init__(self, registry: Registry[Any]) -> None:
        self.registry = registry

    def validate(self, value: Any) -> str:
        """The name, if it is known."""
        if not isinstance(value, str) or value not in self.registry:
            raise ValueError(f"unknown {self.registry.kind} {value!r}: {suggestion(str(value), self.registry.names())}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "enum": self.registry.names()}
