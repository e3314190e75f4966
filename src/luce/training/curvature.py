"""The whole Hessian of softmax regression, for problems with few enough parameters."""

import math
from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_solve

from luce import kernels
from luce.scorers import linear
from luce.training.moments import Moments
from luce.training.objective import Rows, SoftmaxRegression, SumOverRows, Vector
from luce.training.preconditioner import Preconditioner
from luce.training.solver import Curvature

MOST_PARAMETERS = 2048  # their Hessian takes 32 MB, and making it several times that
RIDGE = 1e-12  # of the largest curvature, against rounding where probabilities have saturated


def curvature_of(
    objective: SoftmaxRegression, preconditioner: Preconditioner, over_rows: SumOverRows
) -> Curvature | None:
    """When and how the solver gets the Hessian; None where there are too many parameters.

    It is computed anew when the passes since the last one have cost as much.
    """
    parameters = math.prod(objective.shape)
    if parameters > MOST_PARAMETERS:
        return None
    return Curvature(
        lambda variables: inverse_hessian(objective, preconditioner, variables, over_rows),
        every=max(12, parameters // 16),
    )


def inverse_hessian(
    objective: SoftmaxRegression,
    preconditioner: Preconditioner,
    variables: Vector,
    over_rows: SumOverRows,
) -> Callable[[Vector], Vector]:
    """Product with the inverse of the objective's Hessian in the solver's variables, at a point.

    For one row with probabilities p and centred features x the loss has the Hessian
    ``(diag(p) - p p') kron x x'``: with a = p kron x, the blocks ``x a'`` on the diagonal, minus
    ``a a'``. One Hessian costs about k d / 2 passes' worth of operations.
    """
    shape = objective.shape
    k, width = shape
    parameters = preconditioner.parameters(variables)

    def share(lane: list[Rows]) -> Vector:
        total = np.zeros((k * width, k * width))
        diagonal = np.einsum("iaib->iab", total.reshape(k, width, k, width))
        for block in lane:
            features = objective.block(block)
            scores = linear(features, parameters[:, :-1], parameters[:, -1]).astype(np.float64)
            kernels.softmax(scores, 1.0, scores)
            centred = preconditioner.centred(features)
            if not objective.fit_intercept:
                centred[:, -1] = 0.0
            centred *= np.sqrt(objective.row_weights(block))[:, None]
            products = (scores[:, :, None] * centred[:, None, :]).reshape(len(centred), -1)
            total -= products.T @ products
            diagonal += (products.T @ centred).reshape(k, width, width)
        return total

    hessian = over_rows(share) / objective.rows
    penalty = np.full(shape, objective.l2)
    penalty[:, -1] = 0.0 if objective.fit_intercept else 1.0
    hessian[np.diag_indices(k * width)] += penalty.ravel()
    scale = preconditioner.scale.ravel()
    hessian *= scale[:, None] * scale
    # A constant added to all intercepts changes nothing: give that direction a curvature of 1.
    unseen = np.zeros(shape)
    unseen[:, -1] = 1 / preconditioner.scale[:, -1]
    unseen /= np.linalg.norm(unseen)
    hessian += np.outer(unseen, unseen)
    # By its root, so that rounding cannot make the inverse indefinite.
    root = _cholesky(hessian)
    return lambda vector: cho_solve((root, True), vector.ravel(), check_finite=False).reshape(shape)


def _cholesky(hessian: Vector) -> Vector:
    """Root of a Hessian that rounding may have made indefinite, with the least ridge that helps."""
    ridge = RIDGE * hessian.diagonal().max()
    while True:
        hessian[np.diag_indices(len(hessian))] += ridge
        try:
            return np.asarray(np.linalg.cholesky(hessian), np.float64)
        except np.linalg.LinAlgError:
            if not np.isfinite(ridge):
                raise
            ridge *= 10


def recentred(
    objective: SoftmaxRegression,
    moments: Moments,
    preconditioner: Preconditioner,
    variables: Vector,
    over_rows: SumOverRows,
) -> Vector:
    """The same coef with an intercept one Newton step nearer to the best for it.

    At that best the mean probabilities are the class frequencies, which a dual point needs. The
    Hessian in the intercept is ``mean of diag(p) - p p'``, k x k.
    """
    if not objective.fit_intercept:
        return variables
    parameters = preconditioner.parameters(variables)
    k = objective.classes

    def share(lane: list[Rows]) -> Vector:
        total = np.zeros((k + 1, k))
        for block in lane:
            features = objective.block(block)
            scores = linear(features, parameters[:, :-1], parameters[:, -1])
            kernels.softmax(scores, 1.0, scores)
            weighted = scores * objective.row_weights(block)[:, None]
            total[:k] += weighted.T @ scores
            total[k] += weighted.sum(axis=0)
        return total

    total = over_rows(share) / objective.rows
    mean = total[k]
    hessian = np.diag(mean) - total[:k] + np.full((k, k), 1 / k)
    moved = parameters.copy()
    moved[:, -1] -= np.linalg.lstsq(hessian, mean - moments.class_frequencies, rcond=None)[0]
    return preconditioner.variables(moved)
