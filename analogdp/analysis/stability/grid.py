"""The points of a phase diagram: a scenario with every combination of values of two of its numbers."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from analogdp.errors import InputError, ScenarioError
from analogdp.registry import suggestion
from analogdp.scenario.loading import change_scenario
from analogdp.scenario.quantities import SYMBOLS, to_si
from analogdp.scenario.schema import MAX_SEED, Scenario
from analogdp.scenario.settings import Settings
from analogdp.scenario.variations import MOST, without_defaults

LOGARITHMIC = "log"
POINTS = 40
"""Along an axis that names no number."""
EXAMPLE = "neuron.alpha=0:1 or neuron.beta=0.1:2:20:log (20 values, evenly spaced in the logarithm)"
OF_TRAINING = ("name", "description", "learning", "export", "record", "measure", "energy")
"""Sections that inference does not depend on."""
OF_NO_AXIS = (*OF_TRAINING, "run")
"""Sections whose numbers would leave a diagram the same along an axis."""


@dataclass(frozen=True)
class Axis:
    """The values of one setting.

    Attributes:
        path: dotted, such as ``neuron.alpha``.
        values: SI, ascending, at least two.
        unit: as it is written behind numbers, or None.
        logarithmic: whether they are spaced so.
    """

    path: str
    values: tuple[float, ...]
    unit: str | None = None
    logarithmic: bool = False

    @property
    def label(self) -> str:
        """The setting with its unit."""
        return f"{self.path} ({self.unit})" if self.unit else self.path


@dataclass(frozen=True)
class Point:
    """One combination of values.

    Attributes:
        x, y: the values, SI.
        scenarios: resolved, one for each random network; none where the scenario is refused.
        refusal: why it is, or empty.
    """

    x: float
    y: float
    scenarios: tuple[Scenario, ...] = ()
    refusal: str = ""


AxisLike = Axis | str | tuple[str, Iterable[Any]]
"""An axis, its text, or a dotted path with its values."""


def axis_of(scenario: Scenario, wanted: AxisLike, name: str = "axis") -> Axis:
    """The axis that is meant, whichever way it is written.

    Args:
        scenario: whose setting it is.
        wanted: see :func:`parse_axis` for text, :func:`make_axis` for a path with values.
        name: what messages call it.

    Raises:
        InputError: this is no axis of the scenario.
    """
    if isinstance(wanted, Axis):
        return replace(make_axis(scenario, wanted.path, wanted.values), logarithmic=wanted.logarithmic)
    if isinstance(wanted, str):
        return parse_axis(scenario, wanted)
    if isinstance(wanted, Sequence) and len(wanted) == 2:
        return make_axis(scenario, *wanted)
    raise InputError(
        f'{name}: expected a setting with its values, such as ("neuron.alpha", [0, 0.5, 1]) or "neuron.alpha=0:1", not {wanted!r}'
    )


def refuse_unless_whole(name: str, value: Any, low: int, high: int, of: str = "") -> None:
    """Refuse what is not a whole number of a range.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"{name}: {value!r}; allowed: whole numbers from {low} to {high}{of}")


def parse_axis(scenario: Scenario, text: str, points: int = POINTS) -> Axis:
    """An axis as users write it: ``path=first:last``, then ``:number`` of values and ``:log`` if wanted.

    Args:
        scenario: whose setting it is.
        text: such as ``neuron.alpha=0:1`` or ``neuron.tau=1 us:100 us:20:log``, with or without quotes.
        points: how many, unless the text says so; of whole numbers no more than there are.

    Raises:
        InputError: this is no axis of the scenario.
    """
    path, equals, span = text.replace("'", "").replace('"', "").partition("=")
    ends = [part.strip() for part in span.split(":")]
    logarithmic = ends[-1] == LOGARITHMIC
    first, last, *counts = (*ends[: len(ends) - logarithmic], "", "")[: max(2, len(ends) - logarithmic)]
    if not equals or not first or not last or len(counts) > 1 or not all(part.isdecimal() for part in counts):
        raise InputError(f"{text or 'axis'}: expected section.key=first:last[:number][:log], such as {EXAMPLE}")
    path = path.strip()
    number = _Number.find(scenario, path)
    low, high = number.si(first), number.si(last)
    count = int(counts[0]) if counts else points
    refuse_unless_whole(f"{path}: number of points", count, 2, MOST)
    if not low < high:
        raise InputError(f"{path}: {first} to {last} is no range; write the smaller value first")
    if logarithmic and low <= 0:
        raise InputError(f"{path}: {first} has no logarithm; begin above 0, or leave :log out")
    number.refuse_broken((low, high))
    spaced = _spaced(low, high, count, logarithmic)
    values = sorted({float(math.floor(value + 0.5)) if number.whole else value for value in spaced})
    if len(values) < count and (counts or not number.whole):
        raise InputError(
            f"{path}: {count} points are more than there are values from {first} to {last}; take {len(values)}"
        )
    return Axis(path, tuple(values), number.symbol, logarithmic)


