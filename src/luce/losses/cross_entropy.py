"""The loss of `softmax`: minus the logarithm of the probability given to the truth."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce import kernels
from luce.errors import DataError

Array = NDArray[Any]
Reduction = Literal["mean", "sum", "none"]

# How far the sum of a row of soft targets may be from 1: float16 targets are that coarse.
TARGET_SUM_TOLERANCE = 1e-3


def cross_entropy(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Any:
    """w_i (logsumexp(scores_i) - <scores_i, y_i>) for every row i, or their mean or sum.

    Parameters
    ----------
    scores : array_like of real numbers, shape (n, k)
        Integers are computed in float64, float16 in float32.
    labels : array_like, shape (n,) or (n, k)
        Class indices from 0 to k - 1, or soft targets: every row non-negative with sum 1.
    sample_weight : array_like, shape (n,), optional
        w, finite and not negative; 1 when absent. A row of weight 0 is left out, whatever its
        scores.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights.

    Returns
    -------
    numpy.float64, or ndarray of float64 of shape (n,) for "none"
        Never negative, and free of cancellation: a loss of 1e-30 has all its digits. Infinite
        where the truth is a class that cannot happen (score -inf).

    Raises
    ------
    DataError
        A label that is no class, or targets, weights or shapes that do not fit: the message names
        the row. A mean over no weight at all.

    See Also
    --------
    cross_entropy_gradient : the value and its gradient in one pass.

    Examples
    --------
    >>> from luce.losses import cross_entropy
    >>> float(cross_entropy([[2.0, 0.0], [0.0, 3.0]], [0, 0]).round(6))
    1.587758
    >>> cross_entropy([[2.0, 0.0], [0.0, 3.0]], [0, 0], reduction="none").round(6)
    array([0.126928, 3.048587])
    """
    matrix, targets, weights = _checked(scores, labels, sample_weight, reduction)
    losses, _ = _losses(matrix, targets, weights, with_gradient=False)
    return losses if reduction == "none" else losses.sum()


def cross_entropy_gradient(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> tuple[Any, Array]:
    """`cross_entropy` and its gradient w_i (softmax(scores_i) - y_i), in one pass.

    Parameters
    ----------
    scores, labels, sample_weight, reduction
        As for `cross_entropy`.

    Returns
    -------
    value : numpy.float64, or ndarray of float64 of shape (n,) for "none"
        As `cross_entropy` returns it.
    gradient : ndarray, shape (n, k)
        With respect to the scores, and of their dtype (float64 for integers); for "mean" divided by
        the sum of the weights. The entry of the label keeps its digits also where its probability
        is nearly 1. What would be subnormal is 0. A row without a possible class has gradient 0,
        a row with NaN or +inf has NaN.

    Raises
    ------
    DataError
        As `cross_entropy`.

    Examples
    --------
    >>> from luce.losses import cross_entropy_gradient
    >>> value, gradient = cross_entropy_gradient([[0.0, 0.0], [0.0, 0.0]], [0, 1])
    >>> gradient
    array([[-0.25,  0.25],
           [ 0.25, -0.25]])
    """
    matrix, targets, weights = _checked(scores, labels, sample_weight, reduction)
    losses, gradient = _losses(matrix, targets, weights, with_gradient=True)
    dtype = np.asarray(scores).dtype
    with np.errstate(under="ignore", over="ignore"):
        result = gradient.astype(dtype if dtype.kind == "f" else np.float64, copy=False)
    return (losses if reduction == "none" else losses.sum()), result


def _losses(
    scores: Array, targets: Array, weights: NDArray[np.float64] | None, with_gradient: bool
) -> tuple[NDArray[np.float64], Array]:
    """Weighted losses and, when wanted, their gradient (else an empty array)."""
    if targets.ndim == 2:
        return _soft_losses(scores, targets, weights, with_gradient)
    losses = np.empty(len(scores))
    gradient = np.empty_like(scores) if with_gradient else None
    indices = targets.astype(np.int64, casting="unsafe")
    row = kernels.cross_entropy(scores, indices, weights, losses, gradient)
    if row >= 0:
        raise DataError(
            f"labels[{row}] is {targets[row]}; expected a class from 0 to {scores.shape[1] - 1}, "
            f"a column of scores"
        )
    return losses, np.empty(0) if gradient is None else gradient


def _soft_losses(
    scores: Array, targets: Array, weights: NDArray[np.float64] | None, with_gradient: bool
) -> tuple[NDArray[np.float64], Array]:
    log_probabilities = np.empty_like(scores)
    kernels.log_softmax(scores, 1.0, log_probabilities)
    wide = targets.astype(np.float64, copy=False)
    with np.errstate(invalid="ignore"):
        parts = np.where(wide == 0, 0, -wide * log_probabilities)
    parts[np.isnan(scores).any(axis=1)] = np.nan
    factors = np.ones(len(scores)) if weights is None else weights
    left_out = factors == 0
    losses = np.where(left_out, 0, factors * np.where(left_out, 0, parts.sum(axis=1)))
    if not with_gradient:
        return losses, np.empty(0)
    probabilities = log_probabilities
    kernels.softmax(scores, 1.0, probabilities)
    difference = probabilities - targets
    difference[(scores == -np.inf).all(axis=1) | left_out] = 0
    gradient = (difference * factors[:, None]).astype(scores.dtype)
    gradient[np.abs(gradient) < np.finfo(scores.dtype).smallest_normal] = 0
    return losses, gradient


def _checked(
    scores: ArrayLike, labels: ArrayLike, sample_weight: ArrayLike | None, reduction: str
) -> tuple[Array, Array, NDArray[np.float64] | None]:
    """Scores for the kernels, labels or targets, and weights; for "mean" the weights sum to 1."""
    if reduction not in ("mean", "sum", "none"):
        raise DataError(f"reduction is {reduction!r}; expected 'mean', 'sum' or 'none'")
    matrix = _checked_scores(scores)
    targets = _checked_targets(labels, matrix.shape)
    weights = None if sample_weight is None else _checked_weights(sample_weight, len(matrix))
    if reduction != "mean":
        return matrix, targets, weights
    total = float(len(matrix)) if weights is None else weights.sum()
    if not np.isfinite(total):
        raise DataError("the weights are so large that their sum overflows: scale them down")
    if total == 0:
        raise DataError(
            "the weights sum to 0: there is no mean. Pass rows with weight, or reduction='sum'"
        )
    return matrix, targets, (np.ones(len(matrix)) if weights is None else weights) / total


def _checked_scores(scores: ArrayLike) -> Array:
    array = np.asarray(scores)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise DataError(f"scores have dtype {array.dtype}; expected float32, float64 or integers")
    if array.ndim != 2:
        raise DataError(f"scores have shape {array.shape}; expected (rows, classes)")
    if array.dtype.kind != "f":
        return np.require(array, np.float64, ["C", "A"])
    return np.require(array, np.float64 if array.dtype.itemsize == 8 else np.float32, ["C", "A"])


def _checked_targets(labels: ArrayLike, shape: tuple[int, ...]) -> Array:
    array = np.asarray(labels)
    if array.ndim == 1 and len(array) == shape[0]:
        if array.dtype.kind in "iu" or not array.size:
            return array
        raise DataError(
            f"labels have dtype {array.dtype}; expected integers, the columns of scores. "
            "For other labels use numpy.unique(labels, return_inverse=True)"
        )
    if array.shape != shape:
        raise DataError(
            f"labels have shape {array.shape}; expected ({shape[0]},) class indices "
            f"or {shape} soft targets, to fit the scores"
        )
    if array.dtype.kind not in "biuf":
        raise DataError(f"soft targets have dtype {array.dtype}; expected real numbers")
    with np.errstate(invalid="ignore"):
        sums = array.sum(axis=1, dtype=np.float64)
        good = (array >= 0).all(axis=1) & (np.abs(sums - 1) <= TARGET_SUM_TOLERANCE)
    if not good.all():
        row = int(good.argmin())
        raise DataError(
            f"soft targets of row {row} sum to {sums[row]:.6g} with smallest entry "
            f"{array[row].min(initial=np.inf):.6g}; expected non-negative numbers with sum 1"
        )
    return array


def _checked_weights(sample_weight: ArrayLike, rows: int) -> NDArray[np.float64]:
    array = np.asarray(sample_weight)
    if array.dtype.kind not in "biuf":
        raise DataError(f"sample_weight has dtype {array.dtype}; expected real numbers")
    if array.shape != (rows,):
        raise DataError(f"sample_weight has shape {array.shape}; expected ({rows},), one a row")
    weights = np.require(array, np.float64, ["C", "A"])
    good = np.isfinite(weights) & (weights >= 0)
    if not good.all():
        row = int(good.argmin())
        raise DataError(
            f"sample_weight[{row}] is {weights[row]}; expected a finite number of at least 0"
        )
    return weights
