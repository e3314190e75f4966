"""Labels drawn from the probabilities: what would be seen if these were calibrated.

Given calibrated probabilities of independent rows, the labels are draws from them, and nothing else
is unknown. So whatever is measured of the labels can be measured of draws as well: exchangeable
with what was seen, for any number of rows and classes.
"""

from collections.abc import Iterator

import numpy as np

from luce.calibration.rows import Block, Float64s, Integers

_AT_ONCE = 2**20
_FEW_CLASSES = 64


def drawn(
    block: Block, draws: int, random: np.random.Generator
) -> Iterator[tuple[slice, Integers]]:
    """Some of the block's rows after others, and labels of each; (m, draws)."""
    step = max(1, _AT_ONCE // draws)
    for start in range(0, len(block.rows), step):
        part = slice(start, start + step)
        yield part, _labels(block.probabilities[part], draws, random)


def add_correct(
    sums: Float64s, cells: Integers, top: Integers, labels: Integers, weights: Float64s
) -> None:
    """Add the weight of the rows whose top class was drawn; sums (cells, draws)."""
    order = np.argsort(cells, kind="stable")
    cells = cells[order]
    starts = np.flatnonzero(np.r_[True, cells[1:] != cells[:-1]])
    correct = (labels == top[:, None])[order] * weights[order, None]
    sums[cells[starts]] += np.add.reduceat(correct, starts, axis=0)


def add_classes(sums: Float64s, cells: Integers, labels: Integers, weights: Float64s) -> None:
    """Add the weight of each row to the cell of the class that was drawn; sums (cells, draws)."""
    draws = labels.shape[1]
    places = np.take_along_axis(cells, labels, axis=1) * draws + np.arange(draws)
    np.add.at(sums.reshape(-1), places.ravel(), np.repeat(weights, draws))


def _labels(probabilities: Float64s, draws: int, random: np.random.Generator) -> Integers:
    """A class is drawn where a uniform number falls into its share of [0, 1)."""
    m, k = probabilities.shape
    ends = probabilities.cumsum(axis=1)
    ends /= ends[:, -1:]
    uniform = random.random((m, draws))
    if k <= _FEW_CLASSES:
        labels = np.zeros((m, draws), np.uint8)
        for end in ends.T[:-1]:
            labels += uniform >= end[:, None]
        return labels.astype(np.intp)
    result = np.empty((m, draws), np.intp)
    for row in range(m):
        result[row] = ends[row].searchsorted(uniform[row], side="right")
    return result
