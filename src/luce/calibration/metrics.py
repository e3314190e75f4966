"""Accuracy, log loss and Brier score of probabilities, on held-out rows.

Conventions: `probabilities` or `log_probabilities` (n, k), any real dtype, computed in float64;
rows must sum to 1 within 1e-3. `labels` (n,) are class indices 0 to k - 1. `sample_weight` (n,)
is >= 0; a row of weight 0 is checked, then left out. Every function raises `luce.errors.DataError`
naming the first bad row, and needs at least one row: the mean of nothing is no number. The rows are
read in blocks, so that memory beyond the input is bounded.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from luce.calibration import rows


def accuracy(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float:
    """sum_i w_i [argmax_c p_ic = y_i] / sum_i w_i, the share of rows whose top class is right.

    Of equal probabilities the first class counts as the prediction.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        Each row sums to 1.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights w >= 0, by default 1 each.

    Returns
    -------
    float
        In [0, 1]; more is better.

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    Examples
    --------
    >>> accuracy([[0.7, 0.3], [0.6, 0.4]], [0, 1])
    0.5
    """
    return float(_mean(rows.correct, probabilities, labels, sample_weight))


def log_loss(
    log_probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float:
    """-sum_i w_i log p_i,y(i) / sum_i w_i, in nats: how surprising the labels were.

    Taken from log-probabilities, because a probability below 1e-308 has no float64 but its
    logarithm has. Nothing is clipped: a label that was given probability 0 makes the loss
    infinite, where `sklearn.metrics.log_loss` would put 36 for that row.

    Parameters
    ----------
    log_probabilities : array_like of shape (n, k)
        Logarithms, as `luce.log_softmax` makes them; -inf for an impossible class. The exponentials
        of each row sum to 1.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights w >= 0, by default 1 each.

    Returns
    -------
    float
        In [0, inf]; less is better. Guessing all k classes alike costs log k.

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    I. J. Good, "Rational decisions", J. R. Stat. Soc. B 14 (1952).

    Examples
    --------
    >>> round(log_loss([[-1000.0, 0.0], [0.0, -1000.0]], [0, 0]), 6)
    500.0
    """
    return float(_mean(rows.surprise, log_probabilities, labels, sample_weight, logarithmic=True))


def brier_score(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> float:
    """sum_i w_i sum_c (p_ic - [y_i = c])^2 / sum_i w_i, the mean squared error of probabilities.

    The sum runs over all classes, as Brier wrote it. It equals
    `sklearn.metrics.brier_score_loss(..., scale_by_half=False)`, scikit-learn's default for three
    classes and more; for two classes scikit-learn's default is half of it.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        Each row sums to 1.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights w >= 0, by default 1 each.

    Returns
    -------
    float
        In [0, 2]; less is better. Guessing all k classes alike costs 1 - 1/k.

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 78 (1950).

    Examples
    --------
    >>> brier_score([[0.5, 0.5], [0.0, 1.0]], [0, 1])
    0.25
    """
    return float(_mean(rows.squared_distance, probabilities, labels, sample_weight))


def _mean(
    row_value: Callable[[rows.Float64s, rows.Integers], rows.Float64s],
    values: npt.ArrayLike,
    labels: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    *,
    logarithmic: bool = False,
) -> rows.Float64s:
    total = np.float64(0)
    weight = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for block in rows.blocks(values, labels, sample_weight, logarithmic=logarithmic):
            total = total + (row_value(block.values, block.labels) * block.weights).sum(axis=-1)
            weight += block.weights.sum()
    rows.check_total_weight(weight)
    return np.asarray(total / weight)
