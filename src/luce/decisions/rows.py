"""Probabilities that come to a rule, checked, and the blocks in which they are read.

Conventions of this room: `probabilities` (n, k), floats, or integers; n may be 0, k is at least 1.
Labelled rows, of which a rule learns, are checked by `luce.calibration.rows`. Rules that look at
the values of the probabilities, not only at their order, refuse rows that do not sum to 1.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from luce.errors import DataError
from luce.maps._rows import as_array

Float64s = npt.NDArray[np.float64]

_BLOCK_ELEMENTS = 2**20
_SUM_TOLERANCE = 1e-3
_FEW_COLUMNS = 8


def as_table(probabilities: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """(n, k) floats without NaN, of integers in float64, or a DataError that names the row."""
    table = as_array(probabilities, "the probabilities")
    if table.dtype.kind in "iu":
        table = table.astype(np.float64)
    if table.ndim != 2 or table.dtype.kind != "f" or table.shape[1] == 0:
        raise DataError(
            f"the probabilities have shape {table.shape} and dtype {table.dtype}; expected real "
            "numbers of shape (rows, classes) with at least one class"
        )
    if np.isnan(table.max(initial=0)):
        row = int(np.isnan(table.max(axis=1)).argmax())
        column = int(np.isnan(table[row]).argmax())
        raise DataError(f"row {row}: the probability of class {column} is NaN; expected a number")
    return table


def as_distributions(probabilities: npt.ArrayLike, classes: int | None) -> npt.NDArray[np.floating]:
    """(n, classes) floats >= 0, of any k for None, whose rows sum to 1 within 1e-3, or an error."""
    table = as_table(probabilities)
    if classes not in (None, table.shape[1]):
        raise DataError(
            f"the probabilities are of {table.shape[1]} classes; this rule decides between "
            f"{classes}"
        )
    with np.errstate(over="ignore"):
        sums = np.einsum("ij->i", table, dtype=np.float64)
    bad = ~(abs(sums - 1) <= _SUM_TOLERANCE)
    if bad.any() or table.min(initial=0) < 0:
        bad |= table.min(axis=1) < 0
        row = int(bad.argmax())
        column = int(table[row].argmin())
        wrong = (
            f"the probability of class {column} is negative"
            if table[row, column] < 0
            else f"the probabilities sum to {sums[row]:.6g}"
        )
        raise DataError(
            f"row {row}: {wrong}; expected probabilities that sum to 1 within {_SUM_TOLERANCE}, "
            "as luce.softmax makes of scores"
        )
    return table


def over_rows(ufunc: np.ufunc, table: Float64s) -> Float64s:
    """ufunc.reduce of each row; of few columns as of a few long rows, at which NumPy is fast."""
    if table.shape[1] <= _FEW_COLUMNS:
        return np.asarray(ufunc.reduce(np.ascontiguousarray(table.T), axis=0))
    return np.asarray(ufunc.reduce(table, axis=1))


def blocks(table: npt.NDArray[Any], columns: int = 0) -> Iterator[tuple[slice, Float64s]]:
    """Slices of rows and those rows in float64, bounded however many columns they become."""
    n, k = table.shape
    step = rows_per_block(max(k, columns))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        yield rows, table[rows].astype(np.float64)


def rows_per_block(columns: int) -> int:
    """As many rows of this width as are worked on at a time."""
    return max(1, _BLOCK_ELEMENTS // columns)


def refuse_weights(rule: str, sample_weight: npt.ArrayLike | None) -> None:
    """Refuse weights that differ, where the promise counts rows; those of 0 leave rows out."""
    if sample_weight is None:
        return
    weights = np.asarray(sample_weight)
    if weights.dtype.kind in "fiu" and len(np.unique(weights[weights > 0])) > 1:
        raise DataError(
            f"{rule} counts rows, each drawn as those to come, and has no exact promise for "
            "weights that differ; leave out sample_weight, or draw rows in proportion to it"
        )
