"""What a scenario says about a layer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from analogdp.scenario.settings import Settings

LARGEST_SIDE = 65_536
_SHAPE = re.compile(r"^([1-9]\d{0,5})x([1-9]\d{0,4})x([1-9]\d{0,4})$")

PoolKind = Literal["max", "average", "quadratic_mean"]


class PoolSettings(Settings):
    """Windows of an image, each of which gives one number."""

    kind: PoolKind = Field(
        default="max", description="what is taken of a window; quadratic_mean: the root of the mean square"
    )
    size: int = Field(default=2, ge=1, le=LARGEST_SIDE, description="side of a window")
    stride: int | None = Field(default=None, ge=1, le=LARGEST_SIDE, description="between windows; default: size")
    of: Literal["drive", "activity"] = Field(
        default="drive",
        description="drive: what arrives is pooled, so there is one neuron for each window; activity: what the neurons send on",
    )

    def __str__(self) -> str:
        step = "" if self.stride in (None, self.size) else f" stride {self.stride}"
        return f"{self.kind.replace('_', ' ')} {self.size}{step}{' of activities' if self.of == 'activity' else ''}"


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class LayerSettings(Settings):
    """What all layers written as a section have."""

    normalise: Literal["batch"] | None = Field(
        default=None, description="batch: drives are normalised over the samples of a batch (Ioffe & Szegedy 2015)"
    )


class DenseSettings(LayerSettings):
    """A layer that every unit below reaches; a bare number stands for one."""

    dense: int = Field(ge=1, description="units")

    def __str__(self) -> str:
        return f"{self.dense}{', normalised' if self.normalise else ''}"


class ConvolutionSettings(LayerSettings):
    """A layer of images: each neuron sees a window of the images below, through weights that its channel shares."""

    conv: int = Field(ge=1, le=LARGEST_SIDE, description="channels")
    kernel: int = Field(default=3, ge=1, le=LARGEST_SIDE, description="side of the windows")
    stride: int = Field(default=1, ge=1, le=LARGEST_SIDE, description="between windows")
    padding: int = Field(default=0, ge=0, le=LARGEST_SIDE, description="zeros around the image")
    pool: Annotated[PoolSettings, BeforeValidator(_named, json_schema_input_type=PoolSettings | PoolKind)] | None = (
        Field(default=None, description="windows of this layer's images; a bare kind stands for its defaults")
    )

    def __str__(self) -> str:
        parts = [
            f"conv {self.conv} ({self.kernel}x{self.kernel})",
            f"stride {self.stride}" if self.stride > 1 else "",
            f"padding {self.padding}" if self.padding else "",
            "normalised" if self.normalise else "",
            str(self.pool or ""),
        ]
        return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class ImageShape:
    """The shape of an input, written ``1x28x28``."""

    channels: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width

    def __str__(self) -> str:
        return "x".join(map(str, self.shape))


def in_a_line(layers: Sequence[int | ImageShape | LayerSettings]) -> str:
    """Layers as ``64-32-10``, or with images or sections as ``1x8x8 - conv 6 (3x3), max 2 - 32 - 10``."""
    return ("-" if all(isinstance(layer, int) for layer in layers) else " - ").join(map(str, layers))


class AnyLayer:
    """Annotation of a layer: a number of units, the shape of an input, or a section."""

    @staticmethod
    def validate(value: Any, number: core_schema.ValidatorFunctionWrapHandler) -> int | ImageShape | LayerSettings:
        """A layer as the user wrote it."""
        if isinstance(value, ImageShape | LayerSettings):
            return value
        if isinstance(value, Mapping):
            section: type[LayerSettings] = DenseSettings if "dense" in value else ConvolutionSettings
            return section.model_validate(value)
        if isinstance(value, str) and (shape := _SHAPE.match(value)):
            return ImageShape(*map(int, shape.groups()))
        if isinstance(value, str):
            raise ValueError(
                f"expected units, a shape such as 1x28x28, or a section such as {{conv: 6}}, not {value!r}"
            )
        units: int = number(value)
        return units

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            self.validate,
            core_schema.int_schema(ge=1, strict=True),
            serialization=core_schema.plain_serializer_function_ser_schema(_plain),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        sections = [
            dict(handler.resolve_ref_schema(handler(section.__pydantic_core_schema__)))
            for section in (DenseSettings, ConvolutionSettings)
        ]
        shape = {"type": "string", "pattern": _SHAPE.pattern}
        return {"anyOf": [{"type": "integer", "minimum": 1}, shape, *sections]}


def _plain(layer: int | ImageShape | LayerSettings) -> Any:
    if isinstance(layer, LayerSettings):
        return layer.model_dump(mode="json")
    return str(layer) if isinstance(layer, ImageShape) else layer
