"""What the losses accept: scores, labels, weights and numbers, refused by name or made ready."""

from collections.abc import Mapping
from math import inf
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce import kernels
from luce.errors import DataError
from luce.maps._rows import is_bfloat16, threads_for

Array = NDArray[Any]
Weights = NDArray[np.float64]

TEMPERATURE = (
    "a finite number above 0: the gradient is divided by it, so at 0 there is none, and at "
    "infinity it is 0 whatever the scores"
)


def target_sum_tolerance(dtype: np.dtype[Any]) -> float:
    """How far the sum of a row of soft targets may be from 1: floats of 16 bits are that coarse."""
    return 4e-3 if is_bfloat16(dtype) else 1e-3


def checked_scores(scores: ArrayLike) -> tuple[Array, np.dtype[Any], bool]:
    """Scores for the kernels, the dtype their gradient gets, and whether they are a copy."""
    array = np.asarray(scores)
    dtype = array.dtype
    if array.ndim != 2:
        raise DataError(f"scores have shape {array.shape}; expected (rows, classes)")
    if dtype.char in "fd" and dtype.isnative and array.flags.aligned:
        return array, dtype, False
    if dtype.kind in "biu":
        dtype = np.dtype(np.float64)
    elif not _is_real(array) or dtype.itemsize > 8:
        raise DataError(
            f"scores have dtype {dtype}; expected float16, bfloat16, float32, float64 or integers"
        )
    working = np.float64 if dtype.itemsize == 8 else np.float32
    return np.array(array, working, order="C"), dtype.newbyteorder("="), True


