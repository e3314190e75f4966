"""Held-out rows, checked and handed out in blocks, and what one row adds to each metric.

Conventions: a block of m rows holds `values` (m, k), probabilities or their logarithms, in float64,
and the `probabilities` themselves; `labels` (m,) class indices; `weights` (m,), all positive. What
a row adds comes back as (m,), or (bins, m), rows last, so that NumPy adds it up pairwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from luce.errors import DataError
from luce.maps._rows import as_array

Float64s = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]

BINS = 15
_BLOCK_ELEMENTS = 2**20
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Block:
    """Some of the rows that have weight; `rows` (m,) are their places among those handed in."""

    rows: Integers
    values: Float64s
    probabilities: Float64s
    labels: Integers
    weights: Float64s


def blocks(
    values: npt.ArrayLike,
    labels: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    *,
    logarithmic: bool,
    first_row: int = 0,
) -> Iterator[Block]:
    """Check everything, and yield the rows of positive weight in blocks of bounded size.

    Errors count rows from `first_row`. The sum of the weights is for `check_total_weight`.

    Raises
    ------
    DataError
        A wrong shape or dtype, no rows, a row that is not a distribution, a label that is no
        class, a weight that is negative or not finite.
    """
    values = as_table(values)
    n, k = values.shape
    labels = checked_labels(np.asarray(labels), n, k, first_row)
    weights = None if sample_weight is None else checked_weights(sample_weight, n, first_row)

    step = rows_at_once(k)
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        block = values[rows[0] : rows[-1] + 1].astype(np.float64)
        with np.errstate(over="ignore"):
            probabilities = np.exp(block) if logarithmic else block
        _check_distributions(block, probabilities, first_row + start, logarithmic=logarithmic)
        if weights is None:
            yield Block(rows, block, probabilities, labels[rows], np.ones(len(rows)))
        else:
            # A row without weight is no row: 0 times an infinite loss would be NaN.
            kept = weights[rows] > 0
            rows = rows[kept]
            yield Block(rows, block[kept], probabilities[kept], labels[rows], weights[rows])


def rows_at_once(classes: int) -> int:
    """The most rows of a block."""
    return max(1, _BLOCK_ELEMENTS // (classes + BINS))


def check_total_weight(total: float) -> None:
    """Refuse weights whose sum cannot be divided by."""
    if not 0 < total < np.inf:
        raise DataError(f"the weights sum to {total}; expected a finite number above 0")


def as_table(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """(n, k) real numbers with at least a row and a class, or a DataError."""
    table = as_array(values, "the probabilities")
    if table.ndim != 2 or table.dtype.kind not in "fiu":
        raise DataError(
            f"the probabilities have shape {table.shape} and dtype {table.dtype}; expected real "
            "numbers of shape (rows, classes)"
        )
    if table.size == 0:
        raise DataError(
            f"the probabilities have shape {table.shape}; a metric needs a row and a class"
        )
    return table


def correct(probabilities: Float64s, labels: Integers) -> Float64s:
    """1 where the most probable class (the first of equals) is the label, else 0."""
    return np.asarray(probabilities.argmax(axis=1) == labels, dtype=np.float64)


def surprise(log_probabilities: Float64s, labels: Integers) -> Float64s:
    """-log p of the label; inf where the label was held impossible."""
    return np.asarray(0.0 - log_probabilities[np.arange(len(labels)), labels])


def squared_distance(probabilities: Float64s, labels: Integers) -> Float64s:
    """|p - y|^2 with y the label as a one-hot vector; in [0, 2]."""
    # Expanding the square would cancel: p of a good model is close to y.
    residual = probabilities.copy()
    residual[np.arange(len(labels)), labels] -= 1.0
    return np.asarray(np.einsum("ij,ij->i", residual, residual))


def confidence_bin(confidence: Float64s) -> Integers:
    """The bin b of each confidence in (b / BINS, (b + 1) / BINS]."""
    return np.searchsorted(np.arange(1, BINS) / BINS, confidence)


def checked_labels(labels: npt.NDArray[Any], n: int, k: int, first_row: int) -> Integers:
    """Class indices of n rows, or a DataError."""
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise DataError(
            f"labels have shape {labels.shape} and dtype {labels.dtype}; expected integers of "
            f"shape ({n},), the class index of each row"
        )
    outside = (labels < 0) | (labels >= k)
    if outside.any():
        row = int(outside.argmax())
        raise DataError(
            f"row {first_row + row}: the label {labels[row]} is no class; expected 0 to {k - 1}, "
            "a column of the probabilities"
        )
    return labels.astype(np.intp)


def checked_weights(sample_weight: npt.ArrayLike, n: int, first_row: int) -> Float64s:
    """Weights of n rows, or a DataError."""
    weights = np.asarray(sample_weight)
    if weights.shape != (n,) or weights.dtype.kind not in "fiu":
        raise DataError(
            f"sample_weight has shape {weights.shape} and dtype {weights.dtype}; expected real "
            f"numbers of shape ({n},)"
        )
    weights = weights.astype(np.float64)
    bad = ~((weights >= 0) & np.isfinite(weights))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"row {first_row + row}: the weight {weights[row]} is not a finite number >= 0"
        )
    return weights


def _check_distributions(
    block: Float64s, probabilities: Float64s, first_row: int, *, logarithmic: bool
) -> None:
    with np.errstate(over="ignore"):
        sums = probabilities.sum(axis=1)
    bad = ~((probabilities.min(axis=1) >= 0) & (abs(sums - 1) <= SUM_TOLERANCE))
    if not bad.any():
        return
    row = int(bad.argmax())
    if np.isnan(block[row]).any():
        wrong = f"class {int(np.isnan(block[row]).argmax())} is NaN"
    elif not probabilities[row].min() >= 0:
        wrong = f"class {int(probabilities[row].argmin())} is negative"
    else:
        wrong = f"the probabilities sum to {sums[row]:.6g}"
    expected = "logarithms of probabilities" if logarithmic else "probabilities"
    raise DataError(
        f"row {first_row + row}: {wrong}; expected {expected} that sum to 1 within "
        f"{SUM_TOLERANCE}, as luce.{'log_softmax' if logarithmic else 'softmax'} makes of scores"
    )
