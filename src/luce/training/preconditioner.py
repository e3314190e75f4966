"""A change of variables in which the objective is nearly round, so that few passes are enough."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from luce.errors import DataError
from luce.training.moments import Moments, covariance, variances
from luce.training.objective import SoftmaxRegression, SumOverRows, Vector

if TYPE_CHECKING:
    from luce.scorers.linear import Features

ALWAYS_ROTATED = 256  # features: finding their eigenvectors takes milliseconds
MOST_ROTATED = 4096  # features: beyond, d^2 numbers and d^3 operations are too many


@dataclass(frozen=True)
class Preconditioner:
    """Variables v with ``coef = (v * scale) @ rotation.T`` for features centred by `centre`.

    The curvature of the loss is about ``w_c * covariance`` for the class c, with
    ``w_c = f_c (1 - f_c)`` and f the class frequencies. In the eigenbasis of the covariance
    (eigenvalues e_j) the objective's is about ``e_j w_c + l2``; dividing by its root makes every
    direction alike, whatever the units and correlations of the features.

    Attributes
    ----------
    centre : array of shape (d,)
        Subtracted from the features, implicitly: the intercept takes it up.
    rotation : array of shape (d, d), or None for the identity
        Eigenvectors of the covariance, one a column.
    scale : array of shape (k, d + 1)
        For coef in the rotated basis, and in the last column for the intercept.
    """

    centre: Vector
    rotation: Vector | None
    scale: Vector

    def centred(self, features: "Features") -> Vector:
        """Features of a block in the rotated basis, dense, and a last column of ones."""
        dense = features if isinstance(features, np.ndarray) else features.toarray()
        centred = dense - self.centre
        if self.rotation is not None:
            centred = centred @ self.rotation
        return np.column_stack([centred, np.ones(len(centred))])

    def parameters(self, variables: Vector) -> Vector:
        """Parameters of the objective, shape (k, d + 1), from the variables of the solver."""
        scaled = variables * self.scale
        coef = scaled[:, :-1]
        if self.rotation is not None:
            coef = coef @ self.rotation.T
        return np.column_stack([coef, scaled[:, -1] - coef @ self.centre])

    def pull_back(self, gradient: Vector) -> Vector:
        """Gradient with respect to the variables: the transpose of `parameters`."""
        coef = gradient[:, :-1] - np.outer(gradient[:, -1], self.centre)
        if self.rotation is not None:
            coef = coef @ self.rotation
        return np.column_stack([coef, gradient[:, -1]]) * self.scale

    def variables(self, parameters: Vector) -> Vector:
        """Variables of the solver for given parameters: the inverse of `parameters`."""
        coef = parameters[:, :-1]
        intercept = parameters[:, -1] + coef @ self.centre
        if self.rotation is not None:
            coef = coef @ self.rotation
        return np.column_stack([coef, intercept]) / self.scale


def precondition(
    objective: SoftmaxRegression, moments: Moments, over_rows: SumOverRows
) -> Preconditioner:
    """Preconditioner from the features' covariance, or from their variances where that costs less.

    The eigenbasis costs about 10 d^3 operations and a pass 4 n k d; it is used for dense features
    while it costs less than some tens of passes.
    """
    k, d = objective.classes, objective.features.shape[1]
    frequencies = moments.class_frequencies
    class_curvature = (frequencies * (1 - frequencies))[:, None]
    centre = moments.mean if objective.fit_intercept else np.zeros(d)

    affordable = d <= MOST_ROTATED and d * d <= 16 * objective.rows * k
    rotation = None
    if isinstance(objective.features, np.ndarray) and (d <= ALWAYS_ROTATED or affordable):
        eigenvalues, rotation = np.linalg.eigh(_finite(covariance(objective, centre, over_rows)))
    else:
        eigenvalues = _finite(variances(objective, centre, over_rows))
    curvature = np.maximum(eigenvalues, 0.0) * class_curvature + objective.l2
    return Preconditioner(
        centre, rotation, 1 / np.sqrt(np.column_stack([curvature, class_curvature]))
    )


def _finite(moments: Vector) -> Vector:
    if not np.isfinite(moments).all():
        raise DataError("the features are so large that their squares overflow: scale them down.")
    return moments
