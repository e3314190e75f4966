"""The map without a regulariser: argmax, and its result as a vertex of the simplex."""

from dataclasses import dataclass
from math import inf, prod
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce import kernels
from luce.errors import DataError, NotDifferentiableError
from luce.kernels import reference
from luce.maps._rows import (
    Array,
    Axis,
    as_matrix,
    batch_shape,
    by_rows,
    class_axes,
    classes_last,
    is_bfloat16,
    kernel_view,
    mask_of,
    moved_last,
    real_array,
    reduced,
    result_dtype,
    threads_for,
)
from luce.maps.softmax import softmax

# Smaller calls are NumPy's: it has less to set up, and is quick on long rows.
ROWS_FOR_NUMPY = 256
SIZE_FOR_NUMPY = 1 << 15
LONG_ROW = 64
SIZE_OF_HALVES = 256
# Of smaller scores the kernel of softmax finds the limit at temperature 0 quicker.
SIZE_TO_SCATTER = 1024


def argmax(
    scores: ArrayLike,
    axis: Axis = -1,
    *,
    keepdims: bool = False,
    where: ArrayLike | None = None,
) -> Any:
    """argmax_i scores_i: the index of the largest score.

    Parameters
    ----------
    scores : array_like of real numbers
        Of any shape and dtype. Integers are compared exactly.
    axis : int, tuple of int or None, default -1
        The classes. For several axes (None: all of them) the index counts through them in C order,
        as ``numpy.unravel_index`` undoes.
    keepdims : bool, default False
        Leave the reduced axes in the result, with size one.
    where : array_like of bool, optional
        False for a class that cannot be chosen; broadcast to the shape of `scores`.

    Returns
    -------
    numpy.int64 or ndarray of int64
        The first index among equal scores; the first NaN where there is one.

    Raises
    ------
    DataError
        There is no class to choose from: the axis is empty, or `where` excludes them all.

    Examples
    --------
    >>> from luce.maps import argmax
    >>> argmax([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]])
    array([1, 0])
    >>> argmax([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]], where=[True, False, True])
    array([2, 0])
    """
    if type(scores) is np.ndarray and where is None and axis == -1 and scores.ndim and scores.size:
        if scores.size < _size_for_numpy(scores.dtype, scores.shape[-1]):
            return scores.argmax(-1, keepdims=keepdims)
        if (
            scores.dtype.char in "fde"
            and scores.flags.aligned
            and scores.dtype.isnative
            and not keepdims
        ):
            best = np.empty(scores.shape[:-1], np.int64)
            kernels.argmax(scores, best.reshape(-1), 1, threads_for(scores.size))
            return best[()]
    array = real_array(scores, "scores")
    axes = class_axes(axis, array.shape, "scores")
    if array.size == 0 and prod(array.shape[i] for i in axes) == 0 < prod(
        batch_shape(array.shape, axes)
    ):
        raise DataError("scores have no classes along this axis: there is no largest score")
    if where is None:
        return reduced(_argmax_rows(array, axes), array.shape, axes, keepdims)
    possible = mask_of(where, array.shape)
    best = _argmax_rows(_masked(array, possible), axes)
    classes = prod(array.shape[i] for i in axes)
    _keep_to_possible(best, classes_last(possible, axes).reshape(len(best), classes))
    return reduced(best, array.shape, axes, keepdims)


def _size_for_numpy(dtype: np.dtype[Any], classes: int) -> float:
    if dtype.char in "fd":
        return SIZE_FOR_NUMPY if classes >= LONG_ROW else ROWS_FOR_NUMPY * classes
    if dtype.kind in "biu":
        return inf
    return SIZE_OF_HALVES if dtype.char == "e" or is_bfloat16(dtype) else 0


def _argmax_rows(array: Array, axes: tuple[int, ...]) -> NDArray[np.int64]:
    """For every row, in C order, the flat index of its largest score."""
    if array.size and (array.dtype.char in "efd" or is_bfloat16(array.dtype)):
        return by_rows(kernels.argmax, array, axes, np.int64)
    rows = as_matrix(array, axes)
    return np.asarray(rows.argmax(axis=1) if len(rows) else np.empty(0), np.int64)


def _masked(array: Array, possible: NDArray[np.bool_]) -> Array:
    """The scores, the lowest there is where a class is not possible."""
    dtype = array.dtype
    if dtype.char in "efd" or is_bfloat16(dtype):
        scores = np.empty(array.shape, dtype)
        kernels.masked(
            kernel_view(array),
            np.ascontiguousarray(possible),
            kernel_view(scores),
            threads_for(array.size),
        )
        return scores
    lowest = -np.inf if dtype.kind == "f" else 0 if dtype.kind == "b" else np.iinfo(dtype).min
    return np.where(possible, array, dtype.type(lowest))


def _keep_to_possible(best: NDArray[np.int64], possible: NDArray[np.bool_]) -> None:
    """Where all possible scores are the lowest there is, take the first possible class."""
    astray = np.flatnonzero(~possible[np.arange(len(best)), best])
    best[astray] = possible[astray].argmax(axis=1)
    nothing = astray[~possible[astray, best[astray]]]
    if len(nothing):
        raise DataError(f"where excludes every class of row {nothing[0]}: there is none to choose")


