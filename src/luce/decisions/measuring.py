"""What a rule does on labelled rows, block after block: counts, with exact intervals of shares.

Rows that come in groups are not independent: an interval is then that of as many independent rows
as would vary as much (Korn and Graubard), and of no more of them than there are groups where
nothing varies.

References
----------
E. L. Korn, B. I. Graubard, "Confidence intervals for proportions with small expected number of
positive counts estimated from survey data", Survey Methodology 24 (1998).
"""

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from luce.calibration import rows as labelled
from luce.calibration.evaluation import Figure
from luce.calibration.units import MOST, Part, Units, checked_groups
from luce.decisions.decision import Rule
from luce.decisions.error_control import share_interval
from luce.errors import DataError

if TYPE_CHECKING:
    from luce.decisions.prediction_set import PredictionSet

CONFIDENCE = 0.95


@dataclass(frozen=True)
class AnswerEvaluation:
    """What a rule that abstains did on labelled rows; shares with 95 % intervals.

    Attributes
    ----------
    rows, answered, errors : int
        Rows of positive weight, those of them that were answered, and answered wrongly.
    share_answered : Figure
        Of the rows.
    error_rate : Figure
        Of the rows that were answered; NaN where none was.

    Examples
    --------
    >>> share, rate = Figure(0.5, 0.19, 0.81), Figure(0.2, 0.005, 0.72)
    >>> AnswerEvaluation(10, 5, 1, share, rate).error_rate.value
    0.2
    """

    rows: int
    answered: int
    errors: int
    share_answered: Figure
    error_rate: Figure


@dataclass(frozen=True)
class SetEvaluation:
    """What prediction sets did on labelled rows; shares with 95 % intervals.

    Attributes
    ----------
    rows, covered : int
        Rows of positive weight, and those of them whose set holds the true class.
    coverage : Figure
        The share of these.
    mean_size : float
        Classes in a set.
    single : Figure
        The share of sets of exactly one class.

    Examples
    --------
    >>> coverage, single = Figure(0.9, 0.55, 0.998), Figure(0.5, 0.19, 0.81)
    >>> SetEvaluation(10, 9, coverage, 1.6, single).coverage.value
    0.9
    """

    rows: int
    covered: int
    coverage: Figure
    mean_size: float
    single: Figure