def make_axis(scenario: Scenario, path: str, values: Iterable[Any]) -> Axis:
    """An axis of given values: numbers, SI, or text with a unit.

    Raises:
        InputError: this is no axis of the scenario.
    """
    if not isinstance(path, str):
        raise InputError(f"axis: expected the dotted path of a setting, such as neuron.alpha, not {path!r}")
    number = _Number.find(scenario, path)
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{path}: expected several values, such as [0, 0.5, 1], not {values!r}")
    # Numbers of numpy and torch know how to become those of Python.
    plain = [number.si(value.item() if hasattr(value, "item") else value) for value in values]
    number.refuse_broken(plain)
    if twice := [value for value, times in Counter(plain).items() if times > 1]:
        raise InputError(f"{path}: {twice[0]:g} is given twice; give each value once")
    refuse_unless_whole(f"{path}: number of values", len(plain), 2, MOST)
    return Axis(path, tuple(sorted(plain)), number.symbol)


def points(scenario: Scenario, x: Axis, y: Axis, networks: int = 1, fixed: Sequence[str] = ()) -> list[Point]:
    """All combinations, x varying fastest.

    Args:
        scenario: what all else is taken from.
        x, y: of different settings.
        networks: random ones at each point, with seeds from the scenario's own on.
        fixed: sections that have to be as they are, which no axis can be of; points that change them otherwise are refused.

    Raises:
        InputError: too many points, or none that the scenario takes; an axis of a fixed section.
    """
    refuse_unless_whole("networks", networks, 1, MOST)
    if x.path == y.path:
        raise InputError(f"{x.path} is on both axes; choose two different settings")
    for own in (x, y):
        if own.path.partition(".")[0] in fixed:
            raise InputError(
                f"{own.path}: trained weights are those of the run's own; choose another axis, or leave the run out"
            )
    count = len(x.values) * len(y.values) * networks
    if count > MOST:
        raise InputError(
            f"{len(x.values)} x {len(y.values)} points of {networks} networks are {count}; allowed: up to {MOST} in all"
        )
    if {x.path, y.path} & {"seed"} and networks > 1:
        raise InputError("seed is on an axis, where each value is a network; use one network for each point")
    plain, whole = (
        _without_tolerance(scenario),
        {path for path in (x.path, y.path) if _Number.find(scenario, path).whole},
    )
    made = []
    for one in y.values:
        for other in x.values:
            values = {axis: int(value) if axis in whole else value for axis, value in ((x.path, other), (y.path, one))}
            try:
                made.append(Point(other, one, _networks(change_scenario(plain, values, "point"), networks)))
            except ScenarioError as error:
                reasons = "; ".join(f"{problem.path}: {problem.message}" for problem in error.problems)
                made.append(Point(other, one, refusal=reasons))
    made = [_unless_changed(point, scenario, fixed) for point in made]
    if all(point.refusal for point in made):
        raise InputError(f"no point of the diagram is a scenario. The first: {made[0].refusal}")
    return made


def together(scenario: Scenario) -> str:
    """What scenarios must have in common for their networks to be simulated side by side on the axis of chips."""
    common = scenario.model_dump(mode="json", exclude=set(OF_TRAINING))
    for name in scenario.neuron.may_differ:
        del common["neuron"][name]
    # The tolerance is that of each sample's own beta.
    common["dynamics"].get("settle", {}).pop("tolerance", None)
    if not scenario.dynamics.same_for_all:
        del common["seed"]
    if scenario.neuron.may_differ:
        spread = scenario.mismatch
        common["mismatch"] = [bool(spread.gain), bool(spread.offset)]
    return json.dumps(common, sort_keys=True)


