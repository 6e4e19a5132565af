"""What a report plots over the epochs: which quantities together, in which units and colours."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from analogdp.reports.source import Metrics, Values
from analogdp.reports.style import BLACK, BLUE, GREEN, MINUS, NOISE_FREE, NOISY, ORANGE, PLUS, TRAINING, VERMILLION


@dataclass(frozen=True)
class Curve:
    """One quantity over the epochs.

    Attributes:
        label: what it is.
        colour: as a hexadecimal code.
        dash: ``solid``, ``dash`` or ``dot``.
        values: ``(evaluations, chips)``, in the panel's unit.
    """

    label: str
    colour: str
    dash: str
    values: Values

    @property
    def mean(self) -> Values:
        """Over chips, ``(evaluations,)``; NaN where no chip has a value."""
        present = np.isfinite(self.values)
        sums = np.where(present, self.values, 0).sum(axis=1)
        return np.where(present.any(axis=1), sums / np.maximum(present.sum(axis=1), 1), np.nan)


@dataclass(frozen=True)
class Panel:
    """Curves on one pair of axes.

    Attributes:
        label: of the vertical axis, with its unit.
        curves: at least one.
        logarithmic: whether the vertical axis is.
        limits: of the vertical axis, or None to fit the curves.
        from_zero: whether the vertical axis starts at 0.
    """

    label: str
    curves: tuple[Curve, ...]
    logarithmic: bool = False
    limits: tuple[float, float] | None = None
    from_zero: bool = False


@dataclass(frozen=True)
class Chart:
    """A figure of panels side by side.

    Attributes:
        name: of its file and its place in the page.
        title: what it shows.
        panels: from left to right.
    """

    name: str
    title: str
    panels: tuple[Panel, ...]


class _Wanted(NamedTuple):
    column: str
    label: str
    colour: str
    dash: str


def _learning(quantity: str) -> list[_Wanted]:
    return [
        _Wanted(f"test_{quantity}", "test, with noise", NOISY, "solid"),
        _Wanted(f"test_{quantity}_noise_free", "test, noise-free", NOISE_FREE, "dash"),
        _Wanted(f"train_{quantity}", "training", TRAINING, "dot"),
    ]


_STEPS = [
    _Wanted("settle_steps_mean", "mean over samples", NOISY, "solid"),
    _Wanted("settle_steps_max", "slowest sample", VERMILLION, "dash"),
]
_SETTLED = [_Wanted("settled_fraction", "settled in time", BLACK, "solid")]
_LAG = [_Wanted("lag", "errors still moving at the end of a dwell", NOISY, "solid")]
_DRIFT = [_Wanted("drift", "weights moved in a dwell", VERMILLION, "solid")]
_MESSAGES = [
    _Wanted("messages_up", "up", PLUS, "solid"),
    _Wanted("messages_down", "down", MINUS, "dash"),
]
_LIPSCHITZ = [
    _Wanted("lipschitz_layers", "product of the layers' norms", VERMILLION, "dash"),
    _Wanted("lipschitz_weights", "norm of the product of weights", NOISY, "solid"),
    _Wanted("lipschitz_jacobian", "largest Jacobian of test samples", NOISE_FREE, "dot"),
]
_ATTACKS = {"fgsm": "solid", "pgd": "dash"}
_ATTACKED = "test_accuracy_{}_"
_COLOURS = (BLUE, GREEN, ORANGE, VERMILLION, BLACK)
_PULSES = [_Wanted("pulses_up", "up", PLUS, "solid"), _Wanted("pulses_down", "down", MINUS, "dash")]


def charts(metrics: Metrics) -> list[Chart]:
    """The figures that a run's metrics allow, in the order of reading."""
    accuracy = _curves(metrics, _learning("accuracy"), 100)
    loss = _curves(metrics, _learning("loss"))
    steps, settled = _curves(metrics, _STEPS), _curves(metrics, _SETTLED, 100)
    pulses = tuple(curve for curve in _curves(metrics, _PULSES) if np.nansum(curve.values) > 0)
    wanted = [
        Chart("accuracy", "Accuracy", (Panel("accuracy (%)", accuracy),)),
        Chart("loss", "Loss", (Panel("loss per sample", loss, _spans_decades(loss)),)),
        Chart(
            "settling",
            "Settling",
            (
                Panel("steps per sample", steps, from_zero=True),
                Panel("samples settled (%)", settled, limits=(-4, 104)),
            ),
        ),
        Chart(
            "timescales",
            "Separation of timescales",
            (
                Panel("relative change of errors", _curves(metrics, _LAG), from_zero=True),
                Panel("relative change of weights", _curves(metrics, _DRIFT), from_zero=True),
            ),
        ),
        Chart("lipschitz", "Lipschitz constant", (Panel("norm", _curves(metrics, _LIPSCHITZ), logarithmic=True),)),
        Chart(
            "attacks",
            "Accuracy under attack",
            (Panel("accuracy (%)", _curves(metrics, _attacked(metrics), 100), limits=(-4, 104)),),
        ),
        Chart("messages", "Events between layers", (Panel("events per sample", _curves(metrics, _MESSAGES)),)),
        Chart(
            "pulses", "Write pulses per chip, since the previous evaluation", (Panel("pulses", pulses, from_zero=True),)
        ),
    ]
    drawn = [Chart(chart.name, chart.title, tuple(panel for panel in chart.panels if panel.curves)) for chart in wanted]
    return [chart for chart in drawn if chart.panels]


def _curves(metrics: Metrics, wanted: Sequence[_Wanted], factor: float = 1.0) -> tuple[Curve, ...]:
    """The wanted quantities that the run has, times ``factor``."""
    return tuple(
        Curve(label, colour, dash, factor * values)
        for column, label, colour, dash in wanted
        if (values := metrics.get(column)) is not None
    )


def _attacked(metrics: Metrics) -> list[_Wanted]:
    """The attacks that a run was tested with, a colour for each strength."""
    wanted = []
    for attack, dash in _ATTACKS.items():
        start = _ATTACKED.format(attack)
        names = sorted(
            (name for name in metrics.columns if name.startswith(start)), key=lambda name: float(name[len(start) :])
        )
        colours = itertools.cycle(_COLOURS)
        wanted += [
            _Wanted(name, f"{attack.upper()}, {name[len(start) :]}", colour, dash)
            for name, colour in zip(names, colours, strict=False)
        ]
    return wanted


def _spans_decades(curves: Sequence[Curve]) -> bool:
    values = np.concatenate([curve.values[np.isfinite(curve.values)] for curve in curves]) if curves else np.empty(0)
    return bool(values.size and values.min() > 0 and values.max() > 10 * values.min())
