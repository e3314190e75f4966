"""Synthetic rows whose probabilities a model file keeps, to be computed again on loading.

What a model predicts depends on more than its parameters: on how this luce reads and encodes
values. The rows tell a reader whether it is the one that the model was trained with. They are made
from the encoder by a fixed rule, so no row of the user's is among them.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from luce.model.record import Value
from luce.tables import (
    BooleanColumn,
    CategoryColumn,
    Column,
    DatetimeColumn,
    EmbeddingColumn,
    Encoder,
    NumericColumn,
    TextColumn,
)
from luce.tables.kinds import source_columns

ROWS = 4
TOLERANCE = 1e-4
"""How far a probability may be from the one kept: other machines round otherwise, to 1e-5."""


def synthetic_values(encoder: Encoder) -> tuple[tuple[Value, ...], ...]:
    """For each column of an encoder `ROWS` plain values, of which `table_of` makes a table."""
    columns = []
    for place, column in enumerate(encoder.columns):
        turn = place % ROWS  # So that not all columns lack their value in the same row.
        examples = _examples(column)
        columns.append(examples[turn:] + examples[:turn])
    return tuple(columns)


def table_of(encoder: Encoder, values: Sequence[Sequence[Value]]) -> pa.Table:
    """Table of plain values, which a file may have made up.

    Raises
    ------
    ValueError, OverflowError, TypeError, IndexError, pyarrow.ArrowException
        They are not of their columns' kinds, or not `ROWS` for each column.
    """
    arrays = {
        name: _array(column, of_column)
        for column, of_column in zip(encoder.columns, values, strict=True)
        for name in source_columns(column)
    }
    table = pa.table(arrays)
    if table.num_rows != ROWS:
        raise ValueError(f"{table.num_rows} rows are replayed, where {ROWS} are asked for")
    return table


def _examples(column: Column) -> tuple[Value, ...]:
    """Values of a column, among them none."""
    match column:
        case NumericColumn():
            above, below = column.mean + column.scale, column.mean - column.scale / 2
            finite = all(map(np.isfinite, (above, below)))
            return (column.mean, above, below, None) if finite else (column.mean,) * 3 + (None,)
        case BooleanColumn():
            return (True, False, column.most_frequent, None)
        case CategoryColumn():
            count = len(column.levels) + len(column.rare)
            return (0, count // 2, count - 1, None) if count else (None,) * ROWS
        case DatetimeColumn():
            usual = column.median
            moments = (usual, usual + round(min(column.scale, 1e15)), usual - 86_399_000_001)
            return (*(moment if abs(moment) < 2**62 else usual for moment in moments), None)
        case TextColumn():
            return ("The quick brown fox, again", "née 2026", "", None)
        case EmbeddingColumn():
            return (0.5, -1.0, 0.0, None)


def _array(column: Column, values: Sequence[Value]) -> pa.Array:
    match column:
        case NumericColumn():
            return pa.array(values, pa.float64())
        case BooleanColumn():
            return pa.array(values, pa.bool_())
        case CategoryColumn():
            known = pa.array(column.levels + column.rare, pa.large_string())
            return known.take(pa.array(values, pa.int64()))
        case DatetimeColumn():
            return pa.array(values, pa.int64()).cast(pa.timestamp("us"))
        case TextColumn():
            return pa.array(values, pa.large_string())
        case EmbeddingColumn():
            return _vectors(column, pa.array(values, pa.float64()))


def _vectors(column: EmbeddingColumn, numbers: pa.Array) -> pa.Array:
    """Vectors that are filled with a number; of sparse ones the first and the last place."""
    if len(column.columns) > 1:
        return numbers
    if column.sparse:
        ends = sorted({0, column.length - 1})
        maps = [None if x is None else [(end, x) for end in ends] for x in numbers.to_pylist()]
        return pa.array(maps, pa.map_(pa.int64(), pa.float64()))
    offsets = pa.array(column.length * np.arange(len(numbers) + 1))
    filled = np.repeat(numbers.fill_null(0).to_numpy(zero_copy_only=False), column.length)
    return pa.LargeListArray.from_arrays(offsets, filled, mask=numbers.is_null())
