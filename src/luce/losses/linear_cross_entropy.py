"""The cross-entropy of a linear classifier and its gradients, without its scores in memory."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce import kernels
from luce.errors import DataError
from luce.kernels.threads import num_threads
from luce.losses import _checks as checks

Array = NDArray[Any]


@dataclass(frozen=True)
class LinearCrossEntropy:
    """What `linear_cross_entropy` found.

    Attributes
    ----------
    value : float
    coef : ndarray of shape (k, d)
        Gradient with respect to the coefficients, in their dtype.
    intercept : float64 ndarray of shape (k,)
        Gradient with respect to the intercept, also where none was given.
    features : ndarray of shape (n, d), or None
        Gradient with respect to the features, in the dtype of the coefficients, if asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.losses import linear_cross_entropy
    >>> linear_cross_entropy(np.eye(2), np.zeros((2, 2)), [0, 1]).intercept
    array([0., 0.])
    """

    value: float
    coef: Array
    intercept: NDArray[np.float64]
    features: Array | None


def linear_cross_entropy(
    features: ArrayLike,
    coef: ArrayLike,
    labels: ArrayLike,
    intercept: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
    features_gradient: bool = True,
) -> LinearCrossEntropy:
    """``cross_entropy(features @ coef.T + intercept, labels)`` and all its gradients in one pass.

    With residuals r_i = s_i (softmax(scores_i) - t_i), s the sample weights and t the targets,
    and divided by the sum of s for "mean", the gradients are ``r.T @ features`` for the
    coefficients, the sum of r over the rows for the intercept, and ``r @ coef`` for the features.
    Only some rows have scores at a time: beside its results the call takes some tens of MB,
    whatever n and k.

    Parameters
    ----------
    features : array_like of shape (n, d), float32 or float64
        In any layout; other real numbers become float64.
    coef : array_like of shape (k, d)
        Products are computed in float32 if features and coef both are, in float64 otherwise.
    labels : array_like of shape (n,) or (n, k)
        Class indices from 0 to k - 1, or soft targets: every row non-negative with sum 1.
    intercept : array_like of shape (k,), optional
        0 when absent.
    sample_weight : array_like of shape (n,), optional
        s, finite and not negative; 1 when absent.
    label_smoothing : float, default 0.0
        From 0 to 1: how much of every label is shared out equally. Not for soft targets.
    reduction : {"mean", "sum"}, default "mean"
        The mean over rows of no weight is 0.
    features_gradient : bool, default True
        Whether the gradient with respect to the features is wanted: a third of the work.

    Returns
    -------
    LinearCrossEntropy
        The value and the gradients; not finite where features or coefficients are not, or
        scores overflow.

    Raises
    ------
    DataError
        A label that is no class, weights or shapes that do not fit, an option out of its range.

    See Also
    --------
    cross_entropy_gradient : of scores that are there already.

    References
    ----------
    E. Wijmans et al., "Cut Your Losses in Large-Vocabulary Language Models", ICLR 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.losses import linear_cross_entropy
    >>> found = linear_cross_entropy([[1.0, 2.0], [3.0, 4.0]], np.zeros((2, 2)), [0, 1])
    >>> round(found.value, 6)
    0.693147
    >>> found.coef
    array([[ 0.5,  0.5],
           [-0.5, -0.5]])
    """
    if reduction not in ("mean", "sum"):
        raise DataError(f"reduction is {reduction!r}; expected 'mean' or 'sum'")
    smoothing = checks.checked_number(label_smoothing, "label_smoothing", "a number from 0 to 1", 1)
    rows, coef = _real_matrix(features, "features"), _real_matrix(coef, "coef")
    (n, d), k = rows.shape, len(coef)
    if coef.shape[1] != d or not k:
        raise DataError(
            f"coef has shape {coef.shape}; expected (classes, {d}), a row for each class and a "
            "column for each of the features"
        )
    real = np.result_type(rows, coef)
    coef = np.ascontiguousarray(coef, real)
    if intercept is not None:
        intercept = np.asarray(intercept)
        if intercept.shape != (k,) or intercept.dtype.kind not in "iuf":
            raise DataError(
                f"intercept is {intercept.dtype} {intercept.shape}; expected {k} real numbers, "
                "one a class"
            )
        intercept = np.ascontiguousarray(intercept, real)
    targets = checks.checked_labels(labels, (n, k))
    if targets.ndim == 2:
        if smoothing:
            raise DataError("label_smoothing is for class indices: smooth the soft targets instead")
        targets = np.require(targets, real, ["A"])
    else:
        outside = (targets < 0) | (targets >= k)
        if outside.any():
            row = int(outside.argmax())
            raise checks.label_out_of_range(row, int(targets[row]), k)
        targets = targets.astype(np.int64, copy=False)
    weights = None if sample_weight is None else checks.checked_sample_weight(sample_weight, n)
    divisor = checks.divisor_of(weights, n, reduction)
    if divisor != 1:
        weights = np.full(n, 1 / divisor) if weights is None else weights / divisor
    gradient, bias = np.empty(coef.shape, real), np.empty(k)
    back = np.empty((n, d), real) if features_gradient else None
    value = kernels.linear_cross_entropy(
        rows,
        targets,
        weights,
        coef,
        intercept,
        gradient,
        bias,
        back,
        label_smoothing=smoothing,
        threads=num_threads(),
    )
    return LinearCrossEntropy(value, gradient, bias, back)


def _real_matrix(given: ArrayLike, name: str) -> Array:
    array = np.asarray(given)
    if array.ndim != 2:
        raise DataError(f"{name} have shape {array.shape}; expected two axes")
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise DataError(f"{name} have dtype {array.dtype}; expected float32, float64 or integers")
    if array.dtype.char in "fd" and array.dtype.isnative and array.flags.aligned:
        return array
    wide = array.dtype.kind != "f" or array.dtype.itemsize == 8
    return np.array(array, np.float64 if wide else np.float32, order="C")
