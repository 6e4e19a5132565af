"""Reads pickles as data: dictionaries, lists, tuples, text, bytes, numbers and numpy arrays. Nothing is ever executed.

A pickle is a program for a small stack machine, and Python's own reader calls whatever function it names. This one
carries out the instructions that data sets need (Python's ``pickletools`` tells them apart) and refuses all others, by name.
"""

from __future__ import annotations

import mmap
import pickletools
from collections.abc import Callable
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogdp.errors import InputError

NUMBERS = frozenset(("b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"))
"""Element types of arrays, as numpy writes them."""


def read_pickle_file(path: Path) -> dict[str, Any]:
    """The dictionary in a file of one pickle, see :func:`read_pickle`.

    Raises:
        InputError: the file cannot be read, is damaged, or is more than data.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return read_pickle(content, str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # An empty file cannot be mapped.
        raise InputError(f"{path} is empty; get it again") from error


def read_pickle(content: bytes | mmap.mmap, name: str) -> dict[str, Any]:
    """The dictionary that a pickle holds; its keys become text, where they were bytes of Python 2.

    Args:
        content: the pickle.
        name: what to call it in messages.

    Raises:
        InputError: it is damaged, names a function, or holds something else.
    """
    machine = _Machine(name)
    try:
        value = machine.run(BytesIO(content) if isinstance(content, bytes) else content)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise InputError(f"{name} is damaged ({error}); get it again") from error
    if not isinstance(value, dict):
        raise InputError(f"{name} holds no dictionary, but {type(value).__name__}; it is not the file it should be")
    return {_text(key): item for key, item in value.items()}


class _Machine:
    """The stack machine of pickles, for data."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, content: BytesIO | mmap.mmap) -> object:
        """What stands on the stack at the end."""
        for instruction, argument, _ in pickletools.genops(content):  # type: ignore[arg-type]
            self.step(instruction.name, argument)
        return self.stack.pop()

    def step(self, instruction: str, argument: Any) -> None:
        match instruction:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT":
                self.stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                self.stack.append(argument)
            case "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
                self.stack.append(argument)
            case "BINSTRING" | "SHORT_BINSTRING":  # Bytes of Python 2, which pickletools shows as text.
                self.stack.append(argument.encode("latin-1"))
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                self.stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[instruction])
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                self.stack.append({"EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": ()}[instruction])
            case "MARK":
                self.marks.append(len(self.stack))
            case "TUPLE":
                self.stack.append(tuple(self.since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.stack.append(tuple(self.top(int(instruction[-1]))))
            case "APPEND" | "APPENDS":
                items = self.since_mark() if instruction == "APPENDS" else self.top(1)
                self.under(list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self.since_mark() if instruction == "SETITEMS" else self.top(2)
                self.under(dict).update(zip(map(_key, items[::2]), items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "GLOBAL" | "STACK_GLOBAL":
                path = argument.replace(" ", ".") if argument else ".".join(map(_text, self.top(2)))
                self.stack.append(self.known(path))
            case "REDUCE":
                function, arguments = self.top(2)
                if not isinstance(function, _Function) or not isinstance(arguments, tuple):
                    raise ValueError("a call of something that is no function")
                self.stack.append(function.make(*arguments))
            case "BUILD":
                (state,) = self.top(1)
                _fill(self.stack[-1], state)
            case _:
                raise InputError(f"{self.name} is no plain data: it has the instruction {instruction}. {_ADVICE}")

    def top(self, count: int) -> list[Any]:
        """The last values, taken from the stack."""
        if len(self.stack) < count:
            raise ValueError("the stack is empty")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def since_mark(self) -> list[Any]:
        """The values since the last mark, taken from the stack."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def under(self, kind: type) -> Any:
        """The container that values are put into."""
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"values for a {kind.__name__} where there is none")
        return self.stack[-1]

    def known(self, path: str) -> _Function:
        """The stand-in for a function that a pickle names.

        Raises:
            InputError: no data set needs it.
        """
        make = _FUNCTIONS.get(path.replace("numpy._core.", "numpy.core."))
        if make is None:
            raise InputError(f"{self.name} is no plain data: it would call {path}. {_ADVICE}")
        return _Function(make)


_ADVICE = "Such a file can do harm, and this one was not executed; get it again from its publisher"


class _Function:
    """A function of ours that stands for one that a pickle names."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


def _blank(*_: object) -> NDArray[Any]:
    """An array that is yet to be filled."""
    return np.empty(0, np.uint8)


def _kind(code: str | bytes, *_: object) -> np.dtype[Any]:
    if _text(code) not in NUMBERS:
        raise ValueError(f"an array of {_text(code)}, not of numbers")
    return np.dtype(f"<{_text(code)}")


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, as Python 3 writes them for Python 2."""
    if encoding != "latin1":
        raise ValueError(f"bytes written as {encoding}")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    """No bytes, as Python 3 writes them for Python 2; with a number, ``bytes`` would take as much memory as it says."""
    return b""


def _scalar(kind: np.dtype[Any], data: bytes) -> np.generic:
    number: np.generic = _from_buffer(data, kind, (1,), "C")[0]
    return number


def _from_buffer(data: bytes, kind: np.dtype[Any], shape: tuple[int, ...], order: str) -> NDArray[Any]:
    _check(data, kind, shape)
    return np.frombuffer(data, kind).reshape(shape, order="F" if order == "F" else "C")


def _no_type(*_: object) -> None:
    raise ValueError("an array without a shape")


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray._reconstruct": _blank,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy.ndarray": _no_type,
    "numpy.dtype": _kind,
    "_codecs.encode": _encoded,
    "__builtin__.bytes": _no_bytes,
}


def _fill(target: object, state: Any) -> None:
    """Give a new array its content, or hear of the byte order of a type."""
    if isinstance(target, np.dtype) and isinstance(state, tuple) and _text(state[1]) in ("<", "|", "="):
        return
    if not isinstance(target, np.ndarray) or target.size or target.base is not None:
        raise ValueError("a state for something that has none, or a type of another byte order")
    _, shape, kind, by_columns, data = state
    _check(data, kind, shape)
    target.__setstate__((1, shape, kind, bool(by_columns), bytes(data)))  # type: ignore[arg-type]


def _check(data: object, kind: object, shape: object) -> None:
    """Refuse an array whose parts do not fit together, before numpy sees them."""
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array of shape {shape}")
    if not isinstance(data, bytes | bytearray) or not isinstance(kind, np.dtype):
        raise ValueError("an array that holds no numbers")
    if len(data) != prod(shape) * kind.itemsize:
        raise ValueError(f"an array of {shape} numbers in {len(data)} bytes")


def _key(value: object) -> str | bytes | int:
    if not isinstance(value, str | bytes | int):
        raise TypeError(f"a key that is a {type(value).__name__}")
    return value


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
