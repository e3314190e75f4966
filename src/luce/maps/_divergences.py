"""Divergences of distributions, with digits where they are nearly equal."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

NUMBERS_TOGETHER = 1 << 14  # what is made of them stays in a core's own cache


def divergences(y: Array, p: Array, log_p: Array) -> Array:
    """Sums over the classes, which are last, of y log(y / p) - y + p, some rows at a time."""
    *batch, classes = y.shape
    sums = np.empty(prod(batch))
    rows = [array.reshape(len(sums), classes) for array in (y, p, log_p)]
    step = max(NUMBERS_TOGETHER // max(classes, 1), 1)
    for first in range(0, len(sums), step):
        some = slice(first, first + step)
        _terms(*(array[some] for array in rows)).sum(axis=1, out=sums[some])
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
