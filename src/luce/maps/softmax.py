"""The map regularised by Shannon's entropy: Luce's choice rule."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from luce import kernels
from luce.errors import DataError
from luce.maps._rows import (
    Array,
    Axis,
    batch_shape,
    class_axes,
    kernel_view,
    mask_of,
    moved_last,
    real_array,
    result_dtype,
    temperature_of_rows,
    threads_for,
)


def softmax(
    scores: ArrayLike,
    axis: Axis = -1,
    *,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """argmax_p <p, scores> + T H(p) over the simplex: exp(scores_i / T) / sum_j exp(scores_j / T).

    Parameters
    ----------
    scores : array_like of real numbers
        Of any shape, strides and size; -inf is a class that cannot happen.
    axis : int, tuple of int or None, default -1
        The classes; None for all axes.
    temperature : float or array_like, default 1.0
        T >= 0; an array gives each row its own: it broadcasts to the scores, with size one along
        the classes. 0 is `hardmax` (the first of equal scores), infinity is uniform over the
        possible classes.
    where : array_like of bool, optional
        False for a class that cannot happen; broadcast to the shape of `scores`.
    out : ndarray, optional
        Takes the result; may be `scores` itself. Of the result's shape and dtype. After a
        KeyboardInterrupt it is written in part.

    Returns
    -------
    ndarray
        Probabilities, of the shape of `scores`, in C order; float32 and float64 as they are,
        float16 and bfloat16 too (computed in float32, then rounded), integers become float64. At
        most 2 units in the last place from the exact value. A row without a possible class is 0; a
        NaN makes its own row NaN, and so does +inf.

    Raises
    ------
    DataError
        The temperature is negative or NaN; `where` or `out` do not fit; `scores` are not real
        numbers.

    See Also
    --------
    log_softmax : keeps the digits of probabilities too small for a float.
    Softmax : the same map as a value, with its derivatives.

    References
    ----------
    R. D. Luce, Individual Choice Behavior, 1959.

    Examples
    --------
    >>> from luce.maps import softmax
    >>> softmax([0.0, 1.0, 2.0]).round(3)
    array([0.09 , 0.245, 0.665])
    >>> softmax([0.0, 1.0, 2.0], temperature=0.0)
    array([0., 0., 1.])
    >>> softmax([0.0, 1.0, 1.0], where=[True, True, False]).round(3)
    array([0.269, 0.731, 0.   ])
    """
    return _apply(kernels.softmax, scores, axis, temperature, where, out)


def log_softmax(
    scores: ArrayLike,
    axis: Axis = -1,
    *,
    temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    """scores_i / T - log sum_j exp(scores_j / T): the logarithm of `softmax`, never underflowing.

    Parameters
    ----------
    scores, axis, temperature, where, out
        As for `softmax`.

    Returns
    -------
    ndarray
        Log-probabilities, at most 2 units in the last place from the exact value also where they
        are nearly 0. -inf for a class that cannot happen, and in all of a row without a possible
        class. With a score of +inf: NaN there, -inf elsewhere in the row.

    Raises
    ------
    DataError
        As `softmax`.

    Examples
    --------
    >>> from luce.maps import log_softmax
    >>> log_softmax([0.0, 1000.0])
    array([-1000.,     0.])
    >>> log_softmax([-50.0, 0.0])
    array([-5.00000000e+01, -1.92874985e-22])
    """
    return _apply(kernels.log_softmax, scores, axis, temperature, where, out)


def _apply(
    kernel: Callable[..., None],
    scores: Any,
    axis: Any,
    temperature: Any,
    where: Any,
    out: Array | None,
) -> Array:
    if (
        type(scores) is np.ndarray
        and where is None
        and axis == -1
        and isinstance(temperature, float)
        and scores.dtype.char in "fde"
    ):
        try:
            result = np.empty(scores.shape, scores.dtype) if out is None else out
            kernel(scores, temperature, result, 1, threads_for(scores.size))
        except (TypeError, ValueError):
            pass  # what is wrong is said below
        else:
            return result
    array = real_array(scores, "scores")
    axes = class_axes(axis, array.shape, "scores")
    dtype = result_dtype(array.dtype)
    temperatures = checked_temperature(temperature, array.shape, axes)
    result = np.empty(array.shape, dtype) if out is None else _checked_out(out, array, dtype)
    target = result if out is None or _is_safe(array, out) else np.empty(array.shape, dtype)
    threads = threads_for(array.size)
    source = array
    # What is changed first is put into the result, which is then turned in place: no second copy.
    if array.dtype != dtype:
        target[...] = array
        source = target
    if where is not None:
        possible = np.ascontiguousarray(mask_of(where, array.shape))
        kernels.masked(kernel_view(source), possible, kernel_view(target), threads)
        source = target
    kernel(
        kernel_view(moved_last(source, axes)),
        temperatures,
        kernel_view(moved_last(target, axes)),
        len(axes),
        threads,
    )
    if target is not result:
        result[...] = target
    return result


def checked_temperature(
    temperature: Any, shape: tuple[int, ...], axes: tuple[int, ...]
) -> float | Array:
    """One temperature for all rows, or a vector of one a row; 0 or greater, infinity included."""
    if isinstance(temperature, float) and temperature >= 0:
        return temperature
    try:
        values = np.asarray(temperature, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"temperature is {temperature!r}; expected a number") from None
    if not (values >= 0).all():
        worst = values[~(values >= 0)].flat[0]
        raise DataError(
            f"temperature is {worst}; expected a number of at least 0 (0 for hardmax, 1 for plain "
            "softmax). To turn the order of the scores round, negate the scores"
        )
    if values.ndim == 0:
        return float(values)
    rows = temperature_of_rows(values, shape, axes)[..., 0]
    return np.ascontiguousarray(np.broadcast_to(rows, batch_shape(shape, axes))).reshape(-1)


def _checked_out(out: Array, scores: Array, dtype: np.dtype[Any]) -> Array:
    if not isinstance(out, np.ndarray) or out.shape != scores.shape or out.dtype != dtype:
        found = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise DataError(
            f"out is {found}; expected an array of dtype {dtype} and shape {scores.shape}"
        )
    if not out.flags.writeable:
        raise DataError("out is read-only; pass an array that can be written")
    return out


def _is_safe(scores: Array, out: Array) -> bool:
    """Whether a kernel may write `out` while it reads the scores: in place, or far apart."""
    if not out.flags.aligned:
        return False
    if not np.may_share_memory(scores, out):
        return True
    same = scores.ctypes.data == out.ctypes.data and scores.strides == out.strides
    return same and scores.dtype == out.dtype
