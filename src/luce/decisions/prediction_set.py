"""Sets of classes that hold the true one at a stated rate: split conformal prediction."""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, inf
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.calibration import rows as labelled
from luce.calibration.units import checked_groups
from luce.calibration.value import Value, frozen
from luce.decisions.conformity import SCORES, scores_of
from luce.decisions.decision import Decision
from luce.decisions.measuring import RunningSets, SetEvaluation, checked_rows
from luce.decisions.rows import Float64s, as_distributions, blocks, refuse_weights
from luce.decisions.value import check_choice, check_count, check_share, percent
from luce.errors import DataError

_FITTING, _DECIDING = 0, 1


@dataclass(frozen=True, eq=False, repr=False)
class PredictionSet(Value):
    """P(set holds the true class) >= coverage: all classes that fit the row well enough.

    Split conformal prediction: `fit` takes the score of the true class (how little it fits; see
    `score`) of each of n labelled rows, and a class is in a set if its score is at most the
    ceil((n + 1) coverage)-th smallest of these. That holds for any model, any number of classes and
    any n, if the rows of the fit and those to come are drawn alike. The probability is that over
    both: given the rows of the fit, the coverage is spread around its mean like a Beta
    distribution, for n = 1000 and coverage 0.9 by 0.01. With too few rows for that rank the set is
    all classes. ``print(rule)`` says what is promised.

    Hazards: of all rows `coverage` are right, not of every kind of row: rare or difficult classes
    may have less, unless `conditional` asks for them. Rows that the model was trained on make sets
    that are too small.

    Parameters
    ----------
    coverage : float
        In (0, 1).
    score : "lac", "aps", "raps" or "saps", default "lac"
        "lac" gives the smallest sets on average; "aps" follows how difficult a row is, and is
        large on average; "raps" and "saps" are "aps" with a penalty on less probable classes. The
        formulas are in `luce.decisions.conformity`.
    conditional : None, "class" or "group", default None
        The rate holds for all rows together; for the rows of each class; or of each group, which
        `fit` and `decide` are then told. Each needs rows of its own: a class with less than
        coverage / (1 - coverage) of them is in all sets, and a group's sets are then all classes,
        as are those of a group that `fit` has not seen.
    randomised : bool, default False
        Count a class's own probability in part, drawn for each row (not for "lac"): the coverage
        is then hardly above what is asked, sets are smaller, and depend on `seed`.
    allow_empty : bool, default False
        Leave sets empty that turn out so; otherwise the most probable class is in every set, which
        can only raise the coverage.
    penalty : float, default 0.1
        Of "raps" and "saps", at least 0; what each less probable class's score rises by.
    unpenalised : int, default 1
        Of "raps": how many of the most probable classes are not penalised.
    seed : int, default 0
        Of what is drawn, at least 0.
    cross_fitted : bool, default False
        Whether the rows of the fit were scored by cross-fitting: `guarantee` is then
        1 - 2 (1 - coverage), though the coverage is usually near what is asked.
    thresholds : array of shape (1,), (k,) or (groups,), optional
        Set by `fit`: the largest score in a set, of each class or group; inf for all.
    rows : array of int, of the same shape, optional
        Set by `fit`: n of each.
    groups : array of shape (groups,), optional
        Set by `fit`: the groups, sorted.
    classes : int, optional
        Set by `fit`: k.

    Raises
    ------
    DataError
        A parameter out of its range, or fitted arrays that do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> probabilities = random.dirichlet([0.3, 0.3, 0.3], size=500)
    >>> labels = (random.uniform(size=(500, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    >>> rule = PredictionSet(0.9).fit(probabilities, labels)
    >>> rule.decide([[0.95, 0.04, 0.01], [0.6, 0.35, 0.05]]).sets
    array([[ True, False, False],
           [ True,  True, False]])
    """

    coverage: float
    score: str = "lac"
    conditional: str | None = None
    randomised: bool = False
    allow_empty: bool = field(default=False, kw_only=True)
    penalty: float = field(default=0.1, kw_only=True)
    unpenalised: int = field(default=1, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    cross_fitted: bool = field(default=False, kw_only=True)
    thresholds: Float64s | None = field(default=None, kw_only=True)
    rows: npt.NDArray[np.int64] | None = field(default=None, kw_only=True)
    groups: npt.NDArray[Any] | None = field(default=None, kw_only=True)
    classes: int | None = field(default=None, kw_only=True)

    learns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_share("coverage", self.coverage)
        check_choice("score", self.score, SCORES)
        check_choice("conditional", self.conditional, (None, "class", "group"))
        if self.randomised and self.score == "lac":
            raise DataError("score 'lac' counts no class in part: leave out randomised, or use aps")
        if not 0 <= self.penalty < inf:
            raise DataError(f"penalty is {self.penalty!r}; expected a finite number of at least 0")
        for name in ("unpenalised", "seed"):
            check_count(name, getattr(self, name))
        if self.thresholds is None and self.rows is None and self.classes is None:
            return
        wrong = "thresholds, rows, groups and classes are not those of a fitted PredictionSet"
        if self.thresholds is None or self.rows is None or self.classes is None:
            raise DataError(wrong)
        thresholds, rows = frozen(self.thresholds, np.float64), frozen(self.rows, np.int64)
        groups = None if self.groups is None else frozen(self.groups)
        parts = {None: 1, "class": self.classes, "group": 0 if groups is None else len(groups)}
        if not (parts[self.conditional],) == thresholds.shape == rows.shape:
            raise DataError(wrong)
        if np.isnan(thresholds).any():
            raise DataError("a threshold is NaN; expected a number, or inf for all classes")
        self._set(thresholds=thresholds, rows=rows, groups=groups)

    def fit(
        self,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> Self:
        """Find the largest score of a class that is in a set.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)
            Of rows that the model was not trained on.
        labels : array_like of int, shape (n,)
            Class indices, 0 to k - 1.
        sample_weight : array_like of shape (n,), optional
            1, or 0 for rows to leave out: the promise counts rows.
        groups : array_like of shape (n,), for ``conditional="group"``
            Numbers or names.

        Returns
        -------
        PredictionSet
            Fitted.

        Raises
        ------
        DataError
            Unusable input, weights that differ, or groups missing or not asked for.
        """
        refuse_weights("PredictionSet", sample_weight)
        values = self._groups(groups, len(labelled.as_table(probabilities)))
        random = np.random.default_rng([self.seed, _FITTING])
        found = []
        for block in labelled.blocks(probabilities, labels, sample_weight, logarithmic=False):
            scores = self._scores(block.probabilities, random)
            found.append((block.rows, scores[np.arange(len(scores)), block.labels], block.labels))
        places, scores, indices = (np.concatenate(part) for part in zip(*found, strict=True))
        labelled.check_total_weight(len(scores))
        k = np.shape(probabilities)[1]
        names = None
        part, parts = np.zeros_like(indices), 1
        if self.conditional == "class":
            part, parts = indices, k
        elif values is not None:
            names, part = np.unique(values[places], return_inverse=True)
            parts = len(names)
        order = np.lexsort((scores, part))
        rows = np.bincount(part, minlength=parts)
        sizes, of_part = np.unique(rows, return_inverse=True)
        ranks = np.array([rank_of(n, self.coverage) for n in sizes.tolist()])[of_part]
        ends = np.cumsum(rows)
        thresholds = np.full(parts, inf)
        enough = ranks <= rows
        thresholds[enough] = scores[order][(ends - rows + ranks - 1)[enough]]
        return replace(self, thresholds=thresholds, rows=rows, groups=names, classes=k)

    def decide(
        self,
        probabilities: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
        random: np.random.Generator | None = None,
    ) -> Decision:
        """Collect the classes that fit each row well enough.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)
        groups : array_like of shape (n,), for ``conditional="group"``
        random : numpy.random.Generator, optional
            What a randomised rule draws from; by default one that begins anew with `seed`, so that
            the same rows have the same sets. Rows that come in several calls should share one.

        Returns
        -------
        Decision
            The label is the most probable class; every row is answered.

        Raises
        ------
        DataError
            Unusable probabilities, another number of classes than in `fit`, groups missing or not
            asked for, or no `fit` yet.
        """
        if self.thresholds is None or self.classes is None:
            raise DataError("this PredictionSet has no threshold: fit it first")
        table = as_distributions(probabilities, self.classes)
        values = self._groups(groups, len(table))
        labels = np.asarray(maps.argmax(table), dtype=np.intp)
        random = random or self.generator()
        sets = np.empty(table.shape, dtype=bool)
        limits = self.thresholds
        if values is not None and self.groups is not None:
            limits = _limits_of(values, self.groups, self.thresholds)
        for rows, block in blocks(table):
            limit = limits if values is None else limits[rows, None]
            sets[rows] = self._scores(block, random) <= limit
        if not self.allow_empty:
            sets[np.arange(len(sets)), labels] = True
        return Decision(labels, np.ones(len(sets), dtype=bool), sets)

    def evaluate(
        self,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> SetEvaluation:
        """How many labelled rows have their class in their set, and how large the sets are.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)
            Of rows that neither the model nor this rule has seen.
        labels : array_like of int, shape (n,)
            Class indices, 0 to k - 1.
        sample_weight : array_like of shape (n,), optional
            Rows of weight 0 are left out; others count as one each, as they do in the promise.
        groups : array_like of shape (n,), optional
            For ``conditional="group"`` what `decide` is told; for one group's figures give its rows
            alone. Otherwise rows with equal values belong together: the intervals are wider.

        Returns
        -------
        SetEvaluation

        Raises
        ------
        DataError
            Unusable input, another number of classes than in `fit`, or no `fit` yet.
        """
        table, groups = checked_rows(probabilities, groups)
        running = RunningSets(self)
        running.add(table, labels, sample_weight, groups)
        evaluation = running.result()
        labelled.check_total_weight(evaluation.rows)
        return evaluation

    def generator(self) -> np.random.Generator:
        """What `decide` draws from by default: for rows in several calls, give one to all of them.

        Examples
        --------
        >>> PredictionSet(0.9, "aps", randomised=True, seed=7).generator().random() < 1
        True
        """
        return np.random.default_rng([self.seed, _DECIDING])

    @property
    def guarantee(self) -> float:
        """The coverage that is proved: what was asked, or of a cross-fitted rule 1 - 2 alpha."""
        return max(0.0, 2 * self.coverage - 1) if self.cross_fitted else self.coverage

    def __str__(self) -> str:
        whose = {None: "rows", "class": "each class's rows", "group": "each group's rows"}
        told = (
            f"the set holds the true class of at least {percent(self.coverage)} of "
            f"{whose[self.conditional]}"
        )
        if self.cross_fitted:
            told += f" (cross-fitted: {percent(self.guarantee)} is guaranteed)"
        if self.thresholds is None or self.rows is None:
            return f"{told} (not fitted)"
        told += f"; {self.score} on {self.rows.sum()} rows"
        short = np.flatnonzero(self.thresholds == inf)
        if not len(short):
            return told
        what = {
            None: "all classes are in every set",
            "class": f"{len(short)} of {len(self.rows)} classes are in every set",
            "group": f"all classes are in the sets of {len(short)} of {len(self.rows)} groups",
        }
        needed = fewest_rows(self.coverage)
        return f"{told}; {what[self.conditional]}, having fewer than {needed} rows"

    def _scores(self, block: Float64s, random: np.random.Generator) -> Float64s:
        u = random.random(len(block)) if self.randomised else np.ones(len(block))
        return scores_of(self.score, block, u, self.penalty, self.unpenalised)

    def _groups(self, groups: npt.ArrayLike | None, n: int) -> npt.NDArray[Any] | None:
        """The groups where they are asked for, None where not, otherwise a DataError."""
        if (groups is not None) != (self.conditional == "group"):
            raise DataError(
                f"groups are {'not ' if groups is None else ''}given, but conditional is "
                f"{self.conditional!r}; groups belong to conditional='group'"
            )
        if groups is None:
            return None
        values = checked_groups(groups, n, 0)
        if values.dtype == object and all(isinstance(value, str) for value in values):
            values = values.astype(str)
        if values.dtype.kind not in "biufU":
            raise DataError(f"groups have dtype {values.dtype}; expected numbers or names")
        return values


def _limits_of(
    values: npt.NDArray[Any], groups: npt.NDArray[Any], thresholds: Float64s
) -> Float64s:
    """The threshold of each row's group; inf for a group that `fit` has not seen."""
    if len(values) and (values.dtype.kind == "U") != (groups.dtype.kind == "U"):
        raise DataError(
            f"groups have dtype {values.dtype}, those of the fit {groups.dtype}; give names to "
            "both, or numbers"
        )
    places = np.searchsorted(groups, values).clip(max=len(groups) - 1)
    return np.where(groups[places] == values, thresholds[places], inf)


def rank_of(n: int, coverage: float) -> int:
    """ceil((n + 1) coverage), of the decimal number that is meant."""
    return ceil((n + 1) * Fraction(repr(float(coverage))))


def fewest_rows(coverage: float) -> int:
    """The smallest n whose rank is not above n."""
    share = Fraction(repr(float(coverage)))
    return ceil(share / (1 - share))
