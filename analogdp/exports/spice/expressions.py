"""Equations of neurons as expressions of a circuit: arithmetic of node voltages that ngspice, LTspice and Xyce all read."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import NamedTuple

from analogdp.errors import InputError

OPERATORS: dict[type[ast.operator], tuple[str, int]] = {
    ast.Add: (" + ", 1),
    ast.Sub: (" - ", 1),
    ast.Mult: ("*", 2),
    ast.Div: ("/", 2),
}
"""Signs and how tightly they bind; a long line is continued at the spaces of sums."""

ATOM = 3
"""How tightly numbers, voltages and calls hold together."""

FUNCTIONS = ("exp", "tanh")
"""Functions of one argument that have the same name in a circuit."""


class _Piece(NamedTuple):
    text: str
    binding: int

    def within(self, binding: int) -> str:
        """The text as an operand of what binds so tightly."""
        return self.text if self.binding >= binding else f"({self.text})"


class Expressions:
    """Texts of a neuron's equations in the words of a circuit.

    Args:
        definitions: expressions by name, which are written out wherever the name is used.
        values: what stands for a name in the circuit: a node voltage such as ``V(beta)``, or a number; goes before definitions.
    """

    def __init__(self, definitions: Mapping[str, str], values: Mapping[str, str | float]) -> None:
        self._definitions, self._values = definitions, values

    def of(self, text: str) -> str:
        """An expression in the circuit's words.

        Args:
            text: arithmetic with ``exp``, ``tanh`` and ``clip``, of known names and numbers.

        Raises:
            InputError: it has parts that a circuit has no counterpart of.
        """
        return self._piece(_parsed(text), ()).text

    def _piece(self, node: ast.expr, inside: tuple[str, ...]) -> _Piece:
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return self._joined(node, inside)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return _Piece(f"-{self._piece(node.operand, inside).within(ATOM)}", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return _number(float(node.value))
        if isinstance(node, ast.Name):
            return self._named(node.id, inside)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._called(node.func.id, node.args, inside)
        raise _untranslatable(ast.unparse(node))

    def _joined(self, node: ast.BinOp, inside: tuple[str, ...]) -> _Piece:
        left, right = self._piece(node.left, inside), self._piece(node.right, inside)
        if isinstance(node.op, ast.Add) and right.text == "0":
            return left
        sign, binding = OPERATORS[type(node.op)]
        commutes = isinstance(node.op, (ast.Add, ast.Mult))
        return _Piece(f"{left.within(binding)}{sign}{right.within(binding if commutes else binding + 1)}", binding)

    def _named(self, name: str, inside: tuple[str, ...]) -> _Piece:
        value = self._values.get(name)
        if isinstance(value, str):
            return _Piece(value, ATOM)
        if value is not None:
            return _number(value)
        if name not in self._definitions or name in inside:
            raise _untranslatable(name)
        return self._piece(_parsed(self._definitions[name]), (*inside, name))

    def _called(self, name: str, arguments: list[ast.expr], inside: tuple[str, ...]) -> _Piece:
        if name in FUNCTIONS and len(arguments) == 1:
            return _Piece(f"{name}({self._piece(arguments[0], inside).text})", ATOM)
        if name != "clip" or len(arguments) != 3:
            raise _untranslatable(f"{name}() of {len(arguments)} arguments")
        clipped, *bounds = arguments
        piece = self._piece(clipped, inside)
        for function, bound in zip(("max", "min"), bounds, strict=True):
            if not _infinite(bound):
                piece = _Piece(f"{function}({piece.text}, {self._piece(bound, inside).text})", ATOM)
        return piece


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        raise _untranslatable(text) from None


def _infinite(bound: ast.expr) -> bool:
    inner = bound.operand if isinstance(bound, ast.UnaryOp) else bound
    return isinstance(inner, ast.Name) and inner.id == "inf"


def _number(value: float) -> _Piece:
    """A number without a unit's letter, of which SPICE's M is milli."""
    if not math.isfinite(value):
        raise _untranslatable(str(value))
    return _Piece(f"{value:g}" if value == int(value) and abs(value) < 1e6 else repr(value), ATOM if value >= 0 else 0)


def _untranslatable(text: str) -> InputError:
    return InputError(f"spice: {text!r} in the equations of the neurons has no counterpart in a circuit")
