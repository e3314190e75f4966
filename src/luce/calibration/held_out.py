"""Does a calibration help on rows that it has not seen? Cross-validation over the rows at hand.

Every calibrator answers this for itself, and keeps the identity where the answer is no. That the
mean loss falls is not enough: of scores that are calibrated already, one temperature would seem to
help in one case of six. It has to fall by more than one standard error of the difference, row by
row; and the held-out labels have to be 20 times as likely as they were, all together: were the
scores calibrated, such a ratio would come up in at most one case of 20, whatever it is that is
fitted (Markov's inequality; exact where every row is predicted from earlier ones alone). The second
condition is for few rows, where a standard error knows nothing of the surprises that have not come
yet.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from luce.calibration.given import Rows
from luce.calibration.rows import Float64s, Integers

if TYPE_CHECKING:
    from luce.calibration.calibrator import Calibrator

FOLDS = 5
MOST_ELEMENTS = 2**20  # of the scores that are cross-validated over; of more, a sample is,
LEAST_ROWS = 2**12  # which has no fewer rows than this
LEAST_EVIDENCE = float(np.log(20))  # nats


@dataclass(frozen=True)
class Improvement:
    """What a calibration does to the log loss of rows that it was not fitted to.

    Found by cross-validation over the calibration rows, or over a random sample of them where they
    are many: in turn, each fifth of them was left out, and the losses are those on it.

    Attributes
    ----------
    log_loss_before : float
        Mean loss of the scores as they are, in nats.
    log_loss_after : float
        Mean loss of the calibrated scores; also where the calibration was not kept. Where its
        strength was chosen on the same rows, it is what the best of the choices had.
    gain : float
        Mean fall of the loss, row by row; rows that are infinitely wrong before and after count 0.
    standard_error : float
        Of the gain.
    rows : float
        How many rows these are means over; with weights, or groups of weight w, the number that
        says as much, (sum w)^2 / sum w^2.

    Examples
    --------
    >>> improvement = Improvement(0.52, 0.47, 0.05, 0.01, 1000)
    >>> improvement.is_real
    True
    >>> print(improvement)
    log loss 0.5200 -> 0.4700 on 1000 held-out rows, better by 5.0 standard errors
    """

    log_loss_before: float
    log_loss_after: float
    gain: float
    standard_error: float
    rows: float

    @property
    def is_real(self) -> bool:
        """Whether the loss falls by more than one standard error, and the labels are 20 to 1."""
        return self.gain > self.standard_error and self.gain * self.rows >= LEAST_EVIDENCE

    def __str__(self) -> str:
        errors = abs(self.gain) / self.standard_error if self.standard_error else np.inf
        change = f"{self.log_loss_before:.4f} -> {self.log_loss_after:.4f}"
        verdict = f"{'better' if self.gain > 0 else 'worse'} by {errors:.1f} standard errors"
        return f"log loss {change} on {self.rows:.0f} held-out rows, {verdict}"


@dataclass(frozen=True, eq=False)
class Trial:
    """A way to calibrate, tried out.

    Attributes
    ----------
    losses : float64 array of shape (n,)
        Of each row, by a calibration that was not fitted to it.
    finish : callable
        Fits to all rows, in the way that did best.
    """

    losses: Float64s
    finish: "Callable[[Rows], Calibrator]"


def sampled(rows: Rows) -> Rows:
    """Rows that a cross-validation can afford: all, or some drawn at random."""
    size = max(LEAST_ROWS, MOST_ELEMENTS // rows.classes)
    if len(rows) <= size:
        return rows
    return rows.take(np.sort(np.random.default_rng(0).choice(len(rows), size, replace=False)))


def folds_of(rows: Rows) -> Integers:
    """The fold of each row, at random; the same for all rows of a group.

    Not by class: where every class has its share of each fold, the rows outside tell how many of a
    class are inside, and biases that follow the noise of these numbers would seem to help.
    """
    drawn = np.random.default_rng(0).permutation(rows.units) % FOLDS
    return drawn if rows.groups is None else drawn[rows.groups]


def splits(rows: Rows, folds: Integers) -> Iterator[tuple[Rows, npt.NDArray[np.intp]]]:
    """The rows without each fold, and the places of those inside; of folds that have both."""
    for fold in range(FOLDS):
        inside = folds == fold
        if inside.any() and not inside.all():
            yield rows.without(inside), np.flatnonzero(inside)


def compared(before: Float64s, after: Float64s, rows: Rows) -> Improvement:
    """The mean losses, their difference and its standard error."""
    weights = rows.weights / rows.weights.max()
    weights /= weights.sum()
    with np.errstate(invalid="ignore", over="ignore"):
        gains = np.where(before == after, 0.0, before - after)
        gain = float(weights @ gains)
        # By the largest: its square may be infinite.
        largest = abs(gains - gain).max()
        parts = rows.over_groups(weights * ((gains - gain) / (largest or 1.0)))
        spread = np.sqrt(parts @ parts) * largest
        means = float(weights @ before), float(weights @ after)
    n = len(gains) if rows.groups is None else len(np.unique(rows.groups))
    error = float(spread * np.sqrt(n / (n - 1))) if n > 1 else np.inf
    if gain == np.inf:  # from impossible to possible
        error = 0.0
    return Improvement(*means, gain, error, rows.effective)
