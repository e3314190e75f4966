"""Could these labels have been drawn from these probabilities?"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from luce.calibration.labelled import Labelled, labelled
from luce.calibration.rows import Float64s
from luce.calibration.tally import MOST_TESTED, Tally, tallied


@dataclass(frozen=True)
class CalibrationTest:
    """What `calibration_test` found: p-values, each valid by itself; `p_value` is of all together.

    Attributes
    ----------
    p_value : float
        Of the hypothesis that the probabilities are calibrated: small says that they are not.
    confidence : float
        Are they as sure, on the whole, as they should be? The mean log loss against the mean
        entropy of the probabilities, which it would equal; this is what a temperature corrects.
    classes : float
        Is each class as frequent as predicted? This is what a bias or a `PriorShift` corrects.
    top_label : float
        Is the top class right as often as its probability says, in 15 bins of equal counts?
    classwise : float
        The same of every class, in 15 bins of its own, as in the calibration part of the Brier
        score.
    rows : int
        Rows of positive weight, of which 65536 at most are tested.
    times : int
        How many times labels were drawn; no p-value is below 1 / (times + 1).

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> probabilities = random.dirichlet([1, 1, 1], size=500)
    >>> labels = (random.random((500, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    >>> calibration_test(probabilities, labels).p_value > 0.05
    True
    >>> sharpened = probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True)
    >>> calibration_test(sharpened, labels)
    CalibrationTest(p_value=0.001, confidence=0.001, classes=..., times=999)
    """

    p_value: float
    confidence: float
    classes: float
    top_label: float
    classwise: float
    rows: int
    times: int


def calibration_test(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> CalibrationTest:
    """P(as far from calibration or farther, if calibrated): a test of y_i ~ p_i for all rows.

    Calibrated is meant in the strictest sense: given its probabilities, the label of a row is a
    draw from them. Four statistics look for four ways to miss that; `p_value` is of the largest of
    them, each measured in the units of its own chance.

    The null distribution: labels are drawn from the probabilities, and every statistic is measured
    of each draw. What was seen is one more of them, exchangeable with them under the hypothesis,
    and a p-value is the share that are at least as far off. That is exact: P(p_value <= a) <= a for
    any number of rows, classes and weights, with ties on the safe side. Of more than 65536 rows,
    that many are tested, drawn at random: more would only find what does not matter.

    Rows of a group depend on each other, and sums over groups vary more than draws do. The draws
    are stretched by the ratio of the variances, where that is largest (Rao and Scott's correction),
    but not beyond that of copies; this is approximate, and good for 30 groups and more of similar
    size.

    Hazards: a large p-value is no proof. With few rows only gross errors are found, and an error
    that all four statistics average out is not found at all. With very many rows every model is
    rejected, for errors that do not matter: read the sizes in `calibration_report`. The test does
    not hold on rows that the model or its calibration was fitted to, nor with weights that depend
    on the label, such as balancing ones.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        Each row sums to 1.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights >= 0, by default 1 each.
    groups : array_like of shape (n,), optional
        Rows with equal values belong together, and may depend on each other.
    seed : int, default 0
        Equal seeds give equal p-values.

    Returns
    -------
    CalibrationTest

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    J. Bröcker, L. A. Smith, "Increasing the reliability of reliability diagrams", Weather and
    Forecasting 22 (2007), and J. Vaicenavicius et al., "Evaluating model calibration in
    classification", AISTATS (2019), for labels drawn from the probabilities; J. N. K. Rao, A. J.
    Scott, "The analysis of categorical data from complex sample surveys", Journal of the American
    Statistical Association 76 (1981).

    Examples
    --------
    >>> calibration_test([[0.99, 0.01]] * 30, [0] * 25 + [1] * 5).p_value
    0.001
    """
    given = labelled(probabilities, labels, sample_weight, groups, logarithmic=False)
    random = np.random.default_rng(seed)
    return tested(tallied(testable(given, random), random, apart=False))


def testable(given: Labelled, random: np.random.Generator) -> Labelled:
    """As many of the rows, at random, as can be tested."""
    if len(given) <= MOST_TESTED:
        return given
    return given.of(np.sort(random.choice(len(given), MOST_TESTED, replace=False)))


def tested(tally: Tally) -> CalibrationTest:
    """The p-values of what was seen among what calibration gives."""
    squares = _squares(tally)
    # Cube roots of sums of squares are nearly normal, so that their largest favours none of them.
    roots = np.cbrt(squares)
    spread = roots.std(axis=1, keepdims=True)
    scaled = (roots - roots.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    confidence, classes, top_label, classwise = map(_p_value, squares)
    return CalibrationTest(
        p_value=_p_value(scaled.max(axis=0)),
        confidence=confidence,
        classes=classes,
        top_label=top_label,
        classwise=classwise,
        rows=tally.rows,
        times=squares.shape[1] - 1,
    )


def _squares(tally: Tally) -> Float64s:
    """Squared distances from calibration (4, 1 + times), first of what was seen."""
    cells = tally.cells
    surprise, confidence, classes = (
        np.concatenate([seen.sum(axis=-1, keepdims=True), drawn], axis=-1)
        for seen, drawn in zip(
            vars(tally.seen).values(), vars(tally.calibrated).values(), strict=True
        )
    )
    class_weight = tally.class_weight.sum(axis=1, keepdims=True)
    top = np.add.reduceat(confidence, cells.quantile, axis=0)
    row = tally.mean_square_weight * tally.stretch
    return np.stack(
        [
            np.square(surprise),
            _scaled_squares(cells.class_totals(classes), row),
            _scaled_squares(top, row),
            (np.square(classes) / np.where(class_weight > 0, class_weight, 1.0)).sum(axis=0),
        ]
    )


def _scaled_squares(excess: Float64s, least: float) -> Float64s:
    """The sum of squares, each over its variance; at least that of one row, for what is rare.

    The variance is that of what was seen and of what was drawn, all alike: they stay exchangeable.
    """
    squares = np.square(excess)
    return np.asarray((squares / (squares.mean(axis=1, keepdims=True) + least)).sum(axis=0))


def _p_value(distances: Float64s) -> float:
    """The share that are as large as the first or larger; equal but for rounding is equal."""
    least = distances[0] - 1e-9 * abs(distances).max()
    return float(np.mean(distances >= least))
