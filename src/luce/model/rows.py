"""Rows whose label is known, and how well they are predicted."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luce.calibration import Evaluation, evaluate
from luce.errors import DataError
from luce.tables import Encoder, encoder_columns
from luce.tables.fingerprint import fingerprint
from luce.tables.read import ArrowStream
from luce.tables.roles import MISSING_LABEL, Target, class_indices, row_groups, row_weights

Source = str | os.PathLike[str] | ArrowStream


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows of a table with a label, and what is known of them: arrays of shape (n,).

    `places` are their positions among all rows of the table, which may have `unlabelled` more.
    """

    table: pa.Table
    unlabelled: int
    places: NDArray[np.int64]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64] | None
    groups: NDArray[np.int64] | None

    def take(self, rows: NDArray[np.bool_]) -> "LabelledRows":
        """The chosen rows."""
        return LabelledRows(
            self.table.filter(pa.array(rows)),
            self.unlabelled,
            self.places[rows],
            self.labels[rows],
            None if self.weights is None else self.weights[rows],
            None if self.groups is None else self.groups[rows],
        )

    def class_weights(self, classes: int) -> NDArray[np.float64]:
        """Total weight of each class, shape (k,)."""
        return np.bincount(self.labels, self.weights, minlength=classes).astype(np.float64)


@contextmanager
def about(source: Source) -> Iterator[None]:
    """Name the file that an error is about, where the error itself does not."""
    try:
        yield
    except DataError as error:
        if isinstance(source, str | os.PathLike) and not str(error).startswith(str(source)):
            raise DataError(f"{source}: {error}") from error
        raise


def labelled_rows(
    table: pa.Table, target: Target, weight: str | None, group: str | None
) -> LabelledRows:
    """Rows of a table that have a label.

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
    everything = LabelledRows(
        table,
        int((~labelled).sum()),
        np.arange(len(labels)),
        labels,
        None if weight is None else row_weights(table, weight),
        None if group is None else row_groups(table, group),
    )
    return everything.take(labelled)


def fingerprint_of_rows(
    rows: LabelledRows, encoder: Encoder, target: Target, weight: str | None, group: str | None
) -> str:
    """SHA-256 of all that a model learns from rows: see `luce.tables.fingerprint`."""
    roles = [name for name in (target.column, weight, group) if name is not None]
    return fingerprint(rows.table.select([*encoder_columns(encoder), *roles]))


def count_repeated(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    others: NDArray[np.float32],
    labels_of_others: NDArray[np.int64],
) -> int:
    """How many of the other rows equal one of the rows, in features and label."""

    def keys(features: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.void]:
        rows = np.column_stack([features + np.float32(0), labels.astype(np.float32)])
        return rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel()

    return int(np.isin(keys(others, labels_of_others), keys(features, labels)).sum())


@dataclass(frozen=True)
class Comparison:
    """How well rows are predicted by a model, and by always guessing its class frequencies.

    Attributes
    ----------
    model, baseline : luce.calibration.Evaluation
    unlabelled : int
        Rows passed over because they have no label.
    unseen : mapping of str to int
        For each column where there are any, how many rows have a level that no training row had.
    trained_on : bool
        Whether these are exactly the rows that the model was trained on: the figures then say
        nothing about other rows.

    Examples
    --------
    >>> import luce
    >>> model = luce.train("examples/penguins.csv", "species")
    >>> comparison = model.evaluate("examples/penguins.csv")
    >>> comparison.model.log_loss.value < comparison.baseline.log_loss.value
    True
    >>> comparison.trained_on
    True
    """

    model: Evaluation
    baseline: Evaluation
    unlabelled: int
    unseen: Mapping[str, int]
    trained_on: bool


def compare(
    log_probabilities: NDArray[np.floating],
    rows: LabelledRows,
    class_weights: NDArray[np.float64],
    *,
    seed: int,
    unseen: Mapping[str, int],
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
    return Comparison(model, baseline, rows.unlabelled, unseen, trained_on)
