"""From any array, axis and dtype to rows of classes, and back."""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.typing import ArrayLike, DTypeLike, NDArray

from luce.errors import DataError
from luce.kernels.threads import num_threads

Array = NDArray[Any]
Axis = int | tuple[int, ...] | None

# From this many numbers on a second thread pays.
ELEMENTS_TO_SHARE = 1 << 15


def real_array(values: ArrayLike, name: str) -> Array:
    """`values` as an aligned array of real numbers in this machine's byte order."""
    array = as_array(values, name)
    if array.dtype.kind not in "biuf" and not is_bfloat16(array.dtype):
        raise DataError(f"{name} have dtype {array.dtype}; expected real numbers")
    if array.dtype.isnative and array.flags.aligned:
        return array
    return array.astype(array.dtype.newbyteorder("="))


def as_array(values: ArrayLike, name: str) -> Array:
    """`values` as an array of any dtype, or a DataError where its rows differ in length."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} are no table: expected rows of equal length") from error


@lru_cache(64)  # the name of a dtype takes longer than a small call
def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether this is the 16-bit brain float that the package ml_dtypes adds to NumPy."""
    return dtype.name == "bfloat16"


def result_dtype(*dtypes: DTypeLike) -> np.dtype[Any]:
    """The floating dtype of a result: that of the scores, float64 for integers."""
    dtype = np.result_type(*dtypes)
    if dtype.char in "fd":
        return dtype
    if is_bfloat16(dtype):
        return dtype
    if dtype.kind != "f":
        return np.dtype(np.float64)
    if dtype.itemsize > 8:
        raise DataError(f"dtype {dtype} is not supported; convert with .astype(numpy.float64)")
    return dtype


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that is computed in: float32 for floats of 16 bits."""
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def kernel_view(array: Array) -> Array:
    """The array as kernels take it: bfloat16 as its bits."""
    return array.view(np.uint16) if is_bfloat16(array.dtype) else array


def threads_for(size: int) -> int:
    """How many threads a call on this many numbers is worth."""
    return num_threads() if size >= ELEMENTS_TO_SHARE else 1


def mask_of(where: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """`where` as booleans of this shape."""
    mask = np.asarray(where)
    if mask.dtype != np.bool_:
        raise DataError(
            f"where has dtype {mask.dtype}; expected booleans, True for a class that counts"
        )
    if mask.shape == shape:
        return mask
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise DataError(
            f"where has shape {mask.shape}, which does not broadcast to scores' {shape}"
        ) from None


def moved_last(array: Array, axes: tuple[int, ...]) -> Array:
    """A view of the array with `axes` last, in their order."""
    if axes == tuple(range(array.ndim - len(axes), array.ndim)):
        return array
    return np.moveaxis(array, axes, range(-len(axes), 0))


def batch_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without the classes."""
    if axes == (len(shape) - 1,):
        return shape[:-1]
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def reduced(values: Array, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> Any:
    """One number a row, in the shape of the scores without their classes."""
    array = values.reshape(batch_shape(shape, axes))
    return np.expand_dims(array, axes) if keepdims else array[()]


def by_rows(kernel: Callable[..., None], scores: Array, axes: tuple[int, ...], dtype: Any) -> Array:
    """What a kernel makes of every row, in C order; `scores` are of a dtype it takes."""
    rows = np.empty(prod(batch_shape(scores.shape, axes)), dtype)
    kernel(
        kernel_view(moved_last(scores, axes)),
        kernel_view(rows),
        len(axes),
        threads_for(scores.size),
    )
    return rows


def class_axes(axis: Axis, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """`axis` as axes of an array of this shape, counted from the front.

    Raises
    ------
    DataError
        The array has no such axis, or an axis is named twice.
    """
    if type(axis) is int and -len(shape) <= axis < len(shape):
        return (axis % len(shape),)
    if not shape and axis is not None:
        raise DataError(f"{name} are a single number; expected at least one axis, the classes")
    try:
        return normalize_axis_tuple(range(len(shape)) if axis is None else axis, len(shape))
    except ValueError:
        raise DataError(
            f"axis {axis} does not fit {name} of shape {shape}; "
            f"expected axes from {-len(shape)} to {len(shape) - 1}, each at most once"
        ) from None


def classes_last(array: Array, axes: tuple[int, ...]) -> Array:
    """The array as (batch..., classes) in C order, `axes` flattened into one.

    Contiguous, so that NumPy sums a row pairwise: the error does not grow with its length.
    """
    moved = moved_last(array, axes)
    batch, classes = moved.shape[: -len(axes)], moved.shape[-len(axes) :]
    return np.ascontiguousarray(moved).reshape(*batch, prod(classes))


def as_matrix(array: Array, axes: tuple[int, ...]) -> Array:
    """The array as (rows, classes) in C order: a view if there is one, else a copy."""
    if array.ndim == 2 and axes == (1,):
        return array
    rows, classes = batch_shape(array.shape, axes), [array.shape[i] for i in axes]
    return moved_last(array, axes).reshape(prod(rows), prod(classes))


def classes_back(array: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """What `classes_last` made of an array of this shape, in that shape again."""
    if axes == (len(shape) - 1,):
        return array.reshape(shape)
    classes = tuple(shape[i] for i in axes)
    return np.moveaxis(
        array.reshape(batch_shape(shape, axes) + classes), range(-len(axes), 0), axes
    )


def temperature_of_rows(
    temperature: ArrayLike, shape: tuple[int, ...], axes: tuple[int, ...]
) -> Array:
    """T for the rows that `classes_last` makes of scores of this shape: one or a number a row.

    In float64, of as many axes as the rows have, with size one where it does not vary.

    Raises
    ------
    DataError
        It does not broadcast to the scores with size one along the classes.
    """
    values = np.asarray(temperature, np.float64)
    expected = tuple(1 if i in axes else n for i, n in enumerate(shape))
    padded = (1,) * (len(shape) - values.ndim) + values.shape
    pairs = zip(padded, expected, strict=False)
    if len(padded) > len(shape) or any(n not in (1, most) for n, most in pairs):
        raise DataError(
            f"temperature has shape {values.shape}; expected a number, or an array that broadcasts "
            f"to {expected}: the scores' shape, with size one along the classes"
        )
    return classes_last(values.reshape(padded), axes)
