"""Rows whose label is known, and how they become features."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables import (
    Encoded,
    Encoder,
    StreamedTable,
    encode,
    encoder_columns,
    is_sparse,
    parts_to_encode,
    width,
)
from luce.tables.fingerprint import Fingerprint
from luce.tables.roles import (
    MISSING_LABEL,
    Target,
    class_indices,
    label_types,
    row_groups,
    row_weights,
)
from luce.tables.text import light_parts
from luce.tables.values import listing

if TYPE_CHECKING:
    from luce.scorers.linear import Features

Numbers = TypeVar("Numbers", np.int64, np.float64)

MOST_ROWS, LEAST_ROWS = 65_536, 64
NUMBERS_IN_A_BLOCK = 1 << 22
NUMBERS_OF_SPARSE = 1_000  # in a row of sparse features, about


@dataclass(frozen=True)
class Roles:
    """Which columns of a table are no features: the target, and what weighs and groups rows."""

    target: Target
    weight: str | None
    group: str | None

    @property
    def columns(self) -> list[str]:
        """Names of these columns."""
        named = (self.target.column, self.weight, self.group)
        return [name for name in named if name is not None]

    def among(self, columns: Sequence[str]) -> "Roles":
        """The roles of a table that may lack weights and groups."""
        weight, group = (n if n in columns else None for n in (self.weight, self.group))
        return Roles(self.target, weight, group)


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows of a table with a label, and what is known of them: arrays of shape (n,).

    `places` are their positions among all rows of the table, rising; before the table come
    `first_row` others, where it is a block of a larger one. It may be larger than memory: nothing
    here copies it.
    """

    table: pa.Table
    places: NDArray[np.int64]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64] | None
    groups: NDArray[np.int64] | None
    first_row: int = 0

    @property
    def chosen(self) -> NDArray[np.bool_] | None:
        """Which of the table's rows these are, None for all."""
        if len(self.places) == self.table.num_rows:
            return None
        chosen = np.zeros(self.table.num_rows, np.bool_)
        chosen[self.places] = True
        return chosen

    def take(self, rows: NDArray[np.bool_]) -> "LabelledRows":
        """The chosen ones of these rows."""
        return self._of(self.table, self.places[rows], rows, self.first_row)

    def class_weights(self, classes: int) -> NDArray[np.float64]:
        """Total weight of each class, shape (k,)."""
        return np.bincount(self.labels, self.weights, minlength=classes).astype(np.float64)

    def blocks_to_encode(self, encoder: Encoder, classes: int = 0) -> "Iterator[LabelledRows]":
        """These rows in blocks to encode, and to find the scores of so many classes for."""
        for part in parts_to_encode(encoder, self.table, rows_to_encode(encoder, classes)):
            start, stop = np.searchsorted(self.places, [part.start, part.stop])
            if start == stop:
                continue
            some = slice(start, stop)
            places = self.places[some] - part.start
            yield self._of(_rows_of(self.table, part), places, some, self.first_row + part.start)

    def _of(
        self,
        table: pa.Table,
        places: NDArray[np.int64],
        some: slice | NDArray[np.bool_],
        first_row: int,
    ) -> "LabelledRows":
        return LabelledRows(
            table,
            places,
            self.labels[some],
            None if self.weights is None else self.weights[some],
            None if self.groups is None else self.groups[some],
            first_row,
        )

    def encoded(self, encoder: Encoder) -> Encoded:
        """The features of these rows."""
        return encode(encoder, self.table, first_row=self.first_row, rows=self.chosen)


def rows_in_a_block(numbers_in_a_row: int) -> int:
    """How many rows to work on together, so that their numbers take some megabytes."""
    rows = NUMBERS_IN_A_BLOCK // max(numbers_in_a_row, 1)
    return min(max(rows, LEAST_ROWS), MOST_ROWS)


def rows_to_encode(encoder: Encoder, classes: int = 0) -> int:
    """How many rows to encode together, and to find the scores of so many classes for."""
    numbers = NUMBERS_OF_SPARSE if is_sparse(encoder) else width(encoder)
    return rows_in_a_block(len(encoder_columns(encoder)) + numbers + classes)


def blocks_to_encode(table: StreamedTable, encoder: Encoder, classes: int) -> Iterator[pa.Table]:
    """A table in blocks to encode, and to find the scores of so many classes for.

    Raises
    ------
    DataError
        The table cannot be read, or lacks a column of texts.
    """
    size = rows_to_encode(encoder, classes)
    for block in table.blocks(size):
        with about(table):
            parts = list(parts_to_encode(encoder, block, size))
        yield from (_rows_of(block, part) for part in parts)


