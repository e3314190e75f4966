"""Where a Hessian is wanted, and means over rows of which it is made there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce import kernels
from luce.errors import DataError
from luce.kernels.threads import num_threads
from luce.training.objective import SQUARES_OVERFLOW, Rows, SumOverRows, Vector, lanes_for
from luce.training.sample import Sample

if TYPE_CHECKING:
    from luce.scorers.linear import Features

Add: TypeAlias = "Callable[[Vector, Features, Vector, NDArray[Any]], None]"
CurvatureOf: TypeAlias = Literal["classes", "pairs", "all"]


class SecondMoments(NamedTuple):
    """Weighted means over rows, all symmetric.

    Attributes
    ----------
    features : array of shape (number of curvatures, d + 1, d + 1)
        Of curvature x x'; the last feature is 1, or 0 where there is no intercept.
    classes : array of shape (k + 1, k + 1)
        Of p p'; the last probability is 1.
    """

    features: Vector
    classes: Vector


@dataclass(frozen=True)
class Point:
    """Where a Hessian is wanted, and what it is computed from.

    Attributes
    ----------
    parameters : array of shape (k, d + 1)
    damping : float
    frequencies : array of shape (k,)
        Weighted share of each class.
    sample : Sample
    over_rows : callable
        See `shared_rows`.
    """

    parameters: Vector
    damping: float
    frequencies: Vector
    sample: Sample
    over_rows: SumOverRows

    def second_moments(self, curvature: CurvatureOf | None, damping: Vector) -> SecondMoments:
        """Moments of features for the curvatures of each row plus `damping`, and of the classes.

        Curvatures are ``p_c (1 - p_c)`` of each class, ``p_a p_b`` of each pair a < b, or all in
        all ``1 - p'p``. With None only the moments of the classes are computed.
        """
        sample, objective = self.sample, self.sample.objective
        k, width = objective.shape
        features = np.zeros((0 if curvature is None else len(damping), width, width))
        classes = np.zeros((k + 1, k + 1))
        parameters = self.parameters.astype(objective.dtype)
        coef, intercept = parameters[:, :-1], parameters[:, -1].copy()
        for some, centre, weights in sample.parts():
            kernels.linear_second_moments(
                some, weights, coef, intercept, damping,
                None if curvature is None else features, classes,
                curvature=curvature or "all", last=float(objective.fit_intercept),
                centre=None if centre is None else centre.astype(objective.dtype),
                threads=num_threads(),
            )  # fmt: skip
        features /= objective.rows
        classes /= objective.rows
        if not (np.isfinite(features).all() and np.isfinite(classes).all()):
            raise DataError(SQUARES_OVERFLOW)
        return SecondMoments(features, classes)

    def total(self, size: int, add: "Add") -> Vector:
        """Mean over rows of what `add(total, features, weights, probabilities)` adds a block."""
        sample = self.sample

        def share(lane: list[Rows]) -> Vector:
            total = np.zeros(size)
            for block in lane:
                features, weights = sample.take(block)
                p = sample.objective.probabilities(features, self.parameters)
                with np.errstate(over="ignore", invalid="ignore"):
                    add(total, features, weights, p)
            return total

        total = self.over_rows(share, sample.blocks(), most_lanes=lanes_for(size))
        total /= sample.objective.rows
        if not np.isfinite(total).all():
            raise DataError(SQUARES_OVERFLOW)
        return total
