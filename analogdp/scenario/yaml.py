"""Reading YAML that somebody else wrote: plain data only, within bounds, with the line of every key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from analogdp.errors import Problem, ScenarioError

MOST_BYTES = 1_000_000
MOST_VALUES = 100_000
MOST_LEVELS = 50


class Place(NamedTuple):
    """Where something was written: the file (or option) and the line, where there is one."""

    file: str
    line: int | None = None


@dataclass(frozen=True)
class Document:
    """What a YAML file says.

    Attributes:
        data: plain data: mappings with text keys, lists, text, numbers, true, false and None.
        places: where each dotted path was written, such as ``neuron.alpha`` or ``network.layers.0``; the whole has
            the path "".
    """

    data: Any
    places: Mapping[str, Place] = field(default_factory=dict)

    def place(self, path: str) -> Place | None:
        """Where ``path`` was written, or the nearest section around it."""
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        return self.places.get(path)

    def problem(self, path: str, message: str) -> Problem:
        """A problem at ``path``, with its place."""
        place = self.place(path)
        return Problem(path, message, *place) if place else Problem(path, message)


def read_yaml(path: str | Path) -> Document:
    """Read a YAML file of at most 1 MB.

    Raises:
        ScenarioError: the file cannot be read or is not such plain data; says what and where.
    """
    path = Path(path)
    return parse_yaml(_read_text(path), str(path))


def parse_yaml(text: str, name: str) -> Document:
    """What YAML text says; ``name`` stands for the file in messages.

    Raises:
        ScenarioError: not YAML, or not plain data.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        _refuse(name, mark.line + 1 if mark else None, f"this is not YAML: {reason}")
    except yaml.YAMLError as error:
        _refuse(name, None, f"this is not YAML: {error}")
    except RecursionError:
        _refuse(name, None, f"nested too deeply; allowed: {MOST_LEVELS} levels")
    if root is None:
        _refuse(name, None, "the file is empty; write at least one line, such as 'name: my-first'")
    _Size(name).check(root)
    reader = _Reader(name)
    return Document(reader.read(root, ""), reader.places)


def dump_yaml(data: Any) -> str:
    """Plain data as YAML text that reads back as the same data, keys in their order, lists within a line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=False)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        _refuse(str(path), None, f"there is no such file{_nearest_file(path)}")
    except IsADirectoryError:
        files = sorted(file.name for file in path.glob("*.yaml"))
        hint = f"; it holds {', '.join(files[:10])}" if files else ""
        _refuse(str(path), None, f"this is a directory, not a file{hint}")
    except (OSError, ValueError) as error:
        _refuse(str(path), None, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    if len(content) > MOST_BYTES:
        _refuse(str(path), None, f"the file is larger than {MOST_BYTES // 1_000_000} MB; is it really YAML?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(str(path), line, f"byte {error.start} is not UTF-8 text; save the file as UTF-8")


def _nearest_file(path: Path) -> str:
    try:
        names = [file.name for file in path.parent.iterdir() if file.suffix in (".yaml", ".yml")]
    except OSError:
        return f", nor a directory {path.parent}"
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""


def _refuse(name: str, line: int | None, message: str) -> NoReturn:
    raise ScenarioError([Problem("", message, name, line)])


class _Loader(yaml.SafeLoader):
    """The scalars of YAML 1.2's core schema: 1e-3 is a number, and no, on and 12:30 are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML has it


class _Dumper(yaml.SafeDumper):
    """Quotes what the loader would not read as text."""


_FLOAT = r"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?\d+|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> ScalarNode:
    # PyYAML writes these line breaks as they are, and reads them back as a space.
    style = '"' if set(text) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, lambda dumper, values: dumper.represent_sequence("tag:yaml.org,2002:seq", values, True))


class _Size:
    """Bounds on what a document expands to, found from its nodes: an alias costs what its anchor costs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.known: dict[int, tuple[int, int]] = {}
        self.open: set[int] = set()

    def check(self, root: Node) -> None:
        values, _ = self.measure(root)
        if values > MOST_VALUES:
            _refuse(
                self.name,
                None,
                f"its aliases expand to more than {MOST_VALUES} values; write them out or leave them out",
            )

    def measure(self, node: Node) -> tuple[int, int]:
        """How many values a node expands to, and how deep it is."""
        if isinstance(node, ScalarNode):
            return 1, 0
        line = node.start_mark.line + 1
        if id(node) in self.open:
            _refuse(self.name, line, "an alias stands within its own anchor")
        if id(node) not in self.known:
            self.open.add(id(node))
            children = [self.measure(child) for child in _children(node)]
            self.open.remove(id(node))
            levels = 1 + max((level for _, level in children), default=0)
            if levels > MOST_LEVELS or len(self.open) > MOST_LEVELS:
                _refuse(self.name, line, f"nested too deeply; allowed: {MOST_LEVELS} levels")
            self.known[id(node)] = 1 + sum(values for values, _ in children), levels
        return self.known[id(node)]


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value)


class _Reader:
    """Turns nodes into plain data and notes where each path was written."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[str, Place] = {"": Place(name)}

    def read(self, node: Node, path: str) -> Any:
        if isinstance(node, MappingNode):
            self._require_tag(node, "map")
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            self._require_tag(node, "seq")
            return [self._child(child, child, path, str(index)) for index, child in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: MappingNode, path: str) -> dict[str, Any]:
        data: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag.endswith(":merge"):
                _refuse(
                    self.name,
                    line,
                    "merge keys (<<) are not read; use 'extends: other-file.yaml', or write the keys out",
                )
            key = self._scalar(key_node) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                _refuse(
                    self.name,
                    line,
                    f"keys must be names, not {key_node.value if key is not None else 'lists or mappings'}",
                )
            if key in data:
                _refuse(self.name, line, f"key {key!r} stands twice, first in line {lines[key]}; remove one")
            lines[key] = line
            data[key] = self._child(key_node, value, path, key)
        return data

    def _child(self, at: Node, node: Node, path: str, key: str) -> Any:
        inner = f"{path}.{key}" if path else key
        self.places[inner] = Place(self.name, at.start_mark.line + 1)
        return self.read(node, inner)

    def _scalar(self, node: Node) -> Any:
        for kind in ("str", "int", "float", "bool", "null"):
            if node.tag == f"tag:yaml.org,2002:{kind}":
                break
        else:
            self._require_tag(node, "str")
        text = str(node.value)
        try:
            return _CONVERT[kind](text)
        except ValueError as error:
            reason = "is too long a number" if "digits" in str(error) else f"is not of the type {kind}"
            _refuse(self.name, node.start_mark.line + 1, f"{text[:40]!r} {reason}")

    def _require_tag(self, node: Node, kind: str) -> None:
        if node.tag != f"tag:yaml.org,2002:{kind}":
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            _refuse(
                self.name,
                node.start_mark.line + 1,
                f"the tag {tag[:60]!r} asks for an object; only plain data is read, remove the tag",
            )


def _to_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _to_int(text: str) -> int:
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


_CONVERT: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": _to_int,
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    "bool": _to_bool,
    "null": lambda text: None,
}
