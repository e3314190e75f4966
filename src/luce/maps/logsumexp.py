"""The smooth maximum: the value of the problem that `softmax` solves."""

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from luce import kernels
from luce.errors import DataError
from luce.maps._rows import (
    Array,
    Axis,
    as_matrix,
    by_rows,
    class_axes,
    real_array,
    reduced,
    result_dtype,
    threads_for,
)


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
        array, factors = _broadcast(array, real_array(weights, "weights").astype(float))
    axes = class_axes(axis, array.shape, "scores")
    dtype = result_dtype(array.dtype)
    if weights is None:
        working = array if array.dtype == dtype else array.astype(dtype)
        value = by_rows(kernels.logsumexp, working, axes, dtype)
        sign = np.where(np.isnan(value), np.nan, value > -np.inf) if return_sign else None
    else:
        matrix, factors = (as_matrix(x.astype(float, copy=False), axes) for x in (array, factors))
        value, sign = np.empty((2, len(matrix)))
        kernels.weighted_logsumexp(matrix, factors, value, sign, threads_for(matrix.size))
        if not return_sign:
            value = np.where(sign < 0, np.nan, value)
    value = reduced(value.astype(dtype, copy=False), array.shape, axes, keepdims)
    if sign is None or not return_sign:
        return value
    return value, reduced(sign.astype(dtype, copy=False), array.shape, axes, keepdims)


def _broadcast(scores: Array, weights: Array) -> tuple[Array, Array]:
    if not np.isfinite(weights).all():
        raise DataError("weights hold NaN or infinity; expected finite numbers")
    if weights.shape == scores.shape:
        return scores, weights
    try:
        scores, weights = np.broadcast_arrays(scores, weights)
    except ValueError:
        raise DataError(
            f"weights have shape {weights.shape}, which does not fit scores' {scores.shape}"
        ) from None
    return scores, weights
