"""Thresholds of many classes, each in turn moved to its best place until none gains.

A move is tried on the rows that go over to the class first, some times as many as it has: so it
costs little more than a look at the class's column, and what it gives is exact all the same,
because the other rows stay as they are.
"""

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.decisions.rows import Float64s, rows_per_block
from luce.decisions.threshold_figure import Figure, Integers, Rows, weight_of_each

_ROWS_TRIED = 256
_TIMES_ITS_ROWS = 4
_LOOKED_AT = 4096
_MOST_SWEEPS = 20
_LEAST_GAIN = 1e-12
_LEAST_GAIN_OF_A_SWEEP = 5e-4
_BEHIND = 0.005
_NEVER = 1e100


def ascend(rows: Rows, figure: Figure, starts: list[Float64s]) -> Float64s:
    """Thresholds (k,): the best reached from the starts that are near it after a sweep."""
    columns = np.ascontiguousarray(rows.table.T)
    begun = [Ascent(rows, columns, figure, 1 / start) for start in starts]
    with np.errstate(over="ignore"):  # ratios beyond all numbers are larger than all others
        for ascent in begun:
            ascent.sweep()
        ahead = max(ascent.value for ascent in begun) - _BEHIND
        near = [ascent for ascent in begun if ascent.value >= ahead]
        for ascent in near:
            ascent.run()
    return 1 / max(near, key=lambda ascent: ascent.value).factors


