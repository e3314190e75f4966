"""From any array, axis and dtype to rows of classes for the kernels, and back."""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.typing import ArrayLike, DTypeLike, NDArray

from luce.errors import DataError

Array = NDArray[Any]
Axis = int | tuple[int, ...] | None


def real_array(values: ArrayLike, name: str) -> Array:
    """`values` as an aligned array of real numbers in this machine's byte order."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} have dtype {array.dtype}; expected real numbers")
    if array.dtype.isnative and array.flags.aligned:
        return array
    return array.astype(array.dtype.newbyteorder("="))


def result_dtype(*dtypes: DTypeLike) -> np.dtype[Any]:
    """The floating dtype of a result: float16, float32 or float64; integers become float64."""
    dtype = np.result_type(*dtypes)
    if dtype.kind != "f":
        return np.dtype(np.float64)
    if dtype.itemsize > 8:
        raise DataError(f"dtype {dtype} is not supported; convert with .astype(numpy.float64)")
    return dtype


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that is computed in: float32 for float16."""
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def mask_of(where: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """`where` as booleans of this shape."""
    mask = np.asarray(where)
    if mask.dtype != np.bool_:
        raise DataError(
            f"where has dtype {mask.dtype}; expected booleans, True for a class that counts"
        )
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise DataError(
            f"where has shape {mask.shape}, which does not broadcast to scores' {shape}"
        ) from None


@dataclass(frozen=True)
class Rows:
    """An array as a matrix (rows, classes) with contiguous rows, and the way back.

    `owned` says that `matrix` is a copy, which may be overwritten; `shape` and `dtype` are those
    that a result gets.
    """

    matrix: Array
    owned: bool
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def batch(self) -> tuple[int, ...]:
        """The shape without the classes."""
        return tuple(n for i, n in enumerate(self.shape) if i not in self.axes)

    def restore(self, matrix: Array) -> Array:
        """A matrix (rows, classes) in the shape and dtype of the scores."""
        classes = tuple(self.shape[i] for i in self.axes)
        array = matrix.reshape(self.batch + classes)
        with np.errstate(over="ignore", under="ignore"):
            array = array.astype(self.dtype, copy=False)
        return np.moveaxis(array, range(len(self.batch), array.ndim), self.axes)

    def reduce(self, vector: Array, keepdims: bool) -> Any:
        """One number a row, in the shape of the scores without their classes."""
        array = vector.reshape(self.batch)
        return np.expand_dims(array, self.axes) if keepdims else array[()]

    def view(self, array: Array) -> Array | None:
        """`array`, of the scores' shape, as rows without copying; None when that cannot be."""
        if array.dtype != self.matrix.dtype:
            return None
        matrix = _matrix(array, self.axes)
        shared = array.size == 0 or np.may_share_memory(matrix, array)
        return matrix if shared and _has_contiguous_rows(matrix) else None


def rows_of(array: Array, axis: Axis) -> Rows:
    """`array` with `axis` as the classes, its values as they are."""
    axes = normalize_axis_tuple(range(array.ndim) if axis is None else axis, array.ndim)
    matrix = _matrix(array, axes)
    if not _has_contiguous_rows(matrix):
        matrix = np.ascontiguousarray(matrix)
    owned = not np.may_share_memory(matrix, array)
    return Rows(matrix, owned, array.dtype, array.shape, axes)


def class_rows(scores: ArrayLike, axis: Axis, where: ArrayLike | None = None) -> Rows:
    """Scores with `axis` as the classes, in the working dtype; what `where` excludes is -inf."""
    array = real_array(scores, "scores")
    dtype = result_dtype(array.dtype)
    values = array.astype(working_dtype(dtype), copy=False)
    if where is not None:
        values = np.where(mask_of(where, array.shape), values, values.dtype.type(-np.inf))
    rows = rows_of(values, axis)
    return replace(rows, owned=not np.may_share_memory(rows.matrix, array), dtype=dtype)


def _matrix(array: Array, axes: tuple[int, ...]) -> Array:
    moved = np.moveaxis(array, axes, range(array.ndim - len(axes), array.ndim))
    batch = moved.shape[: array.ndim - len(axes)]
    return moved.reshape(prod(batch), prod(moved.shape[len(batch) :]))


def _has_contiguous_rows(matrix: Array) -> bool:
    return matrix.shape[1] <= 1 or matrix.strides[1] == matrix.itemsize
