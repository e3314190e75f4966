"""Scores that classes take from each other: structured matrix scaling."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from luce.calibration.affine import FLOOR, Affine, corrected, log_softmax, tried
from luce.calibration.calibrator import Calibrator, check_temperature, keep_array
from luce.calibration.given import Rows
from luce.calibration.held_out import Improvement, Trial
from luce.calibration.rows import Float64s, Integers
from luce.calibration.value import Value

MOST_WHOLE = 64  # classes with a matrix of any rank
DIRECTIONS = 32  # its rank from there on
ROWS_FOR_DIRECTIONS = 2**11


@dataclass(frozen=True, eq=False, repr=False)
class MatrixScaling(Value, Calibrator):
    """softmax(scale * x + bias + mixing @ directions.T @ x), x = log softmax(scores / T).

    `VectorScaling`, and what the classes take from each other: a row that looks a little like a
    dog may be likelier to be a wolf than the model thinks. Up to 64 classes the matrix mixing @
    directions.T is any; with more classes it has rank 32, and the directions are those along which
    the log-probabilities vary most.

    Mean log loss is minimised with the penalty
    ``strength / (2 n) * (k |scale - 1|^2 + k |bias|^2 + k (k - 1) |mixing|^2)``: the form of
    structured matrix scaling. It draws to temperature scaling, and hardest what there is most of.
    Here its strength is chosen by cross-validation, as for `VectorScaling`, which also says what
    else holds for both.

    Parameters
    ----------
    temperature : float
        T, that of `TemperatureScaling`.
    scale : array of shape (k,)
    bias : array of shape (k,)
    mixing : array of shape (k, r)
    directions : array of shape (k, r)
        Its columns are orthonormal; the unit vectors for up to 64 classes.
    strength : float, default infinity
        That was chosen.
    improvement : Improvement, optional
        Set by `fit`.

    Raises
    ------
    DataError
        Parameters that are not finite, or shapes that do not fit.

    Notes
    -----
    With log-probabilities as features this is a form of Dirichlet calibration, whose penalty draws
    the entries off the diagonal, and the biases, to 0.

    References
    ----------
    E. Berta, D. Holzmüller, M. I. Jordan, F. Bach, "Structured matrix scaling for multi-class
    calibration", AISTATS (2026). M. Kull et al., "Beyond temperature scaling: obtaining
    well-calibrated multi-class probabilities with Dirichlet calibration", NeurIPS (2019).

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> scores = 2 * random.normal(size=(5000, 3))
    >>> labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    >>> calibrator = MatrixScaling.fit(scores @ [[1, 0.5, 0], [0, 1, 0], [0, 0, 1]], labels)
    >>> calibrator.matrix.shape
    (3, 3)
    >>> calibrator.log_loss_after < calibrator.log_loss_before
    True
    """

    temperature: float
    scale: Float64s
    bias: Float64s
    mixing: Float64s
    directions: Float64s
    strength: float = np.inf
    improvement: Improvement | None = None

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        for name in ("scale", "bias"):
            keep_array(self, name, np.size(self.scale))
        rank = np.size(self.mixing) // max(np.size(self.scale), 1)
        for name in ("mixing", "directions"):
            keep_array(self, name, np.size(self.scale), rank)

    @property
    def matrix(self) -> Float64s:
        """What the log-probabilities are multiplied by, (k, k)."""
        return np.asarray(np.diag(self.scale) + self.mixing @ self.directions.T)

    @property
    def is_identity(self) -> bool:
        """Whether T and all scales are 1, and all biases and what is mixed 0."""
        changes = (self.scale - 1).any() or self.bias.any() or self.mixing.any()
        return self.temperature == 1.0 and not changes

    @classmethod
    def _identity(cls, classes: int) -> Self:
        nothing = np.zeros((classes, 0))
        return cls(1.0, np.ones(classes), np.zeros(classes), nothing, nothing)

    @classmethod
    def _trial(cls, rows: Rows, folds: Integers) -> Trial:
        def finished(fit: Affine) -> MatrixScaling:
            scale, bias, *mixing = fit.theta.T
            parameters = 1 + scale, bias, np.transpose(mixing), fit.directions
            return MatrixScaling(fit.temperature, *parameters, fit.strength)

        return tried(rows, folds, _directions, finished)

    def _transformed(self, scores: Float64s) -> Float64s:
        theta = np.column_stack([self.scale - 1, self.bias, self.mixing])
        return corrected(scores, self.temperature, self.directions, theta)

    @property
    def _classes(self) -> int:
        return len(self.scale)


def _directions(rows: Rows, temperature: float) -> Float64s:
    """Orthonormal columns (k, r)."""
    if rows.classes <= MOST_WHOLE:
        return np.eye(rows.classes)
    some = rows.take(slice(None, None, -(-len(rows) // ROWS_FOR_DIRECTIONS)))
    x = np.maximum(log_softmax(some.scores, temperature)[:, some.weights > 0], FLOOR)
    x -= x.mean(axis=1, keepdims=True)
    return np.linalg.svd(x, full_matrices=False)[0][:, :DIRECTIONS]
