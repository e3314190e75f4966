"""CSV files, in blocks of rows."""

import codecs
import re
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from threading import Event

import pyarrow as pa
import pyarrow.csv as pa_csv

from luce.errors import DataError
from luce.tables.formats.dialect import COMMA_NUMBER, DELIMITERS, Dialect, find_dialect
from luce.tables.formats.reading import Request, Types
from luce.tables.formats.text import (
    LONGEST_ROW,
    TELL_ENCODING,
    Utf8Stream,
    decode,
    find_encoding,
    head,
)
from luce.tables.sources import File, file_errors
from luce.tables.type_guess import TEXT, TypeGuess, parse
from luce.tables.values import (
    MISSING_MARKERS,
    ColumnBlock,
    casts,
    first_bad,
    is_text,
    may_have_blanks,
    quoted,
    without_markers,
)

MOST_COLUMNS = 100_000
_QUICK_BLOCK = 1 << 20
_FIRST_ROWS = 64 << 10
_LONGEST_WAIT = 1.0  # seconds
_ROWS_A_BLOCK = 500
"""Blocks are as large as so many times the line of names, if that is more than `_QUICK_BLOCK`."""


@dataclass(frozen=True)
class CsvFile:
    """An opened CSV file: what it is, and the names of its columns."""

    file: File
    dialect: Dialect
    encoding: str
    block_size: int
    names: tuple[str, ...]
    notes: tuple[str, ...]

    def candidates(
        self, columns: Sequence[str], types: Types
    ) -> Mapping[str, tuple[pa.DataType, ...]]:
        """Return the types that each column can have, the narrowest first, told or guessed."""
        guesses = {
            name: TypeGuess(decimal=self.dialect.decimal) for name in columns if name not in types
        }
        if guesses:
            for table in self.blocks(pa.schema([(name, TEXT) for name in guesses])):
                for name, guess in guesses.items():
                    guess.see(table.column(name))
        return {
            name: guesses[name].survivors if name in guesses else (types[name],) for name in columns
        }

    def blocks(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Return the rows, each column in the schema's type.

        Arrow reads quickly, but does not say which row is wrong, knows no blanks around missing
        markers and no long rows. What it stumbles over is read again from the beginning, carefully.
        """
        done = 0
        with file_errors(self.file):
            try:
                quick = self._read(
                    schema, schema, self.block_size, True, lambda block, _: _trimmed(block.values)
                )
                for table in quick:
                    yield table
                    done += table.num_rows
                return
            except pa.ArrowInvalid:
                self.file.check_unchanged()
            as_bytes = pa.schema([(name, pa.binary()) for name in schema.names])
            try:
                again = self._read(schema, as_bytes, LONGEST_ROW, False, self._convert)
                yield from _without_first(again, done)
            except pa.ArrowInvalid as error:
                raise DataError(f"{self.file.name}: {_complaint(str(error))}") from error

    def _read(
        self,
        schema: pa.Schema,
        parsed: pa.Schema,
        block_size: int,
        threads: bool,
        convert: Callable[[ColumnBlock, pa.DataType], pa.ChunkedArray],
    ) -> Iterator[pa.Table]:
        """Let Arrow parse the columns as one schema says; convert them to what the other does."""
        last = self.names[-1]
        types = {last: pa.binary(), **dict(zip(parsed.names, parsed.types, strict=True))}
        stream = Utf8Stream(self.file, self.encoding)
        final, rows = pa.scalar(None), 0
        for table in self._parse(stream, types, block_size, threads):
            converted = [
                convert(ColumnBlock(field.name, table.column(field.name), rows), field.type)
                for field in schema
            ]
            rows += table.num_rows
            if table.num_rows:
                final = table.column(last)[-1]
            yield pa.table(converted, schema=schema)
        self._check_end(stream, final, rows)

    def _parse(
        self, stream: Utf8Stream, types: Types, block_size: int, threads: bool
    ) -> Iterator[pa.Table]:
        options = pa_csv.ConvertOptions(
            null_values=list(MISSING_MARKERS),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            decimal_point=self.dialect.decimal,
            column_types=types,
            include_columns=list(types),
        )
        reader, handed = None, _Handed(stream)
        released = Event()
        watched = weakref.ref(handed, lambda _: released.set())
        try:
            reader = pa_csv.open_csv(
                pa.PythonFile(handed, "r"),
                read_options=pa_csv.ReadOptions(block_size=block_size, use_threads=threads),
                parse_options=_parse_options(self.dialect, len(self.names)),
                convert_options=options,
            )
            with reader:
                for batch in reader:
                    yield pa.Table.from_batches([batch])
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):  # It has names only.
                raise
        finally:
            stream.close()
            del reader, handed
            # A thread of Arrow's that lets go of it once the interpreter ends would abort.
            released.wait(_LONGEST_WAIT)
            del watched

    def _convert(self, block: ColumnBlock, type: pa.DataType) -> pa.ChunkedArray:
        values = block.values
        if type == pa.binary():
            return values
        try:
            text = _trimmed(values.cast(pa.string()))
        except pa.ArrowInvalid as error:
            where = block.at(first_bad(len(values), casts(values, pa.string())))
            raise DataError(
                f"{self.file.name}: {where}: the text is not UTF-8; "
                f"save the file as UTF-8, or {TELL_ENCODING}"
            ) from error
        if is_text(type):
            return text.cast(type)
        converted = parse(text, type, self.dialect.decimal)
        if converted is None:
            row = first_bad(
                len(text),
                lambda a, b: parse(text[a:b], type, self.dialect.decimal) is not None,
            )
            noun = _NOUNS.get(type, f"of the type {type}")
            value = text[row].as_py()
            advice = "correct it or leave it empty"
            if self._has_decimal_comma(value, type):
                advice += "; or tell that numbers have a decimal comma (--decimal ,)"
            raise DataError(
                f"{self.file.name}: {block.at(row)}: {quoted(value)} is not {noun}; {advice}"
            )
        return converted

    def _has_decimal_comma(self, value: str, type: pa.DataType) -> bool:
        """Whether a text would be a number if commas stood before decimals, as they can here."""
        may_be_told = self.dialect.decimal == "." and self.dialect.delimiter != ","
        is_number = pa.types.is_floating(type) or pa.types.is_integer(type)
        return may_be_told and is_number and COMMA_NUMBER.fullmatch(value) is not None

    def _check_end(self, stream: Utf8Stream, final: pa.Scalar, rows: int) -> None:
        """Complain of a last value that runs over lines to the end: it may have swallowed rows."""
        value = final.as_py()
        value = value.encode() if isinstance(value, str) else value
        if isinstance(value, bytes) and b"\n" in value and not stream.tail.rstrip().endswith(b'"'):
            raise DataError(
                f"{self.file.name}: row {rows}, the last: a quotation mark is left open"
            )


class _Handed:
    """A stream for Arrow alone: when this is gone, so are the threads that read it."""

    closed = False

    def __init__(self, stream: Utf8Stream) -> None:
        self.read, self.close = stream.read, stream.close
        self.readable, self.seekable = stream.readable, stream.seekable


def open_csv(file: File, request: Request) -> CsvFile:
    """Find out how a CSV file is written, and the names of its columns."""
    with file_errors(file):
        content, is_whole = head(file)
        encoding, note = find_encoding(content, is_whole, request.reading.encoding, file.name)
        text = _as_utf8(content, is_whole, encoding, file.name)
        text = text.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
        if is_whole and not text:
            raise DataError(f"{file.name}: the file is empty")
        if is_whole:
            text += b"\n"
        elif not re.search(rb"[\r\n]", text):
            raise DataError(
                f"{file.name}: the first line, which holds the columns' names, does not end "
                f"within {LONGEST_ROW >> 20} MiB"
            )
        if b"\0" in text:
            raise DataError(
                f"{file.name}: there are NUL characters in it: this is no text, or UTF-16; "
                f"{TELL_ENCODING}"
            )
        line = len(re.split(rb"[\r\n]", text, maxsplit=1)[0])
        first_rows = text[: max(_FIRST_ROWS, line + 1)].decode("utf-8", "replace")
        if max(text[:line].count(d.encode()) for d in DELIMITERS) >= MOST_COLUMNS:
            raise DataError(f"{file.name}: there are more than {MOST_COLUMNS} columns")
        delimiter = request.reading.delimiter
        if delimiter is None and ".tsv" in PurePath(file.name.lower()).suffixes[-2:]:
            delimiter = "\t"
        dialect, notes = find_dialect(first_rows, delimiter, request.reading.decimal, file.name)
        names = _names(first_rows, dialect, file.name)
    notes += [note] if note else []
    block_size = min(max(_QUICK_BLOCK, _ROWS_A_BLOCK * line), LONGEST_ROW)
    return CsvFile(file, dialect, encoding, block_size, names, tuple(notes))


def _as_utf8(content: bytes, is_whole: bool, encoding: str, name: str) -> bytes:
    if encoding == "utf-8":  # Where it is not, the row is found when it is read.
        return content
    decoder = codecs.getincrementaldecoder(encoding)()
    text = decode(decoder, content, name, encoding, 0)
    return text + decode(decoder, b"", name, encoding, len(content)) if is_whole else text


def _names(text: str, dialect: Dialect, name: str) -> tuple[str, ...]:
    try:
        # Not `open_csv`: its threads may outlive the interpreter, with a Python function to call.
        table = pa_csv.read_csv(
            pa.BufferReader(text.encode()),
            read_options=pa_csv.ReadOptions(block_size=4 * len(text) + 1, use_threads=False),
            parse_options=_parse_options(dialect, 2, invalid_row_handler=lambda _: "skip"),
        )
    except pa.ArrowInvalid as error:
        raise DataError(f"{name}: {_complaint(str(error))}") from error
    names = tuple(table.column_names)
    if "\ufffd" in "".join(names):
        raise DataError(
            f"{name}: a column's name is not UTF-8; save the file as UTF-8, or {TELL_ENCODING}"
        )
    return names


def _parse_options(dialect: Dialect, columns: int, **more: object) -> pa_csv.ParseOptions:
    return pa_csv.ParseOptions(
        delimiter=dialect.delimiter,
        newlines_in_values=True,
        ignore_empty_lines=columns > 1,
        **more,
    )


def _trimmed(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not is_text(values.type) or not any(map(may_have_blanks, values.chunks)):
        return values
    return without_markers(values)


def _without_first(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    for table in tables:
        if rows < table.num_rows:
            yield table.slice(rows)
        rows = max(0, rows - table.num_rows)


_NOUNS = {
    pa.float64(): "a number",
    pa.int64(): "a whole number",
    pa.bool_(): "true or false",
    pa.date32(): "a date such as 2007-11-30",
    pa.timestamp("us"): "a date and time such as 2007-11-30 12:00:00",
}
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)


def _complaint(complaint: str) -> str:
    """Return what is wrong with a CSV file that Arrow rejects, and what to do."""
    if ragged := _RAGGED.search(complaint):
        # Arrow counts the line of names as row 1.
        row, expected, found, text = ragged.groups()
        return (
            f"row {int(row) - 1} (the first row of data is 1) should have {expected} values, "
            f"not {found}: {text[:80]!r}; quote values that hold what stands between values"
        )
    if "straddling" in complaint:
        return f"a row is longer than {LONGEST_ROW >> 20} MiB; is a quotation mark left open?"
    return f"this is not a CSV file: {complaint}"
