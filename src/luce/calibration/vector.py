"""A scale and a bias for every class, drawn to one temperature for all."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from luce.calibration.affine import Affine, corrected, tried
from luce.calibration.calibrator import Calibrator, check_temperature, keep_array
from luce.calibration.given import Rows
from luce.calibration.held_out import Improvement, Trial
from luce.calibration.rows import Float64s, Integers
from luce.calibration.value import Value


@dataclass(frozen=True, eq=False, repr=False)
class VectorScaling(Value, Calibrator):
    """softmax(scale * log softmax(scores / T) + bias), a scale and a bias for every class.

    For models that are surer of some classes than of others, or take some for more frequent than
    they are. Scale and bias are drawn to 1 and 0, which is temperature scaling, by the penalty
    ``strength * k / (2 n) * (|scale - 1|^2 + |bias|^2)`` on the mean log loss. The strength is the
    best of 100, 10, 1, 0.1, 0.01, 0.001 and infinity by cross-validation: so 2 k numbers can be
    fitted to few rows.

    A scale may be negative (the objective is convex, and nothing is gained by forbidding it), and
    decisions by argmax may change. Log-probabilities below -30 are corrected as -30 would be.

    Parameters
    ----------
    temperature : float
        T, that of `TemperatureScaling`.
    scale : array of shape (k,)
    bias : array of shape (k,)
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
    Log-probabilities and not scores are scaled, because a number added to all scores of a row must
    change nothing. The fit ends when the sum of the losses with its penalty is certified to be
    within 0.001 of its minimum. A row whose label has the score -inf has an infinite loss whatever
    is fitted, and does not count.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML
    (2017). E. Berta, D. Holzmüller, M. I. Jordan, F. Bach, "Structured matrix scaling for
    multi-class calibration", AISTATS (2026), for the penalty.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> scores = random.normal(size=(2000, 3))
    >>> labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    >>> calibrator = VectorScaling.fit(scores + [0.0, 0.0, 2.0], labels)
    >>> bool(calibrator.bias.argmin() == 2)
    True
    >>> calibrator.log_loss_after < calibrator.log_loss_before
    True
    """

    temperature: float
    scale: Float64s
    bias: Float64s
    strength: float = np.inf
    improvement: Improvement | None = None

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        for name in ("scale", "bias"):
            keep_array(self, name, np.size(self.scale))

    @property
    def is_identity(self) -> bool:
        """Whether T and all scales are 1, and all biases 0."""
        return self.temperature == 1.0 and not (self.scale - 1).any() and not self.bias.any()

    @classmethod
    def _identity(cls, classes: int) -> Self:
        return cls(1.0, np.ones(classes), np.zeros(classes))

    @classmethod
    def _trial(cls, rows: Rows, folds: Integers) -> Trial:
        def none(rows: Rows, temperature: float) -> Float64s:
            return np.empty((rows.classes, 0))

        def finished(fit: Affine) -> VectorScaling:
            scale, bias = fit.theta.T
            return VectorScaling(fit.temperature, 1 + scale, bias, fit.strength)

        return tried(rows, folds, none, finished)

    def _transformed(self, scores: Float64s) -> Float64s:
        theta = np.column_stack([self.scale - 1, self.bias])
        return corrected(scores, self.temperature, np.empty((len(theta), 0)), theta)

    @property
    def _classes(self) -> int:
        return len(self.scale)
