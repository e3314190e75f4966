"""All metrics of held-out rows in one reading, each with a bootstrap interval.

Every metric is a function of weighted sums over rows. A bootstrap resample, which counts how often
each row was drawn, is then a vector of counts times the matrix of what each row adds, and a
thousand resamples are a few matrix products.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from luce.calibration import bootstrap, rows, units
from luce.calibration.units import Part, Units
from luce.errors import DataError
from luce.training.blas import single_threaded_blas

_MAX_CONFUSION_CLASSES = 2000


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
    log_probabilities = rows.as_table(log_probabilities)
    running = RunningEvaluation(
        log_probabilities.shape[1], weighted=sample_weight is not None, seed=seed
    )
    running.add(log_probabilities, labels, sample_weight=sample_weight, groups=groups)
    return running.result(resamples)


class RunningEvaluation:
    """`evaluate` of rows that come block after block, in memory that no number of rows changes.

    `add` takes a block, `result` what `evaluate` returns of all rows so far: the same to the last
    bit however they were cut into blocks. Besides the sums of 16384 bundles and the confusion, the
    names of the first 16384 groups are all that is remembered.

    Parameters
    ----------
    classes : int
        k.
    weighted : bool
        Whether every block brings a sample weight.
    seed : int, default 0
        Equal seeds give equal intervals.

    Raises
    ------
    DataError
        (by the methods) Unusable input; the message names the row, counted over all blocks.

    Examples
    --------
    >>> running = RunningEvaluation(2, weighted=False)
    >>> running.add(np.log([[0.8, 0.2], [0.4, 0.6]]), [0, 1])
    >>> running.add(np.log([[0.7, 0.3], [0.9, 0.1]]), [1, 0])
    >>> running.result().accuracy
    Figure(value=0.75, low=0.25, high=1.0)
    """

    def __init__(self, classes: int, *, weighted: bool, seed: int = 0) -> None:
        self._classes = classes
        self._weighted = weighted
        self._grouped: bool | None = None
        self._seed = seed
        self._units = Units(seed)
        self._seen = self._kept = 0
        self._totals = np.zeros((5 + rows.BINS, units.MOST))
        with_confusion = classes <= _MAX_CONFUSION_CLASSES
        self._confusion = np.zeros(classes**2 if with_confusion else 0, float if weighted else int)

    def add(
        self,
        log_probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> None:
        """Take up m more rows, also none; all that `evaluate` says of its arguments holds.

        Raises
        ------
        DataError
            Unusable input; the message names the row, counted from 0 over all blocks. What was
            added so far is then of no further use.
        """
        table = np.asarray(log_probabilities)
        if table.shape == (0, self._classes):
            return
        table = rows.as_table(table)
        n, k = table.shape
        if k != self._classes:
            raise DataError(f"the probabilities have {k} classes; expected {self._classes}")
        if self._weighted != (sample_weight is not None):
            raise DataError("sample_weight is for all blocks of rows, or for none")
        if self._grouped not in (None, groups is not None):
            raise DataError("groups are for all blocks of rows, or for none")
        self._grouped = groups is not None
        first = self._seen
        self._seen += n
        checked = None if groups is None else units.checked_groups(groups, n, first)

        for block in rows.blocks(table, labels, sample_weight, logarithmic=True, first_row=first):
            if checked is None:
                parts = self._units.of_rows(len(block.rows))
            else:
                parts = self._units.of_groups(checked[block.rows])
            self._add(block, parts)

    def result(self, resamples: int = 1000) -> Evaluation:
        """All figures of the rows so far; intervals from so many resamples, at least 40.

        Raises
        ------
        DataError
            There was no row, the weights sum to 0 or overflow, or there are fewer resamples.
        """
        bootstrap.check_resamples(resamples)
        if not self._seen:
            raise DataError("there was no row; a metric needs one")
        with np.errstate(over="ignore"):
            rows.check_total_weight(self._totals[0].sum())
        # A unit without weight is no unit; a resample of such alone would be 0 / 0.
        order = self._units.order()
        totals = self._totals[:, order[self._totals[0, order] > 0]]
        values = _metrics(totals.sum(axis=1))
        low, high = _interval(totals, resamples, np.random.default_rng(self._seed))
        accuracy, log_loss, brier_score, expected_calibration_error = (
            Figure(float(value), float(min(a, value)), float(max(b, value)))
            for value, a, b in zip(values, low, high, strict=True)
        )
        k = self._classes
        return Evaluation(
            rows=self._kept,
            accuracy=accuracy,
            log_loss=log_loss,
            brier_score=brier_score,
            expected_calibration_error=expected_calibration_error,
            confusion=self._confusion.reshape(k, k).copy() if self._confusion.size else None,
        )

    def _add(self, block: rows.Block, parts: list[Part]) -> None:
        m = len(block.rows)
        top = block.probabilities.argmax(axis=1)
        confidence = block.probabilities[np.arange(m), top]
        correct = (top == block.labels).astype(np.float64)
        surprise = rows.surprise(block.values, block.labels)
        impossible = np.isinf(surprise)
        added = np.stack(
            [
                np.ones(m),
                correct,
                # Infinite losses are counted apart, for not drawing one must give 0 and not NaN.
                np.where(impossible, 0.0, surprise),
                impossible,
                rows.squared_distance(block.probabilities, block.labels),
                confidence - correct,
            ]
        )
        places = np.tile(np.arange(6)[:, None], m)
        places[5] += rows.confidence_bin(confidence)
        with np.errstate(over="ignore", invalid="ignore"):
            added *= block.weights
            for part in parts:
                if part.moved is not None:
                    before, self._totals = self._totals, np.zeros_like(self._totals)
                    np.add.at(self._totals.T, part.moved, before.T)
                # Row after row, and not sums of sums: so blocks do not show.
                cells = places[:, part.rows] * units.MOST + part.units
                np.add.at(self._totals.reshape(-1), cells.ravel(), added[:, part.rows].ravel())
            if self._confusion.size:
                weights = block.weights.astype(self._confusion.dtype)
                np.add.at(self._confusion, block.labels * self._classes + top, weights)
        self._kept += m


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
    n = totals.shape[1]
    if n == 1:
        return np.full(4, np.nan), np.full(4, np.nan)
    metrics = np.empty((4, resamples))
    for part, counts in bootstrap.resampled(n, resamples, random):
        with single_threaded_blas():  # too little for threads that wait for each other
            metrics[:, part] = _metrics(totals @ counts)
    return bootstrap.interval(metrics)
