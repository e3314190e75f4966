"""Losses of softmax in float64, whatever its targets are, with digits where they are small."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce.maps._rows import classes_last, temperature_of_rows
from luce.maps.softmax import log_softmax, softmax

Array = NDArray[Any]

NUMBERS_TOGETHER = 1 << 14  # what is made of them stays in a core's own cache


def losses_of_any(
    scores: Array, targets: Array, axes: tuple[int, ...], temperature: ArrayLike
) -> Any:
    """T KL(y || softmax(scores / T)), of labels or distributions y, at any temperatures."""
    scores = scores.astype(np.float64)
    of_rows = temperature_of_rows(temperature, scores.shape, axes)[..., 0]
    log_p = classes_last(log_softmax(scores, axes, temperature=temperature), axes)
    with np.errstate(all="ignore"):
        if targets.shape != scores.shape:
            index = targets[..., None].astype(np.int64)
            behind = _behind(classes_last(scores, axes))
            behind_label = np.take_along_axis(behind, index, axis=-1)[..., 0]
            log_sum = -log_p.max(axis=-1, initial=-np.inf)
            smooth = np.where(log_sum == 0, 0, of_rows * log_sum)
            return np.where(behind_label == np.inf, np.inf, behind_label + smooth)[()]
        y = classes_last(targets.astype(np.float64), axes)
        p = classes_last(softmax(scores, axes, temperature=temperature), axes)
        divergence = divergences(y, p, log_p)
        value = np.where(divergence == 0, 0, of_rows * divergence)
        if (of_rows > 0).all():
            return value[()]
        hard = np.where(y == 0, 0, y * _behind(classes_last(scores, axes))).sum(axis=-1)
        return np.where(of_rows == 0, hard, value)[()]


def _behind(scores: Array) -> Array:
    """How far every score is behind the largest of its row; infinity where no class is possible."""
    largest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        behind = np.where(scores == largest, 0, largest - scores)
    return np.where(largest == -np.inf, np.inf, behind)


def divergences(y: Array, p: Array, log_p: Array) -> Array:
    """Sums over the classes, which are last, of y log(y / p) - y + p."""
    return _sums_over_classes(_terms, y, p, log_p)


def negative_entropies(p: Array) -> Array:
    """Sums over the classes, which are last, of p log p, in the dtype of p."""

    def terms(p: Array) -> Array:
        terms: Array = np.log(p)
        terms *= p
        np.copyto(terms, 0, where=p == 0)
        return terms

    with np.errstate(all="ignore"):
        return _sums_over_classes(terms, p)


def _sums_over_classes(terms: Callable[..., Array], *arrays: Array) -> Array:
    """Sums of what `terms` makes of the numbers of some rows at a time."""
    *batch, classes = arrays[0].shape
    sums = np.empty(prod(batch), arrays[0].dtype)
    rows = [array.reshape(len(sums), classes) for array in arrays]
    step = max(NUMBERS_TOGETHER // max(classes, 1), 1)
    for first in range(0, len(sums), step):
        some = slice(first, first + step)
        terms(*(array[some] for array in rows)).sum(axis=1, out=sums[some])
    return sums.reshape(batch)


def _terms(y: Array, p: Array, log_p: Array) -> Array:
    """The terms y log(y / p) - y + p, each non-negative; 0 log 0 is 0."""
    less = p - y
    terms: Array = np.log(y)
    terms -= log_p
    terms *= y
    terms += less
    # With p = y (1 + d) it is y (d - log(1 + d)): for small d, the first term taken out of the
    # series of log(1 + d) = 2 artanh(s), s = d / (2 + d).
    near = np.abs(less) < 0.1 * y
    if near.any():
        y_near = y[near]
        d = less[near] / y_near
        s = d / (2 + d)
        square = s * s
        series = 1 / 11 + square / 13
        for odd in (9, 7, 5, 3):
            series = 1 / odd + square * series
        terms[near] = y_near * (d * d / (2 + d) - 2 * s * square * series)
    np.copyto(terms, p, where=y == 0)
    return terms
