"""Encoded rows, a classifier that is fitted to them, and how the linear one is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.model.events import Report, Stage
from luce.model.linear import LinearScorer
from luce.model.record import LinearTraining, NetworkTraining
from luce.model.rows import LabelledRows, blocks_of
from luce.model.scorer import Scorer
from luce.model.split import fold_of_rows
from luce.tables import Encoder
from luce.tables.storage import is_in_file
from luce.training import LinearFit, fit_softmax_regression

if TYPE_CHECKING:
    from luce.scorers.linear import Features

TOL = 1e-6
GRID = tuple(10.0**exponent for exponent in range(-3, 5))
FOLDS = 5

Weights = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EncodedRows:
    """Rows to learn from, with their features (n, d) by an encoder that was fitted to them."""

    rows: LabelledRows
    encoder: Encoder
    features: "Features"
    classes: int

    @property
    def weights(self) -> Weights:
        """Of the rows, (n,)."""
        return np.ones(len(self.rows.labels)) if self.rows.weights is None else self.rows.weights

    def stage(self, what: str, rows: int | None = None) -> Stage:
        """What is done with so many of the rows, by default all."""
        where = ", read from disk" if is_in_file(self.features) else ""
        return Stage(f"{what} {len(self.rows.labels) if rows is None else rows:,} rows{where}")

    def losses(self, scorer: Scorer, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Log loss of each of the rows that are chosen, in their order."""
        found: list[NDArray[np.floating]] = [np.empty(0)]
        for some, log_probabilities in self._predicted(scorer, np.flatnonzero(chosen)):
            found.append(-log_probabilities[np.arange(len(some)), self.rows.labels[some]])
        return np.concatenate(found, dtype=np.float64)

    def log_probabilities(self, scorer: Scorer, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Log-probabilities (m, k) of the rows at these rising places, (m,)."""
        found = np.empty((len(places), self.classes), np.float32)
        done = 0
        for some, log_probabilities in self._predicted(scorer, places):
            found[done : done + len(some)] = log_probabilities
            done += len(some)
        return found

    def _predicted(
        self, scorer: Scorer, places: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Those of the rows that are in each block, and their log-probabilities."""
        for block in blocks_of(self.features, scorer.numbers_a_row):
            first, last = np.searchsorted(places, (block.start, block.stop))
            some = places[first:last]
            yield some, scorer.log_probabilities(self.features[some])


@dataclass(frozen=True, eq=False)
class Fitted:
    """A classifier, and what is to be said of how it was fitted."""

    scorer: Scorer
    record: LinearTraining | NetworkTraining


class Recipe(Protocol):
    """How a classifier is fitted, whatever the rows."""

    def fit(self, data: EncodedRows, report: Report, weights: Weights | None = None) -> Fitted:
        """Fit to the rows, with other weights than theirs where they are given."""


@dataclass(frozen=True)
class LinearRecipe:
    """A linear classifier at scikit-learn's `C`."""

    C: float
    C_chosen_by: Literal["user", "cross-validation"]

    def fit(self, data: EncodedRows, report: Report, weights: Weights | None = None) -> Fitted:
        """To a certified optimum."""
        fit = fit_linear(data, self.C, report, weights=weights)
        record = LinearTraining(
            C=self.C,
            C_chosen_by=self.C_chosen_by,
            objective=fit.objective,
            optimality_gap=fit.optimality_gap,
            tol=TOL,
            passes=fit.passes,
        )
        return Fitted(LinearScorer(fit.coef, fit.intercept), record)


def fit_linear(
    data: EncodedRows,
    C: float,
    report: Report,
    *,
    weights: Weights | None = None,
    tol: float = TOL,
    start: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> LinearFit:
    """Fit at scikit-learn's C: of two classes, the binary one is twice the softmax one."""
    fit = fit_softmax_regression(
        data.features,
        data.rows.labels,
        classes=data.classes,
        C=C / 2 if data.classes == 2 else C,
        sample_weight=data.rows.weights if weights is None else weights,
        tol=tol,
        start=start,
        on_pass=report,
    )
    if fit.stopped == "interrupted":
        raise KeyboardInterrupt
    return fit


def choose_penalty(data: EncodedRows, seed: int, report: Report) -> float:
    """C of the grid with the least log loss over rows that its fit has not seen.

    Raises
    ------
    DataError
        A class has rows in one part only.
    """
    rows, weights = data.rows, data.weights
    folds = fold_of_rows(rows.labels, rows.groups, FOLDS, seed)
    losses = np.zeros(len(GRID))
    for fold in range(FOLDS):
        held = folds == fold
        kept = np.where(held, 0.0, weights)
        if not np.bincount(rows.labels, kept, minlength=data.classes).all():
            raise DataError(
                "C=auto needs every class in at least two groups, or two rows of positive weight: "
                "give C, or bring more rows"
            )
        report(Stage(f"choosing C, part {fold + 1} of {FOLDS}"))
        start = None
        for position, C in enumerate(GRID):
            fit = fit_linear(data, C, report, weights=kept, tol=1e-3, start=start)
            start = fit.coef, fit.intercept
            losses[position] += weights[held] @ data.losses(LinearScorer(*start), held)
    return GRID[int(np.argmin(losses))]
