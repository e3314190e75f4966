"""Parquet files, in blocks of rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from luce.errors import DataError
from luce.tables.formats.columnar import BLOCK_BYTES, common_types, fit_table, without_index
from luce.tables.formats.reading import Request, Types
from luce.tables.sources import File, reading

_LARGEST_METADATA = 100 << 20
_MOST_CONTAINED = 10_000_000
_BUFFER = 1 << 20
_MOST_ROWS = 65536


@dataclass(frozen=True)
class ParquetFile:
    """An opened Parquet file."""

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
        """Return the rows, at most so many at a time that they take about `BLOCK_BYTES`."""
        with reading(self.file), _open(self.file) as parquet:
            done = 0
            batches = parquet.iter_batches(_batch_rows(parquet.metadata), columns=schema.names)
            for batch in batches:
                batch.validate(full=True)
                table = pa.Table.from_batches([batch])
                yield fit_table(table, schema, self.file.name, done)
                done += table.num_rows


def open_parquet(file: File, request: Request) -> ParquetFile:
    """Read what a Parquet file says of itself."""
    with reading(file), _open(file) as parquet:
        schema = parquet.schema_arrow
        try:
            return ParquetFile(file, schema, tuple(without_index(schema)))
        except UnicodeDecodeError as error:
            raise DataError(f"{file.name}: a column's name is not UTF-8") from error


def _open(file: File) -> pa_parquet.ParquetFile:
    return pa_parquet.ParquetFile(
        file.open(),
        buffer_size=_BUFFER,
        pre_buffer=False,
        thrift_string_size_limit=_LARGEST_METADATA,
        thrift_container_size_limit=_MOST_CONTAINED,
        page_checksum_verification=True,
    )


def _batch_rows(metadata: pa_parquet.FileMetaData) -> int:
    rows = max(metadata.num_rows, 1)
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    stated = sum(max(group.total_byte_size, 0) for group in groups) // rows
    return min(_MOST_ROWS, max(1, BLOCK_BYTES // int(max(stated, 8 * metadata.num_columns, 1))))
