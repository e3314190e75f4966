"""What the formats that carry types of their own have in common."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from luce.errors import DataError
from luce.tables.formats.reading import Types
from luce.tables.sources import File, file_errors
from luce.tables.values import ColumnBlock, casts, first_bad, is_text, without_markers

BLOCK_BYTES = 32 << 20
"""About how much memory a block of rows may take, where its size is ours to choose."""

LONGEST_ROW = 256 << 20
"""How many bytes of text one row may have, in dictionaries."""

REPEATED_RATIO = 1000
REPEATED_ALLOWANCE = 16 << 30
"""Dictionaries may take `REPEATED_RATIO` times the file's size, and so many bytes, no more: the
same is gone through again with each piece of the rows, of which there may be millions."""


@dataclass(frozen=True)
class ColumnarFile:
    """An opened file that states the types of its columns.

    `batches` gives all rows, in order, of the columns that it is told; these in any order.
    """

    file: File
    schema: pa.Schema
    names: tuple[str, ...]
    batches: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
    notes: tuple[str, ...] = ()

    def candidates(
        self, columns: Sequence[str], types: Types
    ) -> Mapping[str, tuple[pa.DataType, ...]]:
        """Return the types that the file states."""
        return {name: (self.schema.field(name).type,) for name in columns}

    def blocks(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Return the rows, each batch checked before it is used."""
        with file_errors(self.file):
            done = repeated = 0
            for batch in self.batches(schema.names):
                batch.validate(full=True)
                for piece in in_pieces(batch, self.file.name):
                    repeated += sum(map(_dictionary_bytes, piece.columns))
                    if repeated > REPEATED_RATIO * self.file.size + REPEATED_ALLOWANCE:
                        raise DataError(
                            f"{self.file.name}: up to row {done} its dictionaries had to be gone "
                            f"through for {repeated >> 30} GiB, as in a file that was made to take "
                            "for ever; write it in larger batches, or without dictionaries"
                        )
                    table = pa.Table.from_batches([piece])
                    yield fit_table(table, schema, self.file.name, done)
                    done += table.num_rows


def without_index(schema: pa.Schema) -> list[str]:
    """Return the columns that are not the index that pandas' metadata names.

    A filtered frame hands its index out as a column.
    """
    try:
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        return [name for name in schema.names if name not in index]
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError):
        return list(schema.names)  # What is there is not of pandas' making.


def in_pieces(batch: pa.RecordBatch, name: str) -> Iterator[pa.RecordBatch]:
    """Return a batch in order, in pieces whose dictionaries' text takes `BLOCK_BYTES` once decoded.

    A dictionary may have one long text, and many rows that name it.

    Raises
    ------
    DataError
        A single row has more than `LONGEST_ROW` of it.
    """
    size = sum(map(_decoded_bytes, batch.columns))
    if size <= BLOCK_BYTES or (batch.num_rows == 1 and size <= LONGEST_ROW):
        yield batch
    elif batch.num_rows == 1:
        raise DataError(
            f"{name}: a row has {size >> 20} MiB of text, as in a file that was made to fill memory"
        )
    else:
        # A slice of lists would still hold, and have cast, all of their values.
        rows = np.arange(batch.num_rows)
        for half in np.array_split(rows, 2):
            yield from in_pieces(batch.take(pa.array(half)), name)


def text_dictionaries(values: pa.Array) -> Iterator[pa.DictionaryArray]:
    """Return what of an array, which may be of lists and structs, is text in dictionaries."""
    type = values.type
    if pa.types.is_dictionary(type):
        if is_text(type.value_type) or _is_binary(type.value_type):
            yield values
    elif pa.types.is_map(type):
        first, last = values.offsets[0].as_py(), values.offsets[-1].as_py()
        for each in (values.keys, values.items):
            yield from text_dictionaries(each.slice(first, last - first))
    elif pa.types.is_struct(type):
        for each in values.flatten():
            yield from text_dictionaries(each)
    elif (
        pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type)
    ):
        yield from text_dictionaries(values.flatten())


def _dictionary_bytes(values: pa.Array) -> int:
    """How much memory the dictionaries of an array take, however few of their values it has."""
    type = values.type
    if pa.types.is_dictionary(type):
        return int(values.dictionary.get_total_buffer_size())
    if pa.types.is_map(type):
        return _dictionary_bytes(values.keys) + _dictionary_bytes(values.items)
    if pa.types.is_struct(type):
        return sum(_dictionary_bytes(values.field(place)) for place in range(type.num_fields))
    if pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type):
        return _dictionary_bytes(values.values)
    return 0


def longest_text(values: pa.DictionaryArray) -> int:
    """Return how many bytes the longest text in a dictionary has, whether a row has it or not."""
    return pc.max(pc.binary_length(values.dictionary)).as_py() or 0


def _decoded_bytes(values: pa.Array) -> int:
    """How many bytes the text in dictionaries takes if each value has its own."""
    return sum(
        pc.sum(pc.binary_length(each.dictionary).take(each.indices).cast(pa.int64())).as_py() or 0
        for each in text_dictionaries(values)
    )


def _is_binary(type: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type) or pa.types.is_large_binary(type))


def fit_table(table: pa.Table, schema: pa.Schema, name: str, first_row: int) -> pa.Table:
    """Return the schema's columns of a block, each in the schema's type, text `without_markers`.

    Raises
    ------
    DataError
        A value does not have the type; file, row and column are named.
    """
    columns: list[pa.ChunkedArray] = []
    found = dict(zip(table.column_names, table.columns, strict=True))
    for field in schema:
        values = found[field.name]
        if values.type != field.type:
            values = _cast(ColumnBlock(field.name, values, first_row), field.type, name)
        columns.append(without_markers(values))
    return pa.table(columns, schema=schema)


def _cast(block: ColumnBlock, type: pa.DataType, name: str) -> pa.ChunkedArray:
    values = block.values
    if is_text(values.type) and not is_text(type):
        values = without_markers(values)
    try:
        return values.cast(type)
    except pa.ArrowNotImplementedError as error:
        raise DataError(
            f"{name}: column {block.name!r} has the type {block.values.type}, which cannot be "
            f"read as {type}"
        ) from error
    except pa.ArrowInvalid as error:
        where = block.at(first_bad(len(values), casts(values, type)))
        raise DataError(f"{name}: {where}: the value cannot be read as {type}: {error}") from error
