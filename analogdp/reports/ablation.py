"""What each non-ideality of a scenario costs: the table and the picture."""

from __future__ import annotations

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analogdp.analysis.ablation import Ablation, Cost, Kind, Variant
from analogdp.reports.pictures import canvas
from analogdp.reports.style import BLACK, BLUE, GREEN, VERMILLION

_LONGEST_TROUBLE = 60
_FURTHEST = 2.0
"""How far from the bars, in their reach, a line may be that the picture is stretched for."""
_TITLES = {"without": "What each one costs on top of the others", "alone": "What each one costs alone"}
_ENDS = {"without": ("as it is", "everything ideal"), "alone": ("everything ideal", "as it is")}


def ablation_header(ablation: Ablation) -> tuple[str, ...]:
    """Of :func:`ablation_rows`."""
    return ("variant", ablation.metric.replace("_", " "), "cost", "pairs", "what is different")


def ablation_rows(ablation: Ablation) -> list[tuple[str, ...]]:
    """A line for each variant: the references, then the non-idealities, the most costly first."""
    kinds: tuple[Kind, ...] = ("full", "ideal", "ideal_weights", "without", "alone")
    return [_row(ablation, variant) for kind in kinds for variant in ablation.sorted(kind)]


def ablation_caption(ablation: Ablation) -> str:
    """What the numbers are."""
    unit = "percentage points" if _accuracy(ablation) else "units of the loss"
    seeds = ", ".join(map(str, ablation.seeds))
    return (
        f"Costs in {unit}, positive is worse: means of paired differences ± their standard error, over chips and seeds {seeds}. "
        "Without one: the scenario as it is against it without that one; alone: against everything ideal; ideal: the scenario as "
        "it is against that."
    )


def draw_ablation(ablation: Ablation) -> Figure:
    """Costs as horizontal bars, the largest on top, between the scenario as it is and everything ideal."""
    kinds: list[Kind] = [kind for kind in ("without", "alone") if ablation.of(kind)]
    bars = max(len(ablation.of(kind)) for kind in kinds)
    figure, axes = canvas(8.2 * len(kinds), 1.9 + 0.32 * bars, len(kinds))
    for axis, kind in zip(axes, kinds, strict=True):
        _draw_bars(axis, ablation, kind)
    figure.suptitle(f"{ablation.scenario}: ablation", parse_math=False)
    return figure


def _draw_bars(axis: Axes, ablation: Ablation, kind: Kind) -> None:
    variants, factor = ablation.sorted(kind), _factor(ablation)
    axis.grid(axis="x", color="#e8eaee")
    axis.set_axisbelow(True)
    for place, variant in enumerate(variants):
        cost = ablation.cost(variant)
        if cost is not None:
            length, error = factor * cost.mean, factor * (cost.error or 0.0)
            axis.barh(place, length, color=VERMILLION if length > 0 else BLUE, alpha=0.75, height=0.62)
            axis.errorbar(length, place, xerr=error, color=BLACK, linewidth=1, capsize=2.5)
        if variant.trouble:
            words = textwrap.shorten(variant.trouble, _LONGEST_TROUBLE, placeholder=" …")
            across = axis.get_yaxis_transform()
            axis.text(0.01, place, words, va="center", fontsize=7, transform=across, parse_math=False)
    _draw_references(axis, ablation, kind)
    axis.set_yticks(range(len(variants)), labels=[str(variant.nonideality).replace("_", " ") for variant in variants])
    axis.set_ylim(len(variants) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    quantity = "test accuracy (percentage points)" if _accuracy(ablation) else "test loss"
    axis.set(title=_TITLES[kind], xlabel=f"cost in {quantity}")
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _draw_references(axis: Axes, ablation: Ablation, kind: Kind) -> None:
    """Lines at what costs are counted from, and at what everything together costs; beyond the picture if need be."""
    near, far = _ENDS[kind]
    axis.axvline(0, color=BLACK, linewidth=1, label=near)
    for name, label, dash in (("ideal", far, "--"), ("ideal-weights", "ideal weights", ":")):
        cost = _cost_of(ablation, name)
        if cost is None or (name == "ideal-weights" and kind == "alone"):
            continue
        limits, place = axis.get_xlim(), _factor(ablation) * cost.mean
        axis.axvline(place, color=GREEN, linewidth=1.4, linestyle=dash, label=f"{label} ({place:+.3g})")
        if abs(place) > _FURTHEST * max(map(abs, limits)):
            axis.set_xlim(limits)


def _cost_of(ablation: Ablation, name: str) -> Cost | None:
    return next((ablation.cost(variant) for variant in ablation.variants if variant.name == name), None)


def _row(ablation: Ablation, variant: Variant) -> tuple[str, ...]:
    cost, factor = ablation.cost(variant), _factor(ablation)
    mean = "-" if variant.mean is None else f"{factor * variant.mean:.2f} %"
    if variant.mean is not None and not _accuracy(ablation):
        mean = f"{variant.mean:.4g}"
    words, pairs = "-", "-"
    if cost is not None:
        form = "+.2f" if _accuracy(ablation) else "+.3g"
        error = "" if cost.error is None else f" ± {factor * cost.error:{form[1:]}}"
        words, pairs = f"{factor * cost.mean:{form}}{error}", str(cost.pairs)
    trouble = f" [{variant.trouble}]" if variant.trouble else ""
    return variant.name, mean, words, pairs, f"{_different(variant)}{trouble}"


def _different(variant: Variant) -> str:
    if variant.nonideality is None:
        return variant.description
    return f"{'not' if variant.kind == 'without' else 'only'}: {variant.description}"


def _accuracy(ablation: Ablation) -> bool:
    return ablation.metric == "test_accuracy"


def _factor(ablation: Ablation) -> float:
    """Percent for accuracies, losses as they are."""
    return 100.0 if _accuracy(ablation) else 1.0
