"""The map regularised by Shannon's entropy: Luce's choice rule."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from luce import kernels
from luce.errors import DataError
from luce.maps._rows import Array, Axis, Rows, class_rows, real_array, result_dtype, working_dtype
from luce.maps.hardmax import hardmax_rows, no_derivative


def softmax(
    scores: ArrayLike,
    axis: Axis = -1,
    *,
    temperature: float = 1.0,
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
    temperature : float, default 1.0
        T >= 0. 0 is `hardmax` (the first of equal scores), infinity is uniform over the possible
        classes.
    where : array_like of bool, optional
        False for a class that cannot happen; broadcast to the shape of `scores`.
    out : ndarray, optional
        Takes the result; may be `scores` itself. Of the result's shape and dtype.

    Returns
    -------
    ndarray
        Probabilities, of the shape of `scores`; float16, float32 or float64 as they are (float16 is
        computed in float32), integers become float64. At most 2 units in the last place from the
        exact value. A row without a possible class is 0; a NaN makes its own row NaN, and so does
        +inf.

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
    return _apply(_softmax_rows, class_rows(scores, axis, where), temperature, out)


def log_softmax(
    scores: ArrayLike,
    axis: Axis = -1,
    *,
    temperature: float = 1.0,
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
    return _apply(_log_softmax_rows, class_rows(scores, axis, where), temperature, out)


def _softmax_rows(matrix: Array, temperature: float, out: Array) -> None:
    if temperature == 0:
        out[...] = hardmax_rows(matrix)
    elif temperature == math.inf:
        out[...] = _uniform_rows(matrix)
    else:
        kernels.softmax(matrix, temperature, out)


def _log_softmax_rows(matrix: Array, temperature: float, out: Array) -> None:
    if 0 < temperature < math.inf:
        kernels.log_softmax(matrix, temperature, out)
        return
    _softmax_rows(matrix, temperature, out)
    with np.errstate(divide="ignore"):
        np.log(out, out=out)


def _uniform_rows(matrix: Array) -> Array:
    """1 / (number of possible classes) for each of them; NaN in a row with NaN or +inf."""
    possible = matrix > -np.inf
    result = possible / np.maximum(possible.sum(axis=1, keepdims=True), 1)
    result[~(matrix < np.inf).all(axis=1)] = np.nan
    return np.asarray(result, matrix.dtype)


def _apply(
    rows_map: Callable[[Array, float, Array], None],
    rows: Rows,
    temperature: float,
    out: Array | None,
) -> Array:
    temperature = checked_temperature(temperature)
    if out is not None:
        _check_out(rows, out)
    direct = None if out is None or rows.owned else _direct_target(rows, out)
    target = rows.matrix if rows.owned else direct
    if target is None:
        target = np.empty(rows.matrix.shape, rows.matrix.dtype)
    rows_map(rows.matrix, temperature, target)
    if out is None:
        return rows.restore(target)
    if direct is None:
        out[...] = rows.restore(target)
    return out


def checked_temperature(temperature: float) -> float:
    """`temperature` as a float that is 0 or greater, infinity included."""
    try:
        value = float(temperature)
    except (TypeError, ValueError):
        raise DataError(f"temperature is {temperature!r}; expected a number") from None
    if not value >= 0:
        raise DataError(
            f"temperature is {value}; expected a number of at least 0 (0 for hardmax, 1 for plain "
            "softmax). To turn the order of the scores round, negate the scores"
        )
    return value


def _check_out(rows: Rows, out: Array) -> None:
    if not isinstance(out, np.ndarray) or out.shape != rows.shape or out.dtype != rows.dtype:
        found = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise DataError(
            f"out is {found}; expected an array of dtype {rows.dtype} and shape {rows.shape}"
        )
    if not out.flags.writeable:
        raise DataError("out is read-only; pass an array that can be written")


def _direct_target(rows: Rows, out: Array) -> Array | None:
    """`out` as rows, when the kernel can write there without disturbing scores still unread."""
    view = rows.view(out)
    if view is None or not np.may_share_memory(view, rows.matrix):
        return view
    same = view.ctypes.data == rows.matrix.ctypes.data and view.strides == rows.matrix.strides
    return view if same else None


@dataclass(frozen=True)
class Softmax:
    """`softmax` as a value, with its derivatives: the map whose Omega is the negative entropy.

    The derivatives take probabilities, this map's own output: nothing is exponentiated twice.

    Attributes
    ----------
    temperature : float, default 1.0
        T >= 0. At 0 the map is `Hardmax` and the derivatives raise `NotDifferentiableError`.
    axis : int, default -1
        The classes.

    Raises
    ------
    DataError
        The temperature is negative or NaN.

    Examples
    --------
    >>> from luce.maps import Softmax
    >>> m = Softmax(temperature=2.0)
    >>> p = m([0.0, 0.0])
    >>> m.vjp(p, [1.0, 0.0])
    array([ 0.125, -0.125])
    """

    temperature: float = 1.0
    axis: int = -1

    def __post_init__(self) -> None:
        checked_temperature(self.temperature)

    def __call__(self, scores: ArrayLike) -> Array:
        """`softmax` of the scores."""
        return softmax(scores, self.axis, temperature=self.temperature)

    def jvp(self, probabilities: ArrayLike, tangent: ArrayLike) -> Array:
        """p_i (t_i - <p, t>) / T: how probabilities move when the scores move along the tangent t.

        Impossible classes (p = 0) do not move, whatever their tangent.
        """
        if self.temperature == 0:
            raise no_derivative("Softmax(temperature=0)")
        p, t, dtype = _same_float_arrays(probabilities, tangent)
        if p.size == 0:
            return p.astype(dtype)
        # The derivative does not see a constant added to t. With t = 0 at the most probable class,
        # what that class gains is a plain sum over the others, and nothing cancels.
        centre = np.take_along_axis(t, p.argmax(axis=self.axis, keepdims=True), axis=self.axis)
        with np.errstate(invalid="ignore"):
            t = np.where(p == 0, 0, t - centre)
        slope = p * (t - (p * t).sum(axis=self.axis, keepdims=True))
        return np.asarray(slope / p.dtype.type(self.temperature), dtype)

    def vjp(self, probabilities: ArrayLike, cotangent: ArrayLike) -> Array:
        """p_i (c_i - <p, c>) / T, the gradient of <c, p>: the Jacobian is symmetric."""
        return self.jvp(probabilities, cotangent)

    def jacobian(self, probabilities: ArrayLike) -> Array:
        """(diag(p) - p p') / T, shape (..., classes, classes): the class axis goes last, twice."""
        if self.temperature == 0:
            raise no_derivative("Softmax(temperature=0)")
        p, _, dtype = _same_float_arrays(probabilities, probabilities)
        p = np.moveaxis(p, self.axis, -1)
        matrix = -p[..., :, None] * p[..., None, :]
        diagonal = np.arange(p.shape[-1])
        matrix[..., diagonal, diagonal] = 0
        matrix[..., diagonal, diagonal] = -matrix.sum(axis=-1)
        return np.asarray(matrix / p.dtype.type(self.temperature), dtype)

    def omega(self, probabilities: ArrayLike) -> Any:
        """sum_i p_i log p_i, the negative entropy, 0 log 0 being 0; NaN if an entry is negative."""
        p, _, dtype = _same_float_arrays(probabilities, probabilities)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(p == 0, 0, p * np.log(p)).sum(axis=self.axis).astype(dtype)[()]


def _same_float_arrays(
    probabilities: ArrayLike, direction: ArrayLike
) -> tuple[Array, Array, np.dtype[Any]]:
    """Both in the dtype to compute in, checked to be of one shape; and the dtype of the result."""
    p, t = (
        real_array(probabilities, "probabilities"),
        real_array(direction, "the direction's values"),
    )
    if p.shape != t.shape:
        raise DataError(
            f"the direction has shape {t.shape}; expected {p.shape}, that of the probabilities"
        )
    dtype = result_dtype(p.dtype, t.dtype)
    working = working_dtype(dtype)
    return p.astype(working, copy=False), t.astype(working, copy=False), dtype