def topk(scores: ArrayLike, k: int) -> tuple[Array, Array]:
    """The `k` largest scores along the last axis, largest first, and where they stand.

    Parameters
    ----------
    scores : array_like of real numbers, shape (..., classes)
    k : int
        From 0 to the number of classes.

    Returns
    -------
    values : ndarray, shape (..., k), of the scores' dtype
    indices : ndarray of int64, shape (..., k)
        Equal scores in the order of their index. NaN comes before every number.

    Raises
    ------
    DataError
        `k` is no such integer, or `scores` has no axis.

    Examples
    --------
    >>> from luce.maps import topk
    >>> values, indices = topk([0.1, 0.5, 0.2, 0.5], 3)
    >>> values
    array([0.5, 0.5, 0.2])
    >>> indices
    array([1, 3, 2])
    """
    array = real_array(scores, "scores")
    if array.ndim == 0:
        raise DataError("scores are a single number; expected at least one axis, the classes")
    classes = array.shape[-1]
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 0 <= k <= classes:
        raise DataError(
            f"k is {k!r}; expected an integer from 0 to {classes}, the number of classes"
        )
    matrix = as_matrix(array, (array.ndim - 1,))
    values, indices = np.empty((len(matrix), k), array.dtype), np.empty((len(matrix), k), np.int64)
    if array.dtype.char in "efd" or is_bfloat16(array.dtype):
        views = kernel_view(matrix), kernel_view(values)
        kernels.topk(*views, indices, threads_for(array.size))
    else:
        reference.topk(matrix, values, indices)
    shape = (*array.shape[:-1], int(k))
    return values.reshape(shape), indices.reshape(shape)


def hardmax(scores: ArrayLike, axis: Axis = -1) -> Array:
    """argmax_p <p, scores> over the simplex: 1 at the largest score, 0 elsewhere.

    Parameters
    ----------
    scores : array_like of real numbers
    axis : int, tuple of int or None, default -1
        The classes.

    Returns
    -------
    ndarray
        Of the shape of `scores`; floats of 16, 32 and 64 bits as they are, integers become float64.
        The first of equal scores takes all. A row of -inf alone is 0, a row with a NaN is NaN.

    Raises
    ------
    DataError
        `scores` are not real numbers.

    Notes
    -----
    Piecewise constant: it has no derivative to learn from. `softmax` is the same problem with an
    entropy added, and approaches `hardmax` as its temperature goes to 0.

    Examples
    --------
    >>> from luce.maps import hardmax
    >>> hardmax([[1.0, 3.0, 2.0], [5.0, 5.0, 0.0]])
    array([[0., 1., 0.],
           [1., 0., 0.]])
    """
    array = real_array(scores, "scores")
    if array.size < SIZE_TO_SCATTER and array.dtype.char in "fde":
        return softmax(array, axis, temperature=0.0)
    axes = class_axes(axis, array.shape, "scores")
    result = np.zeros(array.shape, result_dtype(array.dtype))
    if array.size == 0:
        return result
    batch = batch_shape(array.shape, axes)
    best = _argmax_rows(array, axes).reshape(batch)
    position = (
        *np.ix_(*map(np.arange, batch)),
        *np.unravel_index(best, [array.shape[i] for i in axes]),
    )
    largest = moved_last(array, axes)[position].astype(result.dtype)
    target = moved_last(result, axes)
    with np.errstate(invalid="ignore"):
        target[position] = largest > -np.inf
        target[np.isnan(largest)] = np.nan
    return result


@dataclass(frozen=True)
class Hardmax:
    """argmax_p <p, scores>: `hardmax` as a value, the map whose Omega is 0.

    Its derivatives raise `NotDifferentiableError`.

    Attributes
    ----------
    axis : int, tuple of int or None, default -1
        The classes; None for all axes.
    temperature : float
        0, always: hardmax is the limit of `Softmax` there.

    Examples
    --------
    >>> from luce.maps import Hardmax
    >>> Hardmax()([1.0, 3.0, 2.0])
    array([0., 1., 0.])
    """

    axis: Axis = -1
    temperature: ClassVar[float] = 0.0

    def __call__(self, scores: ArrayLike) -> Array:
        """`hardmax` of the scores."""
        return hardmax(scores, self.axis)

    def omega(self, probabilities: ArrayLike) -> Any:
        """0 for every distribution: nothing is regularised."""
        array = real_array(probabilities, "probabilities")
        axes = class_axes(self.axis, array.shape, "probabilities")
        return np.zeros(batch_shape(array.shape, axes), result_dtype(array.dtype))[()]

    def jvp(self, probabilities: ArrayLike, tangent: ArrayLike) -> NoReturn:
        """Raise `NotDifferentiableError`."""
        raise no_derivative("Hardmax()")

    def vjp(self, probabilities: ArrayLike, cotangent: ArrayLike) -> NoReturn:
        """Raise `NotDifferentiableError`."""
        raise no_derivative("Hardmax()")

    def jacobian(self, probabilities: ArrayLike) -> NoReturn:
        """Raise `NotDifferentiableError`."""
        raise no_derivative("Hardmax()")


def no_derivative(name: str) -> NotDifferentiableError:
    """The error that says why argmax cannot be differentiated, and what can."""
    return NotDifferentiableError(
        f"{name} is piecewise constant: its derivative is 0 where it exists and does not exist at "
        "ties, so there is nothing to learn from. Use a regularised map: Softmax(temperature)"
    )
