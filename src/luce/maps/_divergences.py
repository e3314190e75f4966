"""Losses of softmax in float64, whatever its targets are, with digits where they are small."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce import kernels
from luce.maps._rows import as_matrix, batch_shape, classes_last, temperature_of_rows, threads_for
from luce.maps.softmax import log_softmax, softmax

Array = NDArray[Any]

NUMBERS_TOGETHER = 1 << 16  # what is made of them stays in a cache


def losses_of_distributions(
    scores: Array, targets: Array, axes: tuple[int, ...], temperature: float
) -> Any:
    """T KL(y || softmax(scores / T)), of distributions y, at one temperature that is no limit."""
    rows, aims = as_matrix(scores, axes), as_matrix(targets, axes)
    n, classes = rows.shape
    divergence = np.empty(n)
    step = max(NUMBERS_TOGETHER // max(classes, 1), 1)
    for first in range(0, n, step):
        some = slice(first, first + step)
        p = rows[some].astype(np.float64, order="C")
        log_p = log_softmax(p, temperature=temperature)
        softmax(p, temperature=temperature, out=p)
        y = np.ascontiguousarray(aims[some], np.float64)
        kernels.divergences(y, p, log_p, divergence[some], threads_for(p.size))
    divergence *= temperature
    return divergence.reshape(batch_shape(scores.shape, axes))[()]


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
        divergence = _divergences(y, p, log_p)
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


def _divergences(y: Array, p: Array, log_p: Array) -> Array:
    """Sums over the classes, which are last, of y log(y / p) - y + p."""
    *batch, classes = y.shape
    sums = np.empty(prod(batch))
    y, p, log_p = (np.ascontiguousarray(a).reshape(len(sums), classes) for a in (y, p, log_p))
    kernels.divergences(y, p, log_p, sums, threads_for(y.size))
    return sums.reshape(batch)


def negative_entropies(p: Array) -> Array:
    """Sums over the classes, which are last, of p log p, in the dtype of p."""
    *batch, classes = p.shape
    sums = np.empty(prod(batch), p.dtype)
    rows = np.ascontiguousarray(p).reshape(len(sums), classes)
    kernels.negative_entropies(rows, sums, threads_for(p.size))
    return sums.reshape(batch)