def blocks_of(features: "Features", classes: int) -> list[slice]:
    """Cut encoded rows into blocks to find the scores of so many classes for."""
    if isinstance(features, np.ndarray):
        size = rows_in_a_block(features.shape[1] + classes)
        return [slice(first, first + size) for first in range(0, len(features), size)]
    numbers = np.diff(features.indptr).astype(np.int64) + classes
    numbers = np.maximum(numbers, NUMBERS_IN_A_BLOCK // MOST_ROWS)
    return list(light_parts(numbers, NUMBERS_IN_A_BLOCK))


@contextmanager
def about(table: StreamedTable) -> Iterator[None]:
    """Name the file that an error is about, where the error itself does not."""
    try:
        yield
    except DataError as error:
        if table.in_memory or str(error).startswith(table.name):
            raise
        raise DataError(f"{table.name}: {error}") from error


def require_columns(table: StreamedTable, wanted: Sequence[str]) -> None:
    """Refuse a table that lacks some of these columns.

    Raises
    ------
    DataError
        The message names the columns that are missing and those that are there.
    """
    there = set(table.names)
    if missing := [name for name in wanted if name not in there]:
        noun = "column" if len(missing) == 1 else "columns"
        with about(table):
            raise DataError(
                f"the table has no {noun} {listing(missing, 3)}; its columns are "
                f"{listing(table.names)}"
            )


def labelled_rows(table: pa.Table, roles: Roles, first_row: int = 0) -> LabelledRows:
    """Rows of a table, or of a block of one, that have a label: there may be none.

    Raises
    ------
    DataError
        A column is not in the table, or a label, weight or group cannot be used.
    """
    labels = class_indices(roles.target, table, first_row=first_row)
    labelled = labels != MISSING_LABEL
    rows = None if labelled.all() else labelled

    def of_rows(
        read: Callable[..., NDArray[Numbers]], column: str | None
    ) -> NDArray[Numbers] | None:
        return None if column is None else read(table, column, first_row=first_row, rows=rows)

    return LabelledRows(
        table,
        np.flatnonzero(labelled),
        labels[labelled],
        of_rows(row_weights, roles.weight),
        of_rows(row_groups, roles.group),
        first_row,
    )


def role_types(roles: Roles) -> dict[str, pa.DataType]:
    """The types to read these columns of a CSV file as."""
    types = label_types(roles.target)
    if roles.weight is not None:
        types[roles.weight] = pa.float64()
    if roles.group is not None:
        types[roles.group] = pa.string()
    return types


def require_labels(rows: int, roles: Roles) -> None:
    """Refuse a table of which no row has a label."""
    if not rows:
        raise DataError(f"no row has a label in column {roles.target.column!r}")


class RowsHash:
    """SHA-256 of all that a model learns from rows: see `luce.tables.fingerprint`."""

    def __init__(self, encoder: Encoder, roles: Roles) -> None:
        self.columns = [*encoder_columns(encoder), *roles.columns]
        datetimes = [column.name for column in encoder.columns if column.kind == "datetime"]
        self.fingerprint = Fingerprint(datetimes)

    def add(self, rows: LabelledRows) -> None:
        """Take up the next rows."""
        self.fingerprint.add(rows.table.select(self.columns), rows.chosen)

    def hexdigest(self) -> str:
        """The hash of all rows so far."""
        return self.fingerprint.hexdigest()


def row_keys(features: "Features", labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each row that is the same for equal features and label, and else almost never.

    64 bits of Python's hash of the bytes, which is of this process only.
    """
    of_row: Iterable[object]
    if isinstance(features, np.ndarray):
        rows = np.column_stack([features + np.float32(0), labels.astype(np.float32)])
        of_row = rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel().tolist()
    else:
        ends = features.indptr
        of_row = (
            (features.indices[a:b].tobytes(), features.data[a:b].tobytes(), label)
            for a, b, label in zip(ends[:-1], ends[1:], labels.tolist(), strict=True)
        )
    return np.fromiter(map(hash, of_row), np.int64, len(labels))


def _rows_of(table: pa.Table, part: slice) -> pa.Table:
    return table.slice(part.start, part.stop - part.start)
