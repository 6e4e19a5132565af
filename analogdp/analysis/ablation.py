"""An ablation: which scenarios tell what each non-ideality costs, and what their runs say about it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analogdp import registry
from analogdp.analysis.nonidealities import NONIDEALITIES, Changes, Nonideality, Plain, changed, present, without
from analogdp.errors import InputError
from analogdp.learning import PlasticityRule
from analogdp.registry import suggestion
from analogdp.scenario import Scenario
from analogdp.scenario.problems import problems_from

Mode = Literal["without", "alone", "both"]
MODES: tuple[Mode, ...] = get_args(Mode)
Kind = Literal["full", "ideal", "ideal_weights", "without", "alone"]
Status = Literal["finished", "diverged", "refused"]
Metric = Literal["test_accuracy", "test_loss"]

DIGITAL = ("optimizer", "rate", "bias_rate", "momentum")
"""Settings of learning that ideal weights have defaults of their own for."""


class Record(BaseModel):
    """What is kept in ``ablation.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Outcome(Record):
    """How one run of a variant ended.

    Attributes:
        seed: of the run.
        directory: of the run, in that of the ablation.
        status: ``finished``, ``diverged``, or ``refused`` where the scenario cannot be simulated.
        reason: why not finished.
        values: the metric at the last evaluation by chip; none unless finished.
    """

    seed: int
    directory: str
    status: Status
    reason: str = ""
    values: dict[int, float] = {}


class Cost(NamedTuple):
    """What a non-ideality costs: the mean over pairs of equal seed and chip, and its standard error.

    ``error`` is None for a single pair.
    """

    mean: float
    error: float | None
    pairs: int


class Variant(Record):
    """The scenario with some of its non-idealities switched off.

    Attributes:
        name: of the variant, and of its run directories with the seed.
        kind: the scenario as it is; with everything ideal; the same with ideal weights; or without one, or with one alone.
        nonideality: which one.
        description: in words.
        changes: values by the paths of the settings that differ from the scenario as it is.
        refusal: why there is no such scenario.
        outcomes: of its runs, a seed after the other.
    """

    name: str
    kind: Kind
    nonideality: str | None = None
    description: str
    changes: dict[str, Any] = {}
    refusal: str = ""
    outcomes: tuple[Outcome, ...] = ()

    @property
    def values(self) -> dict[tuple[int, int], float]:
        """The metric by seed and chip, of all runs that finished."""
        return {(each.seed, chip): value for each in self.outcomes for chip, value in each.values.items()}

    @property
    def mean(self) -> float | None:
        """Of the metric over seeds and chips."""
        return statistics.fmean(self.values.values()) if self.values else None

    @property
    def trouble(self) -> str:
        """Why results are missing; empty if none are."""
        if self.refusal:
            return f"refused: {self.refusal}"
        failed = [each for each in self.outcomes if each.status != "finished"]
        seeds = f" (seed {', '.join(str(each.seed) for each in failed)})" if len(failed) < len(self.outcomes) else ""
        return f"{failed[0].status}{seeds}: {failed[0].reason}" if failed else ""


class Ablation(Record):
    """What each non-ideality of a scenario costs.

    Attributes:
        scenario: its name.
        metric: ``test_accuracy``, or ``test_loss`` for regression, at the end of training and with all noise.
        seeds: of the runs; runs of one seed share their data, initial weights and devices.
        variants: first the scenario as it is, then everything ideal, then ideal weights, then the non-idealities.
        directory: of the ablation, which the file in it does not tell.
    """

    scenario: str
    metric: Metric
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]
    directory: Path | None = Field(default=None, exclude=True)

    def of(self, kind: Kind) -> list[Variant]:
        """The variants of a kind."""
        return [each for each in self.variants if each.kind == kind]

    def variant(self, name: str) -> Variant:
        """The variant called ``name``.

        Raises:
            InputError: there is none.
        """
        known = {each.name: each for each in self.variants}
        if name not in known:
            raise InputError(f"unknown variant {name!r}: {suggestion(name, known)}")
        return known[name]

    def cost(self, variant: Variant) -> Cost | None:
        """What a variant's non-ideality costs, in the metric; positive is worse. None where no pair of runs finished.

        Of one that is missing: what the scenario as it is does worse than without. Of one that is alone: what it does worse
        than everything ideal. Of what is ideal: what the scenario as it is does worse.
        """
        if variant.kind == "full":
            return None
        better, worse = (self.of("ideal")[0], variant) if variant.kind == "alone" else (variant, self.of("full")[0])
        above, below = better.values, worse.values
        sign = 1.0 if self.metric == "test_accuracy" else -1.0
        return paired({key: sign * (above[key] - below[key]) for key in above if key in below})

    def sorted(self, kind: Kind) -> list[Variant]:
        """The variants of a kind, the most costly first, those without a result last."""
        costs = {each.name: self.cost(each) for each in self.of(kind)}

        def rank(variant: Variant) -> float:
            cost = costs[variant.name]
            return math.inf if cost is None else -cost.mean

        return sorted(self.of(kind), key=rank)

    def to_json(self) -> str:
        """The file's text."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> Ablation:
        """What :meth:`to_json` wrote to a file.

        Raises:
            InputError: there is none, or it is damaged.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError(f"{path}: no results of an ablation: {error}") from error


