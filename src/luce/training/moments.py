"""What the certificate and the preconditioner need to know of the data."""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from luce.scorers import linear_vjp
from luce.training.objective import Rows, SoftmaxRegression, SumOverRows, Vector


@dataclass(frozen=True)
class Moments:
    """Weighted first moments of the features, whole and by class.

    Attributes
    ----------
    class_frequencies : array of shape (k,)
        Weighted share of each class, summing to 1.
    class_sums : array of shape (k, d)
        Mean over the rows of ``weight * y x'``, y the row's one-hot label.
    """

    class_frequencies: Vector
    class_sums: Vector

    @property
    def mean(self) -> Vector:
        """Weighted mean of the features, shape (d,)."""
        mean: Vector = self.class_sums.sum(axis=0)
        return mean


def feature_mean(objective: SoftmaxRegression, over_rows: SumOverRows) -> Vector:
    """Weighted mean of the features, shape (d,): one pass."""

    def sums(block: Rows) -> Vector:
        return objective.row_weights(block) @ objective.block(block)

    return over_rows(lambda lane: reduce(np.add, map(sums, lane))) / objective.rows


def first_moments(objective: SoftmaxRegression, over_rows: SumOverRows) -> Moments:
    """Moments of the rows of an objective: one pass."""

    def share(lane: list[Rows]) -> Vector:
        total = np.zeros(objective.shape)
        for block in lane:
            one_hot = np.zeros((block.stop - block.start, objective.classes), objective.dtype)
            weights = objective.row_weights(block)
            one_hot[np.arange(len(one_hot)), objective.labels[block]] = weights
            class_sums, counts = linear_vjp(objective.block(block), one_hot)
            total[:, :-1] += class_sums
            total[:, -1] += counts
        return total

    total = over_rows(share) / objective.rows
    return Moments(class_frequencies=total[:, -1], class_sums=total[:, :-1])


def covariance(objective: SoftmaxRegression, centre: Vector, over_rows: SumOverRows) -> Vector:
    """Weighted second moments of dense features about `centre`, shape (d, d): one pass."""

    def product(block: Rows) -> Vector:
        rows = objective.block(block) - centre
        return rows.T @ (rows * objective.row_weights(block)[:, None])

    return over_rows(lambda lane: reduce(np.add, map(product, lane))) / objective.rows


def variances(objective: SoftmaxRegression, centre: Vector, over_rows: SumOverRows) -> Vector:
    """The diagonal of `covariance`, shape (d,), for dense and CSR features: one pass.

    For CSR by ``E x^2 - 2 centre E x + centre^2``, not below 0: enough for a preconditioner.
    """

    def sums(block: Rows) -> Vector:
        rows, weights = objective.block(block).astype(np.float64), objective.row_weights(block)
        if isinstance(rows, np.ndarray):
            return weights @ (rows - centre) ** 2
        total = weights @ rows.multiply(rows) - 2 * centre * (weights @ rows)
        return np.asarray(total + weights.sum() * centre**2)

    total = over_rows(lambda lane: reduce(np.add, map(sums, lane)))
    return np.maximum(total / objective.rows, 0.0)
