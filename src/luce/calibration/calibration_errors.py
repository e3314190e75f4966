"""How far probabilities are from frequencies, as one number: calibration errors of several kinds.

Conventions as in `luce.calibration.metrics`. A gap is the mean probability minus the frequency
among rows of like probability; the kinds differ in what is alike, and in how gaps are averaged.
"""

import numpy as np
import numpy.typing as npt

from luce.calibration.bins import Strategy, check_bins, uniform_edges
from luce.calibration.cell_sums import Cut, cut_into, summed
from luce.calibration.gaps import gap_norm
from luce.calibration.labelled import labelled
from luce.calibration.smooth import CELLS, smooth_error
from luce.errors import DataError


def expected_calibration_error(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    norm: int = 1,
    classwise: bool = False,
    debiased: bool = False,
) -> float:
    """(sum_b w_b |gap_b|^norm / sum_b w_b)^(1 / norm) over bins b of like confidence.

    The confidence of a row is its largest probability, and it is correct where that class is the
    label. The gap of a bin is its mean confidence minus its share of correct rows, w_b its weight.
    As it is by default (15 bins of equal width, norm 1) this is what papers call ECE. `classwise`
    asks the same of every class, the probability of the class against its frequency, in bins of
    its own, and averages over the classes.

    Hazards: the plain estimate is biased upward, because noise inside a bin never cancels: a
    perfectly calibrated model measures about sqrt(15 / n) * 0.3 and not 0. `debiased` has the mean
    0 for a calibrated model, exactly, for any number of rows, and so may be negative. Of norm 2 it
    takes the mean product of two different rows of a bin for the square of the gap, which is
    without bias for any model; where their sum is negative, the result is minus the root of its
    size. Of norm 1 nothing is without bias for all models: what is subtracted is the mean of plain
    estimates with labels drawn from the probabilities, the bias if the model is calibrated, and
    more than the bias if it is not: the truth lies between `debiased` and plain, up to noise.

    A calibration error also says nothing about how well classes are told apart: always guessing the
    class frequencies scores near 0. Read it next to the log loss or the Brier score.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        Each row sums to 1.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights w >= 0, by default 1 each.
    n_bins : int, default 15
        1 to 1000.
    strategy : {"uniform", "quantile"}, default "uniform"
        Bins of equal width, (b / n_bins, (b + 1) / n_bins], or of as nearly equal counts as can be
        (of many rows: as a sample of them has it).
    norm : {1, 2}, default 1
        The mean size of the gaps, or their root mean square.
    classwise : bool, default False
        All classes, instead of the most probable one of each row.
    debiased : bool, default False
        Without the bias of a calibrated model.

    Returns
    -------
    float
        In [0, 1]; less is better. With `debiased`, in [-1, 1].

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML
    (2017), for the estimator; M. Kull et al., "Beyond temperature scaling", NeurIPS (2019), for
    classwise; J. Bröcker, "Estimating reliability and resolution of probability forecasts through
    decomposition of the empirical score", Climate Dynamics 39 (2012), and A. Kumar, P. Liang,
    T. Ma, "Verified uncertainty calibration", NeurIPS (2019), for the square without bias (theirs
    is of one confidence a bin; this one holds where confidences differ); R. Roelofs et al.,
    "Mitigating bias in calibration error estimation", AISTATS (2022), for the bias.

    Examples
    --------
    >>> round(expected_calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1]), 6)
    0.4
    """
    check_bins(n_bins, strategy)
    if norm not in (1, 2):
        raise DataError(f"norm is {norm!r}; expected 1 or 2")
    given = labelled(probabilities, labels, sample_weight, None, logarithmic=False)
    cut = cut_into(given, n_bins, strategy, classwise=classwise)
    sums = summed(given, cut, draw=debiased and norm == 1)
    if debiased and norm == 2:
        square = sums.mean_square()
        return float(np.sign(square) * np.sqrt(abs(square)))
    return sums.beyond_calibration(lambda excess: gap_norm(sums.weight, excess, norm))


def maximum_calibration_error(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    n_bins: int = 15,
    strategy: Strategy = "quantile",
    debiased: bool = False,
) -> float:
    """max_b |gap_b| over bins b of like confidence: the worst that a confidence may mislead.

    Gaps as in `expected_calibration_error`.

    Hazards: the largest of 15 noisy gaps is mostly noise, more so than their mean: a perfectly
    calibrated model measures about 0.8 sqrt(15 / n), and far more in the bins of equal width that
    papers use, where a bin may hold one row. `debiased` subtracts what labels drawn from the
    probabilities have on average.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        Each row sums to 1.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights w >= 0, by default 1 each.
    n_bins : int, default 15
        1 to 1000.
    strategy : {"uniform", "quantile"}, default "quantile"
        Bins of equal width, or of as nearly equal counts as can be.
    debiased : bool, default False
        Without the bias of a calibrated model: of mean 0 if it is one.

    Returns
    -------
    float
        In [0, 1]; less is better. With `debiased`, in [-1, 1].

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    Examples
    --------
    >>> rows, labels = [[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]], [0, 0, 0, 1]
    >>> round(maximum_calibration_error(rows, labels, n_bins=2), 6)
    0.1
    """
    check_bins(n_bins, strategy)
    given = labelled(probabilities, labels, sample_weight, None, logarithmic=False)
    sums = summed(given, cut_into(given, n_bins, strategy, classwise=False), draw=debiased)
    return sums.beyond_calibration(lambda excess: gap_norm(sums.weight, excess, np.inf))


def smooth_calibration_error(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    debiased: bool = False,
) -> float:
    """The s with integral over t in [0, 1] of |sum_i w_i e_i K_s(t, c_i)| / sum_i w_i = s.

    c_i is the confidence of a row, the largest probability, e_i = c_i minus 1 if that class is the
    label, else minus 0, and K_s the Gaussian kernel of width s, reflected at 0 and 1. No bins, so
    nothing jumps where a confidence crosses an edge: rows that differ little in confidence count as
    alike, and how little is little is found from the data, on a grid of 1024 confidences. It is
    within constant factors of the distance to the nearest calibrated probabilities.

    Hazards: as of any plain calibration error, the noise does not cancel: a perfectly calibrated
    model measures about 0.4 / n^(1/3). `debiased` subtracts what labels drawn from the
    probabilities have on average, and may be negative.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        Each row sums to 1.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights w >= 0, by default 1 each.
    debiased : bool, default False
        Without the bias of a calibrated model: of mean 0 if it is one.

    Returns
    -------
    float
        In [0, 1]; less is better. With `debiased`, in [-1, 1].

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    J. Błasiok, P. Nakkiran, "Smooth ECE: principled reliability diagrams via kernel smoothing",
    ICLR (2024).

    Examples
    --------
    >>> round(smooth_calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1]), 3)
    0.4
    """
    given = labelled(probabilities, labels, sample_weight, None, logarithmic=False)
    sums = summed(given, Cut(uniform_edges(CELLS)[:, None], classwise=False), draw=debiased)
    return sums.beyond_calibration(lambda excess: smooth_error(excess / sums.weight.sum()))
