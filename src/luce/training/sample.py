"""Some of the rows, enough for what need not be exact."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.training.objective import (
    Rows,
    SoftmaxRegression,
    SumOverRows,
    Vector,
    blocks_of_rows,
    dense,
)

if TYPE_CHECKING:
    from luce.scorers.linear import Features

LEAST_OF_A_CLASS = 100
NUMBERS_TOGETHER, LEAST_TOGETHER = 1 << 21, 64  # gathered: of features, and rows
LEAST_PRODUCTS = 1 << 18  # of features with coefficients in a pass that is worth float32
MOST_COPIED = 1 << 23  # numbers of features, in float32: 32 MB
WIDE = 1e9  # range of the features' mean magnitudes in a float32 copy


@dataclass(frozen=True)
class Sample:
    """Rows of an objective, and weights with which their sums stand for those over all rows.

    Attributes
    ----------
    objective : SoftmaxRegression
    rows : int array, rising, or None for all rows
    factors : array, or None for 1
        Rows of the class for which each of these stands.
    """

    objective: SoftmaxRegression
    rows: NDArray[np.intp] | None
    factors: Vector | None

    def __len__(self) -> int:
        return self.objective.rows if self.rows is None else len(self.rows)

    def blocks(self, width: int | None = None) -> list[Rows]:
        """Cut the sample into blocks of rows that stay in a core's cache.

        `width` is how many numbers a row takes, by default those that are given and its scores.
        """
        if width is None:
            width = self.objective.classes + self.objective.features_per_row
        return blocks_of_rows(len(self), width)

    def parts(self) -> Iterator[tuple[NDArray[Any], Vector | None, Vector | None]]:
        """Dense features, what is to be subtracted from them, and weights, None for ones.

        All rows at once if they lie in memory so, else as many as are worth gathering together.
        """
        objective = self.objective
        if self.rows is None and isinstance(objective.features, np.ndarray):
            yield objective.features, objective.centre, objective.weights
            return
        together = max(NUMBERS_TOGETHER // objective.features.shape[1], LEAST_TOGETHER)
        for first in range(0, len(self), together):
            features, weights = self.take(slice(first, min(first + together, len(self))))
            yield dense(features), None, weights

    def taken(self) -> SoftmaxRegression:
        """The objective over these rows alone, gathered."""
        if self.rows is None:
            return self.objective
        return self.over(self.objective.block(self.rows))

    def over(self, features: "Features") -> SoftmaxRegression:
        """The objective over these rows alone, whose centred features are given."""
        taken = replace(self.objective, features=features, centre=None, dtype=features.dtype)
        if self.rows is None:
            return taken
        weights = self.weights(slice(0, len(self)))
        weights /= weights.mean()
        return replace(taken, labels=self.objective.labels[self.rows], weights=weights)

    def take(self, block: Rows) -> "tuple[Features, Vector]":
        """Features of a block, as `SoftmaxRegression.block` gives them, and their weights."""
        rows = block if self.rows is None else self.rows[block]
        return self.objective.block(rows), self.weights(block)

    def weights(self, block: Rows) -> Vector:
        """Weights of the rows of a block."""
        weights = np.ones(block.stop - block.start)
        if self.objective.weights is not None:
            weights *= self.objective.weights[block if self.rows is None else self.rows[block]]
        if self.factors is not None:
            weights *= self.factors[block]
        return weights


def sample_of(
    objective: SoftmaxRegression, size: int, of_a_class: int = LEAST_OF_A_CLASS
) -> Sample:
    """About `size` rows: of each class its share, but at least some, evenly spread over its rows.

    All rows where that would be most of them.
    """
    counts = np.bincount(objective.labels, minlength=objective.classes)
    wanted = np.maximum(counts * (size / objective.rows), of_a_class)
    taken = np.minimum(np.ceil(wanted), counts).astype(np.int64)
    total = int(taken.sum())
    if 2 * total > objective.rows:
        return Sample(objective, None, None)
    small = np.min_scalar_type(objective.classes)  # for which sorting is fast
    by_class = np.argsort(objective.labels.astype(small), kind="stable")
    first, first_taken = np.cumsum(counts) - counts, np.cumsum(taken) - taken
    every = np.repeat(counts / np.maximum(taken, 1), taken)
    place = (np.arange(total) - np.repeat(first_taken, taken) + 0.5) * every
    rows = np.sort(by_class[np.repeat(first, taken) + place.astype(np.int64)])
    return Sample(objective, rows, (counts / np.maximum(taken, 1))[objective.labels[rows]])


def every_so_many(objective: SoftmaxRegression, size: int) -> Sample:
    """So many rows or a few more, evenly spread; all where they would be most."""
    n, weights = objective.rows, objective.weights
    step = max(n // size, 1)
    rows = np.arange(step // 2, n, step)
    total = len(rows) if weights is None else weights[rows].sum()
    if step == 1 or total <= 0:
        return Sample(objective, None, None)
    return Sample(objective, rows, np.full(len(rows), n / total))


def in_single(sample: Sample, over_rows: SumOverRows) -> SoftmaxRegression | None:
    """The objective over a float32 copy of dense float64 features, centred: read in half the time.

    None where there are no such features, where passes would not save what the copy takes, or where
    features leave the range of float32.
    """
    features, centre = sample.objective.features, sample.objective.centre
    n, d = len(sample), int(features.shape[1])
    if not isinstance(features, np.ndarray) or features.dtype == np.float32:
        return None
    if n < d or n * d > MOST_COPIED or n * d * sample.objective.classes < LEAST_PRODUCTS:
        return None
    copy = np.empty((n, d), np.float32)

    def magnitudes_of(lane: list[Rows]) -> Vector:
        magnitudes = np.zeros(d)
        for block in lane:
            rows = copy[block]
            given = features[block]
            if sample.rows is not None:
                given = features.take(sample.rows[block], axis=0)
            with np.errstate(over="ignore", invalid="ignore"):
                np.subtract(given, 0.0 if centre is None else centre, out=rows, casting="same_kind")
                magnitudes += np.ones(len(rows), np.float32) @ np.abs(rows)
        return magnitudes

    mean = over_rows(magnitudes_of, sample.blocks()) / n
    if not ((mean == 0) | ((mean > 1 / WIDE) & (mean < WIDE))).all():
        return None
    return sample.over(copy)
