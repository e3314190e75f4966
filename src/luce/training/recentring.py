"""An intercept with which the mean probabilities are the class frequencies."""

import numpy as np

from luce.training.moments import Moments
from luce.training.objective import Rows, SoftmaxRegression, SumOverRows, Vector, lanes_for

SMALLEST_SHARE = 1e-12  # of the largest mean, added so that rounding leaves no zero


def recentred(
    objective: SoftmaxRegression, moments: Moments, parameters: Vector, over_rows: SumOverRows
) -> Vector:
    """The same coef with an intercept one Newton step nearer to the best for it.

    At that best the mean probabilities are the class frequencies, which a dual point needs. The
    Hessian in the intercept is ``mean of diag(p) - p p'``, k x k.
    """
    if not objective.fit_intercept:
        return parameters
    k = objective.classes

    def share(lane: list[Rows]) -> Vector:
        total = np.zeros((k + 1, k))
        for block in lane:
            p = objective.probabilities(objective.block(block), parameters)
            weighted = p * objective.row_weights(block)[:, None]
            total[:k] += weighted.T @ p
            total[k] += weighted.sum(axis=0)
        return total

    total = over_rows(share, objective.blocks(), most_lanes=lanes_for((k + 1) * k))
    total /= objective.rows
    mean, hessian = total[k], -total[:k]
    # A constant added to all intercepts changes nothing: give that direction some curvature.
    hessian += 1 / k
    hessian[np.diag_indices(k)] += mean + SMALLEST_SHARE * mean.max()
    moved = parameters.copy()
    moved[:, -1] -= np.linalg.solve(hessian, mean - moments.class_frequencies)
    return moved
