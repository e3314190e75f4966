"""An intercept with which the mean probabilities are the class frequencies."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.training.objective import Vector
from luce.training.point import Point

if TYPE_CHECKING:
    from luce.scorers.linear import Features

MOST_CLASSES_AT_ONCE = 2048  # beyond, their Hessian is only multiplied with
MOST_PRODUCTS, ACCURATE_ENOUGH = 10, 1e-2
SMALLEST_SHARE = 1e-12  # of the largest mean, added so that rounding leaves no zero


def recentred(point: Point, gradient: Vector) -> Vector:
    """The same coef with an intercept one Newton step nearer to the best for it.

    At that best the mean probabilities are the class frequencies, which a dual point needs; they
    miss them by the intercept's `gradient`. The Hessian in the intercept is the k x k mean of
    ``diag(p) - p p'``; from fewer rows than all it brings the certificate later.
    """
    from scipy.linalg import lu_factor, lu_solve

    if not point.sample.objective.fit_intercept:
        return point.parameters
    k = point.sample.objective.classes
    if k > MOST_CLASSES_AT_ONCE:
        return _recentred_by_products(point, gradient)

    moments = point.second_moments(None, np.empty(0)).classes
    mean, hessian = moments[-1, :-1].copy(), np.negative(moments[:-1, :-1])
    del moments
    # A constant added to all intercepts changes nothing: give that direction some curvature.
    hessian += 1 / k
    hessian[np.diag_indices(k)] += mean + SMALLEST_SHARE * mean.max()
    moved = point.parameters.copy()
    moved[:, -1] -= lu_solve(lu_factor(hessian.T, overwrite_a=True), gradient[:, -1])
    return moved


def _recentred_by_products(point: Point, gradient: Vector) -> Vector:
    """The same step by conjugate gradients, in which every product takes a reading of the rows."""
    from scipy.sparse.linalg import LinearOperator, cg

    k = point.sample.objective.classes

    def mean(total: Vector, features: "Features", weights: Vector, p: NDArray[Any]) -> None:
        total += weights @ p

    def along(step: Vector) -> Vector:
        def add(total: Vector, features: "Features", weights: Vector, p: NDArray[Any]) -> None:
            total += (weights * (p @ step.astype(p.dtype))) @ p

        return np.asarray(diagonal * step - point.total(k, add) + step.mean())

    diagonal = point.total(k, mean)
    diagonal += SMALLEST_SHARE * diagonal.max()
    moved = point.parameters.copy()
    step, _ = cg(
        LinearOperator((k, k), matvec=along, dtype=np.float64),
        gradient[:, -1],
        rtol=ACCURATE_ENOUGH,
        maxiter=MOST_PRODUCTS,
        M=LinearOperator((k, k), matvec=lambda miss: miss / diagonal, dtype=np.float64),
    )
    moved[:, -1] -= step
    return moved
