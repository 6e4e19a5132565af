"""What a fit leaves: a device card, and a table of all numbers with their errors."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from analogdp.devices.cards import DeviceCard
from analogdp.errors import ScenarioError
from analogdp.fitting.goodness import Fit
from analogdp.fitting.populations import Figure, seen
from analogdp.scenario.problems import problems_from
from analogdp.scenario.yaml import dump_yaml

_NOT_STATED = "not stated"


def card_of(fit: Fit, name: str, origin: str, material: str | None = None, source: str | None = None) -> DeviceCard:
    """The card of the devices that were fitted.

    Args:
        fit: of a model.
        name: of the card.
        origin: the file with the traces.
        material, source: what the user states; None: nothing.

    Raises:
        ScenarioError: the name, or a fitted number, is not one that a card may have.
    """
    found = fit.population
    fields = {
        "name": name,
        "model": fit.model,
        "description": f"Fitted to measured pulse trains of {len(fit.estimate.own)} devices",
        "material": material or _NOT_STATED,
        "source": f"stated by the user: {source}" if source else f"traces in {origin}; nothing else stated by the user",
        "note": _note(fit, origin),
        "low": float(f"{found.low.value:.5g}"),
        "high": float(f"{found.high.value:.5g}"),
        "parameters": found.settings,
    }
    try:
        return DeviceCard.model_validate(fields)
    except ValidationError as error:
        raise ScenarioError(problems_from(error)) from None


def card_text(card: DeviceCard) -> str:
    """A card as YAML that :func:`analogdp.devices.load_card` reads, with what was set of its parameters."""
    fields = card.model_dump(mode="json", exclude_unset=True)
    ends = {end: f"{fields[end] * 1e6:.6g} uS" for end in ("low", "high")}
    return dump_yaml({**fields, **ends, "parameters": card.parameters.model_dump(mode="json", exclude_unset=True)})


def results(fits: Sequence[Fit], origin: str) -> str:
    """All fits as JSON, the best first: goodness, and every parameter with its standard error and 95 % interval."""
    return json.dumps({"traces": origin, "fits": [_plain(fit) for fit in fits]}, indent=2) + "\n"


def goodness_rows(fits: Sequence[Fit]) -> list[list[str]]:
    """Rows under :data:`GOODNESS`: the differences are to the first."""
    best = fits[0].estimate
    return [
        [
            fit.model,
            str(fit.estimate.numbers),
            f"{fit.estimate.logarithm:.1f}",
            f"{fit.estimate.akaike - best.akaike:.1f}",
            f"{fit.estimate.bayes - best.bayes:.1f}",
            f"{fit.step_score:.4f}",
            f"{fit.course_score:.4f}",
            f"{fit.surprise:.3f}",
            f"{fit.correlation:+.3f}",
        ]
        for fit in fits
    ]


GOODNESS = ("model", "numbers", "log likelihood", "dAIC", "dBIC", "R2 step", "R2 course", "surprise", "correlation")
FIGURES = ("parameter", "value", "95 % interval")


def figure_rows(fit: Fit) -> list[list[str]]:
    """Rows of name, value and 95 % interval."""
    ends = {"low (S)": fit.population.low, "high (S)": fit.population.high}
    return [
        [name, f"{figure.value:.4g}", _interval(figure)] for name, figure in {**ends, **fit.population.figures}.items()
    ]


def _interval(figure: Figure) -> str:
    if not math.isfinite(figure.error):
        return "not known"
    low, high = figure.interval
    return f"{low:.4g} to {high:.4g}"


def _note(fit: Fit, origin: str) -> str:
    estimate, found = fit.estimate, fit.population
    told = "; ".join(f"{name} {figure.value:.3g} ({_interval(figure)})" for name, figure in found.figures.items())
    return (
        f"Fitted to {estimate.reads.number} pulses on {len(estimate.own)} devices in {origin}: steps and bounds of each device,"
        f" one shape and one noise for all. R2 of the mean step {fit.step_score:.4f}, of trajectories {fit.course_score:.4f};"
        f" BIC {estimate.bayes:.1f}. Values with 95 % intervals: {told}. Weight 0 is the middle of the mean bounds."
        f"{_reached(fit)} Spreads are"
        " free of the fit's own errors. Write noise holds that of single reads, too. Not fitted: spreads of the shape,"
        " retention, drift."
    )


def _reached(fit: Fit) -> str:
    """Which bounds were not seen on all devices."""
    missing = [
        f" The {name} bound is that of the {told.sum()} devices that came near it."
        for name, told in seen(fit.estimate).items()
        if not told.all()
    ]
    return "".join(missing)


def _plain(fit: Fit) -> dict[str, Any]:
    estimate, found = fit.estimate, fit.population
    figures = {"low_siemens": found.low, "high_siemens": found.high, **found.figures}
    return {
        "model": fit.model,
        "devices": len(estimate.own),
        "pulses": estimate.reads.number,
        "fitted_numbers": estimate.numbers,
        "log_likelihood": estimate.logarithm,
        "aic": estimate.akaike,
        "bic": estimate.bayes,
        "r2_step": fit.step_score,
        "r2_course": fit.course_score,
        "surprise_mean_square": fit.surprise,
        "surprise_correlation": fit.correlation,
        "cycle_noise_form": estimate.form,
        "parameters": {name: _json(figure) for name, figure in figures.items()},
    }


def _json(figure: Figure) -> dict[str, Any]:
    known = math.isfinite(figure.error)
    return {
        "value": figure.value,
        "standard_error": figure.error if known else None,
        "interval_95": figure.interval if known else None,
    }
