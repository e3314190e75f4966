"""Gaps between what was predicted and what came true, bin by bin, and their norms.

Conventions: `weight` and `excess` (cells, r) are sums over the rows of a cell, which is a bin of
one class: of their weights, and of weight times (probability minus outcome). The gap of a cell is
excess / weight. There are r data sets at once, such as bootstrap resamples; results are (r,). A
norm is over all rows of all classes that have cells, so that of k classes it is the mean.
"""

import numpy as np

from luce.calibration.rows import Float64s


def gap_norm(weight: Float64s, excess: Float64s, norm: float) -> Float64s:
    """The mean size of the gaps (norm 1), their root mean square (2), the largest (inf).

    As they are measured: only by accident 0, however well calibrated the model is.
    """
    if norm == 1:
        return np.asarray(abs(excess).sum(axis=0) / weight.sum(axis=0))
    if norm == np.inf:
        return np.asarray(abs(_divided(excess, weight)).max(axis=0))
    squares = (_divided(excess, weight) * excess).sum(axis=0)
    return np.asarray(np.sqrt(squares / weight.sum(axis=0)))


def mean_square_gap(
    weight: Float64s, excess: Float64s, weight_squares: Float64s, excess_squares: Float64s
) -> Float64s:
    """The mean square of the gaps, without bias; it may be negative.

    In a cell it is the mean product of the excesses of two different units: `weight_squares` and
    `excess_squares` sum the squares of what each unit (a row, or rows that belong together) adds,
    and that is a unit times itself. Given probabilities that are calibrated every excess has the
    mean 0, and so has this, exactly, for any number of rows. A cell of a single unit has no pair
    and counts as calibrated.
    """
    products = np.square(excess) - excess_squares
    pairs = np.square(weight) - weight_squares
    alone = pairs <= 1e-9 * np.square(weight)  # but for rounding
    pairs[alone] = 1.0
    return np.asarray((weight * products / pairs).sum(axis=0) / weight.sum(axis=0))


def _divided(excess: Float64s, weight: Float64s) -> Float64s:
    """The quotient, 0 where there is no weight."""
    weight = np.broadcast_to(weight, excess.shape)
    return np.divide(excess, weight, out=np.zeros_like(excess), where=weight > 0)
