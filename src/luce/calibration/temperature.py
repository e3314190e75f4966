"""One temperature for all scores: softmax(scores / T), T the most likely one."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from luce import kernels
from luce.calibration.calibrator import Calibrator, check_temperature
from luce.calibration.given import Rows, losses, summed
from luce.calibration.held_out import Improvement, Trial, splits
from luce.calibration.rows import Float64s, Integers
from luce.training.blas import single_threaded_blas

PASSES = 8
ROWS_TO_START, STEPS_TO_START = 2**12, 60  # the search begins on so many rows
WEAK = 0.3  # inverse temperature times spread, below which one step from 0 is a better start
PRECISION = 1e-5  # of log T, before the last step; a Newton step squares it
COLDEST, HOTTEST = 1e-6, 1e3  # times the spread of the scores
LEAST_ERRORS = 0.5  # that have to be expected of rows without one, and one row more
MANY_CLASSES = 256
SMALL, LARGE = 1e-200, 1e200  # variances beyond which squares may be none


FARTHEST = float(np.finfo(np.float64).max) / 4


@dataclass(frozen=True)
class TemperatureScaling(Calibrator):
    """softmax(scores / T), with the T > 0 that makes the labels most likely.

    T above 1 makes the probabilities less sure, T below 1 surer; no decision by argmax changes. It
    is one number, so few rows suffice (some hundred), and it can hardly do harm.

    The minimum of sum_i w_i cross_entropy(scores_i / T, label_i) is found over log T by Newton's
    method with a bracket, in at most 8 readings of the rows: with u = -log T, e the mean and v the
    variance of a row's scores under softmax(scores / T), m its largest score and s that of its
    label, the minimum is where r(u) = sum w (m - e) equals sum w (m - s), and
    dr/du = -(1 / T) sum w v.

    T is bounded. It is at most 1000 times the spread (the root mean square over the rows of the
    standard deviation of a row's scores), where softmax is uniform within some thousandths: that is
    the result where labels are no likelier than chance. And it is not so low that an error would be
    expected less than once in 2 (n + 1) of the n rows that argmax gets right: where that is all of
    them the minimum is at T = 0, but rows without an error cannot show that errors are rarer.

    Parameters
    ----------
    temperature : float
        T, positive and finite.
    improvement : Improvement, optional
        Set by `fit`.

    Raises
    ------
    DataError
        The temperature is not positive and finite.

    Notes
    -----
    A row whose label has the score -inf has an infinite loss at every T, and does not count in the
    fit. With weights, all rows count as (sum w)^2 / sum w^2: weights of any scale give the same T.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML
    (2017).

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> scores = random.normal(size=(5000, 3))
    >>> labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    >>> calibrator = TemperatureScaling.fit(4 * scores, labels)
    >>> round(calibrator.temperature, 1)
    4.0
    >>> calibrator.log_loss_after < calibrator.log_loss_before
    True
    >>> TemperatureScaling.fit(scores, labels).is_identity
    True
    """

    temperature: float = 1.0
    improvement: Improvement | None = None

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    @property
    def is_identity(self) -> bool:
        """Whether T is 1."""
        return self.temperature == 1.0

    @classmethod
    def _identity(cls, classes: int) -> Self:
        return cls(1.0)

    @classmethod
    def _trial(cls, rows: Rows, folds: Integers) -> Trial:
        held_out, near = rows.losses(), best_temperature(rows)
        for others, inside in splits(rows, folds):
            temperature = best_temperature(others, near)
            held_out[inside] = losses(rows.scores[inside], rows.labels[inside], temperature)
        return Trial(held_out, lambda every: cls(best_temperature(every)))

    def _transformed(self, scores: Float64s) -> Float64s:
        with np.errstate(over="ignore"):
            scaled = scores / self.temperature
        # What overflows is as far away as can be, and no more impossible than it was.
        return np.where(np.isinf(scores), scores, np.clip(scaled, -FARTHEST, FARTHEST))

    @property
    def _classes(self) -> None:
        return None


@single_threaded_blas()
def best_temperature(rows: Rows, near: float | None = None) -> float:
    """The T of `TemperatureScaling`; 1 where the scores of no row differ.

    The search begins near the T given, or else at that of a sample of the rows.
    """
    sums = SumsAt(rows)
    first = sums(0.0)
    if not SMALL < first.variance < LARGE:
        sums = SumsAt(rows, unit=_size_of(rows))
        first = sums(0.0)
    if not first.variance > 0:
        return 1.0
    few = rows.take(slice(None, None, -(-len(rows) // ROWS_TO_START)))
    start = None if near is None else sums.unit / near
    is_weak = -first.excess < WEAK * np.sqrt(first.variance * sums.total)
    if start is None and len(few) < len(rows) and not is_weak:
        sums_of_few = SumsAt(few, sums.unit)
        start = _search(sums_of_few, sums_of_few(0.0), None, STEPS_TO_START)
    left = PASSES - (1 if sums.unit == 1 else 3)
    steps = left if len(few) < len(rows) else STEPS_TO_START
    inverse = _search(sums, first, start, steps)
    limits = np.finfo(np.float64)
    return float(np.clip(sums.unit / inverse, limits.tiny, limits.max))


class Sums(NamedTuple):
    """Sums over rows of weight times these, at one inverse temperature.

    `excess`: mean score minus that of the label; `variance`: of the scores; `gap`: largest score
    minus that of the label. And over rows whose label has the largest score, `right`: 1; `error`:
    the probability of smaller scores; `steepness`: its fall per unit of the inverse temperature.
    """

    excess: float
    variance: float
    gap: float
    right: float
    error: float
    steepness: float


class SumsAt:
    """The sums of rows at any inverse temperature, of their scores divided by a unit.

    Rows whose label is impossible have no weight.
    """

    def __init__(self, rows: Rows, unit: float = 1.0) -> None:
        self.rows, self.unit = rows, unit
        self.label_scores = rows.of_labels()
        possible = self.label_scores > -np.inf
        self.label_scores[~possible] = 0.0
        self.weights = np.where(possible, rows.weights / rows.weights.max(), 0.0)
        self.total = float(self.weights.sum())

    def __call__(self, inverse: float) -> Sums:
        """One pass over the rows."""
        temperature = 1 / inverse if inverse else np.inf

        # Short rows want their classes first, so that NumPy's loops are long.
        classes_first = self.rows.classes < MANY_CLASSES
        over_classes = "ij,ij->j" if classes_first else "ij,ij->i"
        axis, as_rows = (0, np.s_[None]) if classes_first else (1, np.s_[:, None])

        def share(blocks: list[slice]) -> Float64s:
            total = np.zeros(6)
            for block in blocks:
                scores, labels = self.rows.scores[block], self.label_scores[block]
                scores = (scores.T if classes_first else scores).astype(np.float64, order="C")
                # Less the score of the label: then the sum that is to be 0 has all its digits.
                scores -= labels[as_rows]
                if self.unit != 1:
                    scores /= self.unit
                p = np.empty_like(scores)
                given, out = (scores.T, p.T) if classes_first else (scores, p)
                kernels.softmax(given, temperature, out)
                largest = scores.max(axis=axis, initial=0.0)
                right = np.where(largest == 0, self.weights[block], 0.0)
                top = np.einsum(over_classes, p, scores == 0)
                if scores.min() == -np.inf:
                    scores[scores == -np.inf] = 0.0  # where p is 0
                mean = np.einsum(over_classes, p, scores)
                scores -= mean[as_rows]
                p *= scores
                variance = np.einsum(over_classes, p, scores)
                weights = self.weights[block]
                total += [
                    *(weights @ value for value in (mean, variance, largest)),
                    right.sum(),
                    right @ (1 - top),
                    right @ (top * -mean),
                ]
            return total

        with np.errstate(over="ignore", invalid="ignore"):
            return Sums(*summed(self.rows, share, self.rows.blocks()).tolist())


def _search(sums: SumsAt, first: Sums, start: float | None, steps: int) -> float:
    """The inverse temperature by Newton's method; `first` are the sums at 0.

    Both the logarithm of r and that of the expected errors fall along its logarithm, ever steeper:
    the nearer of their two ends is wanted.
    """
    if not first.variance > 0:
        return 1.0
    spread = float(np.sqrt(first.variance / sums.total))
    low, high = 1 / (HOTTEST * spread), 1 / (COLDEST * spread)
    if first.excess >= 0:
        return low
    enough = LEAST_ERRORS * first.right / (1 + sums.rows.effective * first.right / sums.total)
    inverse = float(np.clip(start or -first.excess / first.variance, low, high))
    tried: set[float] = set()
    for _ in range(steps):
        step = _newton_step(sums(inverse), inverse, enough)
        low, high = (inverse, high) if step > 0 else (low, inverse)
        tried.add(inverse)
        inverse = float(np.clip(inverse * np.exp(np.clip(step, -30, 30)), low, high))
        if abs(step) < PRECISION or high < low * (1 + PRECISION):
            break
        if inverse in tried:
            inverse = float(np.sqrt(low * high))
    return inverse


def _newton_step(here: Sums, inverse: float, enough: float) -> float:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        distance = np.log(np.divide(here.error, enough)) if enough else np.inf
        fall = np.divide(inverse * here.steepness, here.error)
        of_labels = np.log1p(np.divide(-here.excess, here.gap)) if here.gap else np.inf
        if of_labels < distance:
            distance = of_labels
            fall = np.divide(inverse * here.variance, here.gap - here.excess)
            if distance > 0:  # from below the logarithms overshoot, and the plain step falls short
                plain = np.log1p(np.divide(-here.excess, inverse * here.variance))
                fall = np.sqrt(fall * distance / plain)
        step = float(np.divide(distance, fall))
    return step if np.isfinite(step) else float(np.copysign(np.inf, distance))


def _size_of(rows: Rows) -> float:
    """A power of 2 about as large as the largest score."""
    largest = 0.0
    for block in rows.blocks():
        scores = rows.scores[block].astype(np.float64)
        scores[scores == -np.inf] = 0.0
        largest = max(largest, float(np.abs(scores).max()))
    return float(2.0 ** int(np.frexp(largest)[1] - 1)) if largest else 1.0
