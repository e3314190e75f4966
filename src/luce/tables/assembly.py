"""Blocks of columns -> one matrix of features, dense or sparse, a few rows at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.tables.category import CategoryColumn, category_places
from luce.tables.embedding import EmbeddingColumn, sparse_vectors
from luce.tables.kinds import (
    Column,
    column_width,
    is_sparse_column,
    most_nonzeros,
    write_column,
)
from luce.tables.text import TextColumn, text_features
from luce.tables.values import ColumnBlock

if TYPE_CHECKING:
    from scipy import sparse

BLOCK_ROWS = 8192
"""Rows that are encoded together, so that their features stay in cache column after column."""

_BUFFER = 2**22  # numbers

Unseen = dict[str, int]


@dataclass(frozen=True)
class ColumnRows:
    """A column with the blocks of the table that it reads: one, or those of a run."""

    column: Column
    blocks: Sequence[ColumnBlock]

    def slice(self, first: int, rows: int) -> "ColumnRows":
        """Some of the rows."""
        return ColumnRows(self.column, [block.slice(first, rows) for block in self.blocks])


def dense_features(
    columns: Sequence[ColumnRows], rows: int
) -> tuple[NDArray[np.float32], Mapping[str, int]]:
    """Return the features of so many rows, (rows, d), and the levels never seen by column."""
    widths = [column_width(each.column) for each in columns]
    ends = list(accumulate(widths))
    features = np.empty((rows, ends[-1]), np.float32)
    unseen: Unseen = {}
    for first in range(0, rows, BLOCK_ROWS):
        out = features[first : first + BLOCK_ROWS]
        for each, width, end in zip(columns, widths, ends, strict=True):
            blocks = each.slice(first, BLOCK_ROWS).blocks
            _count(unseen, each, write_column(each.column, blocks, out[:, end - width : end]))
    return features, unseen


def sparse_features(
    columns: Sequence[ColumnRows], rows: int
) -> "tuple[sparse.csr_array, Mapping[str, int]]":
    """Return the features of so many rows, (rows, d), and the levels never seen by column."""
    from scipy import sparse

    width = sum(column_width(each.column) for each in columns)
    slots = sum(most_nonzeros(each.column) for each in columns if not is_sparse_column(each.column))
    step = int(np.clip(_BUFFER // max(slots, 1), 1, BLOCK_ROWS))
    unseen: Unseen = {}
    parts = [
        _sparse_rows([each.slice(first, step) for each in columns], unseen)
        for first in range(0, rows, step)
    ]
    if not parts:
        return sparse.csr_array((0, width), dtype=np.float32), unseen
    stacked = parts[0] if len(parts) == 1 else sparse.vstack(parts, format="csr")
    return stacked, unseen


def _sparse_rows(columns: Sequence[ColumnRows], unseen: Unseen) -> Any:
    from scipy import sparse

    pieces = []
    for is_sparse, group in groupby(columns, lambda each: is_sparse_column(each.column)):
        if is_sparse:
            pieces += [_sparse_column(each, unseen) for each in group]
        else:
            pieces.append(_entries(list(group), unseen))
    return pieces[0] if len(pieces) == 1 else sparse.hstack(pieces, format="csr")


def _sparse_column(each: ColumnRows, unseen: Unseen) -> Any:
    (block,) = each.blocks
    if isinstance(each.column, TextColumn):
        return text_features(each.column, block)
    assert isinstance(each.column, EmbeddingColumn)
    features, count = sparse_vectors(each.column, block)
    _count(unseen, each, count)
    return features


def _entries(columns: Sequence[ColumnRows], unseen: Unseen) -> Any:
    """The nonzeros of columns of which each fills the same number of places in every row."""
    from scipy import sparse

    rows = len(columns[0].blocks[0].values)
    slots = [most_nonzeros(each.column) for each in columns]
    values = np.empty((rows, sum(slots)), np.float32)
    places = np.empty((rows, sum(slots)), np.int32)
    first = 0
    for each, count, end in zip(columns, slots, accumulate(slots), strict=True):
        own = slice(end - count, end)
        if isinstance(each.column, CategoryColumn):
            place, new = category_places(each.column, each.blocks[0])
            places[:, own] = first + np.maximum(place, 0)[:, None]
            values[:, own] = (place >= 0)[:, None]
        else:
            places[:, own] = np.arange(first, first + count)
            new = write_column(each.column, each.blocks, values[:, own])
        _count(unseen, each, new)
        first += column_width(each.column)
    there = values != 0
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
    return sparse.csr_array((values[there], places[there], ends), shape=(rows, first))


def _count(unseen: Unseen, each: ColumnRows, count: int) -> None:
    if count:
        unseen[each.column.name] = unseen.get(each.column.name, 0) + count
