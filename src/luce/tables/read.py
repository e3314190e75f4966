"""A user's table, from a file or from another library, as an Arrow table."""

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from luce.errors import DataError
from luce.tables.values import MISSING_MARKERS, ColumnBlock, first_failure, listing

Types = Mapping[str, pa.DataType]


class ArrowStream(Protocol):
    """Any object that hands out its rows by the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a PyCapsule with an ArrowArrayStream."""


def read_table(
    source: str | os.PathLike[str] | ArrowStream, *, types: Types | None = None
) -> pa.Table:
    r"""Return a table with at least one row and one column, and no two columns of one name.

    Parameters
    ----------
    source
        The path of a .csv or .parquet file, or a dataframe: pandas, polars, pyarrow, or anything
        else with the Arrow PyCapsule interface. The index of a pandas frame is not a column.
    types
        Arrow types that columns of a CSV file are read as, whatever their values look like; the
        other columns' types are inferred from their values. Columns that the file does not have
        are passed over. Parquet files and dataframes carry types of their own and keep them.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    DataError
        The source cannot be read, is damaged, has no rows or has two columns of one name. The
        message names the file and, where they are known, the row, the column and the value.

    Notes
    -----
    A CSV file is comma-separated, UTF-8, with the columns' names in its first line. What
    `MISSING_MARKERS` lists is missing in every column, also in text and also in quotes: a country
    code NA (Namibia) has to be spelt otherwise, or come from a Parquet file or a dataframe. Blank
    lines are skipped, except in a file of a single column, where they are missing values.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "birds.csv")
    ...     _ = path.write_text("species,mass\nAdelie,3750\nGentoo,NA\n")
    ...     table = read_table(path, types={"mass": pa.float64()})
    >>> table.to_pydict()
    {'species': ['Adelie', 'Gentoo'], 'mass': [3750.0, None]}
    """
    if isinstance(source, str | os.PathLike):
        origin, table = str(source), _read_file(Path(source), types or {})
    else:
        origin, table = "the table", _from_memory(source)
    repeated = [name for name, count in Counter(table.column_names).items() if count > 1]
    if repeated:
        raise DataError(f"{origin}: column names occur twice: {listing(repeated)}; rename them")
    table = _without_views(_without_index(table))
    if not table.num_columns:
        raise DataError(f"{origin}: there are no columns")
    if not table.num_rows:
        raise DataError(f"{origin}: there are columns ({listing(table.column_names)}) but no rows")
    return table


def _from_memory(source: ArrowStream) -> pa.Table:
    if not hasattr(source, "__arrow_c_stream__"):
        raise DataError(
            f"a {type(source).__name__} is not a table: hand in the path of a file, or a dataframe "
            "(pandas, polars, pyarrow, or another with the Arrow PyCapsule interface)"
        )
    try:
        return pa.table(source)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"the {type(source).__name__} is not a table: {error}") from error


def _without_views(table: pa.Table) -> pa.Table:
    """Text views as text: Arrow has no selection of rows for views."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            text = table.column(place).cast(pa.large_string())
            table = table.set_column(place, field.name, text)
    return table


def _without_index(table: pa.Table) -> pa.Table:
    """Drop what pandas' metadata calls the index: a filtered frame hands it out as a column."""
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return table.drop_columns([name for name in table.column_names if name in index])


def _read_file(path: Path, types: Types) -> pa.Table:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: only files ending in {' or '.join(READERS)} are read")
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; name a file in it")
    try:
        return reader(path, types)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except PermissionError as error:
        raise DataError(f"{path}: there is no permission to read it") from error
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: the file is damaged or of another format: {error}") from error


def _read_parquet(path: Path, types: Types) -> pa.Table:
    with pa_parquet.ParquetFile(path) as file:
        return file.read()


def _read_csv(path: Path, types: Types) -> pa.Table:
    try:
        table = _parse_csv(path, types)
        if table.num_columns == 1:
            table = _parse_csv(path, types, skip_blank_lines=False)
        names = table.column_names
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {_csv_complaint(path, types, str(error))}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: a column's name is not UTF-8; save the file as UTF-8") from error
    for name, values in zip(names, table.columns, strict=True):
        # Arrow reads what is not UTF-8 as binary, without a word.
        if pa.types.is_binary(values.type):
            where = ColumnBlock(name, values).at(first_failure(values, pa.string()))
            raise DataError(f"{path}: {where}: the text is not UTF-8; save the file as UTF-8")
    if _ends_in_quotes(path, table):
        raise DataError(f"{path}: row {table.num_rows}, the last: a quotation mark is left open")
    return table


def _ends_in_quotes(path: Path, table: pa.Table) -> bool:
    """Whether the last value runs over lines to the end of the file: Arrow lets it swallow rows."""
    last = table.column(-1)[-1].as_py() if table.num_rows else None
    if not isinstance(last, str) or "\n" not in last:
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1000))
        return not file.read().rstrip().endswith(b'"')


def _parse_csv(
    path: Path, types: Types, *, skip_blank_lines: bool = True, threads: bool = True
) -> pa.Table:
    return pa_csv.read_csv(
        path,
        read_options=pa_csv.ReadOptions(use_threads=threads),
        parse_options=pa_csv.ParseOptions(
            newlines_in_values=True, ignore_empty_lines=skip_blank_lines
        ),
        convert_options=pa_csv.ConvertOptions(
            null_values=list(MISSING_MARKERS),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            column_types=types,
        ),
    )


_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)
_INVALID = re.compile(r"column #(\d+): Row #(\d+): CSV conversion error to (\w+): (.*)", re.DOTALL)
_NOUNS = {"double": "a number", "bool": "true or false", "string": "UTF-8 text"}


def _csv_complaint(path: Path, types: Types, complaint: str) -> str:
    """Return what is wrong with a CSV file that Arrow rejects, and what to do."""
    try:
        # Arrow names the row only when a single thread reads. It counts the line of names as row 1.
        _parse_csv(path, types, threads=False)
    except pa.ArrowInvalid as error:
        complaint = str(error)
    if ragged := _RAGGED.search(complaint):
        row, expected, found, text = ragged.groups()
        return (
            f"row {int(row) - 1} (the first row of data is 1) should have {expected} values, "
            f"not {found}: {text[:80]!r}; quote values that hold a comma"
        )
    if invalid := _INVALID.search(complaint):
        column, row, type, reason = invalid.groups()
        where = ColumnBlock(_csv_names(path)[int(column)], pa.chunked_array([[]])).at(int(row) - 2)
        noun = _NOUNS.get(type, type)
        return f"{where} is not {noun}: {reason}; correct it or leave it empty"
    if "Empty CSV file" in complaint:
        return "the file is empty, or its first line is not finished"
    if "straddling" in complaint:
        return "a row is longer than a megabyte; is a quotation mark left open?"
    return f"this is not a comma-separated file: {complaint}"


def _csv_names(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return next(row for row in csv.reader(file) if row)


READERS: Mapping[str, Callable[[Path, Types], pa.Table]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
"""The file formats that are read, by the ending of the file's name."""
