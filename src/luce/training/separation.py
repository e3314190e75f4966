"""Classes that a linear rule tells apart without an error: they have no finite optimum."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from luce.training.objective import (
    Rows,
    SoftmaxRegression,
    SumOverRows,
    Vector,
    without_common,
)

ROUNDING = 1e-9  # of the greatest score: margins below it prove nothing


def separable_classes(
    objective: SoftmaxRegression, parameters: Vector, over_rows: SumOverRows
) -> NDArray[np.int64]:
    """Classes for which these parameters prove that no finite ones are best without a penalty.

    If the least score of a class c on its own rows exceeds its greatest on all others, moving
    along that score, minus a threshold between the two, lowers the loss of every row for ever. If
    the score of every row's own class exceeds all its others, moving along all scores does, and
    every class is returned. One pass. (A. Albert and J. A. Anderson, On the existence of maximum
    likelihood estimates in logistic regression models, Biometrika 71, 1984.)
    """
    k = objective.classes
    objective = replace(objective, dtype=np.dtype(np.float64))
    parameters = without_common(parameters)

    def share(lane: list[Rows]) -> Vector:
        # the least of a class on its own rows, minus the greatest on others; the least margin, and
        # minus the greatest score of all
        extremes = np.full((1, 2 * k + 2), np.inf)
        for block in lane:
            features, labels = objective.block(block), objective.labels[block]
            scores = objective.scores(features, parameters)
            weighed = objective.row_weights(block) > 0
            scores, labels = scores[weighed], labels[weighed]
            if not len(labels):
                continue
            own = scores[np.arange(len(labels)), labels]
            extremes[0, -1] = min(extremes[0, -1], -np.abs(scores).max())
            np.minimum.at(extremes[0, :k], labels, own)
            scores[np.arange(len(labels)), labels] = -np.inf
            others = scores.max(axis=1)
            extremes[0, k:-2] = np.minimum(extremes[0, k:-2], -scores.max(axis=0))
            extremes[0, -2] = min(extremes[0, -2], (own - others).min())
        return extremes

    extremes = over_rows(share, objective.blocks(), np.minimum)[0]
    rounding = -ROUNDING * extremes[-1]
    if extremes[-2] > rounding:
        return np.arange(k)
    return np.flatnonzero(extremes[:k] + extremes[k:-2] > rounding)
