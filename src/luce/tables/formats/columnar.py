"""What the formats that carry types of their own have in common."""

import json
from collections.abc import Sequence

import pyarrow as pa

from luce.errors import DataError
from luce.tables.values import ColumnBlock, first_failure, is_text, without_markers

BLOCK_BYTES = 32 << 20
"""About how much memory a block of rows may take, where its size is ours to choose."""


def without_index(schema: pa.Schema) -> list[str]:
    """Return the columns that are not the index that pandas' metadata names.

    A filtered frame hands its index out as a column.
    """
    try:
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        return [name for name in schema.names if name not in index]
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError):
        return list(schema.names)  # What is there is not of pandas' making.


def fit_table(table: pa.Table, schema: pa.Schema, name: str, first_row: int) -> pa.Table:
    """Return the schema's columns of a block, each in the schema's type.

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
        columns.append(values)
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
        where = block.at(first_failure(values, type))
        raise DataError(f"{name}: {where}: the value cannot be read as {type}: {error}") from error


def common_types(schema: pa.Schema, names: Sequence[str]) -> dict[str, tuple[pa.DataType, ...]]:
    """Return each column's one type."""
    return {name: (schema.field(name).type,) for name in names}
