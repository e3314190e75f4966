"""JSON lines, one object a row, in blocks of rows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json

from luce.errors import DataError
from luce.tables.formats.columnar import fit_table
from luce.tables.formats.lines import line_blocks
from luce.tables.formats.reading import Reading, Types
from luce.tables.formats.text import check_encoding
from luce.tables.sources import File, reading
from luce.tables.type_guess import agree

_DEEPEST = 32
_MOST_NAMES = 30_000
_MOST_CELLS = 16_000_000
"""How many values a block has at most, those that are missing counted."""

_NAME = re.compile(rb'"([^"\\\n]*(?:\\.[^"\\\n]*)*)"\s*:')
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
        """Return the types told, or that the rows have."""
        return {name: (types[name],) if name in types else self.found[name] for name in columns}

    def blocks(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Return the rows, columns that a block lacks as missing."""
        with reading(self.file):
            for table, done in _tables(self.file, self.encoding, schema):
                found = dict(zip(table.column_names, table.columns, strict=True))
                columns = {
                    field.name: found[field.name]
                    if field.name in found
                    else pa.nulls(table.num_rows, field.type)
                    for field in schema
                }
                yield fit_table(pa.table(columns), schema, self.file.name, done)


def open_json_lines(file: File, told: Reading) -> JsonLinesFile:
    """Go through a file of JSON lines for the names in it and the types of their values."""
    encoding = check_encoding(told.encoding or "utf-8")
    found: dict[str, tuple[pa.DataType, ...]] = {}
    with reading(file):
        for table, done in _tables(file, encoding, None):
            for field in table.schema:
                candidates = _candidates(field.type)
                agreed = agree(found[field.name], candidates) if field.name in found else candidates
                if not agreed:
                    raise DataError(
                        f"{file.name}: column {field.name!r} has values of the type {field.type} "
                        f"from row {done + 1} on, but {found[field.name][0]} before it; make them "
                        "the same"
                    )
                found[field.name] = agreed
    if not found:
        raise DataError(f"{file.name}: the file is empty")
    return JsonLinesFile(file, encoding, found)


def _candidates(type: pa.DataType) -> tuple[pa.DataType, ...]:
    if pa.types.is_timestamp(type):  # Arrow takes text for times where it can.
        return (type, pa.string())
    return _WIDEN.get(type, (type,))


def _tables(file: File, encoding: str, schema: pa.Schema | None) -> Iterator[tuple[pa.Table, int]]:
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
            table = _parse(text, schema, file.name, done)
            yield table, done
            done += table.num_rows


def _pieces(block: bytes, lines: int) -> Iterator[bytes]:
    """Return a block in pieces of so many lines, without blank ones: every row has all columns."""
    full = [line for line in block.splitlines(keepends=True) if not line.isspace()]
    for start in range(0, len(full), lines):
        yield b"".join(full[start : start + lines])


def _parse(text: bytes, schema: pa.Schema | None, name: str, done: int) -> pa.Table:
    """Parse lines; types are asked for where Arrow would read text as something else."""
    if nesting_depth(text) > _DEEPEST:
        raise DataError(
            f"{name}: at or after row {done + 1} a value is nested deeper than {_DEEPEST}"
        )
    asked = [f for f in schema or () if pa.types.is_string(f.type) or pa.types.is_timestamp(f.type)]
    # Rows are counted rightly only where all is one block.
    whole = len(text) + 1
    ways = [(pa.schema(asked), whole)] if asked else []
    for explicit, block_size in [*ways, (None, whole)]:
        try:
            table = pa_json.read_json(
                pa.BufferReader(text),
                read_options=pa_json.ReadOptions(block_size=block_size),
                parse_options=pa_json.ParseOptions(explicit_schema=explicit),
            )
            table.validate(full=True)
        except pa.ArrowInvalid as error:
            complaint = str(error)
        else:
            lines = text.count(b"\n")
            if table.num_rows == lines:
                return table
            complaint = (
                f"lines and objects are not one to one ({lines} and {table.num_rows}) somewhere "
                f"from row {done + 1} on"
            )
    if found := re.search(r"(?:JSON parse error: )?(.*) in row (\d+)", complaint, re.DOTALL):
        reason, row = found.groups()
        reason = _CHANGED.sub(r"\1 has a value of the type \3 where rows before have \2", reason)
        complaint = f"row {done + int(row) + 1} (the first row of data is 1): {reason}"
    raise DataError(f'{name}: {complaint}; each line is to be one JSON object, such as {{"a": 1}}')


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
