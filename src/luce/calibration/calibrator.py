"""What every calibrator does: turn scores to better ones, fit, prove itself on held-out rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.calibration.given import (
    Array,
    Rows,
    checked_scores,
    labelled,
    scores_of,
)
from luce.calibration.held_out import Improvement, Trial, compared, folds_of, sampled
from luce.calibration.rows import Float64s, Integers
from luce.calibration.value import frozen
from luce.errors import DataError
from luce.maps._rows import result_dtype
from luce.training.blas import single_threaded_blas

BLOCK_ELEMENTS = 2**18


class ScoreMap(ABC):
    """A map from scores to better scores, and so from probabilities to better ones; a frozen value.

    `probabilities` and `log_probabilities` are given scores, `from_probabilities` is given
    probabilities, whose logarithms are their scores.

    Scores are (n, k) real numbers, -inf for a class that cannot happen. Scores that look like
    probabilities (no row with a negative number, every row with sum 1) are warned of by
    `luce.errors.CalibrationWarning`; probabilities that do not sum to 1 within 1e-3 are refused.
    `as_is=True` is for those who mean it: no warning, and such probabilities are divided by their
    sums.

    Raises
    ------
    DataError
        (by the methods) Unusable input; the message names the row.

    Examples
    --------
    >>> from luce.calibration import PriorShift, TemperatureScaling
    >>> maps: list[ScoreMap] = [TemperatureScaling(2.0), PriorShift([0.5, 0.5], [0.8, 0.2])]
    >>> [map.probabilities([[2.0, 0.0]]).round(2).tolist() for map in maps]
    [[[0.73, 0.27]], [[0.97, 0.03]]]
    """

    def log_probabilities(self, scores: npt.ArrayLike, *, as_is: bool = False) -> Array:
        """Calibrated log-probabilities of scores (n, k), in their dtype.

        Raises
        ------
        DataError
            NaN or +inf among the scores, or not as many classes as fitted.
        """
        checked = checked_scores(scores, as_is=as_is)
        return self._applied(maps.log_softmax, checked, _dtype_of(scores))

    def probabilities(self, scores: npt.ArrayLike, *, as_is: bool = False) -> Array:
        """Calibrated probabilities of scores (n, k), in their dtype; rows sum to 1.

        Raises
        ------
        DataError
            NaN or +inf among the scores, or not as many classes as fitted.
        """
        checked = checked_scores(scores, as_is=as_is)
        return self._applied(maps.softmax, checked, _dtype_of(scores))

    def from_probabilities(self, probabilities: npt.ArrayLike, *, as_is: bool = False) -> Array:
        """Calibrated probabilities of probabilities (n, k), in their dtype.

        Raises
        ------
        DataError
            A row that is no distribution, or not as many classes as fitted.
        """
        scores = scores_of(probabilities, as_is=as_is)
        return self._applied(maps.softmax, scores, _dtype_of(probabilities))

    @property
    @abstractmethod
    def is_identity(self) -> bool:
        """Whether it changes nothing."""

    @abstractmethod
    def _transformed(self, scores: Float64s) -> Float64s:
        """New scores of a block of rows (m, k)."""

    @property
    @abstractmethod
    def _classes(self) -> int | None:
        """The number of classes fitted to, None for any."""

    def _applied(self, map: Callable[[Array], Array], scores: Array, dtype: np.dtype[Any]) -> Array:
        n, k = scores.shape
        if self._classes not in (None, k):
            raise DataError(f"there are {k} classes; expected {self._classes}, those of the fit")
        result = np.empty(scores.shape, dtype)
        step = max(1, BLOCK_ELEMENTS // k)
        for start in range(0, n, step):
            block = scores[start : start + step].astype(np.float64)
            new = block if self.is_identity else self._transformed(block)
            with np.errstate(over="ignore", under="ignore"):
                result[start : start + step] = map(new)
        return result


class Calibrator(ScoreMap):
    """A `ScoreMap` that is fitted to rows with labels, and proves itself on held-out ones.

    `fit` is given scores, `fit_from_probabilities` probabilities; labels are (n,) class indices,
    weights (n,) not negative; rows with equal `groups` (n,) (of one patient, of one document) may
    depend on each other. The rows have to be ones that the model was not trained on, or scores
    from cross-fitting: on its training rows a model is surer than it should be.

    Both cross-validate. Where the held-out log loss does not fall by more than one standard error,
    or the held-out labels are not 20 times as likely as before, all together, the identity is the
    result: `is_identity` says that, and `improvement` why. If the scores are calibrated, that is
    the result in at least 95 % of all cases.

    Attributes
    ----------
    improvement : Improvement or None
        What it does on held-out rows; None where it was not fitted, but made of its parameters.

    Raises
    ------
    DataError
        (by the methods) Unusable input; the message names the row.

    Examples
    --------
    >>> from luce.calibration import TemperatureScaling
    >>> isinstance(TemperatureScaling(2.0), Calibrator)
    True
    """

    improvement: Improvement | None

    @classmethod
    def fit(
        cls,
        scores: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        groups: npt.ArrayLike | None = None,
        as_is: bool = False,
    ) -> Self:
        """Fit to scores (n, k) of rows that the model was not trained on, and their labels (n,).

        Raises
        ------
        DataError
            Unusable input; the message names the row.
        """
        checked = checked_scores(scores, as_is=as_is)
        return fitted(cls, labelled(checked, labels, sample_weight, groups))

    @classmethod
    def fit_from_probabilities(
        cls,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        groups: npt.ArrayLike | None = None,
        as_is: bool = False,
    ) -> Self:
        """`fit` to probabilities (n, k): to their logarithms.

        Raises
        ------
        DataError
            Unusable input; the message names the row.
        """
        scores = scores_of(probabilities, as_is=as_is)
        return fitted(cls, labelled(scores, labels, sample_weight, groups))

    def proved(self, improvement: Improvement) -> Self:
        """The same with what was found on held-out rows."""
        return replace(self, improvement=improvement)  # type: ignore[type-var]

    @property
    def log_loss_before(self) -> float:
        """Mean loss of held-out rows as they are; NaN where it was not fitted."""
        return np.nan if self.improvement is None else self.improvement.log_loss_before

    @property
    def log_loss_after(self) -> float:
        """Mean loss of held-out rows when calibrated; NaN where it was not fitted."""
        return np.nan if self.improvement is None else self.improvement.log_loss_after

    @classmethod
    @abstractmethod
    def _identity(cls, classes: int) -> Self:
        """The one that changes nothing."""

    @classmethod
    @abstractmethod
    def _trial(cls, rows: Rows, folds: Integers) -> Trial:
        """Cross-validate, which includes any choice between strengths."""


def check_temperature(temperature: float) -> None:
    """Refuse what nothing can be divided by."""
    is_number = isinstance(temperature, int | float | np.integer | np.floating)
    if not (is_number and 0 < temperature < np.inf):
        raise DataError(f"temperature is {temperature!r}; expected a finite number > 0")


def keep_array(value: ScoreMap, name: str, *shape: int) -> None:
    """Make a parameter of a frozen value a frozen array of finite float64s, of this shape."""
    array = frozen(getattr(value, name), np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise DataError(f"{name} has shape {array.shape}; expected finite numbers of shape {shape}")
    object.__setattr__(value, name, array)


C = TypeVar("C", bound=Calibrator)


def fitted(method: type[C], rows: Rows) -> C:
    """The calibrator of these rows, or the identity where that does as well on held-out ones."""
    with single_threaded_blas():
        sample = sampled(rows)
        trial = method._trial(sample, folds_of(sample))
        improvement = compared(sample.losses(), trial.losses, sample)
        calibrator = trial.finish(rows) if improvement.is_real else method._identity(rows.classes)
    assert isinstance(calibrator, method)
    return calibrator.proved(improvement)


def _dtype_of(values: npt.ArrayLike) -> np.dtype[Any]:
    return result_dtype(np.asarray(values).dtype)
