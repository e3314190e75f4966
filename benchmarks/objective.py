"""The objective that every trainer is judged by, written once in plain NumPy and float64."""

from math import fsum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Features: TypeAlias = "NDArray[np.floating] | sparse.csr_matrix"

ENTRIES = 1 << 22  # numbers of a block of rows, or of its scores


def objective(
    features: Features,
    labels: NDArray[np.int64],
    coef: NDArray[np.floating],
    intercept: NDArray[np.floating],
    C: float,
) -> float:
    """``mean cross-entropy + |coef|^2 / (2 C n)``, scikit-learn's LogisticRegression by C n.

    Two classes have one row of coefficients, the scores of the class 1, as in scikit-learn. The
    loss of a row keeps its digits however small it is, and the sum over rows is exact to rounding.
    """
    n, d = features.shape
    coef, intercept = np.asarray(coef, np.float64), np.asarray(intercept, np.float64)
    losses_of = _binary_losses if len(coef) == 1 else _losses
    step = max(1, ENTRIES // max(len(coef), d if isinstance(features, np.ndarray) else 1))
    total = fsum(
        losses_of(
            features[start : start + step].astype(np.float64) @ coef.T + intercept,
            labels[start : start + step],
        ).sum()
        for start in range(0, n, step)
    )
    return total / n + float(np.vdot(coef, coef)) / (2 * C * n)


def _binary_losses(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.logaddexp(0.0, np.where(labels == 1, -scores[:, 0], scores[:, 0]))


def _losses(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """``log(1 + sum of exp(score - score of the label))`` over the other classes."""
    each = np.arange(len(scores))
    above = scores - scores[each, labels][:, None]
    above[each, labels] = -np.inf
    top = np.maximum(above.max(axis=1), 0.0)
    rest = np.exp(above - top[:, None]).sum(axis=1)
    return np.where(top == 0.0, np.log1p(rest), top + np.log(np.exp(-top) + rest))
