"""What the certificate and the centre need to know of the data."""

from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.training.objective import SQUARES_OVERFLOW, Rows, SoftmaxRegression, SumOverRows, Vector
from luce.training.sample import Sample

MANY_CLASSES = 32  # from here on, a pass takes longer than adding up the rows of each class
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

    @cached_property
    def mean(self) -> Vector:
        """Weighted mean of the features, shape (d,)."""
        mean: Vector = self.class_sums.sum(axis=0)
        return mean


@dataclass(frozen=True)
class Columns:
    """Of each sparse feature the weighted mean over all rows, that of its square, and its entries.

    Attributes
    ----------
    mean, mean_square, entries : array of shape (d,)
    """

    mean: Vector
    mean_square: Vector
    entries: NDArray[np.int64]


def columns_of(objective: SoftmaxRegression, over_rows: SumOverRows) -> Columns | None:
    """What all rows say of sparse features; None for dense ones, of which any sample says it."""
    features = objective.features
    if isinstance(features, np.ndarray):
        return None
    mean, mean_square = _mean_and_square(Sample(objective, None, None), over_rows)
    if not np.isfinite(mean_square).all():
        raise DataError(SQUARES_OVERFLOW)
    return Columns(mean, mean_square, np.bincount(features.indices, minlength=features.shape[1]))


def centre_of(sample: Sample, over_rows: SumOverRows) -> Vector | None:
    """What to subtract from dense features: about their weighted mean, (d,), where it is large.

    None where no mean exceeds some spreads of its feature: then the intercept can take it up
    without a loss of digits, and features are used where they lie. Rounded to the features' dtype.
    """
    mean, square = _mean_and_square(sample, over_rows)
    with np.errstate(over="ignore", invalid="ignore"):
        is_small = mean**2 <= LARGE_MEAN**2 * (square - mean**2)
    return None if is_small.all() else mean.astype(sample.objective.dtype).astype(np.float64)


def least_variance(sample: Sample, over_rows: SumOverRows) -> float:
    """The smallest variance of a feature that is not constant, 1 if there is none.

    Of sparse features the smallest mean square.
    """
    objective = sample.objective
    mean, square = _mean_and_square(sample, over_rows)
    variance = square
    if objective.fit_intercept and isinstance(objective.features, np.ndarray):
        variance = square - mean**2
    moving = variance[variance > np.sqrt(np.finfo(objective.dtype).eps) * square]
    return float(moving.min()) if len(moving) else 1.0


def _mean_and_square(sample: Sample, over_rows: SumOverRows) -> Vector:
    def sums(block: Rows) -> Vector:
        rows, weights = sample.take(block)
        squares = rows * rows if isinstance(rows, np.ndarray) else rows.multiply(rows)
        return np.stack([weights @ rows, weights @ squares])

    def share(lane: list[Rows]) -> Vector:
        with np.errstate(over="ignore"):
            return reduce(np.add, map(sums, lane))

    return over_rows(share, sample.blocks()) / sample.objective.rows


def first_moments(objective: SoftmaxRegression) -> Moments:
    """Moments of the rows of an objective: one pass, or less where classes are many."""
    k = objective.classes
    if k >= MANY_CLASSES:
        class_sums = _class_sums(objective) / objective.rows
    else:
        # At equal scores, and with one class more that no row has, all residuals are 1 / (k + 1)
        # less 1 at the label.
        wider = replace(objective, classes=k + 1, l2=0.0)
        _, gradient = wider.value_and_gradient(np.zeros(wider.shape))
        class_sums = (gradient[k] - gradient[:k])[:, :-1].copy()
    frequencies = np.bincount(objective.labels, weights=objective.weights, minlength=k)
    return Moments(class_frequencies=frequencies / objective.rows, class_sums=class_sums)


def _class_sums(objective: SoftmaxRegression) -> Vector:
    from scipy.sparse import csr_array

    sums = np.zeros((objective.classes, objective.shape[1] - 1))
    for block in objective.blocks():
        features, labels = objective.block(block), objective.labels[block]
        of_labels = csr_array(
            (objective.row_weights(block), labels, np.arange(len(labels) + 1)),
            shape=(len(labels), objective.classes),
        )
        of_block = of_labels.T @ features
        sums += of_block if isinstance(of_block, np.ndarray) else of_block.toarray()
    return sums
