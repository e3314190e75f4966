"""Answers only where the error rate among the answers is shown to be small."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.calibration import rows as labelled
from luce.calibration.value import Value, frozen
from luce.decisions.decision import Decision
from luce.decisions.error_control import (
    Tested,
    fewest_rows,
    lowest_threshold,
    rows_needed,
    share_interval,
)
from luce.decisions.measuring import AnswerEvaluation, RunningAnswers, checked_rows
from luce.decisions.rows import Float64s, as_distributions, blocks, over_rows, refuse_weights
from luce.decisions.value import check_choice, check_share, percent
from luce.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class Abstain(Value):
    """P(error rate of the answers <= risk) >= confidence: argmax, where the score is high enough.

    The probability is that of drawing the rows of the fit; the error rate is that of all rows to
    come that are drawn as they were. `fit` finds the lowest threshold for which exact binomial
    bounds show it, for any model and any number of classes: see `luce.decisions.error_control`,
    which also says why a twentieth of the rows is not tested, but lends its scores.

    Hazards: rows drawn otherwise than those of the fit (later, elsewhere, sorted out by weights)
    have no promise; nor have rows that the model was trained on. ``print(rule)`` says what is
    promised, and how many rows will be answered.

    Parameters
    ----------
    risk : float
        The error rate allowed among the answers, in (0, 1).
    confidence : float, default 0.95
        In (0, 1).
    by_class : bool, default False
        A threshold for each predicted class, above which the error rate of that class's answers
        is at most `risk`: all of these at once with the probability `confidence`, of which each
        class has a k-th part. A class with too few rows, or too many errors, is never answered.
    score : "confidence", "margin" or "entropy"
        What must be high: the largest probability; its distance from the second; or the negative
        entropy.
    cross_fitted : bool, default False
        Whether the rows of the fit were scored by models that differ from the one used: the promise
        then rests on their being alike, and is no longer exact. Changes what is said, no more.
    thresholds : array of shape (1,) or (k,), optional
        Set by `fit`: rows are answered whose score is at least this; -inf for all, inf for none.
    tested, answered, errors : arrays of shape (1,) or (k,), optional
        Set by `fit`: how many rows were tested, of these answered, and of these wrong.
    bounds : array of shape (1,) or (k,), optional
        Set by `fit`: the upper bound of the error rate, at the level of the test that was passed.
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
    >>> p = random.uniform(size=2000)
    >>> probabilities, labels = np.stack([1 - p, p], axis=1), (random.uniform(size=2000) < p) * 1
    >>> rule = Abstain(risk=0.1).fit(probabilities, labels)
    >>> str(rule)
    'at most 10% of the answers are wrong, with confidence 95%; ...'
    >>> [round(share, 2) for share in rule.answers]
    [0.33, 0.31, 0.35]
    >>> rule.decide([[0.9, 0.1], [0.6, 0.4]]).answered
    array([ True, False])
    """

    risk: float
    confidence: float = 0.95
    by_class: bool = field(default=False, kw_only=True)
    score: str = field(default="confidence", kw_only=True)
    cross_fitted: bool = field(default=False, kw_only=True)
    thresholds: Float64s | None = field(default=None, kw_only=True)
    tested: npt.NDArray[np.int64] | None = field(default=None, kw_only=True)
    answered: npt.NDArray[np.int64] | None = field(default=None, kw_only=True)
    errors: npt.NDArray[np.int64] | None = field(default=None, kw_only=True)
    bounds: Float64s | None = field(default=None, kw_only=True)
    classes: int | None = field(default=None, kw_only=True)

    learns: ClassVar[bool] = True
    abstains: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_share("risk", self.risk)
        check_share("confidence", self.confidence)
        check_choice("score", self.score, tuple(_SCORES))
        fitted = {name: getattr(self, name) for name in (*_DTYPES, "classes")}
        missing = [name for name, value in fitted.items() if value is None]
        if len(missing) == len(fitted):
            return
        if missing:
            raise DataError(f"{', '.join(missing)} are missing, which a fitted Abstain has")
        arrays = {name: frozen(fitted[name], dtype) for name, dtype in _DTYPES.items()}
        shape = (self.classes if self.by_class else 1,)
        if any(array.shape != shape for array in arrays.values()):
            raise DataError(f"arrays of a fitted Abstain should all have the shape {shape}")
        if np.isnan(arrays["thresholds"]).any():
            raise DataError("a threshold is NaN; expected a number, or inf for no answer")
        self._set(**arrays)

    def fit(
        self,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Find the lowest threshold that keeps the promise.

        Rows of equal score are answered together or not at all.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)
            Of rows that the model was not trained on.
        labels : array_like of int, shape (n,)
            Class indices, 0 to k - 1.
        sample_weight : array_like of shape (n,), optional
            1, or 0 for rows to leave out: the bounds count rows.

        Returns
        -------
        Abstain
            Fitted.

        Raises
        ------
        DataError
            Unusable input, weights that differ, or a promise that these rows cannot support at any
            threshold (with `by_class`: of any class). The message says how many would be needed.
        """
        refuse_weights("Abstain", sample_weight)
        found = []
        for block in labelled.blocks(probabilities, labels, sample_weight, logarithmic=False):
            guesses = block.probabilities.argmax(axis=1)
            scores = _SCORES[self.score](block.probabilities)
            found.append((guesses, scores, guesses != block.labels))
        guesses, scores, wrong = (np.concatenate(part) for part in zip(*found, strict=True))
        labelled.check_total_weight(len(guesses))
        k = np.shape(probabilities)[1]
        parts = [guesses == c for c in range(k)] if self.by_class else [slice(None)]
        level = (1 - self.confidence) / len(parts)
        results = [self._test(scores[part], wrong[part], level) for part in parts]
        if not any(map(_keeps, results)):
            raise DataError(self._refusal(results, level))
        return replace(
            self,
            thresholds=np.array([result.threshold for result in results]),
            tested=np.array([result.rows for result in results]),
            answered=np.array([result.answered * _keeps(result) for result in results]),
            errors=np.array([result.errors * _keeps(result) for result in results]),
            bounds=np.array([result.bound if _keeps(result) else 1.0 for result in results]),
            classes=k,
        )

    def decide(self, probabilities: npt.ArrayLike) -> Decision:
        """Choose the most probable class, and answer where its score is high enough.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)

        Returns
        -------
        Decision
            No sets. The label of a row that is not answered is the best guess all the same.

        Raises
        ------
        DataError
            Unusable probabilities, another number of classes than in `fit`, or no `fit` yet.
        """
        if self.thresholds is None or self.classes is None:
            raise DataError("this Abstain has no threshold: fit it first")
        table = as_distributions(probabilities, self.classes)
        labels = np.asarray(maps.argmax(table), dtype=np.intp)
        thresholds = np.broadcast_to(self.thresholds, self.classes)
        answered = np.empty(len(table), dtype=bool)
        for rows, block in blocks(table):
            answered[rows] = _SCORES[self.score](block) >= thresholds[labels[rows]]
        return Decision(labels, answered)

    def evaluate(
        self,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> AnswerEvaluation:
        """How many labelled rows are answered, and how many of the answers are wrong.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)
            Of rows that neither the model nor this rule has seen.
        labels : array_like of int, shape (n,)
            Class indices, 0 to k - 1.
        sample_weight : array_like of shape (n,), optional
            Rows of weight 0 are left out; others count as one each, as they do in the promise.
        groups : array_like of shape (n,), optional
            Rows with equal values belong together: the intervals are wider.

        Returns
        -------
        AnswerEvaluation

        Raises
        ------
        DataError
            Unusable input, another number of classes than in `fit`, or no `fit` yet.
        """
        table, groups = checked_rows(probabilities, groups)
        running = RunningAnswers(self)
        running.add(table, labels, sample_weight, groups)
        evaluation = running.result()
        labelled.check_total_weight(evaluation.rows)
        return evaluation

    @property
    def answers(self) -> tuple[float, float, float]:
        """The share of rows that are answered, and its 95 % interval, from the rows of the fit."""
        arrays = self._arrays()
        if arrays is None:
            raise DataError("this Abstain has no threshold: fit it first")
        rows, part = int(arrays["tested"].sum()), int(arrays["answered"].sum())
        return (part / rows, *share_interval(part, rows, 0.95))

    def __str__(self) -> str:
        whose = "the answers of each class" if self.by_class else "the answers"
        promise = (
            f"at most {percent(self.risk)} of {whose} are wrong, with confidence "
            f"{percent(self.confidence)}"
        )
        if self.cross_fitted:
            promise += ", as far as the models of the folds are like the final one"
        arrays = self._arrays()
        if arrays is None:
            return f"{promise} (not fitted)"
        share, low, high = self.answers
        told = f"{promise}; answers {percent(share)} of rows ({percent(low)} to {percent(high)})"
        if self.by_class:
            silent = np.flatnonzero(arrays["thresholds"] == inf)
            return told + (f"; never answers {_listed(silent)}" if len(silent) else "")
        threshold, tested, answered, errors, bound = (a.item() for a in arrays.values())
        least = "of any size" if threshold == -inf else f"at least {threshold:.6g}"
        return (
            f"{told}: {self.score} {least}; {answered} of {tested} tested rows, "
            f"{errors} of them wrong, which shows a rate of at most {percent(bound)}"
        )

    def _arrays(self) -> dict[str, npt.NDArray[Any]] | None:
        """What `fit` sets: all of it, or nothing."""
        return None if self.thresholds is None else {name: getattr(self, name) for name in _DTYPES}

    def _test(self, scores: Float64s, wrong: npt.NDArray[np.bool_], level: float) -> Tested:
        if len(scores) < fewest_rows(self.risk, level):
            return Tested(inf, rows=len(scores), answered=0, errors=0, bound=1.0)
        return lowest_threshold(scores, wrong, self.risk, level)

    def _refusal(self, results: list[Tested], level: float) -> str:
        """Why no threshold keeps the promise, and what would help."""
        best = min(results, key=lambda result: result.bound)
        promise = f"an error rate of at most {self.risk:g} with confidence {self.confidence:g}"
        of_class = " of a predicted class" if self.by_class else ""
        if best.answered == 0:
            most, fewest = max(result.rows for result in results), fewest_rows(self.risk, level)
            if most < fewest:
                rows = "row" if most == 1 else "rows"
                return (
                    f"{most} {rows}{of_class} cannot show {promise}: even if none is wrong, at "
                    f"least {fewest} are needed"
                )
            return (
                f"no threshold shows {promise}: none of {best.rows} tested rows{of_class} is as "
                "sure as the lowest threshold asks; allow a higher risk, or give more rows"
            )
        found = (
            f"no threshold shows {promise}: of the surest {best.answered} of {best.rows} "
            f"rows{of_class} {best.errors} are wrong, which may be a rate of {best.bound:.3g}"
        )
        needed = rows_needed(best.errors / best.answered, self.risk, level / 2)
        if needed is None:
            return (
                f"{found}; allow a higher risk or improve the model, or give many more rows, so "
                "that fewer of them, surer ones, can be tested"
            )
        total = round(needed * best.rows / best.answered)
        return f"{found}; if this goes on, about {total} rows{of_class} would show it"


def _entropy(block: Float64s) -> Float64s:
    logarithms = np.log(block, out=np.zeros_like(block), where=block > 0)
    return np.asarray(np.einsum("ij,ij->i", block, logarithms))


def _margin(block: Float64s) -> Float64s:
    if block.shape[1] == 1:
        return block[:, 0]
    two = np.partition(block, (-2, -1), axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0])


_SCORES: dict[str, Callable[[Float64s], Float64s]] = {
    "confidence": lambda block: over_rows(np.maximum, block),
    "margin": _margin,
    "entropy": _entropy,
}
_DTYPES: dict[str, type] = {
    "thresholds": np.float64,
    "tested": np.int64,
    "answered": np.int64,
    "errors": np.int64,
    "bounds": np.float64,
}


def _keeps(result: Tested) -> bool:
    """Whether a threshold was accepted."""
    return result.threshold < inf


def _listed(classes: npt.NDArray[np.intp]) -> str:
    shown = ", ".join(map(str, classes[:5]))
    return f"{'class' if len(classes) == 1 else 'classes'} {shown}{', ...' * (len(classes) > 5)}"
