"""JSON lines, one object a row, in blocks of rows."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json

from luce.errors import DataError
from luce.tables.formats.columnar import fit_table
from luce.tables.formats.lines import line_blocks
from luce.tables.formats.reading import Request, Types
from luce.tables.formats.text import check_encoding
from luce.tables.sources import File, file_errors
from luce.tables.type_guess import agree
from luce.tables.values import BLANKS, LARGEST_EXACT, MISSING_MARKERS, is_text

_DEEPEST = 32
_MOST_NAMES = 30_000
_MOST_CELLS = 16_000_000
"""How many values a block has at most, those that are missing counted."""

_FORM = 'each line is to be one JSON object, such as {"a": 1}'
_ADVICE = "make them the same, or tell what kind the column is, such as a category"
_NAME = re.compile(rb'"((?:[^"\\\n]++|\\.)*+)"\s*+:')
_BLANK = "|".join([*BLANKS, *(rf"\\u(?i:{ord(blank):04x})" for blank in BLANKS), r"\\t"])
_MARKERS = "|".join(MISSING_MARKERS).replace("/", r"\\?/")
_MARKER = re.compile(
    rf':[ \t]*+"(?:{_BLANK})*+(?:{_MARKERS})(?:{_BLANK})*+"(?=[ \t\r]*+[,}}])'.encode()
)
"""A value that is a missing marker, in all ways to spell its blanks and its slash."""

_CHANGED = re.compile(r"Column\(/(.+)\) changed from (\w+) to (\w+)")
_WIDEN = {pa.int64(): (pa.int64(), pa.float64())}


@dataclass(frozen=True)
class JsonLinesFile:
    """An opened file of JSON lines. A name that a row lacks is a missing value."""

    file: File
    encoding: str
    found: Mapping[str, tuple[pa.DataType, ...]]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names that any row has, in the order in which they were found."""
        return tuple(self.found)

    def candidates(
        self, columns: Sequence[str], types: Types
    ) -> Mapping[str, tuple[pa.DataType, ...]]:
        """Return the types that were told when the file was opened, or that the rows have."""
        return {name: self.found[name] for name in columns}

    def blocks(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Return the rows, columns that a block lacks as missing."""
        with file_errors(self.file):
            for table, done in _tables(self.file, self.encoding, _read_as(schema)):
                yield fit_table(table, schema, self.file.name, done)


def open_json_lines(file: File, request: Request) -> JsonLinesFile:
    """Go through a file of JSON lines for the names in it and the types of their values."""
    encoding = check_encoding(request.reading.encoding or "utf-8")
    found: dict[str, tuple[pa.DataType, ...]] = {}
    with file_errors(file):
        for table, done in _tables(file, encoding, _look_at(request)):
            for field in table.schema:
                if field.name in request.types or not request.wants(field.name):
                    found[field.name] = (request.types.get(field.name, pa.null()),)
                    continue
                candidates = _candidates(field.type)
                agreed = agree(found[field.name], candidates) if field.name in found else candidates
                if not agreed:
                    raise DataError(
                        f"{file.name}: column {field.name!r} has values of the type {field.type} "
                        f"from row {done + 1} on, but {found[field.name][0]} before it; {_ADVICE}"
                    )
                found[field.name] = agreed
    if not found:
        raise DataError(f"{file.name}: the file is empty")
    return JsonLinesFile(file, encoding, found)


def _candidates(type: pa.DataType) -> tuple[pa.DataType, ...]:
    if pa.types.is_timestamp(type):  # Arrow takes text for times where it can.
        return (type, pa.string())
    return _WIDEN.get(type, (type,))


Parse = Callable[[bytes], pa.Table]


def _look_at(request: Request) -> Parse:
    """Parse lines to learn types.

    Columns whose type is told, or that are not wanted, may have values that no one type has.
    """

    def as_text(name: str, value: object) -> object:
        if not request.wants(name):
            return None
        return _as_text(value, pa.string()) if name in request.types else value

    def parse(text: bytes) -> pa.Table:
        try:
            return _parse(text)
        except pa.ArrowInvalid:
            if not request.types and request.columns is None:
                raise
            return _parse(_changed(text, as_text))

    return parse


def _read_as(schema: pa.Schema) -> Parse:
    """Parse lines as columns of these types, of which plain ones may come as text if need be."""
    spelt = [pa.field(f.name, pa.string() if _is_plain(f.type) else f.type) for f in schema]
    types = dict(zip(schema.names, schema.types, strict=True))

    def as_text(name: str, value: object) -> object:
        type = types.get(name, pa.null())
        if pa.types.is_null(type):
            return None
        return _as_text(value, type) if _is_plain(type) else value

    def parse(text: bytes) -> pa.Table:
        try:
            return _parse(text, schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return _parse(_changed(text, as_text), pa.schema(spelt))

    return parse


def _is_plain(type: pa.DataType) -> bool:
    return not (pa.types.is_nested(type) or pa.types.is_null(type))


def _changed(text: bytes, change: Callable[[str, object], object]) -> bytes:
    """Return lines of JSON with other values; those that are no JSON as they are.

    Raises
    ------
    ArrowInvalid
        A name occurs twice in an object.
    """

    def distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(made := dict(pairs)) < len(pairs):
            raise pa.ArrowInvalid(f"a name occurs twice in row {row}")
        return made

    lines = text.split(b"\n")
    for row, line in enumerate(lines):
        try:
            values = json.loads(line, object_pairs_hook=distinct)
            if isinstance(values, dict):
                values = {name: change(name, value) for name, value in values.items()}
                lines[row] = json.dumps(values).encode()
        except pa.ArrowInvalid:
            raise
        except ValueError:
            continue
    return b"\n".join(lines)


def _as_text(value: object, type: pa.DataType) -> object:
    """Return a number or truth as `values.levels` spells it, anything else as it is."""
    match value:
        case bool() if is_text(type) or pa.types.is_boolean(type):
            return "true" if value else "false"
        case bool():
            return str(int(value))
        case float() if value.is_integer() and abs(value) < LARGEST_EXACT:
            return str(int(value))
        case int() | float():
            return str(value)
    return value


def _tables(file: File, encoding: str, parse: Parse) -> Iterator[tuple[pa.Table, int]]:
    """Return blocks of rows, and how many rows stand before each."""
    done = 0
    names: set[bytes] = set()
    for block in line_blocks(file, encoding):
        names.update(_NAME.findall(block))
        if len(names) > _MOST_NAMES:
            raise DataError(
                f"{file.name}: there are more than {_MOST_NAMES} names, up to row {done + 1} or "
                "after it; each name is a column"
            )
        for text in _pieces(block, max(1, _MOST_CELLS // max(len(names), 1))):
            if nesting_depth(text) > _DEEPEST:
                raise DataError(
                    f"{file.name}: at or after row {done + 1} a value is nested deeper than "
                    f"{_DEEPEST}"
                )
            try:
                table = parse(_MARKER.sub(b": null", text))
            except pa.ArrowInvalid as error:
                raise DataError(f"{file.name}: {_complaint(str(error), done)}") from error
            yield table, done
            done += table.num_rows


def _pieces(block: bytes, lines: int) -> Iterator[bytes]:
    """Return a block in pieces of so many lines, without blank ones: every row has all columns."""
    full = [line for line in block.splitlines(keepends=True) if not line.isspace()]
    for start in range(0, len(full), lines):
        yield b"".join(full[start : start + lines])


def _parse(text: bytes, schema: pa.Schema | None = None) -> pa.Table:
    """Parse lines: all of their columns, or those of the schema."""
    table = pa_json.read_json(
        pa.BufferReader(text),
        # Rows are counted rightly only where all is one block.
        read_options=pa_json.ReadOptions(block_size=len(text) + 1),
        parse_options=pa_json.ParseOptions(
            explicit_schema=schema,
            unexpected_field_behavior="infer" if schema is None else "ignore",
        ),
    )
    table.validate(full=True)
    lines = text.count(b"\n")
    if table.num_rows != lines:
        raise pa.ArrowInvalid(
            f"lines and objects are not one to one ({lines} and {table.num_rows})"
        )
    return table


def _complaint(complaint: str, done: int) -> str:
    """Return what is wrong with lines that Arrow rejects, after so many rows, and what to do."""
    advice = _ADVICE if "Column(/" in complaint else _FORM
    if found := re.search(r"(?:JSON parse error: )?(.*) in row (\d+)", complaint, re.DOTALL):
        reason, row = found.groups()
        reason = _CHANGED.sub(r"\1 has a value of the type \3 where rows before have \2", reason)
        return f"row {done + int(row) + 1} (the first row of data is 1): {reason}; {advice}"
    return f"somewhere after row {done}: {complaint}; {advice}"


def nesting_depth(text: bytes) -> int:
    """Return how deep the lines of a text nest brackets, those within quotation marks left out."""
    if text.count(b"{") + text.count(b"[") - text.count(b"\n") < _DEEPEST:
        return 1
    if b"\\" in text:
        text = re.sub(rb"\\[^\n]", b"", text)
    characters = np.frombuffer(text, np.uint8)
    quotes = np.cumsum(characters == ord('"'), dtype=np.int32)
    before_line = np.maximum.accumulate(np.where(characters == ord("\n"), quotes, 0))
    outside = (quotes - before_line) % 2 == 0
    opens = outside & np.isin(characters, np.frombuffer(b"[{", np.uint8))
    closes = outside & np.isin(characters, np.frombuffer(b"]}", np.uint8))
    level = np.cumsum(opens.astype(np.int8) - closes.astype(np.int8), dtype=np.int32)
    floor = np.minimum(np.minimum.accumulate(level), 0)
    return int((level - floor).max())
