"""The smooth maximum: the value of the problem that `softmax` solves."""

from math import prod
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from luce import kernels
from luce.errors import DataError
from luce.maps._rows import (
    Array,
    Axis,
    by_rows,
    class_axes,
    classes_last,
    real_array,
    reduced,
    result_dtype,
    threads_for,
)

# log 2 in two parts; the first has 42 bits, so that its product with an exponent is exact.
LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42fefa3800p-1"), float.fromhex("0x1.ef35793c76730p-45")


@overload
def logsumexp(
    scores: ArrayLike,
    axis: Axis = -1,
    *,
    weights: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: Literal[False] = False,
) -> Any: ...
@overload
def logsumexp(
    scores: ArrayLike,
    axis: Axis = -1,
    *,
    weights: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: Literal[True],
) -> tuple[Any, Any]: ...
def logsumexp(
    scores: ArrayLike,
    axis: Axis = -1,
    *,
    weights: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
) -> Any:
    """log(sum_i w_i exp(scores_i)), without overflow or underflow.

    Parameters
    ----------
    scores : array_like of real numbers
    axis : int, tuple of int or None, default -1
        The classes; None for all axes.
    weights : array_like of real numbers, optional
        w, of any sign; broadcast against `scores`. A class of weight 0 is left out, whatever its
        score.
    keepdims : bool, default False
        Leave the reduced axes in the result, with size one.
    return_sign : bool, default False
        Also return the sign of the sum, and the logarithm of its absolute value.

    Returns
    -------
    value : scalar or ndarray
        Floats of 16, 32 and 64 bits as the scores are, integers become float64. Without weights at
        most 2 units in the last place of max(|value|, |largest score|). -inf where the sum is 0.
        Without `return_sign`, NaN where the sum is negative.
    sign : scalar or ndarray
        -1, 0 or 1; only with `return_sign`.

    Raises
    ------
    DataError
        The weights do not broadcast, are not finite, or something is not a real number.

    Notes
    -----
    Its gradient is `softmax`. Weights of both signs can cancel: the error is then relative to
    log sum |w_i| exp(scores_i), not to the result.

    Examples
    --------
    >>> from luce.maps import logsumexp
    >>> float(logsumexp([1000.0, 1000.0]))
    1000.6931471805599
    >>> value, sign = logsumexp([0.0, 1.0], weights=[1.0, -1.0], return_sign=True)
    >>> float(value.round(6)), float(sign)
    (0.541325, -1.0)
    """
    if (
        type(scores) is np.ndarray
        and weights is None
        and axis == -1
        and not keepdims
        and not return_sign
        and scores.ndim > 0
        and scores.size > 0
        and scores.dtype.char in "fde"
        and scores.flags.aligned
        and scores.dtype.isnative
    ):
        sums = np.empty(scores.shape[:-1], scores.dtype)
        kernels.logsumexp(scores, sums.reshape(-1), 1, threads_for(scores.size))
        return sums[()]
    array = real_array(scores, "scores")
    if weights is not None:
        array, factors = _broadcast(array, real_array(weights, "weights"))
    axes = class_axes(axis, array.shape, "scores")
    dtype = result_dtype(array.dtype)
    if weights is None:
        working = array if array.dtype == dtype else array.astype(dtype)
        value = by_rows(kernels.logsumexp, working, axes, dtype)
        sign = np.where(np.isnan(value), np.nan, value > -np.inf) if return_sign else None
    else:
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            value, sign = _weighted_rows(_matrix(array, axes), _matrix(factors, axes))
        if not return_sign:
            value = np.where(sign < 0, np.nan, value)
    value = reduced(value.astype(dtype, copy=False), array.shape, axes, keepdims)
    if sign is None or not return_sign:
        return value
    return value, reduced(sign.astype(dtype, copy=False), array.shape, axes, keepdims)


def _broadcast(scores: Array, weights: Array) -> tuple[Array, Array]:
    if not np.isfinite(weights).all():
        raise DataError("weights hold NaN or infinity; expected finite numbers")
    try:
        scores, weights = np.broadcast_arrays(scores, weights)
    except ValueError:
        raise DataError(
            f"weights have shape {weights.shape}, which does not fit scores' {scores.shape}"
        ) from None
    return scores, weights


def _matrix(array: Array, axes: tuple[int, ...]) -> Array:
    """Rows of classes in float64."""
    rows = classes_last(array, axes)
    batch = rows.shape[:-1]
    return rows.reshape(prod(batch), rows.shape[-1]).astype(np.float64)


def _weighted_rows(scores: Array, weights: Array) -> tuple[Array, Array]:
    """Logarithm of |sum| and sign of every row, from the ratios of all terms to the largest."""
    if scores.shape[1] == 0:
        return np.full(len(scores), -np.inf), np.zeros(len(scores))
    scores = np.where(weights == 0, -np.inf, scores)
    pivot = _pivot(scores + np.log(np.abs(weights)))
    pivot_score = np.take_along_axis(scores, pivot, axis=1)
    pivot_weight = np.take_along_axis(weights, pivot, axis=1)
    ratios = _ratios(scores, weights, np.where(np.isinf(pivot_score), 0, pivot_score), pivot_weight)
    np.put_along_axis(ratios, pivot, 0, axis=1)
    rest = ratios.sum(axis=1)
    log_sum = np.where(rest > -0.5, np.log1p(np.maximum(rest, -0.5)), np.log(np.abs(1 + rest)))
    value = pivot_score[:, 0] + (np.log(np.abs(pivot_weight[:, 0])) + log_sum)
    sign = np.sign(pivot_weight[:, 0]) * np.sign(1 + rest)
    return _with_infinities(scores, weights, value, sign)


def _pivot(sizes: Array) -> Array:
    return np.asarray(np.where(np.isnan(sizes), -np.inf, sizes).argmax(axis=1)[:, None])


def _ratios(scores: Array, weights: Array, pivot_score: Array, pivot_weight: Array) -> Array:
    """w_i exp(score_i) of every class over the pivot's.

    The weights' powers of two join the exponent, which is an exact sum of two parts: weights as far
    apart as floats go neither overflow nor cost digits.
    """
    mantissas, powers = np.frexp(weights)
    pivot_mantissa, pivot_power = np.frexp(np.where(pivot_weight == 0, 1, pivot_weight))
    steps = (powers - pivot_power).astype(np.float64)
    high, low = _two_sum(scores, -pivot_score)
    high, more = _two_sum(high, steps * LN2_HIGH)
    low = np.where(np.isfinite(high), low + (more + steps * LN2_LOW), 0)
    ratios = (mantissas / pivot_mantissa) * np.exp(high)
    return np.asarray(ratios + ratios * low)


def _with_infinities(
    scores: Array, weights: Array, value: Array, sign: Array
) -> tuple[Array, Array]:
    """Rows whose sum is 0, infinite or undefined for what their scores are, not for rounding."""
    above = ((scores == np.inf) & (weights > 0)).any(axis=1)
    below = ((scores == np.inf) & (weights < 0)).any(axis=1)
    undefined = np.isnan(scores).any(axis=1) | (above & below)
    value = np.where(above | below, np.inf, value)
    sign = np.where(above, 1.0, np.where(below, -1.0, sign))
    nothing = (scores == -np.inf).all(axis=1)
    value, sign = np.where(nothing, -np.inf, value), np.where(nothing, 0.0, sign)
    return np.where(undefined, np.nan, value), np.where(undefined, np.nan, sign)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Sum and its rounding error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)
