"""Scores split into what recalibration would gain, and what only a better model would."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.calibration import metrics, rows
from luce.calibration.cell_sums import cut_into, summed
from luce.calibration.given import Rows
from luce.calibration.labelled import Labelled, labelled
from luce.calibration.rows import Float64s, Integers
from luce.calibration.temperature import best_temperature

T = TypeVar("T")


@dataclass(frozen=True)
class Split(Generic[T]):
    """A score and its two parts, which add up to it.

    Attributes
    ----------
    score : float or Figure
        The log loss or the Brier score.
    calibration : float or Figure
        What the score loses because probabilities are not frequencies; less is better. Of a
        calibrated model the estimate is near 0, and may be below.
    refinement : float or Figure
        What is left: how badly the classes would be told apart were the probabilities calibrated.

    Examples
    --------
    >>> Split(score=0.5, calibration=0.1, refinement=0.4).refinement
    0.4
    """

    score: T
    calibration: T
    refinement: T


def brier_score_split(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> Split[float]:
    """The Brier score's calibration, sum_c sum_b w_cb gap_cb^2 / sum_i w_i, and the rest.

    The reliability of Murphy's decomposition, for every class c in 15 bins b of its probability of
    as nearly equal counts as can be; w_cb is the weight of the rows in a bin, gap_cb their mean
    probability minus the frequency of the class. The squares are estimated without bias, from the
    products of different rows: noise does not count as miscalibration, and the part of a calibrated
    model has the mean 0 exactly, for any number of rows. The refinement is uncertainty minus
    resolution, in Murphy's terms, with what varies inside the bins.

    Hazards: bins of a class see no error that they average out, nor one that depends on the other
    classes' probabilities: such stays in the refinement.

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
    Split of floats

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    A. H. Murphy, "A new vector partition of the probability score", Journal of Applied Meteorology
    12 (1973); C. A. T. Ferro, T. E. Fricker, "A bias-corrected decomposition of the Brier score",
    Quarterly Journal of the Royal Meteorological Society 138 (2012).

    Examples
    --------
    >>> split = brier_score_split([[0.9, 0.1]] * 10, [0] * 5 + [1] * 5)
    >>> round(split.score, 2), round(split.calibration, 2), round(split.refinement, 2)
    (0.82, 0.26, 0.56)
    """
    given = labelled(probabilities, labels, sample_weight, None, logarithmic=False)
    score = metrics.brier_score(given.values, given.labels, sample_weight=sample_weight)
    sums = summed(given, cut_into(given, rows.BINS, "quantile", classwise=True), draw=False)
    calibration = given.classes * sums.mean_square()
    return Split(score, calibration, score - calibration)


def log_loss_split(
    log_probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
) -> Split[float]:
    """The log loss's calibration, what the best temperature for the rows would gain, and the rest.

    Fitted to the rows that it is measured on, a temperature seems to gain something for calibrated
    models too: sum_i g_i^2 / (2 sum_i v_i) on average (Takeuchi's correction), about half a nat for
    all rows together. g_i is the derivative of a row's loss by log T, v_i the variance of its
    scores / T under the recalibrated probabilities. That is subtracted: so of a calibrated model
    the part has the mean 0, but for terms in 1 / n^2, and may be negative. (Fitting to some rows
    and measuring on others is biased downward by as much, and noisier.)

    A temperature and not bins, because the log loss of a frequency in a bin can be infinite, and
    because it is what would be done about it. Hazards: what one temperature cannot mend, such as a
    class that is predicted too often, stays in the refinement; `calibration_test` and
    `brier_score_split` see it. A label that was held impossible costs inf whatever the temperature:
    the refinement is then inf, and the calibration that of the other rows.

    Parameters
    ----------
    log_probabilities : array_like of shape (n, k)
        Logarithms, as `luce.log_softmax` makes them; -inf for an impossible class.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights w >= 0, by default 1 each.

    Returns
    -------
    Split of floats
        In nats.

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    K. Takeuchi, "Distribution of information statistics and a criterion of model fitting"
    (1976), for the correction; E. Berta, D. Holzmüller, M. I. Jordan, F. Bach, "Rethinking early
    stopping: refine, then calibrate" (2025), for the split by recalibration.

    Examples
    --------
    >>> split = log_loss_split(np.log([[0.9, 0.1]] * 10), [0] * 5 + [1] * 5)
    >>> round(split.score, 2), round(split.calibration, 2), round(split.refinement, 2)
    (1.2, 0.46, 0.74)
    """
    given = labelled(log_probabilities, labels, sample_weight, None, logarithmic=True)
    score = metrics.log_loss(given.values, given.labels, sample_weight=given.weights)
    gain = recalibration(given, np.arange(len(given)))
    weight = len(given) if given.weights is None else given.weights.sum()
    calibration = float(gain.of(np.ones((len(given), 1)))[0] - gain.bias) / weight
    return Split(score, calibration, score - calibration)


@dataclass(frozen=True, eq=False)
class Recalibration:
    """What a temperature does to the loss of each unit; sums of weights times these, (units,).

    Attributes
    ----------
    gain : loss before minus loss after
    slope, curvature : the loss after, its first and second derivative by log T
    """

    gain: Float64s
    slope: Float64s
    curvature: Float64s

    def of(self, counts: Float64s) -> Float64s:
        """The summed gain of the temperature that is best for each of the resamples, (r,).

        That is one Newton step away from the one that is best for all.
        """
        slope, curvature = self.slope @ counts, self.curvature @ counts
        return np.asarray(self.gain @ counts + _halved(np.square(slope), curvature))

    @property
    def bias(self) -> float:
        """By how much fitting to the same rows overstates the gain."""
        return float(_halved(np.square(self.slope).sum(), self.curvature.sum()))


def recalibration(given: Labelled, unit: Integers) -> Recalibration:
    """The best temperature, of a random sample where rows are many, and what it does to all."""
    blocks = list(given.of(given.some(np.random.default_rng(0))).blocks())
    temperature = best_temperature(
        Rows(
            np.concatenate([block.values for block in blocks]),
            np.concatenate([block.labels for block in blocks]).astype(np.int64),
            np.concatenate([block.weights for block in blocks]),
        )
    )
    sums = Recalibration(*np.zeros((3, int(unit.max()) + 1)))
    for block in given.blocks():
        before = rows.surprise(block.values, block.labels)
        possible = before < np.inf
        logarithms = np.asarray(maps.log_softmax(block.values[possible], temperature=temperature))
        after = rows.surprise(logarithms, block.labels[possible])
        probabilities = np.exp(logarithms)
        logarithms[probabilities == 0] = 0.0  # -inf would be NaN below
        entropy = -np.einsum("ij,ij->i", probabilities, logarithms)
        square = np.einsum("ij,ij,ij->i", probabilities, logarithms, logarithms)
        weights, places = block.weights[possible], unit[block.rows[possible]]
        np.add.at(sums.gain, places, weights * (before[possible] - after))
        np.add.at(sums.slope, places, weights * (entropy - after))
        np.add.at(sums.curvature, places, weights * (square - np.square(entropy)).clip(min=0))
    return sums


def _halved(squares: npt.ArrayLike, curvature: npt.ArrayLike) -> Float64s:
    """Squares / (2 curvature), 0 where nothing is curved."""
    curvature = np.asarray(curvature, np.float64)
    result = np.zeros_like(curvature)
    np.divide(squares, 2 * curvature, out=result, where=curvature > 0)
    return result