class Ascent:
    """Factors (k,) that the probabilities are multiplied with, and each row's two best classes."""

    def __init__(
        self, rows: Rows, columns: npt.NDArray[np.floating], figure: Figure, factors: Float64s
    ) -> None:
        n, k = len(rows.labels), len(factors)
        self.rows, self.columns, self.figure, self.factors = rows, columns, figure, factors
        self.actual = rows.actual
        self.share = figure.shares(self.actual)
        self.counts = np.bincount(rows.labels, minlength=k)
        self.best, self.best_scores = np.empty((2, n), dtype=np.intp), np.empty((2, n))
        self._rank(np.arange(n))
        self.hits, self.said = np.zeros(k), np.zeros(k)
        self._count(np.arange(n), 1)
        self.value = self._value()
        self.is_settled = np.zeros(k, dtype=bool)

    def run(self) -> None:
        """Sweep until a sweep gains little."""
        for _ in range(_MOST_SWEEPS):
            before = self.value
            self.sweep()
            if self.value <= before + _LEAST_GAIN_OF_A_SWEEP:
                return

    def sweep(self) -> None:
        """Move every class once whose rivals have moved since it was."""
        for c in range(len(self.factors)):
            if not self.is_settled[c]:
                self.move(c)

    def move(self, c: int) -> None:
        """Set factor c where the figure is largest, the others as they are."""
        self.is_settled[c] = True
        best = self._best_factor(c)
        if best is None:
            return
        kept = self.factors[c]
        self.factors[c] = best
        touched = np.flatnonzero(
            (self.best == c).any(axis=0)
            | (self.columns[c] * np.float64(best) >= self.best_scores[1])
        )
        before = self.best[:, touched], self.best_scores[:, touched], self.hits, self.said
        self.hits, self.said = self.hits.copy(), self.said.copy()
        self._count(touched, -1)
        self._rank(touched)
        self._count(touched, 1)
        value = self._value()
        if value > self.value + _LEAST_GAIN:
            self.value = value
            self.is_settled[before[0]] = False
            self.is_settled[self.best[:, touched]] = False
            self.is_settled[c] = True
            return
        self.factors[c] = kept
        self.best[:, touched], self.best_scores[:, touched], self.hits, self.said = before

    def _rows_to_try(self, c: int) -> tuple[Integers, float]:
        """Those said to be of class c and those that would be next; the factor up to which."""
        strength = self.columns[c] / self.best_scores[0]
        most = max(_ROWS_TRIED, _TIMES_ITS_ROWS * int(self.counts[c]))
        least = 0.0
        if len(strength) > most:
            some = strength[:: max(1, len(strength) // _LOOKED_AT)]
            place = len(some) - 1 - len(some) * most // len(strength)
            least = min(float(np.partition(some, place)[place]), 0.5 / self.factors[c])
        rows = np.flatnonzero((strength >= least) & (strength > 0))
        return rows, 1 / least if least > 0 else np.inf

    def _best_factor(self, c: int) -> float | None:
        """From the factor at which each row would go over to class c, the best of all between."""
        rows, end = self._rows_to_try(c)
        is_c = self.best[0, rows] == c
        rival = np.where(is_c, self.best[1, rows], self.best[0, rows])
        score = np.where(is_c, self.best_scores[1, rows], self.best_scores[0, rows])
        turn = score / self.columns[c, rows].astype(np.float64)
        order = np.argsort(turn, kind="stable")
        turn = turn[order]
        low, high = np.append(0.0, turn), np.append(turn, end)
        exists = (low < high) & (low < _NEVER)
        if not exists.any():
            return None
        value = self._values(c, rows[order], rival[order], is_c[order])
        place = np.flatnonzero(exists)[value[exists].argmax()]
        if value[place] <= self.value + _LEAST_GAIN:
            return None
        if low[place] == 0:
            return float(min(high[place], _NEVER) / 2)
        return float(np.sqrt(low[place]) * np.sqrt(min(high[place], 4 * low[place])))

    def _values(
        self, c: int, rows: Integers, rival: Integers, is_c: npt.NDArray[np.bool_]
    ) -> Float64s:
        """The figure when the first i of the rows are said to be of class c; (len(rows) + 1,)."""
        weights, labels = self.rows.weights[rows], self.rows.labels[rows]
        k = len(self.actual)
        right = rival == labels
        said = self.said + weight_of_each(rival[is_c], weights[is_c], k)
        hits = self.hits + weight_of_each(rival[is_c & right], weights[is_c & right], k)
        said[c] = hits[c] = 0.0
        start = self.figure.gain(hits, said, self.actual, self.share)
        # What each rival loses with each of its rows, its rows in the order in which they go.
        by_rival = np.argsort(rival, kind="stable")
        o = rival[by_rival]
        firsts = np.flatnonzero(np.diff(o, prepend=-1))
        lost_said = _sums_within(weights[by_rival], firsts)
        lost_hits = _sums_within((weights * right)[by_rival], firsts)
        after = self.figure.gain(
            hits[o] - lost_hits, said[o] - lost_said, self.actual[o], self.share[o]
        )
        before = np.empty(len(rows))
        before[1:] = after[:-1]
        before[firsts] = start[o[firsts]]
        change = np.empty(len(rows))
        change[by_rival] = after - before
        gained = self.figure.gain(
            _sums(weights * (labels == c)), _sums(weights), self.actual[c], self.share[c]
        )
        return np.asarray(start.sum() + _sums(change) + gained)

    def _value(self) -> float:
        return float(self.figure.gain(self.hits, self.said, self.actual, self.share).sum())

    def _count(self, chosen: Integers, sign: int) -> None:
        """Add what is said of these rows, or take it away."""
        k = len(self.actual)
        said, weights = self.best[0, chosen], sign * self.rows.weights[chosen]
        right = said == self.rows.labels[chosen]
        self.said += weight_of_each(said, weights, k)
        self.hits += weight_of_each(said[right], weights[right], k)

    def _rank(self, chosen: Integers) -> None:
        """Find the two best classes of these rows anew."""
        step = rows_per_block(len(self.factors))
        for start in range(0, len(chosen), step):
            rows = chosen[start : start + step]
            n = np.arange(len(rows))
            scaled = self.rows.table[rows] * self.factors
            for place in (0, 1):
                best = np.asarray(maps.argmax(scaled), dtype=np.intp)
                self.best[place, rows] = best
                self.best_scores[place, rows] = scaled[n, best]
                scaled[n, best] = -np.inf


def _sums(values: Float64s) -> Float64s:
    """Of the first 0, 1, ... n values."""
    sums = np.zeros(len(values) + 1)
    values.cumsum(out=sums[1:])
    return sums


def _sums_within(values: Float64s, firsts: Integers) -> Float64s:
    """Sums up to each value within its group; the groups begin at `firsts`."""
    sums = _sums(values)
    return np.asarray(sums[1:] - np.repeat(sums[firsts], np.diff(firsts, append=len(values))))