def checked_labels(labels: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Labels (n,), a copy that nobody else can change; or soft targets (n, k), checked."""
    array = np.asarray(labels)
    if array.ndim == 1 and len(array) == shape[0]:
        if not array.size:
            return np.empty(0, np.int64)
        if array.dtype.kind in "iu":
            return np.array(array, order="C")
        raise DataError(
            f"labels have dtype {array.dtype}; expected integers, the columns of scores. "
            "For other labels use numpy.unique(labels, return_inverse=True)"
        )
    if array.shape != shape:
        raise DataError(
            f"labels have shape {array.shape}; expected ({shape[0]},) class indices "
            f"or {shape} soft targets, to fit the scores"
        )
    if array.dtype.kind != "b" and not _is_real(array):
        raise DataError(f"soft targets have dtype {array.dtype}; expected real numbers")
    tolerance = target_sum_tolerance(array.dtype)
    if are_clearly_distributions(array, tolerance):
        return array
    with np.errstate(invalid="ignore", over="ignore"):
        sums = array.sum(axis=1, dtype=np.float64)
        good = (np.abs(sums - 1) <= tolerance) & (array.min(axis=1, initial=0) >= 0)
    if not good.all():
        row = int(good.argmin())
        raise DataError(
            f"soft targets of row {row} sum to {sums[row]:.6g} with smallest entry "
            f"{array[row].astype(np.float64).min(initial=inf):.6g}; "
            "expected non-negative numbers with sum 1"
        )
    return array


def are_clearly_distributions(array: Array, tolerance: float) -> bool:
    """Whether rows of soft targets are good beyond the rounding of sums in their own dtype."""
    classes = array.shape[1]
    if array.dtype.char not in "fd" or not array.size:
        return False
    if classes * np.finfo(array.dtype).eps > tolerance / 4:
        return False
    if not np.minimum.reduce(array, axis=None) >= 0:
        return False
    with np.errstate(over="ignore"):
        sums = np.einsum("ij->i", array)  # no BLAS, whose threads would stay busy beside ours
    least, most = np.minimum.reduce(sums), np.maximum.reduce(sums)
    return bool(1 - tolerance / 2 <= least and most <= 1 + tolerance / 2)


def label_out_of_range(row: int, label: int, classes: int) -> DataError:
    """The error for a label that is no column."""
    return DataError(
        f"labels[{row}] is {label}; expected a class from 0 to {classes - 1}, a column of scores"
    )


def checked_sample_weight(sample_weight: ArrayLike, rows: int) -> Weights:
    """The weights of the rows: finite and not negative."""
    return _checked_weights(np.asarray(sample_weight), rows, "sample_weight", "row")


def checked_class_weight(class_weight: ArrayLike | Mapping[int, float], classes: int) -> Weights:
    """The weights of the classes, finite and not negative; 1 for what a mapping does not name."""
    if isinstance(class_weight, Mapping):
        class_weight = _class_weights_listed(class_weight, classes)
    return _checked_weights(np.asarray(class_weight), classes, "class_weight", "class")


def unit_of(by_class: Weights) -> float:
    """The power of two in which the largest weight is from 1 to 2."""
    return float(np.ldexp(1.0, np.frexp(by_class.max(initial=0.0))[1] - 1))


def masses(targets: Array, by_class: Weights) -> Weights:
    """What the class weights make of every row, u; a label out of range is refused."""
    result: Weights
    if targets.ndim == 2:
        if targets.dtype.char not in "fd":
            targets = targets.astype(np.float64)
        unit = unit_of(by_class)
        coef = (by_class / unit).astype(targets.dtype)[None]
        sums = np.empty((len(targets), 1), targets.dtype)
        given = np.require(targets, requirements=["C", "A"])
        kernels.linear(given, coef, None, sums, threads=threads_for(targets.size))
        result = sums[:, 0] * np.float64(unit)
        return result
    outside = (targets < 0) | (targets >= len(by_class))
    if outside.any():
        row = int(outside.argmax())
        raise label_out_of_range(row, int(targets[row]), len(by_class))
    result = by_class[targets]
    return result


class KernelWeights(NamedTuple):
    """Weights as the kernels take them; None stands for ones.

    `rows` are s, divided by what the reduction asks for; `classes` v and `masses` u, both in a unit
    that `rows` have taken over. With labels alone u is in `rows`, and the others are None.
    """

    rows: Weights | None
    classes: Weights | None
    masses: Weights | None


def kernel_weights(
    targets: Array,
    sample_weight: Weights | None,
    by_class: Weights | None,
    smoothing: float,
    reduction: str,
) -> KernelWeights:
    """Weights of checked targets for a kernel whose losses add up to what the reduction is."""
    n = len(targets)
    if by_class is None:
        divisor = divisor_of(sample_weight, n, reduction)
        if divisor == 1:
            return KernelWeights(sample_weight, None, None)
        ones = np.ones(n) if sample_weight is None else sample_weight
        return KernelWeights(ones / divisor, None, None)
    of_rows = masses(targets, by_class)
    product = times(sample_weight, of_rows)
    divisor = divisor_of(product, n, reduction)
    if targets.ndim == 1 and not smoothing:
        return KernelWeights(product / divisor, None, None)
    unit = unit_of(by_class)
    ones = np.ones(n) if sample_weight is None else sample_weight
    return KernelWeights(ones / divisor * unit, by_class / unit, of_rows / unit)


def times(weights: Weights | None, of_rows: Weights) -> Weights:
    """Weights of the rows, s u, refused when one overflows."""
    if weights is None:
        return of_rows
    with np.errstate(over="ignore"):
        product = weights * of_rows
    if not np.isfinite(product).all():
        raise DataError("a sample_weight times a class_weight overflows: scale the weights down")
    return product


def divisor_of(weights: Weights | None, rows: int, reduction: str) -> float:
    """What the losses are divided by; infinity for a mean over no weight, which is 0."""
    if reduction != "mean":
        return 1.0
    if weights is None:
        return float(rows) or inf
    with np.errstate(over="ignore"):
        total = float(weights.sum())
    if total == inf:
        raise DataError("the weights are so large that their sum overflows: scale them down")
    return total or inf


def checked_number(value: object, name: str, expected: str, high: float = inf) -> float:
    """A finite number from 0 to `high`."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    # Asking a float's type is quicker than asking an abstract class about it.
    if type(value) is float or isinstance(value, Real):
        try:
            number = float(value)
        except OverflowError:
            number = inf
        if 0 <= number <= high and number < inf:
            return number
    raise DataError(f"{name} is {value!r}; expected {expected}")


def checked_temperature(temperature: object) -> float:
    """A finite number above 0."""
    number = checked_number(temperature, "temperature", TEMPERATURE)
    if number == 0:
        raise DataError(f"temperature is {temperature!r}; expected {TEMPERATURE}")
    return number


def ignored_rows(ignore_index: object, labels: Array) -> NDArray[np.bool_]:
    """The rows whose label is `ignore_index`."""
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, Integral):
        raise DataError(f"ignore_index is {ignore_index!r}; expected a whole number or None")
    if labels.ndim == 2:
        raise DataError(
            "ignore_index goes with class indices, not with soft targets: "
            "give the rows to leave out a sample_weight of 0"
        )
    ignored: NDArray[np.bool_] = labels == int(ignore_index)
    return ignored


def checked_out(out: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse what cannot take the gradient."""
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype:
        found = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise DataError(f"out is {found}; expected an array of dtype {dtype} and shape {shape}")
    if not out.flags.writeable:
        raise DataError("out is read-only; pass an array that can be written")


def _is_real(array: Array) -> bool:
    return array.dtype.kind in "iuf" or array.dtype.name == "bfloat16"


def _checked_weights(array: Array, size: int, name: str, one: str) -> Weights:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} has dtype {array.dtype}; expected real numbers")
    if array.shape != (size,):
        raise DataError(f"{name} has shape {array.shape}; expected ({size},), one a {one}")
    weights = np.require(array, np.float64, ["C", "A"])
    good = np.isfinite(weights) & (weights >= 0)
    if not good.all():
        row = int(good.argmin())
        raise DataError(f"{name}[{row}] is {weights[row]}; expected a finite number of at least 0")
    return weights


def _class_weights_listed(weights: Mapping[Any, float], classes: int) -> list[float]:
    listed = [1.0] * classes
    for index, weight in weights.items():
        if not isinstance(index, Integral) or not 0 <= int(index) < classes:
            raise DataError(
                f"class_weight has the key {index!r}; expected a class from 0 to {classes - 1}"
            )
        listed[int(index)] = weight
    return listed
