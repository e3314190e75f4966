"""Parquet files, in blocks of rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from luce.errors import DataError
from luce.tables.formats.columnar import (
    BLOCK_BYTES,
    ColumnarFile,
    longest_text,
    text_dictionaries,
    without_index,
)
from luce.tables.formats.reading import Request
from luce.tables.formats.text import UNPACKED_RATIO
from luce.tables.sources import File, file_errors

_LARGEST_METADATA = 100 << 20
_MOST_CONTAINED = 10_000_000
_BUFFER = 1 << 14
"""Bytes of each column that are read together: there may be thousands of columns."""

_MOST_ROWS = 65536
_WIDTH = 8  # bytes of a number
_LISTS_ALLOWANCE = 64 << 20
_LONG_TEXTS = 16 << 20
"""How much a block may take if all of its rows have the longest texts."""

_TEXT_IN_LISTS = 128 << 20
"""How much the lists of a group may take if all that is in them is its longest text."""


def open_parquet(file: File, request: Request) -> ColumnarFile:
    """Read what a Parquet file says of itself."""
    with file_errors(file), _open(file) as parquet:
        schema = parquet.schema_arrow
        _check_lists(parquet, file)
        try:
            names = tuple(without_index(schema))
        except UnicodeDecodeError as error:
            raise DataError(f"{file.name}: a column's name is not UTF-8") from error
        return ColumnarFile(file, schema, names, partial(_batches, file))


def _batches(file: File, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Return the rows, at most so many at a time that they take about `BLOCK_BYTES`.

    In a file of a few kB a text may stand once, and rows that name it millions of times. So the
    dictionaries of a group of rows are looked at before the rows.
    """
    with _open(file) as plain, _as_dictionaries(file, plain) as as_dictionaries:
        leaves = _leaves(plain)
        for group in range(plain.num_row_groups):
            flat, nested = _longest_texts(as_dictionaries, group, names)
            rows, stated, lists = _stated_bytes(plain, group, leaves)
            most = BLOCK_BYTES * max(rows, 1) // max(stated, 1)
            if flat:
                most = min(most, _LONG_TEXTS // flat)
            in_lists = nested * lists // _WIDTH
            parquet = as_dictionaries if in_lists > _TEXT_IN_LISTS else plain
            size = min(_MOST_ROWS, max(1, most))
            yield from parquet.iter_batches(size, [group], columns=names)


def _open(file: File, as_dictionaries: Sequence[int] = ()) -> pa_parquet.ParquetFile:
    return pa_parquet.ParquetFile(
        file.open(),
        buffer_size=_BUFFER,
        pre_buffer=False,
        thrift_string_size_limit=_LARGEST_METADATA,
        thrift_container_size_limit=_MOST_CONTAINED,
        page_checksum_verification=True,
        read_dictionary=list(as_dictionaries),
    )


@contextmanager
def _as_dictionaries(file: File, plain: pa_parquet.ParquetFile) -> Iterator[pa_parquet.ParquetFile]:
    """Open a file so that its text comes as dictionaries; one without text is as good as it is."""
    if not (texts := _text_leaves(plain)):
        yield plain
        return
    with _open(file, texts) as parquet:
        yield parquet


def _text_leaves(parquet: pa_parquet.ParquetFile) -> list[int]:
    """Which of the columns that a file stores can be read as dictionaries."""
    # Arrow makes no views of dictionaries within lists.
    nested_views = any(
        pa.types.is_nested(type) and "view" in str(type) for type in parquet.schema_arrow.types
    )
    schema = parquet.schema
    leaves = [schema.column(place) for place in range(len(schema))]
    return [
        place
        for place, leaf in enumerate(leaves)
        if leaf.physical_type == "BYTE_ARRAY"
        and leaf.logical_type.type != "DECIMAL"
        and not (nested_views and _is_nested(leaf))
    ]


def _is_nested(leaf: pa_parquet.ColumnSchema) -> bool:
    return bool(leaf.path != leaf.name)


def _leaves(parquet: pa_parquet.ParquetFile) -> list[tuple[bool, int]]:
    """Of each column that is stored: whether it is in lists or structs, and a value's bytes."""
    schema = parquet.schema
    columns = (schema.column(place) for place in range(len(schema)))
    return [
        (
            _is_nested(leaf),
            max(_WIDTH, leaf.length if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" else 0),
        )
        for leaf in columns
    ]


def _stated_bytes(
    parquet: pa_parquet.ParquetFile, group: int, leaves: Sequence[tuple[bool, int]]
) -> tuple[int, int, int]:
    """How many rows a group has, how much they take, and how much their lists; text as packed."""
    metadata = parquet.metadata.row_group(group)
    total = lists = 0
    for place, (is_nested, width) in enumerate(leaves):
        chunk = metadata.column(place)
        stated = max(chunk.total_uncompressed_size, chunk.num_values * width)
        total += stated
        lists += stated * is_nested
    return metadata.num_rows, total, lists


def _longest_texts(
    as_dictionaries: pa_parquet.ParquetFile, group: int, names: Sequence[str]
) -> tuple[int, int]:
    """How long the longest texts in a group's dictionaries are: of all columns, of any in lists."""
    flat = nested = 0
    schema = as_dictionaries.schema_arrow
    texts = [name for name in names if "dictionary<" in str(schema.field(name).type)]
    for batch in as_dictionaries.iter_batches(1, [group], columns=texts) if texts else ():
        for values in batch.columns:
            longest = max(map(longest_text, text_dictionaries(values)), default=0)
            if pa.types.is_nested(values.type):
                nested = max(nested, longest)
            else:
                flat += longest
        break
    return flat, nested


def _check_lists(parquet: pa_parquet.ParquetFile, file: File) -> None:
    """Refuse lists that may be gigabytes in a row or two: rows are the least that can be read."""
    leaves = _leaves(parquet)
    if not any(is_nested for is_nested, _ in leaves):
        return
    for group in range(parquet.num_row_groups):
        _, _, stated = _stated_bytes(parquet, group, leaves)
        if stated > UNPACKED_RATIO * file.size + _LISTS_ALLOWANCE:
            raise DataError(
                f"{file.name}: its lists unpack to more than {UNPACKED_RATIO} times its size and "
                f"{_LISTS_ALLOWANCE >> 20} MiB, as in a file that was made to fill memory"
            )
