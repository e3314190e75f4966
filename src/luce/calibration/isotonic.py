"""One rising step function for every class, renormalised."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.calibration.calibrator import BLOCK_ELEMENTS, Calibrator, keep_array
from luce.calibration.given import Array, Rows
from luce.calibration.held_out import Improvement, Trial, splits
from luce.calibration.rows import Float64s, Integers
from luce.calibration.value import Value, frozen
from luce.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class IsotonicScaling(Value, Calibrator):
    """p_c proportional to g_c(softmax(scores)_c) + 1 / (k n), g_c a rising step function.

    For every class, g_c is the rising function of its probability that comes nearest to whether a
    row is of the class, by weighted least squares (isotonic regression, one class against the
    rest). It assumes nothing of the shape, and so wants many rows: some thousand for two classes,
    more for more. Up to n distinct probabilities may remain of each class, and ranks within a row
    may change.

    The term 1 / (k n) is one more row, of all classes alike: no probability is 0, which n rows
    cannot show, and no row is without any.

    Hazard: unlike every other calibrator it gives a class of score -inf (of probability 0) some
    probability: what such rows had. That is right for the zeros of a forest, which are rounded, and
    wrong for what cannot be.

    Parameters
    ----------
    knots : array of shape (m,)
        Where the steps are: for class c, knots[first[c]:first[c + 1]], rising. Its first is 0.
    levels : array of shape (m,)
        g_c from its knot to the next.
    first : int array of shape (k + 1,)
    rows : float
        n, that it was fitted to; with weights, (sum w)^2 / sum w^2. Infinity for no further row.
    improvement : Improvement, optional
        Set by `fit`.

    Raises
    ------
    DataError
        Parameters that are no step functions.

    References
    ----------
    B. Zadrozny, C. Elkan, "Transforming classifier scores into accurate multiclass probability
    estimates", KDD (2002).

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> p = random.dirichlet([1, 1, 1], size=5000)
    >>> labels = (np.log(p) + random.gumbel(size=p.shape)).argmax(axis=1)
    >>> wrong = p**3 / (p**3).sum(axis=1, keepdims=True)
    >>> calibrator = IsotonicScaling.fit_from_probabilities(wrong, labels)
    >>> calibrator.log_loss_after < calibrator.log_loss_before
    True
    >>> bool(abs(calibrator.from_probabilities(wrong) - p).mean() < 0.03)
    True
    """

    knots: Float64s
    levels: Float64s
    first: Integers
    rows: float
    improvement: Improvement | None = None

    def __post_init__(self) -> None:
        for name in ("knots", "levels"):
            keep_array(self, name, np.size(self.knots))
        first = np.asarray(self.first)
        if not self.rows > 0 or not _are_steps(self.knots, self.levels, first):
            raise DataError(
                "knots, levels, first and rows are no step functions: expected rising knots from 0 "
                "and levels from 0 to 1 for every class, and a positive number of rows"
            )
        self._set(first=frozen(first, np.intp))

    @property
    def is_identity(self) -> bool:
        """Whether there are no steps."""
        return not len(self.knots)

    @classmethod
    def _identity(cls, classes: int) -> Self:
        return cls(np.empty(0), np.empty(0), np.zeros(classes + 1, np.intp), np.inf)

    @classmethod
    def _trial(cls, rows: Rows, folds: Integers) -> Trial:
        held_out = rows.losses()
        for others, inside in splits(rows, folds):
            new = cls._stepped(others)._transformed(rows.scores[inside].astype(np.float64))
            held_out[inside] = -maps.log_softmax(new)[np.arange(len(inside)), rows.labels[inside]]
        return Trial(held_out, cls._stepped)

    @classmethod
    def _stepped(cls, rows: Rows) -> Self:
        rows = rows.take(rows.weights > 0)
        probabilities = _rounded_softmax(rows.scores)
        steps = [
            _steps(column.astype(np.float64), rows.labels == c, rows.weights)
            for c, column in enumerate(probabilities.T)
        ]
        knots, levels = (np.concatenate(parts) for parts in zip(*steps, strict=True))
        first = np.cumsum([0, *(len(part) for part, _ in steps)])
        return cls(knots, levels, first, rows.effective)

    def _transformed(self, scores: Float64s) -> Float64s:
        probabilities = _rounded_softmax(scores)
        result = np.full(scores.shape, 1 / (self._classes * self.rows))
        for c, (start, stop) in enumerate(zip(self.first, self.first[1:], strict=False)):
            p = probabilities[:, c].astype(np.float64)
            step = np.searchsorted(self.knots[start:stop], p, "right")
            result[:, c] += self.levels[start + np.maximum(step, 1) - 1]
        possible = result.any(axis=1)
        result[~possible] = probabilities[~possible]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(result))

    @property
    def _classes(self) -> int:
        return len(self.first) - 1


def _rounded_softmax(scores: Array) -> npt.NDArray[np.float32]:
    """Probabilities in the digits of float32: what was equal before logarithms is equal again."""
    result = np.empty(scores.shape, np.float32)
    step = max(1, BLOCK_ELEMENTS // scores.shape[1])
    for start in range(0, len(scores), step):
        block = slice(start, start + step)
        with np.errstate(under="ignore"):
            result[block] = maps.softmax(scores[block].astype(np.float64))
    return result


def _are_steps(knots: Float64s, levels: Float64s, first: npt.NDArray[Any]) -> bool:
    if first.ndim != 1 or first.dtype.kind not in "iu" or len(first) < 2:
        return False
    if not len(knots):
        return not first.any()
    if first[0] != 0 or first[-1] != len(knots) or not (first[1:] > first[:-1]).all():
        return False
    rising = np.diff(knots) > 0
    rising[first[1:-1] - 1] = True
    bounded = (levels >= 0) & (levels <= 1)
    return bool(rising.all() and bounded.all() and not knots[first[:-1]].any())


def _steps(
    probabilities: Float64s, is_class: npt.NDArray[np.bool_], weights: Float64s
) -> tuple[Float64s, Float64s]:
    """Knots and levels of one class; a knot is midway between what the levels were fitted to."""
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(probabilities, kind="stable")
    probabilities, weights = probabilities[order], weights[order] / weights.max()
    starts = np.flatnonzero(np.diff(probabilities, prepend=-1.0))
    weight = np.add.reduceat(weights, starts)
    share = np.add.reduceat(weights * is_class[order], starts) / weight
    fitted = isotonic_regression(share, sample_weight=weight, y_min=0.0, y_max=1.0)
    places = np.flatnonzero(np.diff(fitted, prepend=-1.0))
    values = probabilities[starts]
    knots = (values[places] + values[np.maximum(places - 1, 0)]) / 2
    knots[0] = 0.0
    distinct = np.flatnonzero(np.diff(knots, prepend=-1.0))
    return knots[distinct], fitted[places][distinct]
