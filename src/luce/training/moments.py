"""What the certificate and the preconditioner need to know of the data."""

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from luce.training.objective import Rows, SoftmaxRegression, SumOverRows, Vector

LARGE_MEAN = 4  # spreads: the features then lose two bits


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


def centre_of(objective: SoftmaxRegression, over_rows: SumOverRows) -> Vector | None:
    """What to subtract from dense features: their weighted mean, (d,), where it is large.

    None where no mean exceeds some spreads of its feature: then the intercept can take it up
    without a loss of digits, and features are used where they lie. One pass.
    """

    def sums(block: Rows) -> Vector:
        rows, weights = objective.block(block), objective.row_weights(block)
        with np.errstate(over="ignore"):
            return np.stack([weights @ rows, weights @ (rows * rows)])

    mean, square = over_rows(lambda lane: reduce(np.add, map(sums, lane))) / objective.rows
    with np.errstate(over="ignore", invalid="ignore"):
        is_small = mean**2 <= LARGE_MEAN**2 * (square - mean**2)
    return None if is_small.all() else mean


def first_moments(objective: SoftmaxRegression, over_rows: SumOverRows) -> Moments:
    """Moments of the rows of an objective: one pass."""
    k = objective.classes
    # At equal scores, and with one class more that no row has, all residuals are 1 / (k + 1)
    # less 1 at the label.
    wider = replace(objective, classes=k + 1, l2=0.0, dtype=np.dtype(np.float64))
    _, gradient = wider.value_and_gradient(np.zeros(wider.shape), over_rows)
    sums = gradient[k] - gradient[:k]
    if not objective.fit_intercept:  # then the gradient of the intercept is not to be had
        sums[:, -1] = np.bincount(objective.labels, weights=objective.weights, minlength=k)
        sums[:, -1] /= objective.rows
    return Moments(class_frequencies=sums[:, -1].copy(), class_sums=sums[:, :-1].copy())


def covariance(objective: SoftmaxRegression, centre: Vector, over_rows: SumOverRows) -> Vector:
    """Weighted second moments of dense features about `centre`, shape (d, d): one pass.

    In the objective's dtype, block by block: enough for a preconditioner.
    """
    centre = centre.astype(objective.dtype)

    def product(block: Rows) -> Vector:
        rows = objective.block(block) - centre
        if objective.weights is not None:
            rows *= np.sqrt(objective.weights[block]).astype(objective.dtype)[:, None]
        return np.asarray(rows.T @ rows, np.float64)

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