class RunningAnswers:
    """`AnswerEvaluation` of a rule for rows that come block after block."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._sums = Sums(3)

    def add(
        self,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> None:
        """Take up the next rows, also none."""
        if not len(np.asarray(probabilities)):
            return
        for block in labelled.blocks(probabilities, labels, sample_weight, logarithmic=False):
            decision = self._rule.decide(block.probabilities)
            wrong = decision.answered & (decision.labels != block.labels)
            values = [np.ones(len(wrong)), decision.answered, wrong]
            self._sums.add(np.stack(values), groups_of(groups, block.rows))

    def result(self) -> AnswerEvaluation:
        """The evaluation of all rows so far."""
        rows, answered, errors = (int(total) for total in self._sums.totals)
        return AnswerEvaluation(
            rows, answered, errors, self._sums.share(1, 0), self._sums.share(2, 1)
        )


class RunningSets:
    """`SetEvaluation` of a rule for rows that come block after block."""

    def __init__(self, rule: "PredictionSet") -> None:
        self._rule, self._by_group = rule, rule.conditional == "group"
        self._random = rule.generator()
        self._sums = Sums(4)

    def add(
        self,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> None:
        """Take up the next rows, also none."""
        if not len(np.asarray(probabilities)):
            return
        for block in labelled.blocks(probabilities, labels, sample_weight, logarithmic=False):
            of_rows = groups_of(groups, block.rows)
            named, together = (of_rows, None) if self._by_group else (None, of_rows)
            sets = self._rule.decide(block.probabilities, named, self._random).sets
            assert sets is not None
            sizes = sets.sum(axis=1)
            covered = sets[np.arange(len(sets)), block.labels]
            values = [np.ones(len(sets)), covered, sizes == 1, sizes]
            self._sums.add(np.stack(values), together)

    def result(self) -> SetEvaluation:
        """The evaluation of all rows so far."""
        rows, covered, _, sizes = (float(total) for total in self._sums.totals)
        return SetEvaluation(
            int(rows),
            int(covered),
            self._sums.share(1, 0),
            sizes / rows if rows else nan,
            self._sums.share(2, 0),
        )


def checked_rows(
    probabilities: npt.ArrayLike, groups: npt.ArrayLike | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """A table of at least a row, and the groups of its rows if there are any, or a DataError."""
    table = labelled.as_table(probabilities)
    return table, None if groups is None else checked_groups(groups, len(table), 0)


def groups_of(groups: npt.ArrayLike | None, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any] | None:
    """The groups of some of the rows, if there are any."""
    return None if groups is None else np.asarray(groups)[rows]


class Sums:
    """Sums of some numbers of each row: over all, and over each unit where rows have groups."""

    def __init__(self, numbers: int) -> None:
        self.totals = np.zeros(numbers)
        self._of_units: npt.NDArray[np.float64] | None = None
        self._units = Units(seed=0)

    def add(self, values: npt.NDArray[np.float64], groups: npt.NDArray[Any] | None) -> None:
        """Take up the numbers (numbers, m) of the next rows, and the groups of these, (m,)."""
        if not values.shape[1]:
            return
        if (groups is None) != (self._of_units is None) and self.totals.any():
            raise DataError("groups are for all blocks of rows, or for none")
        self.totals += values.sum(axis=1)
        if groups is None:
            return
        if self._of_units is None:
            self._of_units = np.zeros((len(values), MOST))
        for part in self._units.of_groups(groups):
            self._of_units = _added(self._of_units, values[:, part.rows], part)

    def share(self, part: int, whole: int) -> Figure:
        """The sum of one number over that of another, of which it is a part, in each row 0 or 1."""
        count, rows = float(self.totals[part]), float(self.totals[whole])
        if not rows:
            return Figure(nan, nan, nan)
        value = count / rows
        effective = rows
        if self._of_units is not None:
            effective = _effective(self._of_units[part], self._of_units[whole], value)
        low, high = share_interval(value * effective, effective, CONFIDENCE)
        return Figure(value, min(low, value), max(high, value))

    def ratio_error(self, part: int, whole: int) -> float:
        """The standard error of that ratio, of numbers of any kind, where rows have groups."""
        assert self._of_units is not None
        ratio = float(self.totals[part] / self.totals[whole])
        return _ratio_error(self._of_units[part], self._of_units[whole], ratio)

    @property
    def grouped(self) -> bool:
        """Whether the rows so far have groups."""
        return self._of_units is not None


def _added(
    sums: npt.NDArray[np.float64], values: npt.NDArray[np.float64], part: Part
) -> npt.NDArray[np.float64]:
    if part.moved is not None:
        before, sums = sums, np.zeros_like(sums)
        for mine, theirs in zip(sums, before, strict=True):
            mine += np.bincount(part.moved, theirs[: len(part.moved)], MOST)
    for mine, theirs in zip(sums, values, strict=True):
        mine += np.bincount(part.units, theirs, MOST)
    return sums


def _ratio_error(
    parts: npt.NDArray[np.float64], wholes: npt.NDArray[np.float64], ratio: float
) -> float:
    there = wholes > 0
    units = int(there.sum())
    if units < 2:
        return nan
    left = parts[there] - ratio * wholes[there]
    return float(np.sqrt(left @ left * units / (units - 1)) / wholes.sum())


def _effective(
    parts: npt.NDArray[np.float64], wholes: npt.NDArray[np.float64], share: float
) -> float:
    """How many independent rows say as much of a share as these groups of rows."""
    from scipy.special import stdtrit  # slow to import

    rows, units = float(wholes.sum()), int((wholes > 0).sum())
    if units < 2:
        return 1.0
    error = _ratio_error(parts, wholes, share)
    if error == 0:
        return float(units)
    end = 1 - (1 - CONFIDENCE) / 2
    fewer = (stdtrit(rows - 1, end) / stdtrit(units - 1, end)) ** 2
    return float(min(share * (1 - share) / error**2 * fewer, rows))
