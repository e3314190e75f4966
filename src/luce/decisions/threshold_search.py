"""The thresholds that make F1 or balanced accuracy largest on labelled rows.

Both figures are sums over the classes of a gain that depends on two numbers of the class: the
weight of its rows that are found (`hits`), and of the rows that are said to be of it (`said`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.calibration import rows as labelled
from luce.decisions.rows import Float64s, blocks, rows_per_block

Integers = npt.NDArray[np.intp]
Way = Callable[["Rows", "Figure"], Float64s]

_MOST_SWEEPS = 20
_LEAST_GAIN = 1e-12
_LEAST_GAIN_OF_A_SWEEP = 1e-4
_NEVER = 1e100


@dataclass(frozen=True, eq=False)
class Rows:
    """Probabilities (n, k), labels (n,) and weights (n,) that are all positive."""

    table: npt.NDArray[np.floating]
    labels: Integers
    weights: Float64s

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> "Rows":
        return Rows(self.table[chosen], self.labels[chosen], self.weights[chosen])

    @property
    def actual(self) -> Float64s:
        """The weight of each class's rows."""
        k = self.table.shape[1]
        return _weight_of_each(self.labels, self.weights, k)


@dataclass(frozen=True)
class Figure:
    """F1 ("binary", "macro" or "weighted") or balanced accuracy, over the classes with rows."""

    name: str
    average: str

    def gain(self, hits: Float64s, said: Float64s, actual: Float64s, share: Float64s) -> Float64s:
        """What a class adds; arrays that broadcast, `share` from `shares`."""
        if self.name == "balanced_accuracy":
            above, below = hits, np.broadcast_to(actual, np.shape(hits))
        else:
            above, below = 2 * hits, said + actual
        return share * np.divide(above, below, out=np.zeros(np.shape(above)), where=below > 0)

    def shares(self, actual: Float64s) -> Float64s:
        """The part of each class in the mean."""
        if self.name == "f1" and self.average == "binary":
            return np.array([0.0, 1.0])
        if self.name == "f1" and self.average == "weighted":
            return np.asarray(actual / actual.sum())
        return np.asarray((actual > 0) / (actual > 0).sum())

    def of(self, labels: Integers, rows: Rows) -> float:
        """The figure of these labels for these rows."""
        actual = rows.actual
        right = labels == rows.labels
        hits = _weight_of_each(labels[right], rows.weights[right], len(actual))
        said = _weight_of_each(labels, rows.weights, len(actual))
        return float(self.gain(hits, said, actual, self.shares(actual)).sum())


def read_rows(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, sample_weight: npt.ArrayLike | None
) -> Rows:
    """The rows of positive weight, checked."""
    table = np.asarray(probabilities)
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
    ways = (equal, frequencies, ascend)
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


def ascend(rows: Rows, figure: Figure) -> Float64s:
    """Thresholds of more classes, each in turn moved to its best place until none gains."""
    found = [_Ascent(rows, figure, 1 / start(rows, figure)) for start in (equal, frequencies)]
    for ascent in found:
        ascent.run()
    return 1 / max(found, key=lambda ascent: ascent.value).factors


