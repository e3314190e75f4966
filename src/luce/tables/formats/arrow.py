"""Arrow's own files and streams (Feather V2 is the former), in blocks of rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import pyarrow as pa

from luce.errors import DataError
from luce.tables.formats.arrow_sizes import MAGIC, unpacked_size
from luce.tables.formats.columnar import ColumnarFile, without_index
from luce.tables.formats.reading import Request
from luce.tables.formats.text import UNPACKED_RATIO
from luce.tables.sources import File, file_errors

_FEATHER_1 = b"FEA1"
_UNPACKED_ALLOWANCE = 128 << 20


def open_arrow(file: File, request: Request) -> ColumnarFile:
    """Read the schema of an Arrow file or stream."""
    with file_errors(file), _open(file) as (schema, _):
        names = tuple(without_index(schema))
        return ColumnarFile(file, schema, names, partial(_batches, file, schema))


def _batches(file: File, schema: pa.Schema, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with _open(file, [schema.get_field_index(name) for name in names]) as (_, batches):
        yield from batches


@contextmanager
def _open(
    file: File, wanted: Sequence[int] | None = None
) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    """Give the columns and the batches; of these only the wanted columns, a batch at a time."""
    options = pa.ipc.IpcReadOptions(included_fields=wanted)
    with file.open() as stream:
        start = stream.read(len(MAGIC))
        if start.startswith(_FEATHER_1):
            raise DataError(
                f"{file.name}: Feather of the first version is not read; write it again, as "
                "pandas.read_feather and DataFrame.to_feather do, or as Parquet"
            )
        _check_size(stream, file)
        stream.seek(0)
        if start != MAGIC:
            with pa.ipc.open_stream(stream, options=options) as stream_reader:
                yield stream_reader.schema, iter(stream_reader)
            return
        with pa.ipc.open_file(stream, options=options) as reader:
            yield reader.schema, map(reader.get_batch, range(reader.num_record_batches))


def _check_size(stream: pa.NativeFile, file: File) -> None:
    """Refuse what would fill memory: Arrow unpacks a batch of rows whole."""
    try:
        unpacked = unpacked_size(stream, file.size)
    except ValueError as error:
        raise DataError(
            f"{file.name}: the file is damaged or of another format: {error}"
        ) from error
    if unpacked > UNPACKED_RATIO * file.size + _UNPACKED_ALLOWANCE:
        raise DataError(
            f"{file.name}: a batch of its rows unpacks to {unpacked >> 20} MiB, more than "
            f"{UNPACKED_RATIO} times the file's size and {_UNPACKED_ALLOWANCE >> 20} MiB, as in a "
            "file that was made to fill memory; write it in batches of fewer rows if you trust it"
        )
