"""What a calibrator is given: rows of scores or of probabilities, with their labels and weights.

Probabilities become scores, their logarithms: a softmax of them gives the probabilities back. What
looks like the one where the other was announced is told, because nothing else would: scores are any
numbers, and a softmax of probabilities is a distribution too, only a flat one.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from luce import kernels
from luce.calibration.rows import (
    SUM_TOLERANCE,
    Float64s,
    Integers,
    check_total_weight,
    checked_labels,
    checked_weights,
)
from luce.calibration.units import group_codes
from luce.errors import CalibrationWarning, DataError
from luce.maps._rows import real_array, result_dtype, threads_for, working_dtype
from luce.training.blas import single_threaded_blas
from luce.training.objective import Share, lanes_for, shared_rows

Array = npt.NDArray[Any]

BLOCK_ELEMENTS, MOST_ROWS = 2**16, 2**14


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to calibrate on, checked.

    Attributes
    ----------
    scores : array of shape (n, k), float32 or float64
        No NaN, no +inf; -inf is a class that cannot happen.
    labels : int64 array of shape (n,)
    weights : float64 array of shape (n,)
        Positive; 0 for rows that are held out.
    groups : int64 array of shape (n,), or None
        Rows with the same number belong together, and may depend on each other.
    """

    scores: Array
    labels: Integers
    weights: Float64s
    groups: Integers | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """The number of columns, k."""
        return int(self.scores.shape[1])

    @property
    def units(self) -> int:
        """How many there are that do not depend on each other: rows, or numbers of groups."""
        return len(self) if self.groups is None else int(self.groups.max()) + 1

    @property
    def effective(self) -> float:
        """As many rows of equal weight would say as much: (sum w)^2 / sum w^2, of any scale.

        Where rows come in groups, w are the weights of these.
        """
        weights = self.over_groups(self.weights / self.weights.max())
        return float(weights.sum() ** 2 / (weights @ weights))

    def blocks(self, least: int = 1) -> list[slice]:
        """All rows, cut into blocks that stay in a core's own cache, of so many rows at least."""
        step = max(least, min(BLOCK_ELEMENTS // self.classes, MOST_ROWS))
        return [slice(start, start + step) for start in range(0, len(self), step)]

    def take(self, chosen: npt.NDArray[Any] | slice) -> "Rows":
        """Some of the rows."""
        groups = None if self.groups is None else self.groups[chosen]
        return Rows(self.scores[chosen], self.labels[chosen], self.weights[chosen], groups)

    def without(self, held_out: npt.NDArray[np.bool_]) -> "Rows":
        """The same with some held out: nothing is copied but weights."""
        return replace(self, weights=np.where(held_out, 0.0, self.weights))

    def over_groups(self, values: Float64s) -> Float64s:
        """The sum of each group's values (n,), or the values where each row is by itself."""
        if self.groups is None:
            return values
        return np.bincount(self.groups, values).astype(np.float64, copy=False)

    def of_labels(self) -> Float64s:
        """The score of each row's label: -inf where it is held impossible."""
        scores: Array = self.scores[np.arange(len(self)), self.labels]
        return scores.astype(np.float64)

    def losses(self) -> Float64s:
        """The cross-entropy of each row."""
        return losses(self.scores, self.labels)


def losses(scores: Array, labels: Integers, temperature: float = 1.0) -> Float64s:
    """The cross-entropy of each row, inf where its label is held impossible."""
    result = np.empty(len(labels))
    threads = threads_for(scores.size)
    kernels.cross_entropy(
        scores, labels, None, result, None, temperature=temperature, threads=threads
    )
    return result


def summed(rows: Rows, share: Share, blocks: list[slice], size: int = 1) -> Float64s:
    """The sum over all blocks of rows of what `share` gives for some of them: `size` numbers."""
    if len(blocks) == 1:
        with single_threaded_blas():
            return share(blocks)
    with shared_rows(rows.scores.size) as over_rows:
        return over_rows(share, blocks, most_lanes=lanes_for(size))


def labelled(
    scores: Array,
    labels: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    groups: npt.ArrayLike | None = None,
) -> Rows:
    """Checked scores with labels, weights and groups; rows without weight are no rows.

    Raises
    ------
    DataError
        No row, a label that is no class, a weight that is negative or not finite, weights that sum
        to 0, a group that is NaN.
    """
    n, k = scores.shape
    if not n:
        raise DataError("there is no row; a calibration needs some, with their labels")
    checked = checked_labels(np.asarray(labels), n, k, 0).astype(np.int64)
    codes = None if groups is None else group_codes(groups, n)
    if sample_weight is None:
        return Rows(scores, checked, np.ones(n), codes)
    weights = checked_weights(sample_weight, n, 0)
    with np.errstate(over="ignore"):
        check_total_weight(float(weights.sum()))
    rows = Rows(scores, checked, weights, codes)
    return rows if weights.all() else rows.take(weights > 0)


def checked_scores(scores: npt.ArrayLike, *, as_is: bool) -> Array:
    """Scores in float32 or float64, or a DataError; a warning where they look like probabilities.

    Rows may be none: then there is nothing to warn of.
    """
    array = _table(scores, "scores")
    if not array.max(initial=-np.inf) < np.inf:
        row = int((~(array < np.inf)).any(axis=1).argmax())
        column = int((~(array[row] < np.inf)).argmax())
        raise DataError(
            f"row {row}: the score of class {column} is {array[row, column]}; expected a finite "
            "number, or -inf for a class that cannot happen"
        )
    if not as_is and _look_like_probabilities(array):
        warnings.warn(
            "The scores look like probabilities: no row has a negative number, and every row sums "
            "to 1. For probabilities there are fit_from_probabilities and from_probabilities; "
            "if these are scores, say as_is=True.",
            CalibrationWarning,
            stacklevel=3,
        )
    return array


def scores_of(probabilities: npt.ArrayLike, *, as_is: bool) -> Array:
    """The logarithms of probabilities, or a DataError where they are none."""
    array = _table(probabilities, "probabilities")
    sums = _row_sums(array)
    sound = (sums > 0) & (sums < np.inf)
    if not as_is:
        sound &= abs(sums - 1) <= SUM_TOLERANCE
    if not sound.all() or not array.min(initial=0) >= 0:
        row = int((sound & (array >= 0).all(axis=1)).argmin())
        raise _no_distribution(row, array[row], sums[row])
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(array))


def _table(values: npt.ArrayLike, name: str) -> Array:
    """(n, k) numbers in the dtype that is computed in."""
    array = real_array(values, name)
    if array.ndim != 2 or not array.shape[1]:
        raise DataError(
            f"the {name} have shape {array.shape}; expected (rows, classes), with a class at least"
        )
    return array.astype(working_dtype(result_dtype(array.dtype)), copy=False)


def _row_sums(array: Array) -> Float64s:
    with np.errstate(over="ignore", invalid="ignore"):
        sums: Float64s = np.einsum("ij->i", array, dtype=np.float64)
    return sums


def _no_distribution(row: int, values: Array, total: float) -> DataError:
    column = int((~(values >= 0)).argmax())
    advice = "for scores there are fit and probabilities"
    if not values[column] >= 0:
        wrong = f"the probability of class {column} is {values[column]:.6g}"
    else:
        wrong = f"the probabilities sum to {total:.6g}"
        if 0 < total < np.inf:
            advice += "; as_is=True divides by the sum"
    return DataError(f"row {row}: {wrong}; expected non-negative numbers with sum 1: {advice}")


def _look_like_probabilities(array: Array) -> bool:
    def do(rows: Array) -> bool:
        return bool((abs(_row_sums(rows) - 1) <= SUM_TOLERANCE).all() and rows.min() >= 0)

    # The first row nearly always decides.
    return array.shape[1] > 1 and len(array) > 0 and do(array[:1]) and do(array)
