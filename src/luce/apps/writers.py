"""Tables written to one file, block after block."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from luce.errors import DataError
from luce.files import replacing

Write = Callable[[pa.Table], None]
Binary = IO[bytes]

_ROW_GROUP_BYTES = 2**24
_JSON_CELLS = 2**18


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


@contextmanager
def open_writer(path: Path | None) -> Iterator[Write]:
    """Hand out a function that writes a table's rows below those before; all of one schema.

    A file gets the format of its name's ending, and its name when the block has ended well: it is
    written whole or not at all. Standard output (None) gets each block at once, as CSV. Text in CSV
    is in quotation marks, so that commas, quotes and line breaks survive; a list is JSON's text.

    Raises
    ------
    DataError
        No format has this ending, or the path is something other than a file.
    OSError
        It could not be written.
    """
    if path is None:
        with _csv(_StandardOutput()) as write:
            yield write
        return
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise DataError(
            f"{path}: cannot write {path.suffix or 'a file without ending'}; the endings are "
            f"{', '.join(WRITERS)}"
        )
    with replacing(path) as file, writer(file) as write:
        yield write


class _StandardOutput:
    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # Where PYTHONUNBUFFERED is set, a write may take a part only.
            rest = rest[sys.stdout.buffer.write(rest) :]
        sys.stdout.buffer.flush()


@contextmanager
def _csv(file: _Sink) -> Iterator[Write]:
    header = True

    def write(table: pa.Table) -> None:
        nonlocal header
        text = pa.BufferOutputStream()
        pa_csv.write_csv(_without_lists(table), text, pa_csv.WriteOptions(include_header=header))
        file.write(text.getvalue())
        header = False

    yield write


def _without_lists(table: pa.Table) -> pa.Table:
    """The table with JSON's text for each list, which CSV has no cells for."""
    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            lists = table.column(place).combine_chunks()
            table = table.set_column(place, field.name, _json_arrays(lists))
    return table


@contextmanager
def _json_lines(file: Binary) -> Iterator[Write]:
    encoder = msgspec.json.Encoder()

    def write(table: pa.Table) -> None:
        names = table.column_names
        for batch in table.to_batches(max_chunksize=max(1, _JSON_CELLS // len(names))):
            columns = [_json_values(column) for column in batch.columns]
            rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
            file.write(encoder.encode_lines(rows))

    yield write


def _json_values(column: pa.Array) -> list[object]:
    """Values for JSON, float32 by its shortest decimal and not by its 53-bit neighbour."""
    if pa.types.is_list(column.type):
        return [*map(msgspec.Raw, _json_arrays(column).cast(pa.binary()).to_pylist())]
    if pa.types.is_float32(column.type):
        return [float(text) for text in column.cast(pa.string()).to_pylist()]
    values: list[object] = column.to_pylist()
    return values


def _json_arrays(lists: pa.ListArray) -> pa.Array:
    """JSON's text of each list: much faster than by way of Python's lists."""
    found = lists.flatten().dictionary_encode()
    spelt = [msgspec.json.encode(value).decode() for value in found.dictionary.to_pylist()]
    offsets = pa.array(np.asarray(lists.offsets) - lists.offsets[0].as_py())
    texts = pa.ListArray.from_arrays(offsets, pa.array(spelt, pa.string()).take(found.indices))
    return pc.binary_join_element_wise("[", pc.binary_join(texts, ","), "]", "")


@contextmanager
def _parquet(file: Binary) -> Iterator[Write]:
    waiting: list[pa.Table] = []
    with _opened_by_schema(lambda schema: pa_parquet.ParquetWriter(file, schema)) as write_group:

        def write(table: pa.Table) -> None:
            waiting.append(table)
            if sum(each.nbytes for each in waiting) >= _ROW_GROUP_BYTES:
                write_group(pa.concat_tables(waiting))
                waiting.clear()

        yield write
        if waiting:
            write_group(pa.concat_tables(waiting))


@contextmanager
def _arrow(file: Binary) -> Iterator[Write]:
    with _opened_by_schema(lambda schema: pa.ipc.new_file(file, schema)) as write:
        yield write


@contextmanager
def _opened_by_schema(
    open_file: Callable[[pa.Schema], AbstractContextManager[pa.ipc.RecordBatchFileWriter]],
) -> Iterator[Write]:
    """Open Arrow's own writer at the first table, whose schema it needs."""
    with ExitStack() as stack:
        opened: pa.ipc.RecordBatchFileWriter | None = None

        def write(table: pa.Table) -> None:
            nonlocal opened
            if opened is None:
                opened = stack.enter_context(open_file(table.schema))
            opened.write_table(table)

        yield write


WRITERS: Mapping[str, Callable[[Binary], AbstractContextManager[Write]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".arrow": _arrow,
    ".feather": _arrow,
}
"""The file formats that are written, by the ending of the file's name."""
