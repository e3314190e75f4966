"""Rows whose label is known, and how well they are predicted."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luce.calibration import Evaluation, evaluate
from luce.errors import DataError
from luce.tables import Encoder
from luce.tables.fingerprint import fingerprint
from luce.tables.roles import MISSING_LABEL, Target, class_indices, row_groups, row_weights


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows of a table with a label, and what is known of them: arrays of shape (n,)."""

    table: pa.Table
    labels: NDArray[np.int64]
    weights: NDArray[np.float64] | None
    groups: NDArray[np.int64] | None

    def take(self, rows: NDArray[np.bool_]) -> "LabelledRows":
        """The chosen rows."""
        return LabelledRows(
            self.table.filter(pa.array(rows)),
            self.labels[rows],
            None if self.weights is None else self.weights[rows],
            None if self.groups is None else self.groups[rows],
        )

    def class_weights(self, classes: int) -> NDArray[np.float64]:
        """Total weight of each class, shape (k,)."""
        return np.bincount(self.labels, self.weights, minlength=classes).astype(np.float64)


def labelled_rows(
    table: pa.Table, target: Target, weight: str | None, group: str | None
) -> tuple[LabelledRows, int]:
    """Rows that have a label, and the number of those that have none.

    Raises
    ------
    DataError
        A column is not in the table, a label, weight or group cannot be used, or no row has a
        label.
    """
    labels = class_indices(target, table)
    labelled = labels != MISSING_LABEL
    if not labelled.any():
        raise DataError(f"no row has a label in column {target.column!r}")
    kept = table.filter(pa.array(labelled))
    rows = LabelledRows(
        kept,
        labels[labelled],
        None if weight is None else row_weights(kept, weight),
        None if group is None else row_groups(kept, group),
    )
    return rows, int((~labelled).sum())


def fingerprint_of_rows(
    rows: LabelledRows, encoder: Encoder, target: Target, weight: str | None, group: str | None
) -> str:
    """SHA-256 of all that a model learns from rows: see `luce.tables.fingerprint`."""
    roles = [name for name in (target.column, weight, group) if name is not None]
    return fingerprint(rows.table.select([*(c.name for c in encoder.columns), *roles]))


@dataclass(frozen=True)
class Comparison:
    """How well rows are predicted by a model, and by always guessing its class frequencies.

    Attributes
    ----------
    model, baseline : luce.calibration.Evaluation
    unlabelled : int
        Rows passed over because they have no label.
    trained_on : bool
        Whether these are exactly the rows that the model was trained on: the figures then say
        nothing about other rows.
    """

    model: Evaluation
    baseline: Evaluation
    unlabelled: int
    trained_on: bool


def compare(
    log_probabilities: NDArray[np.floating],
    rows: LabelledRows,
    class_weights: NDArray[np.float64],
    *,
    seed: int,
    unlabelled: int = 0,
    trained_on: bool = False,
) -> Comparison:
    """Evaluate predictions, and next to them the guess of the training rows' class weights."""
    guess = np.log(class_weights / class_weights.sum())
    model, baseline = (
        evaluate(
            predictions, rows.labels, sample_weight=rows.weights, groups=rows.groups, seed=seed
        )
        for predictions in (log_probabilities, np.broadcast_to(guess, log_probabilities.shape))
    )
    return Comparison(model, baseline, unlabelled, trained_on)
