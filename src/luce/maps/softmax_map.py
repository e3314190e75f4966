"""`softmax` as a value: a map with its derivatives, its regulariser and its loss."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from luce import kernels
from luce.errors import DataError
from luce.maps._divergences import (
    losses_of_any,
    losses_of_distributions,
    negative_entropies,
)
from luce.maps._rows import (
    Array,
    Axis,
    as_matrix,
    class_axes,
    classes_back,
    classes_last,
    real_array,
    result_dtype,
    temperature_of_rows,
    threads_for,
    working_dtype,
)
from luce.maps.hardmax import no_derivative
from luce.maps.softmax import checked_temperature, softmax


@dataclass(frozen=True, eq=False)
class Softmax:
    """argmax_p <p, scores> - T sum_i p_i log p_i: `softmax` as a value, with its derivatives.

    The derivative with respect to the scores is (diag(p) - p p') / T, of the probabilities alone:
    the methods take this map's own output, and nothing is exponentiated twice. It is symmetric, so
    that `vjp` and `jvp` are the same. float16 is computed in float32 and rounded.

    Attributes
    ----------
    temperature : float or ndarray of float64, default 1.0
        T >= 0, a number or an array that broadcasts against the scores with size one along the
        classes; it is copied. Where it is 0 the map is `Hardmax`, and the derivatives raise
        `NotDifferentiableError`; where it is infinite they are 0.
    axis : int, tuple of int or None, default -1
        The classes; None for all axes.

    Raises
    ------
    DataError
        The temperature is negative or NaN, or the axis is not of integers.

    See Also
    --------
    luce.FenchelYoung : the loss whose gradient is this map minus the targets.

    Examples
    --------
    >>> from luce.maps.softmax_map import Softmax
    >>> m = Softmax(temperature=2.0)
    >>> p = m([0.0, 0.0])
    >>> m.vjp(p, [1.0, 0.0])
    array([ 0.125, -0.125])
    >>> Softmax([[1.0], [2.0]]).jacobian([[0.5, 0.5], [0.5, 0.5]])
    array([[[ 0.25 , -0.25 ],
            [-0.25 ,  0.25 ]],
    <BLANKLINE>
           [[ 0.125, -0.125],
            [-0.125,  0.125]]])
    """

    temperature: float | Array = 1.0
    axis: Axis = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", _checked_temperature(self.temperature))
        object.__setattr__(self, "axis", _checked_axis(self.axis))

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Softmax) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        values = np.asarray(self.temperature)
        return values.shape, values.tobytes(), self.axis

    def __call__(self, scores: ArrayLike) -> Array:
        """exp(scores_i / T) / sum_j exp(scores_j / T).

        Parameters
        ----------
        scores : array_like of real numbers

        Returns
        -------
        ndarray
            As `softmax` returns them.

        Raises
        ------
        DataError
            As `softmax`.

        Examples
        --------
        >>> from luce.maps.softmax_map import Softmax
        >>> Softmax()([0.0, 1.0, 2.0]).round(3)
        array([0.09 , 0.245, 0.665])
        """
        return softmax(scores, self.axis, temperature=self.temperature)

    def jvp(self, probabilities: ArrayLike, tangent: ArrayLike) -> Array:
        """p_i (t_i - <p, t>) / T: how probabilities move when the scores move along the tangent t.

        Parameters
        ----------
        probabilities : array_like of real numbers
            What this map returned.
        tangent : array_like of real numbers, of the same shape
            At classes that cannot happen (p = 0) it may be anything, infinity and NaN too.

        Returns
        -------
        ndarray
            Of the shape of the probabilities. Exactly 0 for a class that cannot happen. The entry
            of the most probable class keeps its digits also where p is nearly 1.

        Raises
        ------
        NotDifferentiableError
            T is 0.
        DataError
            Shapes, axis or temperature do not fit each other.

        Examples
        --------
        >>> from luce.maps.softmax_map import Softmax
        >>> Softmax().jvp([0.5, 0.25, 0.25], [4.0, 0.0, 0.0])
        array([ 1. , -0.5, -0.5])
        """
        return self._slope(probabilities, tangent, "tangent")

    def vjp(self, probabilities: ArrayLike, cotangent: ArrayLike) -> Array:
        """p_i (c_i - <p, c>) / T: the gradient of <c, p> with respect to the scores.

        Parameters
        ----------
        probabilities : array_like of real numbers
            What this map returned.
        cotangent : array_like of real numbers, of the same shape
            At classes that cannot happen (p = 0) it may be anything, infinity and NaN too.

        Returns
        -------
        ndarray
            As `jvp` returns it.

        Raises
        ------
        NotDifferentiableError, DataError
            As `jvp`.

        Examples
        --------
        >>> from luce.maps.softmax_map import Softmax
        >>> Softmax().vjp([0.5, 0.5, 0.0], [2.0, 0.0, float("nan")])
        array([ 0.5, -0.5,  0. ])
        """
        return self._slope(probabilities, cotangent, "cotangent")

    def jacobian(self, probabilities: ArrayLike) -> Array:
        """(diag(p) - p p') / T: the derivative of every probability in every score.

        Parameters
        ----------
        probabilities : array_like of real numbers
            What this map returned.

        Returns
        -------
        ndarray, shape (batch..., classes..., classes...)
            The class axes go last, twice: probabilities first, then scores. Symmetric; its rows
            sum to 0 but for rounding.

        Raises
        ------
        NotDifferentiableError
            T is 0.
        DataError
            The probabilities are not real numbers, or axis or temperature do not fit them.

        Examples
        --------
        >>> from luce.maps.softmax_map import Softmax
        >>> Softmax().jacobian([0.5, 0.25, 0.25])
        array([[ 0.25  , -0.125 , -0.125 ],
               [-0.125 ,  0.1875, -0.0625],
               [-0.125 , -0.0625,  0.1875]])
        """
        self._check_differentiable()
        array = real_array(probabilities, "probabilities")
        dtype = result_dtype(array.dtype)
        axes = class_axes(self.axis, array.shape, "probabilities")
        temperature = temperature_of_rows(self.temperature, array.shape, axes)
        p = classes_last(array.astype(working_dtype(dtype), copy=False), axes)
        with np.errstate(all="ignore"):
            matrix = 0 - p[..., :, None] * p[..., None, :]
            # p - p^2 would cancel; the sum of the products with the other classes does not.
            diagonal = np.arange(p.shape[-1])
            matrix[..., diagonal, diagonal] = 0
            matrix[..., diagonal, diagonal] = 0 - matrix.sum(axis=-1)
            np.divide(matrix, temperature[..., None], out=matrix, casting="same_kind")
            matrix = matrix.astype(dtype, copy=False)
        classes = tuple(array.shape[i] for i in axes)
        return matrix.reshape(*p.shape[:-1], *classes, *classes)

    def omega(self, probabilities: ArrayLike) -> Any:
        """sum_i p_i log p_i: the negative of Shannon's entropy, 0 log 0 being 0.

        Parameters
        ----------
        probabilities : array_like of real numbers

        Returns
        -------
        scalar or ndarray, of the shape of the batch
            From -log(classes), where p is uniform, to 0, where it is certain. NaN where an entry
            is negative or NaN.

        Raises
        ------
        DataError
            The probabilities are not real numbers, or the axis does not fit them.

        Examples
        --------
        >>> from luce.maps.softmax_map import Softmax
        >>> Softmax().omega([[0.5, 0.5], [0.0, 1.0]])
        array([-0.69314718,  0.        ])
        """
        array = real_array(probabilities, "probabilities")
        dtype = result_dtype(array.dtype)
        axes = class_axes(self.axis, array.shape, "probabilities")
        p = classes_last(array.astype(working_dtype(dtype), copy=False), axes)
        return negative_entropies(p).astype(dtype)[()]

    def fenchel_young(
        self, scores: ArrayLike, targets: ArrayLike, value: bool, gradient: bool
    ) -> tuple[Any, Array | None]:
        """T KL(y || p) for every row: `luce.FenchelYoung` without its cancellation.

        Parameters
        ----------
        scores : array_like of real numbers
        targets : array_like
            Labels (integers, the shape of the batch; for several class axes an index that counts
            through them in C order) or distributions (the shape of the scores). They are not
            checked here.
        value, gradient : bool
            What is wanted.

        Returns
        -------
        value : scalar or ndarray of float64, of the shape of the batch, or None
            Where T is 0, max_i scores_i - <scores, y>.
        gradient : ndarray, of the shape of the scores, or None
            p - y of labels, at a temperature that is one number. None where the general form of
            the loss gives it as well.

        Raises
        ------
        DataError
            The scores are not real numbers, or axis or temperature do not fit them.

        Notes
        -----
        Of labels it is T times `luce.cross_entropy` at T. For distributions it is the sum of
        y log(y/p) - y + p, which adds nothing (both sum to 1), makes every term non-negative, and
        keeps the digits where y and p are nearly equal.

        Examples
        --------
        >>> from luce.maps.softmax_map import Softmax
        >>> Softmax().fenchel_young([[0.0, 70.0], [0.0, 70.0]], [0, 1], True, False)
        (array([7.00000000e+01, 3.97544974e-31]), None)
        """
        array, aims = real_array(scores, "scores"), np.asarray(targets)
        axes = class_axes(self.axis, array.shape, "scores")
        temperature = checked_temperature(self.temperature, array.shape, axes)
        are_labels = aims.shape != array.shape
        if not (isinstance(temperature, float) and 0 < temperature < np.inf):
            return losses_of_any(array, aims, axes, self.temperature) if value else None, None
        if not are_labels:
            losses = losses_of_distributions(array, aims, axes, temperature) if value else None
            return losses, None
        dtype = working_dtype(result_dtype(array.dtype))
        matrix = as_matrix(array.astype(dtype, copy=False), axes)
        losses = np.empty(len(matrix))
        slopes = np.empty(matrix.shape, dtype) if gradient else None
        kernels.cross_entropy(
            matrix,
            aims.reshape(-1).astype(np.int64, copy=False),
            None if temperature == 1 else np.full(len(matrix), temperature),
            losses,
            slopes,
            temperature=temperature,
            threads=threads_for(matrix.size),
        )
        back = None if slopes is None else classes_back(slopes, array.shape, axes)
        return losses.reshape(aims.shape)[()] if value else None, back

    def _slope(self, probabilities: ArrayLike, direction: ArrayLike, name: str) -> Array:
        self._check_differentiable()
        if (
            type(probabilities) is type(direction) is np.ndarray
            and isinstance(self.temperature, float)
            and self.axis == -1
            and probabilities.dtype.char in "fd"
            and probabilities.ndim == 2
            and probabilities.flags.c_contiguous
            and probabilities.size
        ):
            plain = np.empty(probabilities.shape, probabilities.dtype)
            try:
                kernels.softmax_jvp(
                    probabilities, direction, self.temperature, plain, threads_for(plain.size)
                )
            except (TypeError, ValueError):
                pass  # what does not fit is made ready below, or refused
            else:
                return plain
        array = real_array(probabilities, "probabilities")
        moves = real_array(direction, f"the {name}'s values")
        if moves.shape != array.shape:
            raise DataError(
                f"the {name} has shape {moves.shape}; expected {array.shape}, "
                "that of the probabilities"
            )
        axes = class_axes(self.axis, array.shape, "probabilities")
        temperature = checked_temperature(self.temperature, array.shape, axes)
        dtype = result_dtype(array.dtype, moves.dtype)
        if not array.size:
            return np.empty(array.shape, dtype)
        working = working_dtype(dtype)
        p, t = (as_matrix(x.astype(working, copy=False), axes) for x in (array, moves))
        order: Literal["C", "F"] = "F" if 0 < abs(p.strides[0]) < abs(p.strides[1]) else "C"
        slope = np.empty(p.shape, working, order)
        kernels.softmax_jvp(p, t, temperature, slope, threads_for(slope.size))
        if working != dtype:
            with np.errstate(all="ignore"):
                slope = slope.astype(dtype)
        return classes_back(slope, array.shape, axes)

    def _check_differentiable(self) -> None:
        temperature = self.temperature
        if temperature == 0 if isinstance(temperature, float) else (temperature == 0).any():
            raise no_derivative("Softmax(temperature=0)")


def _checked_temperature(temperature: Any) -> float | Array:
    """A float, or a read-only array of float64: 0 or greater, infinity included."""
    if isinstance(temperature, float) and temperature >= 0:
        return float(abs(temperature))  # -0.0 is 0.0
    try:
        values = np.array(temperature)
    except ValueError:
        values = np.array(None)
    if values.dtype.kind not in "biuf":
        raise DataError(f"temperature is {temperature!r}; expected a number, or an array of them")
    good = values >= 0
    if not good.all():
        where = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(~good)))
        place = f"[{', '.join(map(str, where))}]" if values.ndim else ""
        raise DataError(
            f"temperature{place} is {np.atleast_1d(values)[where]}; expected a number of at least "
            "0 (0 for hardmax, 1 for plain softmax). To turn the order of the scores round, negate "
            "the scores"
        )
    values = np.abs(values.astype(np.float64))
    if not values.ndim:
        return float(values)
    values.setflags(write=False)
    return values


def _checked_axis(axis: Axis) -> Axis:
    """The axis as int, tuple of int or None."""
    if type(axis) is int:
        return axis
    axes = (axis,) if isinstance(axis, int | np.integer) else axis
    if axes is None:
        return None
    if not isinstance(axes, tuple | list) or not axes or not all(map(_is_index, axes)):
        raise DataError(f"axis is {axis!r}; expected an integer, a tuple of integers, or None")
    return int(axes[0]) if axes is not axis else tuple(map(int, axes))


def _is_index(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
