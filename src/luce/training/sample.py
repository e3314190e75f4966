"""Some of the rows, enough for what need not be exact."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.training.objective import Rows, SoftmaxRegression, Vector, blocks_of_rows, dense

if TYPE_CHECKING:
    from luce.scorers.linear import Features

LEAST_OF_A_CLASS = 100
NUMBERS_TOGETHER, LEAST_TOGETHER = 1 << 21, 64  # gathered: of features, and rows


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
        features, weights = self.take(slice(0, len(self)))
        return replace(
            self.objective,
            features=features,
            centre=None,
            labels=self.objective.labels[self.rows],
            weights=weights / weights.mean(),
        )

    def take(self, block: Rows) -> "tuple[Features, Vector]":
        """Features of a block, as `SoftmaxRegression.block` gives them, and their weights."""
        rows = block if self.rows is None else self.rows[block]
        features = self.objective.block(rows)
        weights = np.ones(features.shape[0])
        if self.objective.weights is not None:
            weights *= self.objective.weights[rows]
        if self.factors is not None:
            weights *= self.factors[block]
        return features, weights


def sample_of(objective: SoftmaxRegression, size: int) -> Sample:
    """About `size` rows: of each class its share, but at least some, evenly spread over its rows.

    All rows where that would be most of them.
    """
    counts = np.bincount(objective.labels, minlength=objective.classes)
    wanted = np.maximum(counts * (size / objective.rows), LEAST_OF_A_CLASS)
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
