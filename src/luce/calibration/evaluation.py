"""All metrics of held-out rows in one reading, each with a bootstrap interval.

Every metric is a function of weighted sums over rows. A bootstrap resample, which counts how often
each row was drawn, is then a vector of counts times the matrix of what each row adds, and a
thousand resamples are a few matrix products.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from luce.calibration import rows
from luce.errors import DataError

_MAX_UNITS = 2**14
_MAX_CONFUSION_CLASSES = 2000
_DRAWS_AT_ONCE = 2**20
_COVERAGE = 0.95


@dataclass(frozen=True)
class Figure:
    """A measured `value` and its 95 % interval from `low` to `high`.

    Examples
    --------
    >>> Figure(value=0.9, low=0.85, high=0.94).value
    0.9
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    rows : int
        Rows of positive weight.
    accuracy, log_loss, brier_score, expected_calibration_error : Figure
        As the functions of the same names say.
    confusion : ndarray of shape (k, k), or None
        True class by row, predicted class by column: the number of rows (int64), or their weight
        (float64) where a sample weight was given. None above 2000 classes, where the table would
        be larger than what it sums up.

    Examples
    --------
    >>> evaluation = evaluate(np.log([[0.8, 0.2], [0.4, 0.6]]), [0, 0])
    >>> evaluation.rows, evaluation.accuracy.value
    (2, 0.5)
    """

    rows: int
    accuracy: Figure
    log_loss: Figure
    brier_score: Figure
    expected_calibration_error: Figure
    confusion: npt.NDArray[np.int64] | npt.NDArray[np.float64] | None


def evaluate(
    log_probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Evaluation:
    """Accuracy, log loss, Brier score, calibration error and confusion, with 95 % intervals.

    The intervals are percentiles of the bootstrap: rows are drawn anew with replacement, n of n,
    `resamples` times. They say how much the figures would move on other rows of the same kind; they
    say nothing about another training run, nor about rows of another kind. Where rows come in
    groups (several rows of one patient, one document) they are not independent: name the `groups`,
    and whole groups are drawn.

    Above 16384 rows or groups, these are first dealt at random into 16384 bundles, and whole
    bundles are drawn: the same variance to about 1 %, in time and memory that do not grow with
    `resamples` times n.

    To judge a model, evaluate next to it the guess that needs no features: the class frequencies of
    the training rows, `np.broadcast_to(log_frequencies, (n, k))`.

    Hazards: with fewer than about 30 rows or groups, and for an accuracy near 0 or 1, the intervals
    are too narrow; an accuracy of exactly 1 gets the interval from 1 to 1. The calibration error is
    biased upward, and drawing anew adds the same bias again: its interval, widened where needed to
    contain the value, may lie above the truth.

    Parameters
    ----------
    log_probabilities : array_like of shape (n, k)
        Logarithms, as `luce.log_softmax` makes them; -inf for an impossible class. The exponentials
        of each row sum to 1 within 1e-3.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights >= 0, by default 1 each. They weigh; a row is drawn as often as any other.
    groups : array_like of shape (n,), optional
        Rows with equal values belong together.
    seed : int, default 0
        Equal seeds give equal intervals.
    resamples : int, default 1000
        At least 40, for an end of the interval is the outer fortieth.

    Returns
    -------
    Evaluation
        `low` and `high` are NaN where only one row or group has weight: nothing to draw from.

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    Examples
    --------
    >>> log_probabilities = np.log([[0.8, 0.2], [0.4, 0.6], [0.7, 0.3], [0.9, 0.1]])
    >>> evaluation = evaluate(log_probabilities, [0, 1, 1, 0])
    >>> evaluation.accuracy
    Figure(value=0.75, low=0.25, high=1.0)
    >>> evaluation.confusion
    array([[2, 0],
           [1, 1]])
    """
    if resamples < 40:
        raise DataError(f"resamples is {resamples}; a 95 % interval needs at least 40")
    log_probabilities = rows.as_table(log_probabilities)
    n, k = log_probabilities.shape
    random = np.random.default_rng(seed)
    unit = _units(groups, n, random)
    units = int(unit.max()) + 1
    totals = np.zeros((5 + rows.BINS, units))
    with_confusion = k <= _MAX_CONFUSION_CLASSES
    confusion = np.zeros(
        k * k if with_confusion else 0, float if sample_weight is not None else int
    )
    kept = 0

    for block in rows.blocks(log_probabilities, labels, sample_weight, logarithmic=True):
        probabilities = np.exp(block.values)
        kept += len(block.rows)
        for total, added in zip(totals, _added(block, probabilities), strict=True):
            total += np.bincount(unit[block.rows], added * block.weights, units)
        if with_confusion:
            cell = block.labels * k + probabilities.argmax(axis=1)
            confusion += np.bincount(cell, None if sample_weight is None else block.weights, k * k)

    # A unit without weight is no unit; a resample of such alone would be 0 / 0.
    totals = totals[:, totals[0] > 0]
    values = _metrics(totals.sum(axis=1))
    low, high = _interval(totals, resamples, random)
    accuracy, log_loss, brier_score, expected_calibration_error = (
        Figure(float(value), float(min(a, value)), float(max(b, value)))
        for value, a, b in zip(values, low, high, strict=True)
    )
    return Evaluation(
        rows=kept,
        accuracy=accuracy,
        log_loss=log_loss,
        brier_score=brier_score,
        expected_calibration_error=expected_calibration_error,
        confusion=confusion.reshape(k, k) if with_confusion else None,
    )


def _units(
    groups: npt.ArrayLike | None, n: int, random: np.random.Generator
) -> npt.NDArray[np.integer]:
    """Number the things drawn, 0 to at most _MAX_UNITS - 1, for each row."""
    if groups is None:
        if n <= _MAX_UNITS:
            return np.arange(n)
        return random.integers(_MAX_UNITS, size=n, dtype=np.uint16)
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise DataError(f"groups have shape {groups.shape}; expected ({n},), one for each row")
    if groups.dtype.kind == "f" and np.isnan(groups).any():
        row = int(np.isnan(groups).argmax())
        raise DataError(f"row {row}: the group is NaN; give every row a group")
    try:
        names, number = np.unique(groups, return_inverse=True)
    except TypeError as error:
        raise DataError("groups are of types that have no common order; use one type") from error
    if len(names) <= _MAX_UNITS:
        return number
    return random.integers(_MAX_UNITS, size=len(names), dtype=np.uint16)[number]


def _added(block: rows.Block, probabilities: rows.Float64s) -> rows.Float64s:
    """What each row adds to the sums that `_metrics` reads; (5 + BINS, m)."""
    surprise = rows.surprise(block.values, block.labels)
    impossible = np.isinf(surprise)
    return np.concatenate(
        [
            np.ones((1, len(block.rows))),
            rows.correct(probabilities, block.labels)[None],
            # Infinite losses are counted apart, for not drawing one must give 0 and not NaN.
            np.where(impossible, 0.0, surprise)[None],
            impossible[None],
            rows.squared_distance(probabilities, block.labels)[None],
            rows.overconfidence(probabilities, block.labels),
        ]
    )


def _metrics(sums: rows.Float64s) -> rows.Float64s:
    """(5 + BINS, ...) weighted sums to (4, ...) metrics, in the order of `Evaluation`."""
    weight, correct, surprise, impossible, squared_distance = sums[:5]
    totals = [
        correct,
        np.where(impossible > 0, np.inf, surprise),
        squared_distance,
        abs(sums[5:]).sum(axis=0),
    ]
    return np.asarray(np.stack(totals) / weight)


def _interval(
    totals: rows.Float64s, resamples: int, random: np.random.Generator
) -> tuple[rows.Float64s, rows.Float64s]:
    units = totals.shape[1]
    if units == 1:
        return np.full(4, np.nan), np.full(4, np.nan)
    metrics = np.empty((4, resamples))
    step = max(1, _DRAWS_AT_ONCE // units)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = random.integers(units, size=(size, units)) + units * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        metrics[:, start : start + size] = _metrics(totals @ counts.T.astype(np.float64))
    metrics.sort(axis=1)
    # Order statistics, not interpolation: between two infinite losses that would be NaN.
    last = resamples - 1
    outside = int((1 - _COVERAGE) / 2 * last)
    return metrics[:, outside], metrics[:, last - outside]
