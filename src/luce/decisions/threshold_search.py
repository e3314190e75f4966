"""The thresholds that make F1 or balanced accuracy largest on labelled rows."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.calibration import rows as labelled
from luce.decisions.rows import Float64s, blocks
from luce.decisions.threshold_ascent import ascend
from luce.decisions.threshold_figure import Figure, Integers, Rows

Way = Callable[[Rows, Figure], Float64s]

_LEAST_GAIN = 1e-12


def read_rows(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, sample_weight: npt.ArrayLike | None
) -> Rows:
    """The rows of positive weight, checked."""
    table = labelled.as_table(probabilities)
    found = [
        (block.rows, block.labels, block.weights)
        for block in labelled.blocks(table, labels, sample_weight, logarithmic=False)
    ]
    rows, indices, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    labelled.check_total_weight(weights.sum())
    return Rows(table if len(rows) == len(table) else table[rows], indices, weights)


def choose(table: npt.NDArray[np.floating], thresholds: Float64s) -> Integers:
    """argmax_c p_c / t_c; two classes are cut without a division that could round."""
    if len(thresholds) == 2:
        return np.asarray(table[:, 1] > thresholds[1] / thresholds.sum(), dtype=np.intp)
    labels = np.empty(len(table), dtype=np.intp)
    for rows, block in blocks(table):
        labels[rows] = maps.argmax(block * (thresholds.min() / thresholds))
    return labels


def search(rows: Rows, figure: Figure) -> tuple[Float64s, tuple[float, float]]:
    """Thresholds, and the figures of argmax and of thresholds found on the other half."""
    k = rows.table.shape[1]
    if k == 1:
        return np.ones(1), (1.0, 1.0)
    if k == 2:
        ways: tuple[Way, ...] = (equal, best_cut)
        values = [_exchanged(rows, figure, way) for way in ways]
        return best_cut(rows, figure), (values[0], values[1])
    ways = (equal, frequencies, climb)
    values = [_exchanged(rows, figure, way) for way in ways]
    best = int(np.argmax(values))
    return ways[best](rows, figure), (values[0], values[best])


def _exchanged(rows: Rows, figure: Figure, way: Way) -> float:
    """The figure when each half of the rows is decided with the thresholds of the other."""
    n = len(rows.labels)
    first = np.zeros(n, dtype=bool)
    first[np.random.default_rng(0).permutation(n)[: n // 2]] = True
    labels = np.empty(n, dtype=np.intp)
    for half in (first, ~first):
        other = rows[~half] if not half.all() else rows
        labels[half] = choose(rows.table[half], way(other, figure))
    return figure.of(labels, rows)


def equal(rows: Rows, figure: Figure) -> Float64s:
    """Thresholds that leave argmax as it is."""
    return np.ones(rows.table.shape[1])


def frequencies(rows: Rows, figure: Figure) -> Float64s:
    """Thresholds like class frequencies, best for balanced accuracy of true probabilities."""
    actual = rows.actual
    return np.asarray(np.where(actual > 0, actual, rows.weights.min()) / actual.sum())


def best_cut(rows: Rows, figure: Figure) -> Float64s:
    """Thresholds (1 - t, t) of two classes, the best of all t; of equals the nearest to 1/2."""
    order = np.argsort(rows.table[:, 1], kind="stable")
    p = rows.table[order, 1].astype(np.float64)
    weights, is_one = rows.weights[order], rows.labels[order] == 1
    # Cut i says class 1 of the rows from i on; those at ties, or outside of (0, 1), do not exist.
    low, high = np.append(0.0, p), np.append(p, 1.0)
    cuts = low + (high - low) / 2
    cuts = np.where(cuts < high, cuts, low)
    exists = (low < high) & (cuts > 0) & (cuts < 1)
    below = np.stack([_sums(weights * ~is_one), _sums(weights * is_one)])
    actual = below[:, -1]
    hits = np.stack([below[0], actual[1] - below[1]])
    said = np.stack([below.sum(axis=0), actual.sum() - below.sum(axis=0)])
    share = figure.shares(actual)
    value = figure.gain(hits, said, actual[:, None], share[:, None]).sum(axis=0)
    best = value >= value[exists].max(initial=-np.inf) - _LEAST_GAIN
    places = np.flatnonzero(exists & best)
    if not len(places):
        return np.ones(2)
    cut = cuts[places[abs(cuts[places] - 0.5).argmin()]]
    return np.array([1 - cut, cut])


def climb(rows: Rows, figure: Figure) -> Float64s:
    """Thresholds of more classes, each in turn moved to its best place until none gains."""
    return ascend(rows, figure, [equal(rows, figure), frequencies(rows, figure)])


def _sums(values: Float64s) -> Float64s:
    """Of the first 0, 1, ... n values."""
    return np.append(0.0, np.cumsum(values))
