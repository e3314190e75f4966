"""Plain-NumPy twins of the compiled kernels: same names, same signatures, same results.

They say in a few lines what each kernel computes, and the tests hold both to the same bounds.
float32 is computed in float64 and float64 in ``numpy.longdouble``; where that is no wider than a
double (Windows, macOS on ARM) the float64 twins lose a few units in the last place.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)
Wide = NDArray[Any]


@np.errstate(all="ignore")
def softmax(scores: NDArray[Real], temperature: float, out: NDArray[Real]) -> None:
    """softmax(scores / temperature) of every row into `out`."""
    distance, undefined = _distance(scores, temperature)
    exponentials = np.exp(distance)
    total = exponentials.sum(axis=1, keepdims=True)
    out[...] = exponentials / np.where(total == 0, 1, total)
    out[undefined] = np.nan


@np.errstate(all="ignore")
def log_softmax(scores: NDArray[Real], temperature: float, out: NDArray[Real]) -> None:
    """log(softmax(scores / temperature)) of every row into `out`."""
    distance, undefined = _distance(scores, temperature)
    below_infinity = undefined[:, None] & (scores < np.inf)
    out[...] = distance - np.log1p(_sum_of_others(distance))[:, None]
    out[below_infinity] = -np.inf
    out[np.isnan(scores).any(axis=1)] = np.nan


@np.errstate(all="ignore")
def logsumexp(scores: NDArray[Real], out: NDArray[Real]) -> None:
    """log(sum(exp(scores))) of every row into `out`."""
    largest = _largest(scores)
    distance, undefined = _distance(scores, 1.0)
    out[...] = largest + np.log1p(_sum_of_others(distance))
    out[undefined] = np.inf


def argmax(scores: NDArray[Real], out: NDArray[np.int64]) -> None:
    """Columns of the largest scores into `out`: the first of equals, the first NaN of all."""
    if len(scores):
        out[...] = scores.argmax(axis=1)


@np.errstate(all="ignore")
def cross_entropy(
    scores: NDArray[Real],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    losses: NDArray[np.float64],
    gradient: NDArray[Real] | None,
) -> int:
    """w_i (logsumexp(scores_i) - score of the label) into `losses`, the gradient into `gradient`.

    Returns the first row whose label is no column, with nothing written; -1 when there is none.
    """
    bad = (labels < 0) | (labels >= scores.shape[1])
    if bad.any():
        return int(bad.argmax())
    if not len(scores):
        return -1
    rows = np.arange(len(scores))
    largest = _largest(scores)
    distance, undefined = _distance(scores, 1.0)
    impossible = largest == -np.inf
    rest = _sum_of_others(distance)
    at_label = np.where(impossible, np.inf, largest - scores[rows, labels])
    weight = np.ones(len(scores)) if weights is None else weights
    losses[...] = np.where(weight == 0, 0, weight * (at_label + np.log1p(rest)))
    losses[undefined & (weight != 0) & (scores[rows, labels] < np.inf)] = np.inf
    if gradient is None:
        return -1
    exponentials = np.exp(distance)
    others = np.where(at_label == 0, rest, 1 + rest - exponentials[rows, labels])
    share = exponentials / (1 + rest)[:, None]
    share[rows, labels] = -others / (1 + rest)
    product = weight[:, None] * share
    product[np.abs(product) < np.finfo(gradient.dtype).smallest_normal] = 0
    product[(weight == 0) | impossible] = 0
    gradient[...] = product
    return -1


def _wide(scores: NDArray[Any]) -> Wide:
    wide: Wide = scores.astype(np.float64 if scores.dtype == np.float32 else np.longdouble)
    return wide


def _largest(scores: NDArray[Any]) -> Wide:
    """The largest score of every row, NaN when it holds one."""
    largest: Wide = _wide(scores).max(axis=1, initial=-np.inf)
    return largest


def _distance(scores: NDArray[Any], temperature: float) -> tuple[Wide, NDArray[np.bool_]]:
    """Distances to the largest score, over the temperature; and the rows undefined for an inf."""
    largest = _largest(scores)
    undefined = largest == np.inf
    finite = np.where(np.isinf(largest), 0, largest)
    distance = (_wide(scores) - finite[:, None]) / np.longdouble(temperature)
    distance[undefined] = np.nan
    return distance, undefined


def _sum_of_others(distance: Wide) -> Wide:
    """The sum of exp(distance) without one of the largest; 0 where no class is possible."""
    tied = distance == 0
    exponentials = np.where(tied, 0, np.exp(distance))
    rest: Wide = exponentials.sum(axis=1) + np.maximum(tied.sum(axis=1) - 1, 0)
    return rest
