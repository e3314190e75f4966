"""The kinds of columns under one face: how wide each is, what it writes, what its features mean."""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

import numpy as np
from numpy.typing import NDArray

from luce.tables.boolean import (
    BooleanColumn,
    boolean_width,
    fit_boolean,
    name_boolean,
    write_boolean,
)
from luce.tables.category import (
    CategoryColumn,
    category_width,
    fit_category,
    name_category,
    write_category,
)
from luce.tables.columns import ColumnKind
from luce.tables.datetimes import (
    DatetimeColumn,
    datetime_width,
    fit_datetime,
    name_datetime,
    write_datetime,
)
from luce.tables.embedding import (
    EmbeddingColumn,
    embedding_width,
    fit_embedding,
    name_embedding,
    write_embedding,
)
from luce.tables.features import FeatureName
from luce.tables.numeric import (
    NumericColumn,
    fit_numeric,
    name_numeric,
    numeric_width,
    write_numeric,
)
from luce.tables.text import TextColumn, fit_text, name_text
from luce.tables.values import ColumnBlock

Column: TypeAlias = (
    NumericColumn | BooleanColumn | CategoryColumn | DatetimeColumn | TextColumn | EmbeddingColumn
)


def fit_column(name: str, kind: ColumnKind, blocks: Sequence[ColumnBlock]) -> Column:
    """Learn how a column of that kind becomes features, or a run of them."""
    match kind:
        case "numeric":
            return fit_numeric(blocks[0])
        case "boolean":
            return fit_boolean(blocks[0])
        case "category":
            return fit_category(blocks[0])
        case "datetime":
            return fit_datetime(blocks[0])
        case "text":
            return fit_text(blocks[0])
        case "embedding":
            return fit_embedding(name, blocks)
        case _:
            assert_never(kind)


def column_width(column: Column) -> int:
    """Return how many features a column becomes."""
    match column:
        case NumericColumn():
            return numeric_width(column)
        case BooleanColumn():
            return boolean_width(column)
        case CategoryColumn():
            return category_width(column)
        case DatetimeColumn():
            return datetime_width(column)
        case TextColumn():
            return 1 << column.bits
        case EmbeddingColumn():
            return embedding_width(column)
        case _:
            assert_never(column)


def most_nonzeros(column: Column) -> int:
    """Return how many of a column's features can be other than 0 in one row."""
    return 1 if isinstance(column, CategoryColumn) else column_width(column)


def is_sparse_column(column: Column) -> bool:
    """Whether a column's features are few numbers among many zeros by nature."""
    return isinstance(column, TextColumn) or (isinstance(column, EmbeddingColumn) and column.sparse)


def source_columns(column: Column) -> tuple[str, ...]:
    """Return the names of the table's columns that a column of features comes from."""
    return column.columns if isinstance(column, EmbeddingColumn) else (column.name,)


def write_column(column: Column, blocks: Sequence[ColumnBlock], out: NDArray[np.float32]) -> int:
    """Write features into `out`, (rows, width); return how many rows have a level never seen."""
    match column:
        case NumericColumn():
            write_numeric(column, blocks[0], out)
        case BooleanColumn():
            write_boolean(column, blocks[0], out)
        case CategoryColumn():
            return write_category(column, blocks[0], out)
        case DatetimeColumn():
            write_datetime(column, blocks[0], out)
        case EmbeddingColumn():
            write_embedding(column, blocks, out)
        case TextColumn():
            raise TypeError("text is sparse")
        case _:
            assert_never(column)
    return 0


def name_feature(column: Column, place: int) -> FeatureName:
    """Return what the feature at that place of a column's means."""
    match column:
        case NumericColumn():
            return name_numeric(column, place)
        case BooleanColumn():
            return name_boolean(column, place)
        case CategoryColumn():
            return name_category(column, place)
        case DatetimeColumn():
            return name_datetime(column, place)
        case TextColumn():
            return name_text(column, place)
        case EmbeddingColumn():
            return name_embedding(column, place)
        case _:
            assert_never(column)
