"""Imports point one way: a room may import the rooms below it, and none above it or beside it."""

import ast
from pathlib import Path

import pytest

import analogdp

PACKAGE = Path(analogdp.__file__).parent
LEVELS = [
    {"cli"},
    {"ablation", "aging", "diagrams", "replicas", "transfer", "transplant"},
    {"api"},
    {"reports"},
    {"imports"},
    {"exports", "runs"},
    {"verification"},
    {"analysis"},
    {"learning"},
    {"dynamics"},
    {"network", "nn"},
    {"synapses", "neurons", "fitting"},
    {"devices"},
    {"data"},
    {"scenario"},
    {"streams", "files", "registry", "errors", "library"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
GROUND = len(LEVELS) - 1
FRONT = {"__init__.py", "__main__.py"}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).as_posix() not in FRONT)


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(source):
    """The rooms that a module's source imports anything from, with the line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "analogdp":
            names = [f"analogdp.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        else:
            continue
        for name in names:
            room = name.removeprefix("analogdp.").split(".")[0]
            if name.startswith("analogdp.") and room != "__version__":
                yield room, node.lineno


def forbidden(room, other):
    if room == other:
        return False
    if LEVEL[room] == LEVEL[other] == GROUND:
        return False
    return LEVEL[other] <= LEVEL[room]


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_rooms_below_its_own(path):
    wrong = [
        f"line {line}: {room}" for room, line in imported_rooms(path.read_text()) if forbidden(room_of(path), room)
    ]
    assert not wrong


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_imports_relative_to_itself(path):
    tree = ast.parse(path.read_text())
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


def test_an_upward_and_a_sideways_import_are_found():
    source = "def f():\n    from analogdp import api\nfrom analogdp.neurons.base import NeuronModel\n"
    assert {room for room, _ in imported_rooms(source) if forbidden("synapses", room)} == {"api", "neurons"}


def test_the_rooms_on_the_ground_import_each_other_in_no_circle():
    imports = {
        room: {other for other, _ in imported_rooms((PACKAGE / f"{room}.py").read_text())} for room in LEVELS[-1]
    }
    while free := {room for room, others in imports.items() if not others & imports.keys()}:
        imports = {room: others for room, others in imports.items() if room not in free}
    assert not imports