def paired(differences: Mapping[tuple[int, int], float]) -> Cost | None:
    """Mean and standard error of differences by seed and chip; None without any.

    Chips of one seed share their data and initial weights, so seeds are what is independent, and chips only where there is
    one seed. With sums r over the deviations from the mean within each of k clusters, and n differences in all,

        error^2 = k / (k - 1) sum r^2 / n^2        Liang & Zeger, Biometrika 73, 13 (1986), for a mean

    which is std(means of seeds) / sqrt(k) where seeds have equally many chips.
    """
    if not differences:
        return None
    mean, seeds = statistics.fmean(differences.values()), {seed for seed, _ in differences}
    sums: dict[tuple[int, ...], float] = {}
    for (seed, chip), difference in differences.items():
        cluster = (seed,) if len(seeds) > 1 else (seed, chip)
        sums[cluster] = sums.get(cluster, 0.0) + difference - mean
    count, clusters = len(differences), len(sums)
    spread = math.sqrt(sum(own**2 for own in sums.values())) / count
    return Cost(mean, spread * math.sqrt(clusters / (clusters - 1)) if clusters > 1 else None, count)


def plan(
    scenario: Scenario, mode: Mode = "without", only: Iterable[str] | None = None
) -> list[tuple[Variant, Scenario | None]]:
    """All variants of a scenario with their scenarios, None for those that the schema refuses.

    Args:
        scenario: as it is.
        mode: ``without``: everything but one non-ideality at a time; ``alone``: one at a time; or ``both``.
        only: which non-idealities; None for all that the scenario has.

    Raises:
        InputError: an unknown mode or non-ideality, or one that the scenario does not have.
    """
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}: {suggestion(mode, MODES)}")
    plain = scenario.model_dump(mode="json")

    def ideal() -> Changes:
        return without(plain, NONIDEALITIES)

    def ideal_weights() -> Changes:
        numbers = {f"learning.{name}": None for name in DIGITAL if name in plain["learning"]}
        others = {path: value for path, value in ideal().items() if not path.startswith("synapse.")}
        rule: type[PlasticityRule] = registry.plasticity.get(plain["learning"]["rule"])
        return {**others, **numbers, "synapse": {"model": "ideal" if rule.polarities == ("both",) else "pair"}}

    planned = [
        _planned(plain, dict, name="full", kind="full", description="the scenario as it is"),
        _planned(plain, ideal, name="ideal", kind="ideal", description="everything ideal"),
    ]
    if scenario.synapse.written_by_pulses:
        description = "everything ideal, with ideal weights"
        planned.append(
            _planned(plain, ideal_weights, name="ideal-weights", kind="ideal_weights", description=description)
        )
    for each in _chosen(plain, only):
        rest = [other for other in NONIDEALITIES if other is not each]
        ways: dict[Kind, Callable[[], Changes]] = {
            "without": partial(each.changes, plain),
            "alone": partial(without, plain, rest),
        }
        planned += [
            _planned(
                plain,
                way,
                name=f"{kind}-{each.name}",
                kind=kind,
                nonideality=each.name,
                description=each.description,
            )
            for kind, way in ways.items()
            if mode in (kind, "both")
        ]
    return planned


def _chosen(plain: Plain, only: Iterable[str] | None) -> list[Nonideality]:
    here = present(plain)
    if not here:
        raise InputError("everything about this scenario is ideal; there is nothing to switch off")
    if only is None:
        return here
    wanted, names = tuple(only), [each.name for each in here]
    known = [each.name for each in NONIDEALITIES]
    for name in wanted:
        if name not in known:
            raise InputError(f"unknown non-ideality {name!r}: {suggestion(name, known)}")
        if name not in names:
            raise InputError(f"this scenario has no {name}; it has {', '.join(names)}")
    if not wanted:
        raise InputError(f"no non-ideality is named; this scenario has {', '.join(names)}")
    return [each for each in here if each.name in wanted]


def _planned(
    plain: Plain,
    changes: Callable[[], Changes],
    *,
    name: str,
    kind: Kind,
    description: str,
    nonideality: str | None = None,
) -> tuple[Variant, Scenario | None]:
    """A variant with its scenario, or with the reason why there is none."""
    found, refusal, scenario = {}, "", None
    try:
        found = changes()
        scenario = Scenario.model_validate(changed(plain, found))
    except ValidationError as error:
        refusal = "; ".join(map(str, problems_from(error)))
    variant = Variant(
        name=name, kind=kind, nonideality=nonideality, description=description, changes=found, refusal=refusal
    )
    return variant, scenario
