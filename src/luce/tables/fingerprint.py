"""One short text that tells whether two tables hold the same rows."""

import hashlib
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables.datetimes import moments
from luce.tables.embedding import is_sparse_vector, is_vector
from luce.tables.values import PIECE_ROWS, ColumnBlock, column_block, listing, texts

_PIECE = 2**24  # bytes of a table whose text is made at a time


class Fingerprint:
    """The SHA-256 of a table's names and values, of a table that comes in blocks.

    Hashed are the columns' names and the text of every value, row by row as CSV, so the same rows
    have the same fingerprint whichever file or library they come from, and in whichever blocks.
    Order matters. The columns `datetimes` are hashed as the moments that they name, so that text
    and timestamps are the same.

    Raises
    ------
    DataError
        (by `add`) A column's type cannot be used, or a block has other columns than the first.

    Examples
    --------
    >>> whole = Fingerprint()
    >>> for depths in ([18.7], [None]):
    ...     whole.add(pa.table({"depth": pa.array(depths, pa.float64())}))
    >>> whole.hexdigest()[:12]
    '6cbf0e3cdf25'
    """

    def __init__(self, datetimes: Collection[str] = ()) -> None:
        self._datetimes = datetimes
        self._file = _HashingFile()
        self._schema = pa.schema([])
        self._writer: pa_csv.CSVWriter | None = None

    def add(self, table: pa.Table, rows: NDArray[np.bool_] | None = None) -> None:
        """Go on with the rows of a block, or those where `rows`, (table.num_rows,), is true."""
        schema = pa.schema([(name, pa.large_string()) for name in table.column_names])
        if self._writer is None:
            self._schema = schema
            self._writer = pa_csv.CSVWriter(pa.PythonFile(self._file, mode="w"), schema)
        elif self._schema != schema:
            raise DataError(
                f"a part of the table has the columns {listing(schema.names)}, the first part "
                f"{listing(self._schema.names)}"
            )
        step = min(max(1, _PIECE * table.num_rows // max(table.nbytes, 1)), PIECE_ROWS)
        for first in range(0, table.num_rows, step):
            piece = table.slice(first, step)
            some = None if rows is None else rows[first : first + step]
            blocks = (column_block(piece, name, first, rows=some) for name in schema.names)
            arrays = [
                _text(_as_timestamps(block) if block.name in self._datetimes else block)
                for block in blocks
            ]
            self._writer.write_table(pa.table(arrays, schema))

    def hexdigest(self) -> str:
        """The SHA-256 of all rows so far, in hexadecimal."""
        return self._file.hash.hexdigest()


class _HashingFile:
    """A file that keeps nothing of what is written to it but its SHA-256."""

    closed = False

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""


def _as_timestamps(block: ColumnBlock) -> ColumnBlock:
    ticks, missing = moments(block)
    values = pa.array(ticks, pa.timestamp("us"), mask=missing)
    return ColumnBlock(block.name, pa.chunked_array([values]), block.first_row, block.places)


def _text(block: ColumnBlock) -> pa.ChunkedArray:
    """The text of each value, of integers as of floats: one type spells large numbers in one way.

    That of a list is its numbers, that of a map has the index of each before it.
    """
    values = block.values
    if pa.types.is_integer(values.type):
        return texts(ColumnBlock(block.name, values.cast(pa.float64(), safe=False)))
    if is_vector(values.type):
        return _text_of_vectors(block)
    return texts(block)


def _text_of_vectors(block: ColumnBlock) -> pa.ChunkedArray:
    type = block.values.type
    if is_sparse_vector(type):
        entry = pa.struct([("key", type.key_type), ("value", type.item_type)])
        lists = block.values.cast(pa.list_(entry)).combine_chunks()
        entries = pc.list_flatten(lists)
        parts = [entries.field("key"), entries.field("value")]
    else:
        lists = block.values.combine_chunks()
        parts = [pc.list_flatten(lists)]
    spelt = [
        _text(ColumnBlock(block.name, pa.chunked_array([part]))).fill_null("") for part in parts
    ]
    text = pc.binary_join_element_wise(*spelt, pa.scalar(":", pa.large_string()))
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    text = text.cast(pa.string()).combine_chunks()  # Arrow joins no large strings.
    joined = pc.binary_join(pa.ListArray.from_arrays(ends, text), ",").cast(pa.large_string())
    return pa.chunked_array([pc.if_else(lists.is_null(), pa.scalar(None, joined.type), joined)])