@dataclass(frozen=True)
class _Number:
    """A setting that is a number: its path, its unit as conversions want it, and whether it is a whole one."""

    path: str
    unit: str
    whole: bool

    @classmethod
    def find(cls, scenario: Scenario, path: str) -> _Number:
        """The setting at a dotted path.

        Raises:
            InputError: there is none, it is no number, or inference does not depend on it.
        """
        *sections, name = path.split(".")
        section: Any = scenario
        for depth, key in enumerate(sections):
            section = getattr(section, _known(section, key, path))
            if not isinstance(section, Settings):
                inner = ".".join(sections[: depth + 1])
                what = "not set in this scenario" if section is None else "no section"
                raise InputError(f"{path}: {inner} is {what}; choose a setting that is a number, such as neuron.alpha")
        takes = _validator(section, _known(section, name, path))
        units = [None, *(unit for unit in SYMBOLS if any(takes(f"{value} {SYMBOLS[unit]}") for value in _EXAMPLES))]
        if not any(map(takes, _EXAMPLES)):
            raise InputError(f"{path} is no number; choose a setting that is one, such as neuron.alpha")
        if path.partition(".")[0] in OF_NO_AXIS:
            raise InputError(
                f"inference does not depend on {path}; choose a setting that matters, such as neuron.alpha"
            )
        ratio = len(units) == 1 or any(takes(f"{value} %") for value in _EXAMPLES)
        return cls(path, "dimensionless" if ratio else str(units[1]), not any(map(takes, _BROKEN)))

    @property
    def symbol(self) -> str | None:
        """The unit as it is written behind numbers."""
        return SYMBOLS.get(self.unit)

    def refuse_broken(self, values: Iterable[float]) -> None:
        """Refuse values with a fraction, where whole ones are wanted.

        Raises:
            InputError: there is one.
        """
        if self.whole and (broken := [value for value in values if not value.is_integer()]):
            raise InputError(f"{self.path}: {broken[0]:g} is no whole number; take {math.floor(broken[0])}")

    def si(self, value: Any) -> float:
        """A value of it as a number in SI units.

        Raises:
            InputError: it is none.
        """
        try:
            number = to_si(value, self.unit)
        except ValueError as error:
            raise InputError(f"{self.path}: {error}") from None
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise InputError(f"{self.path}: expected numbers, not {value!r}")
        return float(number)


_BROKEN = (0.5, 1e-6, 1.5, 20.5)
_EXAMPLES = (*_BROKEN, 0, 1, 2, 10)
"""Numbers of which every setting that is one takes some."""


def _validator(section: Settings, name: str) -> Callable[[Any], bool]:
    """Whether a section takes a value of one of its settings."""
    others = section.model_dump(mode="json")

    def takes(value: Any) -> bool:
        try:
            type(section).model_validate({**others, name: value})
        except ValidationError:
            return False
        return True

    return takes


def _known(section: Settings, key: str, path: str) -> str:
    fields = type(section).model_fields
    if key not in fields:
        raise InputError(f"{path}: there is no setting {key!r}: {suggestion(key, fields)}")
    return key


def _spaced(low: float, high: float, count: int, logarithmic: bool) -> list[float]:
    """Values at even distances, or ratios, without the last digits that rounding leaves."""
    shares = [number / (count - 1) for number in range(count)]
    spaced = [low * (high / low) ** share if logarithmic else low + (high - low) * share for share in shares]
    return [low, *(float(f"{value:.10g}") for value in spaced[1:-1]), high]


def _without_tolerance(scenario: Scenario) -> dict[str, Any]:
    """The scenario as plain data without its defaults; a tolerance that follows from beta goes on to do so."""
    plain = without_defaults(scenario)
    settle = plain["dynamics"].get("settle", {})
    tolerance = settle.pop("tolerance", None)
    if tolerance is not None and Scenario.model_validate(plain) != scenario:
        settle["tolerance"] = tolerance
    return plain


def _networks(scenario: Scenario, count: int) -> tuple[Scenario, ...]:
    if scenario.seed + count - 1 > MAX_SEED:
        raise InputError(f"networks: {count} seeds from {scenario.seed} on go beyond {MAX_SEED}; take fewer")
    seeds = range(scenario.seed, scenario.seed + count)
    return tuple(scenario if seed == scenario.seed else scenario.model_copy(update={"seed": seed}) for seed in seeds)


def _unless_changed(point: Point, scenario: Scenario, fixed: Sequence[str]) -> Point:
    """A point, refused where a section differs that has to be as it is."""
    changed = [
        name for name in fixed if point.scenarios and getattr(point.scenarios[0], name) != getattr(scenario, name)
    ]
    if not changed:
        return point
    return Point(point.x, point.y, refusal=f"{changed[0]}: trained weights are those of the run's own {changed[0]}")
