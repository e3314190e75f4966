"""Other class frequencies where the model is used than where it was trained."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from luce.calibration.calibrator import ScoreMap
from luce.calibration.given import scores_of
from luce.calibration.rows import Float64s, check_total_weight, checked_weights
from luce.calibration.value import Value, frozen
from luce.errors import DataError
from luce.maps import softmax
from luce.maps._rows import as_array

ENOUGH = 0.01  # of a nat, in the log-likelihood of all rows: no data can tell
MOST_PASSES = 10_000
BLOCK_ELEMENTS = 2**20


@dataclass(frozen=True, eq=False, repr=False)
class PriorShift(Value, ScoreMap):
    """p_c proportional to softmax(scores)_c * new_c / old_c: class frequencies other than learned.

    Right where a class looks the same wherever it comes from, and only how often it comes differs:
    a disease in a screening instead of a hospital, a model trained on balanced classes. The
    probabilities have to be calibrated for the old frequencies: calibrate first, shift then.

    Hazards: nothing here notices where a class looks different too; `calibration_test` of shifted
    probabilities does, with labels of some rows. After training with class weights the old
    frequencies are those of the weights (1 / k if balanced), not of the rows.

    Parameters
    ----------
    old : array_like of shape (k,)
        Class frequencies among the rows that the probabilities are calibrated for, of any sum.
    new : array_like of shape (k,)
        Those where it is used, of any sum. 0 for a class that does not come there; only such a
        class may have had 0 before.

    Raises
    ------
    DataError
        Frequencies that are negative, not finite or all 0, or a class that is new: its probability
        is 0 times infinity.

    See Also
    --------
    PriorShift.estimate : the new frequencies from rows without labels.

    References
    ----------
    M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the outputs of a classifier to new a priori
    probabilities: a simple procedure", Neural Computation 14 (2002).

    Examples
    --------
    >>> shift = PriorShift(old=[0.5, 0.5], new=[0.9, 0.1])
    >>> shift.from_probabilities([[0.5, 0.5], [0.1, 0.9]]).round(2)
    array([[0.9, 0.1],
           [0.5, 0.5]])
    """

    old: Float64s
    new: Float64s

    def __post_init__(self) -> None:
        for name in ("old", "new"):
            self._set(**{name: frozen(_frequencies(getattr(self, name), name))})
        if len(self.old) != len(self.new):
            raise DataError(f"old has {len(self.old)} classes, new has {len(self.new)}")
        unheard = (self.old == 0) & (self.new > 0)
        if unheard.any():
            raise DataError(
                f"class {int(unheard.argmax())} was never there before, and now is: no model knows "
                "it; train with rows of it"
            )

    @classmethod
    def estimate(
        cls,
        probabilities: npt.ArrayLike,
        old: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        as_is: bool = False,
    ) -> Self:
        """The new frequencies that make rows without labels most likely.

        Maximises sum_i w_i log sum_c new_c p_ic / old_c, by the EM algorithm (new_c is the mean of
        the shifted probabilities), sped up, until it is certified to be within 0.01 of its maximum.
        The standard error of an estimated frequency is above sqrt(new_c (1 - new_c) / n): some
        hundred rows of a class are needed.

        Hazards: it takes what it sees for a shift of frequencies, also miscalibration. Of few rows
        a rare class may be estimated at 0 or nearly so, and is then never predicted: look at `new`,
        and give frequencies where you know them.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)
            Calibrated for the old frequencies; each row sums to 1.
        old : array_like of shape (k,)
            Those frequencies, all positive.
        sample_weight : array_like of shape (n,), optional
            Not negative.
        as_is : bool, default False
            Divide rows by their sums instead of refusing those that do not sum to 1.

        Returns
        -------
        PriorShift

        Raises
        ------
        DataError
            Unusable input; the message names the row.

        Examples
        --------
        >>> random = np.random.default_rng(0)
        >>> labels = random.choice(2, p=[0.9, 0.1], size=5000)
        >>> scores = random.normal(np.eye(2)[labels])  # calibrated for equal frequencies
        >>> probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        >>> PriorShift.estimate(probabilities, old=[1, 1]).new.round(1)
        array([0.9, 0.1])
        """
        p = softmax(scores_of(probabilities, as_is=as_is).astype(np.float64))
        n, k = p.shape
        if not n:
            raise DataError("there is no row to estimate from")
        frequencies = _frequencies(old, "old")
        if len(frequencies) != k:
            raise DataError(f"old has {len(frequencies)} classes, the probabilities have {k}")
        if not frequencies.all():
            raise DataError(f"class {int(frequencies.argmin())} has old 0; expected all positive")
        weights = np.ones(n) if sample_weight is None else checked_weights(sample_weight, n, 0)
        check_total_weight(float(weights.sum()))
        if not weights.all():
            p, weights = p[weights > 0], weights[weights > 0]
        p /= frequencies
        return cls(frequencies, _most_likely(p, frequencies, weights))

    @property
    def is_identity(self) -> bool:
        """Whether old and new are equal."""
        return bool((self.old == self.new).all())

    def _transformed(self, scores: Float64s) -> Float64s:
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.where(self.new > 0, np.log(self.new / self.old), -np.inf)
        return np.asarray(scores + shift)

    @property
    def _classes(self) -> int:
        return len(self.old)


def _frequencies(values: npt.ArrayLike, name: str) -> Float64s:
    array = as_array(values, name)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "fiu":
        raise DataError(
            f"{name} has shape {array.shape} and dtype {array.dtype}; expected (k,), a number for "
            "each class"
        )
    array = array.astype(np.float64)
    bad = ~((array >= 0) & np.isfinite(array))
    if bad.any():
        c = int(bad.argmax())
        raise DataError(f"{name}[{c}] is {array[c]}; expected a finite number >= 0, a frequency")
    if not array.any():
        raise DataError(f"{name} is 0 for every class; expected frequencies")
    array = array / array.max()
    return np.asarray(array / array.sum())


def _most_likely(ratios: Float64s, start: Float64s, weights: Float64s) -> Float64s:
    """The mixture of columns that maximises sum w log(ratios @ mixture).

    A step of EM multiplies the mixture by the derivatives d, whose mean it is by itself; at any
    mixture the maximum of the mean is at most log max d higher. Two steps are extrapolated to many
    (SQUAREM: R. Varadhan, C. Roland, Scand. J. Statist. 35 (2008)); where that went too far, the
    two steps alone are taken.
    """
    weights = weights / weights.max()
    effective = weights.sum() ** 2 / (weights @ weights)
    weights = weights / weights.sum()

    def at(mixture: Float64s) -> tuple[float, Float64s]:
        likelihood = ratios @ mixture
        return float(weights @ np.log(likelihood)), (weights / likelihood) @ ratios

    mixture, safe, longest, best = start, start, 4.0, -np.inf
    for _ in range(MOST_PASSES // 2):
        value, slope = at(mixture)
        if not value >= best:  # or NaN, of classes that have gone
            mixture, longest = safe, max(1.0, longest / 4)
            value, slope = at(mixture)
        best = value
        if np.log(slope.max()) * effective <= ENOUGH:
            break
        second = mixture * slope
        _, slope_there = at(second)
        safe = second * slope_there
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.log(slope)
            change = np.log(slope_there) - step
            length = np.sqrt((mixture @ step**2) / (mixture @ change**2))
            length = np.clip(np.nan_to_num(length, nan=1.0), 1.0, longest)
            if length == longest:
                longest *= 4
            mixture = mixture * np.exp(2 * length * step + length**2 * change)
            mixture /= mixture.sum()
    return np.asarray(mixture / mixture.sum())
