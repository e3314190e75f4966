"""The loss that belongs to a map: its gradient is the map's output minus the target."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce.errors import DataError
from luce.losses._checks import are_clearly_distributions, target_sum_tolerance
from luce.maps._rows import (
    as_matrix,
    batch_shape,
    class_axes,
    classes_back,
    classes_last,
    real_array,
    result_dtype,
    temperature_of_rows,
    working_dtype,
)
from luce.maps.map import Map

Array = NDArray[Any]


@dataclass(frozen=True)
class FenchelYoung:
    """L(z, y) = (T Omega)*(z) + T Omega(y) - <z, y>: the loss that a map p(z) brings with it.

    (T Omega)*(z) is the maximum of <p, z> - T Omega(p) over the simplex, which the map attains. So
    L is never negative, 0 only where p(z) = y, convex in the scores z, and its gradient is
    p(z) - y. With ``Softmax()`` and labels it is `cross_entropy`; with ``Softmax(T)`` and
    distributions it is T times the Kullback-Leibler divergence of p(z) from y. With ``Hardmax()``
    it is the perceptron's loss, max_i z_i - <z, y>: it has a kink at ties, where the gradient is
    one of its subgradients, and no Hessian.

    Attributes
    ----------
    map : Map
        Such as ``luce.Softmax()``: a value, not the function ``luce.softmax``. It says which axes
        are the classes, and the temperature.

    Raises
    ------
    DataError
        `map` is not a map.

    Notes
    -----
    In all methods the targets are labels (integers, of the scores' shape without the classes; for
    several class axes an index that counts through them in C order, as `argmax` gives it) or
    distributions (of the scores' shape: non-negative with sum 1). A class with score -inf cannot
    happen: the loss is infinite only where the target gives it weight, and no derivative is NaN
    for it. A row without a possible class has derivatives 0; a NaN makes its own row NaN and no
    other.

    References
    ----------
    M. Blondel, A. F. T. Martins, V. Niculae, Learning with Fenchel-Young losses, 2020.

    Examples
    --------
    >>> import luce
    >>> loss = luce.FenchelYoung(luce.Softmax())
    >>> value, gradient = loss.value_and_gradient([[0.0, 0.0], [0.0, 40.0]], [0, 1])
    >>> value
    array([6.93147181e-01, 4.24835426e-18])
    >>> gradient
    array([[-5.00000000e-01,  5.00000000e-01],
           [ 4.24835426e-18, -4.24835426e-18]])
    """

    map: Map

    def __post_init__(self) -> None:
        if isinstance(self.map, type) or not isinstance(self.map, Map):
            name = getattr(self.map, "__name__", type(self.map).__name__)
            raise DataError(f"{name} is not a map as a value; expected one such as luce.Softmax()")

    def value(self, scores: ArrayLike, targets: ArrayLike) -> Any:
        """(T Omega)*(z) + T Omega(y) - <z, y> for every row.

        Parameters
        ----------
        scores : array_like of real numbers
        targets : array_like
            Labels or distributions, see the notes of the class.

        Returns
        -------
        numpy.float64, or ndarray of float64 of the shape of the batch
            Never negative; computed in float64, but of labels with softmax as `cross_entropy` is:
            of float32 scores good to 2^-27. With softmax free of cancellation: a loss of 1e-30 has
            its digits.

        Raises
        ------
        DataError
            A label that is no class, a target that is no distribution, or shapes that do not fit.

        Examples
        --------
        >>> import luce
        >>> luce.FenchelYoung(luce.Softmax()).value([[2.0, 0.0], [0.0, 3.0]], [0, 0]).round(6)
        array([0.126928, 3.048587])
        >>> luce.FenchelYoung(luce.Hardmax()).value([[2.0, 0.0], [0.0, 3.0]], [0, 0])
        array([0., 3.])
        """
        array, aims, axes = self._checked(scores, targets)
        return self._computed(array, aims, axes, value=True)[0]

    def gradient(self, scores: ArrayLike, targets: ArrayLike) -> Array:
        """p(z) - y: the gradient of every row's value with respect to its scores.

        Parameters
        ----------
        scores, targets
            As for `value`.

        Returns
        -------
        ndarray
            Of the shape of the scores, and of their dtype (float64 for integers). The entry of a
            label is minus the sum of the others: it keeps its digits where its probability is
            nearly 1. Where the map has a kink, as `Hardmax` at ties, it is a subgradient.

        Raises
        ------
        DataError
            As `value`.

        Examples
        --------
        >>> import luce
        >>> luce.FenchelYoung(luce.Softmax()).gradient([0.0, 0.0], [0.75, 0.25])
        array([-0.25,  0.25])
        """
        array, aims, axes = self._checked(scores, targets)
        _, gradient = self._computed(array, aims, axes, gradient=True)
        return np.asarray(gradient)

    def value_and_gradient(self, scores: ArrayLike, targets: ArrayLike) -> tuple[Any, Array]:
        """`value` and `gradient`, the input checked once.

        Parameters
        ----------
        scores, targets
            As for `value`.

        Returns
        -------
        value : numpy.float64, or ndarray of float64 of the shape of the batch
        gradient : ndarray, of the shape of the scores

        Raises
        ------
        DataError
            As `value`.

        Examples
        --------
        >>> import luce
        >>> luce.FenchelYoung(luce.Hardmax()).value_and_gradient([1.0, 3.0], 0)
        (np.float64(2.0), array([-1.,  1.]))
        """
        array, aims, axes = self._checked(scores, targets)
        return self._computed(array, aims, axes, value=True, gradient=True)

    def hessian_vector(self, scores: ArrayLike, direction: ArrayLike) -> Array:
        """The Hessian with respect to the scores times a direction: the map's `jvp` at p(z).

        It does not depend on the targets.

        Parameters
        ----------
        scores : array_like of real numbers
        direction : array_like of real numbers, of the same shape

        Returns
        -------
        ndarray
            Of the shape of the scores.

        Raises
        ------
        NotDifferentiableError
            The map has no derivative, as `Hardmax`.
        DataError
            The shapes do not fit.

        Examples
        --------
        >>> import luce
        >>> luce.FenchelYoung(luce.Softmax()).hessian_vector([0.0, 0.0], [1.0, 0.0])
        array([ 0.25, -0.25])
        """
        array = real_array(scores, "scores")
        moves = real_array(direction, "the direction's values")
        if moves.shape != array.shape:
            raise DataError(
                f"the direction has shape {moves.shape}; expected {array.shape}, that of the scores"
            )
        class_axes(self._axis, array.shape, "scores")
        dtype = result_dtype(array.dtype, moves.dtype)
        working = working_dtype(dtype)
        product = self.map.jvp(self.map(array.astype(working)), moves.astype(working))
        with np.errstate(all="ignore"):
            return product.astype(dtype, copy=False)

    @property
    def _axis(self) -> Any:
        return getattr(self.map, "axis", -1)

    def _checked(
        self, scores: ArrayLike, targets: ArrayLike
    ) -> tuple[Array, Array, tuple[int, ...]]:
        """Scores; labels as int64 or distributions as float64; and the axes of the classes."""
        array, aims = real_array(scores, "scores"), np.asarray(targets)
        axes = class_axes(self._axis, array.shape, "scores")
        batch = batch_shape(array.shape, axes)
        if aims.shape == batch:
            return array, _checked_labels(aims, prod(array.shape[i] for i in axes)), axes
        if aims.shape == array.shape:
            return array, _checked_distributions(real_array(aims, "targets"), axes), axes
        raise DataError(
            f"targets have shape {aims.shape}; expected {batch} class indices or {array.shape} "
            "distributions, to fit the scores"
        )

    def _computed(
        self,
        array: Array,
        aims: Array,
        axes: tuple[int, ...],
        *,
        value: bool = False,
        gradient: bool = False,
    ) -> tuple[Any, Any]:
        """What is wanted of the two: in the map's own form if it has one, else in the general."""
        own = getattr(self.map, "fenchel_young", None)
        dtype = result_dtype(array.dtype)
        scores = array.astype(working_dtype(dtype), copy=False)
        values, slopes = (None, None) if own is None else own(scores, aims, value, gradient)
        if value and values is None:
            values = self._value(array, aims, axes)
        if gradient and slopes is None:
            slopes = self._gradient(scores, aims, axes)
        if slopes is not None and slopes.dtype != dtype:
            with np.errstate(all="ignore"):
                slopes = slopes.astype(dtype)
        return values, slopes

    def _value(self, array: Array, aims: Array, axes: tuple[int, ...]) -> Any:
        scores = array.astype(np.float64)
        if aims.shape != array.shape:
            aims = _one_hot(aims, array.shape, axes)
        aims = aims.astype(np.float64, copy=False)
        # The maximum is attained at p: it is <p, z> - T Omega(p).
        p = self.map(scores)
        temperature = getattr(self.map, "temperature", 1.0)
        temperature = temperature_of_rows(temperature, array.shape, axes)[..., 0]
        with np.errstate(all="ignore"):
            curved = temperature * (self.map.omega(aims) - self.map.omega(p))
            # p - y sums to 0 and does not see a constant added to the scores.
            largest = scores.max(axis=axes, keepdims=True, initial=-np.inf)
            scores -= np.where(np.isfinite(largest), largest, 0)
            linear = np.where(p == aims, 0, (p - aims) * scores)
            return np.maximum(classes_last(linear, axes).sum(axis=-1) + curved, 0)[()]

    def _gradient(self, scores: Array, aims: Array, axes: tuple[int, ...]) -> Array:
        p = classes_last(self.map(scores), axes)
        with np.errstate(all="ignore"):
            if aims.shape == scores.shape:
                gradient = p - classes_last(aims, axes)
                gradient[~p.any(axis=-1)] = 0
            else:
                gradient = p.copy()
                label = aims[..., None]
                np.put_along_axis(gradient, label, 0, axis=-1)
                others = gradient.sum(axis=-1, keepdims=True)
                np.put_along_axis(gradient, label, -others, axis=-1)
            return classes_back(gradient, scores.shape, axes)


def _checked_labels(labels: Array, classes: int) -> NDArray[np.int64]:
    if labels.dtype.kind not in "iu" and labels.size:
        raise DataError(
            f"targets have dtype {labels.dtype}; expected integers, the indices of the classes. "
            "For other labels use numpy.unique(labels, return_inverse=True)"
        )
    good = (labels >= 0) & (labels < classes)
    if not good.all():
        raise DataError(
            f"targets{_place(~good)} is {labels[~good].flat[0]}; "
            f"expected a class from 0 to {classes - 1}, an index of scores"
        )
    return np.asarray(labels, np.int64)


def _checked_distributions(targets: Array, axes: tuple[int, ...]) -> NDArray[Any]:
    """Distributions in float64, or as they are where their dtype is enough to see that."""
    if are_clearly_distributions(as_matrix(targets, axes), target_sum_tolerance(targets.dtype)):
        return targets
    wide: NDArray[np.float64] = targets.astype(np.float64)
    rows = classes_last(wide, axes)
    sums = rows.sum(axis=-1)
    good = (rows >= 0).all(axis=-1) & (np.abs(sums - 1) <= target_sum_tolerance(targets.dtype))
    if not good.all():
        smallest = rows.min(axis=-1, initial=np.inf)
        raise DataError(
            f"targets{_place(~good)} sum to {sums[~good].flat[0]:.6g} with smallest entry "
            f"{smallest[~good].flat[0]:.6g}; expected non-negative numbers with sum 1"
        )
    return wide


def _place(bad: Array) -> str:
    """The index of the first True, as in Python; nothing for a single number."""
    if not bad.ndim:
        return ""
    return f"[{', '.join(str(int(i[0])) for i in np.nonzero(bad))}]"


def _one_hot(labels: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    rows = classes_last(np.zeros(shape), axes)
    np.put_along_axis(rows, labels[..., None], 1, axis=-1)
    return classes_back(rows, shape, axes)
