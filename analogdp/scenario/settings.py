"""What every section of a scenario shares: strictness, and choosing a section's type by a registered name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from analogdp.errors import Problem
from analogdp.registry import Registry, suggestion

if TYPE_CHECKING:
    from analogdp.scenario.schema import Scenario


class Settings(BaseModel):
    """A section of a scenario: typed, immutable, without unknown keys, infinities or NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    def resolved(self, scenario: Scenario) -> Self:
        """This section with the defaults filled in that depend on other sections."""
        return self

    def contradictions(self, scenario: Scenario) -> list[Problem]:
        """What in this section does not go with the rest of the scenario; paths are relative to the section."""
        return []


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
            raise ValueError(f"expected a mapping such as {{{self.key}: {self.default}}}, not {value!r}")
        name = value.get(self.key, self.default)
        if name not in self.registry:
            problem = f"unknown {self.registry.kind} {name!r}: {suggestion(str(name), self.registry.names())}"
            raise ProblemList([Problem(self.key, problem)])
        chosen: Settings = self.registry.get(name).Settings.model_validate({**value, self.key: name})
        return chosen

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda section: section.model_dump(mode="json")),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        kinds = {self.registry.get(name).Settings for name in self.registry.names()}
        ordered = sorted(kinds, key=lambda kind: str(kind.__name__))
        return {"anyOf": [*(handler(kind.__pydantic_core_schema__) for kind in ordered), {"type": "string"}]}


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
