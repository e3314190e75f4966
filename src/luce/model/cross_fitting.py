"""Scores of rows by models that have not seen them, and the calibration that they ask for."""

import math
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from luce.calibration import Calibrator, calibrate
from luce.errors import DataError
from luce.model.calibrating import Calibrate, ModelCalibrator
from luce.model.events import Report, Stage
from luce.model.fitting import FOLDS, EncodedRows, Recipe
from luce.model.record import Calibration
from luce.model.split import TRAINED_ON, fold_of_rows

METHODS = ("temperature", "vector")
MOST_NUMBERS, LEAST_ROWS = 2**25, 2**8  # of scores that are calibrated on


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Scores (n, k) of rows, each by a model fitted without it, with what is known of the rows."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    groups: NDArray[np.int64] | None


def calibrated(
    recipe: Recipe,
    data: EncodedRows,
    asked: Calibrate,
    before: Calibration | None,
    seed: int,
    report: Report,
) -> tuple[ModelCalibrator | None, Calibration]:
    """The calibrator that was asked for, by cross-fitted scores of these rows; None for none.

    Where an earlier calibration has chosen between methods, its choice is kept.

    Raises
    ------
    DataError
        The rows are too few to be dealt into folds.
    """
    chosen = before.method if before is not None and asked == "auto" else asked
    if before is not None and chosen == "none":
        return None, before
    found = cross_fitted(recipe, data, seed, report)
    report(Stage(f"calibrating on {len(found.labels):,} rows"))
    method = METHODS if chosen == "auto" else chosen
    choice = calibrate(
        found.scores,
        found.labels,
        found.weights,
        groups=found.groups,
        method=method,
        as_is=True,
    )
    reason = choice.reason
    if before is not None and asked == "auto":
        reason += f" Chosen when the rows held out were not trained on, by: {before.reason}"
    record = Calibration(
        asked=cast("Literal['auto', 'temperature', 'vector']", asked),
        method=cast("Literal['none', 'temperature', 'vector']", choice.method),
        reason=reason,
        rows=len(found.labels),
        log_loss_before=_held(choice.calibrator.log_loss_before),
        log_loss_after=_held(choice.calibrator.log_loss_after),
    )
    return _kept(choice.calibrator), record


def cross_fitted(recipe: Recipe, data: EncodedRows, seed: int, report: Report) -> CrossFitted:
    """Cross-fit the rows of positive weight, in whole groups, or as many as memory allows.

    Rows without which a model would not know a class are in no fold, and get no score.

    Raises
    ------
    DataError
        There are too few rows or groups.
    """
    rows, weights = data.rows, data.weights
    folds = _folds(data, seed)
    scored = np.flatnonzero(folds != TRAINED_ON)
    most = max(MOST_NUMBERS // data.classes, LEAST_ROWS)
    if len(scored) > most:
        scored = np.sort(np.random.default_rng(seed).choice(scored, most, replace=False))
    scores = np.empty((len(scored), data.classes), np.float32)
    for fold in range(FOLDS):
        inside = folds[scored] == fold
        if not inside.any():
            continue
        kept = np.where(folds == fold, 0.0, weights)
        report(data.stage(f"cross-fitting {fold + 1} of {FOLDS} on", int(np.count_nonzero(kept))))
        scorer = recipe.fit(data, report, kept).scorer
        scores[inside] = data.log_probabilities(scorer, scored[inside])
    groups = None if rows.groups is None else rows.groups[scored]
    return CrossFitted(scores, rows.labels[scored], weights[scored], groups)


def _folds(data: EncodedRows, seed: int) -> NDArray[np.int64]:
    """The fold of each row, `TRAINED_ON` for those that are in none."""
    there = np.flatnonzero(data.weights)
    labels = data.rows.labels[there]
    groups = None if data.rows.groups is None else data.rows.groups[there]
    folds = fold_of_rows(labels, groups, FOLDS, seed)
    if groups is not None:
        for fold in range(FOLDS):
            inside = folds == fold
            lost = np.setdiff1d(labels[inside], labels[~inside])
            stays = np.isin(groups, groups[np.isin(labels, lost)])
            folds[inside & stays] = TRAINED_ON
    if (folds == TRAINED_ON).all():
        raise DataError(
            "calibration needs rows of a class in at least two groups, or two rows of a class: "
            "bring more rows, or do without"
        )
    of_rows = np.full(len(data.weights), TRAINED_ON)
    of_rows[there] = folds
    return of_rows


def _kept(calibrator: Calibrator) -> ModelCalibrator | None:
    """What a model keeps: nothing of what changes nothing; the record has the improvement."""
    if calibrator.is_identity:
        return None
    return replace(cast("ModelCalibrator", calibrator), improvement=None)


def _held(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None
