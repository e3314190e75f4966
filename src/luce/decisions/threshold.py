"""A threshold a class: argmax with the classes' probabilities on scales of their own."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from luce.calibration.value import Value, frozen
from luce.decisions.decision import Decision
from luce.decisions.rows import as_distributions
from luce.decisions.threshold_figure import Figure
from luce.decisions.threshold_search import choose, read_rows, search
from luce.decisions.value import check_choice
from luce.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class Threshold(Value):
    """argmax_c p_c / t_c: the class whose probability is the largest multiple of its threshold.

    Where a class is above its threshold and all others are below theirs, it is chosen; equal
    thresholds are argmax. Only their ratios count: for two classes the rule is the usual cut,
    class 1 where ``p_1 > t_1 / (t_0 + t_1)``. A low threshold makes a class be found more often.

    With `maximise`, `fit` finds the thresholds that make a figure largest on labelled rows. For two
    classes that is exact: every cut is tried. For more it is an ascent, one threshold at a time,
    each moved to its best place, from equal thresholds and from the class frequencies. The result,
    the class frequencies themselves, or equal thresholds are taken, whichever did best when found
    on one half of the rows and used on the other.

    Hazard: the figure on the rows of the fit flatters; `improvement` is from rows that the
    thresholds were not fitted to.

    Parameters
    ----------
    thresholds : array_like of shape (k,), optional
        Positive and finite; found by `fit`, which makes them sum to 1, if not given.
    maximise : "f1" or "balanced_accuracy", optional
        What `fit` is to make largest: F1, or the mean share of each class's rows that are found.
    average : "binary", "macro" or "weighted", optional
        Of F1: that of class 1 (the default for two classes), the mean of the classes' (the default
        for more), or their mean weighted by frequency. Classes without rows are left out.
    improvement : (float, float), optional
        Set by `fit`: the figure of argmax, and of thresholds found in this way, each half of the
        rows decided with those of the other half. Where the two are the same, and the classes more
        than two, the thresholds are equal: argmax was kept.

    Raises
    ------
    DataError
        Thresholds that are not positive and finite, an unknown figure or average.

    Examples
    --------
    >>> Threshold([0.8, 0.2]).decide([[0.75, 0.25], [0.85, 0.15]]).labels
    array([1, 0])
    >>> probabilities = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]
    >>> rule = Threshold(maximise="f1").fit(probabilities, [0, 0, 1, 1])
    >>> rule.thresholds
    array([0.75, 0.25])
    """

    thresholds: npt.NDArray[np.float64] | None = None
    maximise: str | None = field(default=None, kw_only=True)
    average: str | None = field(default=None, kw_only=True)
    improvement: tuple[float, float] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_choice("maximise", self.maximise, (None, "f1", "balanced_accuracy"))
        check_choice("average", self.average, (None, "binary", "macro", "weighted"))
        if self.average is not None and self.maximise != "f1":
            raise DataError(f"average is {self.average!r}, which only maximise='f1' can use")
        if self.thresholds is None:
            if self.maximise is None:
                raise DataError("give thresholds, or say what fit is to maximise")
            return
        thresholds = frozen(self.thresholds, np.float64)
        if thresholds.ndim != 1 or not thresholds.size:
            raise DataError(
                f"thresholds have shape {thresholds.shape}; expected one number for each class"
            )
        bad = ~((thresholds > 0) & np.isfinite(thresholds))
        if bad.any():
            c = int(bad.argmax())
            raise DataError(
                f"the threshold of class {c} is {thresholds[c]}; expected a finite number above 0"
            )
        self._set(thresholds=thresholds)

    @property
    def learns(self) -> bool:
        """Whether there is something for `fit` to find."""
        return self.maximise is not None

    def fit(
        self,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Find the thresholds that make the figure largest.

        Of more than two classes, each in turn is moved to its best threshold, until none gains:
        50,000 rows of 1,000 classes take some seconds, and memory for a copy of them.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)
            Of rows that the model was not trained on.
        labels : array_like of int, shape (n,)
            Class indices, 0 to k - 1.
        sample_weight : array_like of shape (n,), optional
            Weights >= 0, by default 1 each.

        Returns
        -------
        Threshold
            With `thresholds` and `improvement`.

        Raises
        ------
        DataError
            Unusable input, or nothing to maximise.
        """
        if self.maximise is None:
            raise DataError("there is nothing to fit: say what to maximise")
        data = read_rows(probabilities, labels, sample_weight)
        k = data.table.shape[1]
        average = self.average or ("binary" if k == 2 else "macro")
        if average == "binary" and k != 2 and self.maximise == "f1":
            raise DataError(f"average is 'binary', but there are {k} classes; expected 2")
        figure = Figure(self.maximise, average)
        thresholds, improvement = search(data, figure)
        return replace(self, thresholds=thresholds / thresholds.sum(), improvement=improvement)

    def decide(self, probabilities: npt.ArrayLike) -> Decision:
        """Choose the class with the largest ratio of probability to threshold.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)

        Returns
        -------
        Decision
            Every row answered, no sets.

        Raises
        ------
        DataError
            Unusable probabilities, another number of classes, or thresholds not yet fitted.
        """
        if self.thresholds is None:
            raise DataError("this Threshold has no thresholds: fit it first")
        table = as_distributions(probabilities, len(self.thresholds))
        labels = choose(table, self.thresholds)
        return Decision(labels, np.ones(len(labels), dtype=bool))
