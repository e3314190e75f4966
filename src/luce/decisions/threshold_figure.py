"""What thresholds are to make large: F1 or balanced accuracy of labelled rows.

Both figures are sums over the classes of a gain that depends on two numbers of the class: the
weight of its rows that are found (`hits`), and of the rows that are said to be of it (`said`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from luce.decisions.rows import Float64s

Integers = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Rows:
    """Probabilities (n, k), labels (n,) and weights (n,) that are all positive."""

    table: npt.NDArray[np.floating]
    labels: Integers
    weights: Float64s

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> "Rows":
        return Rows(self.table[chosen], self.labels[chosen], self.weights[chosen])

    @property
    def actual(self) -> Float64s:
        """The weight of each class's rows."""
        k = self.table.shape[1]
        return weight_of_each(self.labels, self.weights, k)


@dataclass(frozen=True)
class Figure:
    """F1 ("binary", "macro" or "weighted") or balanced accuracy, over the classes with rows."""

    name: str
    average: str

    def gain(self, hits: Float64s, said: Float64s, actual: Float64s, share: Float64s) -> Float64s:
        """What a class adds; arrays that broadcast, `share` from `shares`."""
        if self.name == "balanced_accuracy":
            above, below = hits, np.broadcast_to(actual, np.shape(hits))
        else:
            above, below = 2 * hits, said + actual
        return share * np.divide(above, below, out=np.zeros(np.shape(above)), where=below > 0)

    def shares(self, actual: Float64s) -> Float64s:
        """The part of each class in the mean."""
        if self.name == "f1" and self.average == "binary":
            return np.array([0.0, 1.0])
        if self.name == "f1" and self.average == "weighted":
            return np.asarray(actual / actual.sum())
        return np.asarray((actual > 0) / (actual > 0).sum())

    def of(self, labels: Integers, rows: Rows) -> float:
        """The figure of these labels for these rows."""
        actual = rows.actual
        right = labels == rows.labels
        hits = weight_of_each(labels[right], rows.weights[right], len(actual))
        said = weight_of_each(labels, rows.weights, len(actual))
        return float(self.gain(hits, said, actual, self.shares(actual)).sum())


def weight_of_each(labels: Integers, weights: Float64s, k: int) -> Float64s:
    """The weight of each class's rows; (k,)."""
    return np.bincount(labels, weights, k).astype(np.float64)
