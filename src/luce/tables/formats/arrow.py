"""Arrow's own files and streams (Feather V2 is the former), in blocks of rows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from luce.errors import DataError
from luce.tables.formats.columnar import common_types, fit_table, without_index
from luce.tables.formats.reading import Request, Types
from luce.tables.sources import File, reading

_FILE, _FEATHER_1 = b"ARROW1", b"FEA1"


@dataclass(frozen=True)
class ArrowFile:
    """An opened Arrow file or stream."""

    file: File
    schema: pa.Schema
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def candidates(
        self, columns: Sequence[str], types: Types
    ) -> Mapping[str, tuple[pa.DataType, ...]]:
        """Return the types that the file states."""
        return common_types(self.schema, columns)

    def blocks(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Return the rows, a record batch at a time, each checked before it is used."""
        with reading(self.file), _open(self.file) as (_, batches):
            done = 0
            for batch in batches:
                batch.validate(full=True)
                table = pa.Table.from_batches([batch])
                yield fit_table(table, schema, self.file.name, done)
                done += table.num_rows


def open_arrow(file: File, request: Request) -> ArrowFile:
    """Read the schema of an Arrow file or stream."""
    with reading(file), _open(file) as (schema, _):
        return ArrowFile(file, schema, tuple(without_index(schema)))


@contextmanager
def _open(file: File) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    with file.open() as stream:
        start = stream.read(len(_FILE))
        stream.seek(0)
        if start.startswith(_FEATHER_1):
            raise DataError(
                f"{file.name}: Feather of the first version is not read; write it again, as "
                "pandas.read_feather and DataFrame.to_feather do, or as Parquet"
            )
        if start != _FILE:
            with pa.ipc.open_stream(stream) as stream_reader:
                yield stream_reader.schema, iter(stream_reader)
            return
        with pa.ipc.open_file(stream) as reader:
            yield reader.schema, map(reader.get_batch, range(reader.num_record_batches))
