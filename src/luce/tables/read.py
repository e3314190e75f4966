"""A user's table, from files or from another library, as a stream of Arrow tables."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

import pyarrow as pa

from luce.errors import DataError
from luce.tables.formats.arrow import open_arrow
from luce.tables.formats.columnar import without_index
from luce.tables.formats.csv import open_csv
from luce.tables.formats.json_lines import open_json_lines
from luce.tables.formats.npz import open_npz
from luce.tables.formats.parquet import open_parquet
from luce.tables.formats.reading import AS_FOUND, OpenedFile, Reading, Request, Types
from luce.tables.formats.svmlight import open_svmlight
from luce.tables.formats.text import CODECS
from luce.tables.sources import STANDARD_INPUT, File, find_files
from luce.tables.type_guess import agree
from luce.tables.values import listing, without_markers

ROWS = 65536
"""How many rows a block has at most if nothing else is said."""

Opener = Callable[[File, Request], OpenedFile]

FORMATS: Mapping[str, Opener] = {
    ".csv": open_csv,
    ".tsv": open_csv,
    ".txt": open_csv,
    ".parquet": open_parquet,
    ".feather": open_arrow,
    ".arrow": open_arrow,
    ".ipc": open_arrow,
    ".jsonl": open_json_lines,
    ".ndjson": open_json_lines,
    ".npz": open_npz,
    ".svmlight": open_svmlight,
    ".libsvm": open_svmlight,
    ".svm": open_svmlight,
}
"""What opens a file, by the ending of its name; the text formats may be packed (`CODECS`)."""

_TEXT_FORMATS = (open_csv, open_json_lines, open_svmlight)


class ArrowStream(Protocol):
    """Any object that hands out its rows by the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a PyCapsule with an ArrowArrayStream."""


Source = str | os.PathLike[str] | ArrowStream


@dataclass(frozen=True)
class StreamedTable:
    """A table that was opened and is read in blocks of rows, as often as wanted.

    Attributes
    ----------
    name
        What messages call it.
    schema
        The columns and their types, which every block has.
    names
        All of its columns, also those that were not asked for.
    notes
        What was guessed about the files, in plain words.
    tables
        Gives all rows in order, in tables as large as the files have them; use `blocks`.
    in_memory
        Whether it is no file: its rows are in memory, and the caller's.

    Examples
    --------
    >>> table = open_table(pa.table({"mass": [3750, 5000, 3800]}))
    >>> [block.num_rows for block in table.blocks(rows=2)]
    [2, 1]
    """

    name: str
    schema: pa.Schema
    names: tuple[str, ...]
    notes: tuple[str, ...]
    tables: Callable[[], Iterator[pa.Table]]
    in_memory: bool = False

    def blocks(self, rows: int = ROWS) -> Iterator[pa.Table]:
        """Return all rows in order, in tables of 1 to `rows` rows.

        Raises
        ------
        DataError
            A file is damaged, was changed since it was opened, or holds a value that has not the
            column's type; there are no rows. File, row and column are named where they are known.
        MemoryError
            A piece of a file, such as a batch of an Arrow file, takes more than there is.
        """
        if not self.schema.names:
            raise DataError(
                f"{self.name}: none of the columns that were asked for is there; its columns are "
                f"{listing(self.names)}"
            )
        empty = True
        for table in self.tables():
            for start in range(0, table.num_rows, rows):
                empty = False
                yield table.slice(start, rows)
        if empty:
            raise DataError(
                f"{self.name}: there are columns ({listing(self.schema.names)}) but no rows"
            )


def open_table(
    source: Source,
    *,
    columns: Sequence[str] | None = None,
    types: Types | None = None,
    reading: Reading = AS_FOUND,
) -> StreamedTable:
    r"""Open a table of any size to be read in blocks, in memory that does not grow with its rows.

    Parameters
    ----------
    source
        One of

        - the path of a file, or a URI of any file system that pyarrow knows (s3://, gs://,
          hdfs://, file://), whose options may be the URI's query: CSV (.csv, .tsv, .txt), JSON
          lines (.jsonl, .ndjson), svmlight (.svmlight, .libsvm, .svm), each also packed (.gz, .bz2,
          .zst); Parquet (.parquet); Arrow's own (.feather, .arrow, .ipc); NumPy's (.npz)
        - a folder, or a glob such as `sales/*.csv.gz` or `sales/**/*.csv`: its files, of one format
          and with the same columns among those to be read, sorted by name, are one table; in files
          of JSON lines a column that one of them lacks is missing there
        - `-`: CSV on standard input, which is first put into a temporary file
        - a dataframe: pandas, polars, pyarrow, or anything else with the Arrow PyCapsule interface
          (held in memory whole). The index of a pandas frame is not a column.
    columns
        The columns to read, those that the table lacks passed over; None for all.
    types
        Arrow types that columns of a text file are read as, whatever their values look like. Where
        a column's is not told, the files are gone through once more to find a type that all of
        their rows have; values of JSON lines that are numbers in some rows and text in others have
        none, so there it has to be told. Columns that the table does not have are passed over.
        Parquet, Arrow and NumPy files and dataframes carry types of their own and keep them.
    reading
        How text files are written, where it shall not be guessed.

    Returns
    -------
    StreamedTable

    Raises
    ------
    DataError
        The source cannot be read, is damaged, has no columns, two of one name, or files that differ
        in their columns. The message names the file and, where they are known, the row, the column
        and the value.

    Notes
    -----
    A CSV file has its columns' names in its first line. What stands between values (comma,
    semicolon, tab, vertical bar), a decimal comma and an encoding that is not UTF-8 are found out,
    and told in `notes`. Blank lines are skipped, except in a file of a single column, where they
    are missing values below the name. Types that are guessed: whole numbers, numbers, true and
    false, ISO 8601 dates and times, and text; `00123` is text.

    Blanks around a text are no part of it, within quotes or without; line breaks are. What
    `MISSING_MARKERS` lists is missing in every column of every source, also in quotes, in
    dictionaries, and where the source has missing values of its own. So the country code NA
    (Namibia), and people whose name is None or NULL, are lost: spell them otherwise before.

    An .npz file has an array `X` of shape (n, d), which becomes one column of lists of float32, and
    may have `y` of shape (n,); an `X` in Fortran's order is put into a temporary file first. An
    svmlight file becomes the columns `X`, maps from the index that the file states to the value,
    and `y`.

    A row of a text file may have 16 MiB. A packed file that unpacks to more than 100 times its
    size and 256 MiB is refused; so are an Arrow file of which a record batch does, which is held in
    memory whole, and 128 MiB, and a Parquet file of which the lists do, and 64 MiB.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "birds.csv")
    ...     _ = path.write_text("species;mass\nAdelie;3750,5\nGentoo;NA\n")
    ...     table = open_table(path, types={"species": pa.string()})
    ...     print(*table.notes, sep=", ")
    ...     print(table.schema)
    ...     print([block.num_rows for block in table.blocks()])
    semicolons between values, decimal comma
    species: string
    mass: double
    [2]
    """
    if isinstance(source, str | os.PathLike):
        return _open_files(os.fsdecode(source), columns, types or {}, reading)
    table = _from_memory(source)
    names = without_index(table.schema)
    _check_names("the table", names)
    wanted = set(names if columns is None else columns)
    table = _without_views(table.select([name for name in names if name in wanted]))

    def tables() -> Iterator[pa.Table]:
        yield pa.table([without_markers(column) for column in table.columns], schema=table.schema)

    return StreamedTable("the table", table.schema, tuple(names), (), tables, True)


def _open_files(
    source: str, columns: Sequence[str] | None, types: Types, reading: Reading
) -> StreamedTable:
    request = Request(reading, None if columns is None else frozenset(columns), types)
    files = find_files(source)
    opener = _format(source, files)
    opened = [opener(file, request) for file in files]
    names: dict[str, None] = {}
    for file, table in zip(files, opened, strict=True):
        _check_names(file.name, table.names)
        own = dict.fromkeys(name for name in table.names if request.wants(name))
        names = names or own
        if opener is open_json_lines:  # Where a row may lack a name, so may a file.
            names |= own
        elif differing := own.keys() ^ names.keys():
            raise DataError(
                f"{file.name}: the columns are not those of {files[0].name}: only one of the two "
                f"has {listing(sorted(differing))}"
            )
    schema = pa.schema(
        [pa.field(name, type) for name, type in _types(files, opened, list(names), types).items()]
    )
    notes = tuple(dict.fromkeys(note for table in opened for note in table.notes))

    def tables() -> Iterator[pa.Table]:
        for table in opened:
            yield from table.blocks(schema)

    name = files[0].name if len(files) == 1 else source
    return StreamedTable(name, schema, tuple(opened[0].names), notes, tables)


def _format(source: str, files: Sequence[File]) -> Opener:
    if source == STANDARD_INPUT:
        return open_csv
    openers: list[Opener] = []
    for file in files:
        path = PurePath(file.name.lower())
        packed = path.suffix in CODECS
        opener = FORMATS.get(path.with_suffix("").suffix if packed else path.suffix)
        if opener is None or (packed and opener not in _TEXT_FORMATS):
            raise DataError(
                f"{file.name}: only files ending in {' '.join(FORMATS)} are read; of these text "
                f"also packed ({' '.join(CODECS)})"
            )
        if openers and opener is not openers[0]:
            raise DataError(
                f"{file.name}: the format is not that of {files[0].name}; name the files of one "
                "format by a glob such as folder/*.csv"
            )
        openers.append(opener)
    return openers[0]


def _types(
    files: Sequence[File], opened: Sequence[OpenedFile], names: Sequence[str], types: Types
) -> dict[str, pa.DataType]:
    """The first type of each column that all files agree on."""
    agreed: dict[str, tuple[pa.DataType, ...]] = {}
    for file, table in zip(files, opened, strict=True):
        own = set(table.names)
        present = [name for name in names if name in own]
        for name, candidates in table.candidates(present, types).items():
            common = agree(agreed[name], candidates) if name in agreed else candidates
            if not common:
                raise DataError(
                    f"{file.name}: column {name!r} has the type {candidates[0]}, but "
                    f"{agreed[name][0]} in the files before it; make them the same"
                )
            agreed[name] = common
    return {name: _as_kept(agreed[name][0]) for name in names}


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


def _check_names(origin: str, names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"{origin}: column names occur twice: {listing(repeated)}; rename them")
    if not names:
        raise DataError(f"{origin}: there are no columns")


def _as_kept(type: pa.DataType) -> pa.DataType:
    """Text views as text, also in dictionaries: Arrow has no selection of rows for views."""
    if pa.types.is_dictionary(type):
        return pa.dictionary(type.index_type, _as_kept(type.value_type), type.ordered)
    return pa.large_string() if pa.types.is_string_view(type) else type


def _without_views(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if (kept := _as_kept(field.type)) != field.type:
            table = table.set_column(place, field.name, table.column(place).cast(kept))
    return table
