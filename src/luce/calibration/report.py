"""Everything about the calibration of held-out rows at once, with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from luce.calibration import bootstrap, units
from luce.calibration.evaluation import Figure
from luce.calibration.gaps import gap_norm, mean_square_gap
from luce.calibration.labelled import Labelled, labelled
from luce.calibration.rows import Float64s, Integers
from luce.calibration.smooth import smooth_error
from luce.calibration.splits import Recalibration, Split, recalibration
from luce.calibration.tally import Excess, Tally, tallied
from luce.calibration.testing import CalibrationTest, testable, tested
from luce.errors import DataError
from luce.training.blas import single_threaded_blas


@dataclass(frozen=True)
class CalibrationError(Figure):
    """A calibration error as it is measured, and what a calibrated model would measure.

    `value` is never below the noise; `low` and `high` are about the true error, which is. A `value`
    that is not above `if_calibrated` says nothing against the model.

    Attributes
    ----------
    value : float
        As the plain estimate has it, which other packages report.
    low, high : float
        95 % interval of the true error: from 0 where it may well be 0.
    if_calibrated : float
        The mean estimate on these rows if the probabilities were calibrated.

    Examples
    --------
    >>> error = CalibrationError(value=0.05, low=0.0, high=0.06, if_calibrated=0.04)
    >>> round(error.debiased, 2)
    0.01
    """

    if_calibrated: float

    @property
    def debiased(self) -> float:
        """The value minus what a calibrated model would measure: of mean 0 for such a model."""
        return self.value - self.if_calibrated


@dataclass(frozen=True)
class CalibrationReport:
    """What `calibration_report` found.

    Attributes
    ----------
    rows : int
        Rows of positive weight.
    log_loss, brier_score : Split of Figures
        The scores and their parts, as `log_loss_split` and `brier_score_split` say.
    overconfidence : Figure
        Mean confidence minus accuracy: above 0, the model is too sure of itself.
    expected_calibration_error : CalibrationError
        Top label, 15 bins of equal width, mean size of the gaps: what papers call ECE.
    quantile_calibration_error : CalibrationError
        The same in 15 bins of equal counts.
    root_mean_square_calibration_error : CalibrationError
        Root mean square of the gaps, in the same bins.
    maximum_calibration_error : CalibrationError
        The largest of these gaps.
    smooth_calibration_error : CalibrationError
        As the function of this name says.
    classwise_calibration_error : CalibrationError
        Mean over the classes of the mean size of the gaps, in 15 bins of equal counts each. Beyond
        2000 classes, the rarer ones count as one.
    test : CalibrationTest
        As `calibration_test` says.
    by : mapping from str, int, ... to CalibrationReport, or None
        A report of the rows of each part, in order, where parts were asked for.

    Examples
    --------
    >>> report = calibration_report(np.log([[0.9, 0.1]] * 40), [0] * 20 + [1] * 20)
    >>> round(report.overconfidence.value, 3), report.test.p_value < 0.01
    (0.4, True)
    """

    rows: int
    log_loss: Split[Figure]
    brier_score: Split[Figure]
    overconfidence: Figure
    expected_calibration_error: CalibrationError
    quantile_calibration_error: CalibrationError
    root_mean_square_calibration_error: CalibrationError
    maximum_calibration_error: CalibrationError
    smooth_calibration_error: CalibrationError
    classwise_calibration_error: CalibrationError
    test: CalibrationTest
    by: Mapping[Any, "CalibrationReport"] | None


def calibration_report(
    log_probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    by: npt.ArrayLike | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> CalibrationReport:
    """Do the probabilities mean what they say? All figures, 95 % intervals, and a p-value.

    The intervals of scores and their parts are percentiles of the bootstrap, as `evaluate` has
    them; the bins stay what they are, the temperature of `log_loss_split` is fitted anew. Those of
    calibration errors are about the true error of the same bins, not about the estimate, whose bias
    is unknown, but between none and that of a calibrated model: they reach from the value minus
    the latter minus a margin up to the value plus a margin, margins by the bootstrap. So they are
    wide rather than wrong: they hold the truth in 95 % of cases and mostly more, for calibrated
    models as for others.

    Where rows come in `groups` (several rows of one patient, one document) they are not
    independent: whole groups are drawn. Of many rows or groups, bundles are drawn, as in
    `evaluate`: some 4000 of few classes, at least 64 of many.

    Memory beyond the input is bounded but for some numbers a row, and some hundred a class.

    Hazards: the rows must be others than the model, or its calibrator, was fitted to. With few
    groups (30) intervals are too narrow. With `by`, of 20 calibrated parts one will have a p-value
    below 0.05: compare the smallest with 0.05 / parts.

    Parameters
    ----------
    log_probabilities : array_like of shape (n, k)
        Logarithms, as `luce.log_softmax` makes them; -inf for an impossible class. The exponentials
        of each row sum to 1 within 1e-3.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Weights >= 0, by default 1 each.
    groups : array_like of shape (n,), optional
        Rows with equal values belong together.
    by : array_like of shape (n,), optional
        Rows with equal values are a part, with a report of its own besides.
    seed : int, default 0
        Equal seeds give equal reports.
    resamples : int, default 1000
        At least 40.

    Returns
    -------
    CalibrationReport
        `low` and `high` are NaN where only one row or group has weight.

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    References
    ----------
    B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> scores = random.normal(size=(1000, 3))
    >>> labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    >>> sharpened = 2 * scores - np.logaddexp.reduce(2 * scores, axis=1, keepdims=True)
    >>> report = calibration_report(sharpened, labels)
    >>> figure = report.overconfidence
    >>> round(figure.value, 3), round(figure.low, 3), round(figure.high, 3)
    (0.149, 0.121, 0.177)
    >>> report.test.p_value
    0.001
    """
    bootstrap.check_resamples(resamples)
    given = labelled(log_probabilities, labels, sample_weight, groups, logarithmic=True)
    whole = _report(given, seed, resamples)
    if by is None:
        return whole
    names, part = _parts(units.checked_groups(by, len(given), 0, "by"))
    ends = np.bincount(part).cumsum()[:-1]
    places = np.split(np.argsort(part, kind="stable"), ends)
    weighted = [given.weights is None or given.weights[place].any() for place in places]
    return replace(
        whole,
        by={
            name: _report(given.of(place), seed, resamples)
            for name, place, has_weight in zip(names, places, weighted, strict=True)
            if has_weight
        },
    )


def _parts(by: npt.NDArray[Any]) -> tuple[list[Any], Integers]:
    try:
        names, part = np.unique(by, return_inverse=True)
    except TypeError as error:
        raise DataError("by has values of types that have no common order") from error
    return names.tolist(), part


def _report(given: Labelled, seed: int, resamples: int) -> CalibrationReport:
    random = np.random.default_rng(seed)
    tally = tallied(given, random, apart=True)
    tested_rows = testable(given, random)
    of_test = tally if tested_rows is given else tallied(tested_rows, random, apart=False)
    many = len(tally.weight)
    gain = recalibration(given, tally.unit)
    once = np.ones((many, 1))
    # Each resample's temperature is fitted to a resample of rows that the first was fitted to.
    scores = _scores(tally, gain, once, biased=1)[:, 0]
    errors = _errors(tally, tally.seen, once)[:, 0]
    drawn_scores = np.full((len(scores), resamples), np.nan)
    drawn_errors = np.full((len(errors), resamples), np.nan)
    sums = tally.cells.finest + tally.cells.of_classes
    for part, counts in bootstrap.resampled(many, resamples, random, sums=sums):
        if many > 1:
            drawn_scores[:, part] = _scores(tally, gain, counts, biased=2)
            drawn_errors[:, part] = _errors(tally, tally.seen, counts)
    log_loss, gained, log_rest, brier, gaps, brier_rest, overconfidence = (
        Figure(float(value), float(np.minimum(value, low)), float(np.maximum(value, high)))
        for value, low, high in zip(scores, *bootstrap.interval(drawn_scores), strict=True)
    )
    calibrated = _errors(tally, tally.calibrated, None)
    uniform, quantile, root, largest, smooth, classwise = (
        _calibration_error(*of_one) for of_one in zip(errors, drawn_errors, calibrated, strict=True)
    )
    return CalibrationReport(
        rows=tally.rows,
        log_loss=Split(log_loss, gained, log_rest),
        brier_score=Split(brier, gaps, brier_rest),
        overconfidence=overconfidence,
        expected_calibration_error=uniform,
        quantile_calibration_error=quantile,
        root_mean_square_calibration_error=root,
        maximum_calibration_error=largest,
        smooth_calibration_error=smooth,
        classwise_calibration_error=classwise,
        test=tested(of_test),
        by=None,
    )


def _scores(tally: Tally, gain: Recalibration, counts: Float64s, *, biased: int) -> Float64s:
    """Log loss, Brier score, each with its parts, and overconfidence of resamples; (7, r).

    The gain of a temperature is overstated as often as it was fitted to what it is measured on.
    """
    with single_threaded_blas():
        weight, loss, impossible, distance, excess = (
            sums @ counts
            for sums in (
                tally.weight,
                tally.loss,
                tally.impossible,
                tally.distance,
                tally.seen.confidence.sum(axis=0),
            )
        )
        gained = gain.of(counts) - biased * gain.bias
        squares = np.square(counts)
        gaps = mean_square_gap(
            tally.class_weight @ counts,
            tally.seen.classes @ counts,
            np.square(tally.class_weight) @ squares,
            np.square(tally.seen.classes) @ squares,
        )
    loss = np.where(impossible > 0, np.inf, loss) / weight
    gained, distance = gained / weight, distance / weight
    gaps *= len(tally.cells.class_starts)
    parts = [loss, gained, loss - gained, distance, gaps, distance - gaps, excess / weight]
    return np.stack(parts)


def _errors(tally: Tally, excess: Excess, counts: Float64s | None) -> Float64s:
    """The six calibration errors of resamples, or of all rows with other labels; (6, r)."""
    cells = tally.cells
    with single_threaded_blas():
        every = np.ones((len(tally.weight), 1)) if counts is None else counts
        confidence_weight = tally.confidence_weight @ every
        class_weight = tally.class_weight @ every
        if counts is not None:
            excess = excess.times(counts)
    confidence, classes = excess.confidence, excess.classes
    width, width_excess, count, count_excess = (
        np.add.reduceat(sums, starts, axis=0)
        for starts in (cells.uniform, cells.quantile)
        for sums in (confidence_weight, confidence)
    )
    smooth = np.add.reduceat(confidence, cells.smooth, axis=0) / confidence_weight.sum(axis=0)
    return np.stack(
        [
            gap_norm(width, width_excess, 1),
            gap_norm(count, count_excess, 1),
            gap_norm(count, count_excess, 2),
            gap_norm(count, count_excess, np.inf),
            smooth_error(smooth),
            gap_norm(class_weight, classes, 1),
        ]
    )


def _calibration_error(value: float, resampled: Float64s, calibrated: Float64s) -> CalibrationError:
    """An interval that allows for any bias from none to that of a calibrated model."""
    bias = float(calibrated.mean())
    least, most = bootstrap.interval(resampled)
    margin = max(most - resampled.mean(), resampled.mean() - least)
    return CalibrationError(
        value=float(value),
        low=float(np.clip(value - bias - margin, 0.0, value)),
        high=float(np.clip(value + margin, value, 1.0)),
        if_calibrated=bias,
    )
