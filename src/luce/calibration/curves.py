"""What the displays draw, as numbers: reliability curves, and risk against coverage.

Bounds are exact where rows count alike. Where they have weights, a bin is taken for as many rows as
would make its share as sure: (sum w)^2 / sum w^2 of them (E. L. Korn, B. I. Graubard, "Confidence
intervals for proportions with small expected number of positive counts estimated from survey data",
Survey Methodology 24 (1998)), which is approximate.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from luce.calibration.binomial import bounds_of_share, range_of_share
from luce.calibration.bins import Strategy, check_bins, quantile_edges, uniform_edges
from luce.calibration.labelled import labelled
from luce.calibration.rows import Float64s, Integers
from luce.errors import DataError

HISTOGRAM_BINS = 50
_MOST_POINTS = 1000


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """How often what was given a probability came true, in bins of that probability.

    Attributes
    ----------
    name : str
        What the probability is of.
    predicted, observed : ndarray of shape (bins,)
        The mean probability of each bin that has rows, and the share of its rows that came true.
    low, high : ndarray of shape (bins,)
        Exact 95 % bounds (Clopper and Pearson) of what `observed` estimates.
    least, most : ndarray of shape (bins,)
        The middle 95 % of what would be observed were the probabilities calibrated.
    count, true : ndarray of int, shape (bins,)
        Rows of positive weight, and those of them that came true.
    histogram : ndarray of shape (50,)
        The weight of the rows by their probability, in bins of equal width.

    Examples
    --------
    >>> curve = reliability_curve([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]], [0, 1, 1], n_bins=2)
    >>> curve.predicted.round(3), curve.observed.round(3), curve.count
    (array([0.8]), array([0.667]), array([3]))
    """

    name: str
    predicted: Float64s
    observed: Float64s
    low: Float64s
    high: Float64s
    least: Float64s
    most: Float64s
    count: Integers
    true: Integers
    histogram: Float64s


def reliability_curve(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    of_class: int | None = None,
    n_bins: int = 10,
    strategy: Strategy = "uniform",
    name: str = "",
) -> ReliabilityCurve:
    """The points of a reliability diagram, of the top class or of one class, with bounds.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        Each row sums to 1.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights w >= 0, by default 1 each.
    of_class : int, optional
        The class whose probability is meant; by default that of each row's most probable class.
    n_bins : int, default 10
        1 to 1000.
    strategy : {"uniform", "quantile"}, default "uniform"
        Bins of equal width, or of as nearly equal counts as can be.
    name : str, default ""
        For the legend.

    Returns
    -------
    ReliabilityCurve

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    J. Bröcker, L. A. Smith, "Increasing the reliability of reliability diagrams", Weather and
    Forecasting 22 (2007), for `least` and `most`.

    Examples
    --------
    >>> curve = reliability_curve([[0.9, 0.1], [0.2, 0.8]], [0, 1], of_class=1)
    >>> curve.predicted, curve.observed
    (array([0.1, 0.8]), array([0., 1.]))
    """
    check_bins(n_bins, strategy)
    predicted, came, weights = _outcomes(probabilities, labels, sample_weight, of_class)
    edges = uniform_edges(n_bins)
    if strategy == "quantile":
        edges = np.unique(quantile_edges(predicted[:, None], n_bins))
    place = np.searchsorted(edges, predicted)
    filled = np.bincount(place) > 0

    def summed(values: Float64s) -> Float64s:
        return np.asarray(np.bincount(place, values)[filled], np.float64)

    weight = summed(weights)
    alike = np.square(weight) / summed(np.square(weights))
    mean = summed(weights * predicted) / weight
    observed = summed(weights * came) / weight
    low, high = bounds_of_share(alike * observed, alike)
    least, most = range_of_share(mean, np.rint(alike))
    cells = np.searchsorted(uniform_edges(HISTOGRAM_BINS), predicted)
    return ReliabilityCurve(
        name=name,
        predicted=mean,
        observed=observed,
        low=low,
        high=high,
        least=least,
        most=most,
        count=np.bincount(place)[filled],
        true=np.bincount(place, came)[filled].astype(np.intp),
        histogram=np.bincount(cells, weights, HISTOGRAM_BINS).astype(np.float64),
    )


@dataclass(frozen=True, eq=False)
class RiskCoverageCurve:
    """The share of wrong answers, if only the rows of highest confidence are answered.

    Attributes
    ----------
    name : str
        Of the model.
    coverage : ndarray of shape (points,)
        The share of rows, or of their weight, that is answered, ascending to 1.
    risk : ndarray of shape (points,)
        The share of these whose top class is wrong.
    low, high : ndarray of shape (points,)
        Exact 95 % bounds (Clopper and Pearson) of the risk, each point by itself.
    threshold : ndarray of shape (points,)
        Answered are the rows with a confidence of at least this.
    area : float
        The mean risk over all rows, each with those that are surer; less is better. Rows of equal
        confidence are taken in random order, on average.
    perfect_area : float
        That of the same answers if every wrong one came after every right one.

    Examples
    --------
    >>> curve = risk_coverage_curve([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]], [0, 1, 1])
    >>> curve.coverage.round(2), curve.risk.round(2), curve.threshold
    (array([0.33, 0.67, 1.  ]), array([0.  , 0.  , 0.33]), array([0.9, 0.8, 0.7]))
    """

    name: str
    coverage: Float64s
    risk: Float64s
    low: Float64s
    high: Float64s
    threshold: Float64s
    area: float
    perfect_area: float


def risk_coverage_curve(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    name: str = "",
) -> RiskCoverageCurve:
    """The risk among answered rows against their share, from the surest row to all.

    Of very many rows 1000 points are kept, more of them where few rows are answered.

    Hazards: the bounds are of each point by itself. A threshold that was chosen by looking at the
    curve has a higher risk than its point shows: `luce.decisions.Abstain` chooses one with a
    guarantee.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        Each row sums to 1.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights w >= 0, by default 1 each.
    name : str, default ""
        For the legend.

    Returns
    -------
    RiskCoverageCurve

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    R. El-Yaniv, Y. Wiener, "On the foundations of noise-free selective classification", Journal of
    Machine Learning Research 11 (2010); Y. Geifman, G. Uziel, R. El-Yaniv, "Bias-reduced
    uncertainty estimation for deep neural classifiers", ICLR (2019), for the area.

    Examples
    --------
    >>> curve = risk_coverage_curve([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]], [0, 1, 1])
    >>> round(curve.area, 4), round(curve.perfect_area, 4)
    (0.1111, 0.1111)
    """
    confidence, correct, weights = _outcomes(probabilities, labels, sample_weight, None)
    order = np.argsort(-confidence, kind="stable")
    confidence, correct, weights = confidence[order], correct[order], weights[order]
    ends = np.flatnonzero(np.r_[confidence[1:] != confidence[:-1], True])
    every = weights.cumsum()
    answered = every[ends]
    wrong = (weights * ~correct).cumsum()[ends]
    area = np.average(
        np.interp(every, np.r_[0, answered], np.r_[0, wrong]) / every, weights=weights
    )
    ideal = weights[np.argsort(~correct, kind="stable")]
    ahead = ideal.cumsum()
    perfect = np.average((ahead - weights[correct].sum()).clip(min=0) / ahead, weights=ideal)

    kept = _spread(ends + 1)
    risk = wrong[kept] / answered[kept]
    alike = (np.square(every) / np.square(weights).cumsum())[ends[kept]]
    low, high = bounds_of_share(alike * risk, alike)
    return RiskCoverageCurve(
        name=name,
        coverage=answered[kept] / every[-1],
        risk=risk,
        low=low,
        high=high,
        threshold=confidence[ends[kept]],
        area=float(area),
        perfect_area=float(perfect),
    )


def _outcomes(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    of_class: int | None,
) -> tuple[Float64s, npt.NDArray[np.bool_], Float64s]:
    """The probability of the top class, or of one; whether that is the label; the weight."""
    given = labelled(probabilities, labels, sample_weight, None, logarithmic=False)
    if of_class is not None and not 0 <= of_class < given.classes:
        raise DataError(f"of_class is {of_class}; expected 0 to {given.classes - 1}")
    parts = []
    for block in given.blocks():
        every = np.arange(len(block.rows))
        meant = block.probabilities.argmax(axis=1) if of_class is None else 0 * every + of_class
        predicted = block.probabilities[every, meant]
        parts.append((predicted, meant == block.labels, block.weights))
    predicted, came, weights = map(np.concatenate, zip(*parts, strict=True))
    return predicted, came, weights


def _spread(answered: Integers) -> Integers:
    """At most _MOST_POINTS of the places, equally far from each other in number and in ratio."""
    if len(answered) <= _MOST_POINTS:
        return np.arange(len(answered))
    half = _MOST_POINTS // 2
    wanted = [np.linspace(1, answered[-1], half), np.geomspace(1, answered[-1], half)]
    places = np.searchsorted(answered, np.concatenate(wanted).round())
    return np.unique(places.clip(max=len(answered) - 1))
