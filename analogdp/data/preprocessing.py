"""What a scenario's ``data`` section has done to any data set: limits, random draws, normalisation, noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from analogdp.data.augmentation import Augmentation
from analogdp.data.base import Dataset
from analogdp.data.samples import Samples
from analogdp.errors import InputError
from analogdp.scenario.data import DataSettings
from analogdp.streams import WHOLE_RUN, Stream, stream

BLOCK = 4096
"""Samples of which statistics are gathered at once: bounds the memory that this takes."""
CONSTANT = 1e-10
"""Features that spread less than this share of their mean differ by rounding only, and are not scaled."""

Part = tuple[Samples, Samples, Tensor | None]
"""Inputs, targets and labels."""


def prepared(dataset: Dataset, settings: DataSettings, seed: int) -> Dataset:
    """The samples that are used, as they are shown; all randomness is a function of the seed.

    First come the limits, then the draw, then normalisation, then noise on test inputs. What is done to training inputs
    at random is drawn when they are shown.

    Raises:
        InputError: nothing is left to train or to test on, or training samples of one class only.
    """
    pool = _take((dataset.train_inputs, dataset.train_targets, dataset.train_labels), slice(settings.train_limit))
    train, test = pool, (dataset.test_inputs, dataset.test_targets, dataset.test_labels)
    if settings.draw is not None:
        drawn, rest = _draw(len(pool[0]), settings.draw, seed)
        train, test = _take(pool, drawn), _take(pool, rest) if settings.test == "rest" else test
    test = _take(test, slice(settings.test_limit))
    for name, part in (("training", train), ("test", test)):
        if not len(part[0]):
            raise InputError(
                f"data: {settings.name} has no {name} samples left; change its limits, draw or test_fraction"
            )
    _refuse_one_class(settings, train[2], pool[2], dataset.train_labels)
    everything = (pool,) if settings.test == "rest" else (pool, test)
    known = everything if settings.normalise_over == "all" else (train,)
    train, test = (_normalised(part, known, settings) for part in (train, test))
    inputs = _noisy(test[0], settings, seed) if settings.test_noise else test[0]
    return replace(
        dataset,
        train_inputs=train[0],
        train_targets=train[1],
        train_labels=train[2],
        test_inputs=inputs,
        test_targets=test[1],
        test_labels=test[2],
        shape=settings.shape(),
        augmentation=Augmentation(settings.crop, settings.flip, settings.train_noise, settings.clamp),
    )


def _take(part: Part, rows: slice | Tensor) -> Part:
    inputs, targets, labels = part
    return inputs.take(rows), targets.take(rows), None if labels is None else labels[rows]


def _draw(pool: int, draw: int, seed: int) -> tuple[Tensor, Tensor]:
    """So many indices drawn with replacement, and all that were not drawn, in order."""
    drawn = torch.randint(pool, (draw,), generator=stream(seed, "data/draw", WHOLE_RUN))
    left = torch.ones(pool, dtype=torch.bool)
    left[drawn] = False
    return drawn, torch.nonzero(left).squeeze(1)


def _refuse_one_class(settings: DataSettings, used: Tensor | None, pool: Tensor | None, every: Tensor | None) -> None:
    """Refuse training labels that are all the same: those used, those that were drawn from, and those before the limit."""
    if used is None or pool is None or every is None or _differ(used):
        return
    if _differ(pool):
        way_out = f"draw: {settings.draw} has drawn no other; draw more"
    elif _differ(every):
        way_out = (
            f"train_limit: {settings.train_limit} takes the first samples; raise it, or mix the classes in the file"
        )
    else:
        way_out = "check the labels, or how the samples are divided"
    found = f"the training samples of {settings.name} that are used ({len(used)}) all have the label {int(used[0])}"
    raise InputError(f"data: {found}; there is nothing to learn: {way_out}")


def _differ(labels: Tensor) -> bool:
    return bool((labels != labels[0]).any())


def _normalised(part: Part, known: Sequence[Part], settings: DataSettings) -> Part:
    """A part scaled by statistics of the parts that are known."""
    inputs, targets, labels = part
    if settings.normalise != "none":
        groups = settings.shape()[0] if settings.normalise == "channels" else inputs.features
        inputs = inputs.rescaled(*statistics([each for each, _, _ in known], settings.normalise == "range", groups))
        # Images that are moved stay as they are kept: what comes in at the edges is black, not the mean.
        inputs = inputs if settings.crop else _scaled_once(inputs)
    if settings.normalise_targets != "none":
        bounds = settings.normalise_targets == "range"
        targets = targets.rescaled(*statistics([each for _, each, _ in known], bounds, targets.features))
    if settings.target_scale != 1:
        targets = targets.rescaled(0.0, 1 / settings.target_scale)
    return inputs, _scaled_once(targets) if settings.regression() else targets, labels


def _scaled_once(samples: Samples) -> Samples:
    """Float samples with their scaling carried out in double precision, so that reading them costs nothing."""
    if not isinstance(samples.raw, Tensor) or not samples.raw.is_floating_point() or not samples.is_scaled:
        return samples
    return Samples.of(samples.to("cpu", torch.float64)[:])


def statistics(parts: Sequence[Samples], bounds: bool, groups: int) -> tuple[Tensor, Tensor]:
    """Shift and spread ``(features,)``: mean and standard deviation, or with ``bounds`` least value and range.

    Args:
        parts: all samples that count.
        bounds: which of the two.
        groups: features are divided into so many groups of neighbours; those of a group share their statistics.
    """
    features = parts[0].features
    if bounds:
        extremes = [torch.stack((block.amin((0, 2)), block.amax((0, 2)))) for block in _blocks(parts, groups)]
        low, high = (torch.stack(own) for own in zip(*extremes, strict=True))
        shift = low.amin(0)
        spread = high.amax(0) - shift
    else:
        count = sum(map(len, parts)) * features / groups
        shift = torch.stack([block.sum((0, 2)) for block in _blocks(parts, groups)]).sum(0) / count
        squares = [(block - shift[:, None]).square().sum((0, 2)) for block in _blocks(parts, groups)]
        spread = (torch.stack(squares).sum(0) / count).sqrt()
    spread = torch.where(spread > CONSTANT * shift.abs(), spread, 1.0)
    return shift.repeat_interleave(features // groups), spread.repeat_interleave(features // groups)


def _blocks(parts: Sequence[Samples], groups: int) -> Iterator[Tensor]:
    """All samples in double precision, ``(samples, groups, members)``."""
    for part in parts:
        exact = part.to("cpu", torch.float64)
        for start in range(0, len(exact), BLOCK):
            block = exact[start : start + BLOCK]
            yield block.reshape(len(block), groups, -1)


def _noisy(inputs: Samples, settings: DataSettings, seed: int) -> Samples:
    """Inputs with noise drawn once and for all."""
    noise = Stream(seed, "data/test_noise").shared().normal(inputs.shape, std=settings.test_noise)[0]
    values = inputs[:] + noise
    return Samples.of(values.clamp_(0, 1) if settings.clamp else values)