class _Ascent:
    """Factors (k,) that the probabilities are multiplied with, and each row's two best classes."""

    def __init__(self, rows: Rows, figure: Figure, factors: Float64s) -> None:
        n = len(rows.labels)
        self.rows, self.figure, self.factors = rows, figure, factors
        self.actual = rows.actual
        self.share = figure.shares(self.actual)
        self.classes = np.empty((n, 2), dtype=np.intp)
        self.scores = np.empty((n, 2))
        self._rank(np.arange(n))
        self.value = figure.of(self.classes[:, 0], rows)

    def run(self) -> None:
        for _ in range(_MOST_SWEEPS):
            before = self.value
            for c in range(len(self.factors)):
                self._move(c)
            if self.value <= before + _LEAST_GAIN_OF_A_SWEEP:
                return

    def _move(self, c: int) -> None:
        """Set factor c where the figure is largest, the others as they are."""
        best = self._best_factor(c)
        if best is None:
            return
        kept = self.factors[c], self.classes.copy(), self.scores.copy()
        self.factors[c] = best
        score = self.rows.table[:, c].astype(np.float64) * best
        touched = (self.classes == c).any(axis=1) | (score >= self.scores[:, 1])
        self._rank(np.flatnonzero(touched))
        value = self.figure.of(self.classes[:, 0], self.rows)
        if value > self.value + _LEAST_GAIN:
            self.value = value
        else:
            self.factors[c], self.classes, self.scores = kept

    def _best_factor(self, c: int) -> float | None:
        """From the factor at which each row would go over to class c, the best of all between."""
        rivals = np.where(self.classes[:, 0] == c, 1, 0)
        n = np.arange(len(rivals))
        rival, rival_score = self.classes[n, rivals], self.scores[n, rivals]
        p = self.rows.table[:, c].astype(np.float64)
        turn = np.divide(rival_score, p, out=np.full(len(p), np.inf), where=p > 0)
        order = np.argsort(turn, kind="stable")
        turn = turn[order]
        low, high = np.append(0.0, turn), np.append(turn, np.inf)
        exists = (low < high) & (low < _NEVER)
        if not exists.any():
            return None
        value = self._values(c, order, rival)
        place = np.flatnonzero(exists)[value[exists].argmax()]
        if low[place] == 0:
            return float(min(high[place], _NEVER) / 2)
        return float(np.sqrt(low[place]) * np.sqrt(min(high[place], 4 * low[place])))

    def _values(self, c: int, order: Integers, rival: Integers) -> Float64s:
        """The figure when the first i rows of the order are said to be of class c; (n + 1,)."""
        weights, labels = self.rows.weights, self.rows.labels
        k = len(self.actual)
        right = rival == labels
        hits = _weight_of_each(rival[right], weights[right], k)
        said = _weight_of_each(rival, weights, k)
        start = self.figure.gain(hits, said, self.actual, self.share)
        # What each rival loses with each of its rows, its rows in the order in which they go.
        by_rival = order[np.argsort(rival[order], kind="stable")]
        o = rival[by_rival]
        lost_said = _sums_within(weights[by_rival], o, k)
        lost_hits = _sums_within(weights[by_rival] * right[by_rival], o, k)
        after = self.figure.gain(
            hits[o] - lost_hits, said[o] - lost_said, self.actual[o], self.share[o]
        )
        before = np.append(0.0, after[:-1])
        firsts = np.flatnonzero(np.diff(o, prepend=-1))
        before[firsts] = start[o[firsts]]
        change = np.empty(len(order))
        change[by_rival] = after - before
        gained = self.figure.gain(
            _sums(weights[order] * (labels[order] == c)),
            _sums(weights[order]),
            self.actual[c],
            self.share[c],
        )
        return np.asarray(start.sum() + _sums(change[order]) + gained)

    def _rank(self, chosen: Integers) -> None:
        """Find the two best classes of these rows anew."""
        step = rows_per_block(len(self.factors))
        for start in range(0, len(chosen), step):
            rows = chosen[start : start + step]
            n = np.arange(len(rows))
            scaled = self.rows.table[rows] * self.factors
            for place in (0, 1):
                best = np.asarray(maps.argmax(scaled), dtype=np.intp)
                self.classes[rows, place] = best
                self.scores[rows, place] = scaled[n, best]
                scaled[n, best] = -np.inf


def _weight_of_each(labels: Integers, weights: Float64s, k: int) -> Float64s:
    return np.bincount(labels, weights, k).astype(np.float64)


def _sums(values: Float64s) -> Float64s:
    """Of the first 0, 1, ... n values."""
    return np.append(0.0, np.cumsum(values))


def _sums_within(values: Float64s, groups: Integers, k: int) -> Float64s:
    """Sums up to each value within its group; the groups come one after the other."""
    sums = np.cumsum(values)
    ends = np.append(0.0, sums)[np.searchsorted(groups, np.arange(k))]
    return np.asarray(sums - ends[groups])
