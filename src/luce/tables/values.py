"""An Arrow column's values as numbers, truths or text, whatever type they are stored in.

The one place that says what counts as missing and how each Arrow type is read; everything else in
`luce.tables` works on what these functions return.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luce.errors import DataError

MISSING_MARKERS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""Text that means "missing" in a column of any kind, wherever the column comes from.

Exactly these spellings, blanks around them aside. `open_table` gives missing values in their
place: from CSV, quoted or not, and JSON lines, and also from Parquet, Arrow and dataframes, which
have missing values of their own. So the country code NA (Namibia), and people whose name is None or
NULL, are lost: spell them otherwise (NAM, none) where they are values.
"""

BLANKS = " \t\xa0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""White space of Unicode that does not end a line; around a value it is no part of it."""

LARGEST_EXACT = 2.0**53
"""Up to here float64 has every integer."""

MOST_FEATURES = 2**24
"""A vector's largest index is below this: a single number must not ask for all memory."""

PIECE_ROWS = 65_536
"""Rows that are gone through together where a whole column at once would take too much memory."""

_MAY_BE_BLANK = np.isin(np.arange(256), (*range(ord(" ") + 1), *range(0x80, 0x100)))
_NOUNS = {pa.float64(): "a number", pa.bool_(): "true or false"}
_LONGEST_MARKER = max(map(len, MISSING_MARKERS))
_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class ColumnBlock:
    """Some rows of one column, and where they stand in the table.

    They are the table's rows from `first_row` on; or, of these, the ones at `places`.
    """

    name: str
    values: pa.ChunkedArray
    first_row: int = 0
    places: NDArray[np.int64] | None = None

    def at(self, row: int) -> str:
        """Where the block's `row` is found, as error messages say it."""
        where = f"row {self.row_number(row)} (the first row of data is 1)"
        return f"column {quoted(self.name)}, {where}"

    def row_number(self, row: int) -> int:
        """The block's `row` as people count the table's, from 1."""
        return int(self.first_row + (row if self.places is None else self.places[row]) + 1)

    def slice(self, first: int, rows: int) -> "ColumnBlock":
        """At most `rows` consecutive rows of the block, without copying them."""
        values = self.values.slice(first, rows)
        if self.places is None:
            return ColumnBlock(self.name, values, self.first_row + first)
        return ColumnBlock(self.name, values, self.first_row, self.places[first : first + rows])

    def pieces(self) -> Iterator["ColumnBlock"]:
        """The whole block, `PIECE_ROWS` rows at a time."""
        for first in range(0, len(self.values), PIECE_ROWS):
            yield self.slice(first, PIECE_ROWS)


def column_block(
    table: pa.Table, name: str, first_row: int = 0, *, rows: NDArray[np.bool_] | None = None
) -> ColumnBlock:
    """Return the table's column of that name, or those of its rows where `rows` is true.

    Raises
    ------
    DataError
        The table has no such column, or more than one.
    """
    places = table.schema.get_all_field_indices(name)
    if not places:
        raise DataError(
            f"the table has no column {quoted(name)}; its columns are {listing(table.column_names)}"
        )
    if len(places) > 1:
        raise DataError(f"the table has {len(places)} columns {quoted(name)}: rename all but one")
    values = table.column(places[0])
    if rows is None:
        return ColumnBlock(name, values, first_row)
    return ColumnBlock(name, values.filter(pa.array(rows)), first_row, np.flatnonzero(rows))


@dataclass(frozen=True)
class ColumnBlocks(Sequence[ColumnBlock]):
    """Columns of a table, as `column_block` returns them: each when it is asked for, and not kept.

    So the chosen rows of a table are copied a column at a time.
    """

    table: pa.Table
    names: Sequence[str]
    rows: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> ColumnBlock: ...
    @overload
    def __getitem__(self, place: slice) -> "ColumnBlocks": ...
    def __getitem__(self, place: int | slice) -> "ColumnBlock | ColumnBlocks":
        if isinstance(place, slice):
            return ColumnBlocks(self.table, self.names[place], self.rows)
        return column_block(self.table, self.names[place], rows=self.rows)


def is_usable(type: pa.DataType) -> bool:
    """Whether a column of this Arrow type can be read as numbers and truths."""
    if pa.types.is_dictionary(type):
        return is_usable(type.value_type)
    return bool(
        is_text(type)
        or pa.types.is_boolean(type)
        or pa.types.is_integer(type)
        or pa.types.is_floating(type)
        or pa.types.is_decimal(type)
        or pa.types.is_null(type)
    )


def is_text(type: pa.DataType) -> bool:
    """Whether a column of this Arrow type holds text, in any of Arrow's layouts."""
    return bool(
        pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)
    )


def is_moment(type: pa.DataType) -> bool:
    """Whether a column of this Arrow type holds dates, with or without the time of day."""
    return bool(pa.types.is_date(type) or pa.types.is_timestamp(type))


def numbers(block: ColumnBlock) -> NDArray[np.float64]:
    """Return the block's values as float64, (rows,), NaN where missing.

    Integers beyond 2**53 and decimals are rounded. Text is parsed, without its surrounding blanks
    and with `MISSING_MARKERS` as missing.

    Raises
    ------
    DataError
        A value is infinite, a text is not a number (row and value are named), or the column's type
        is not usable.
    """
    plain = _plain(block)
    if is_text(plain.type):
        plain = _parse(plain, block, pa.float64())
    values: NDArray[np.float64] = plain.cast(pa.float64(), safe=False).to_numpy()
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            f"{block.at(int(infinite.argmax()))}: the value is infinite; "
            "leave it empty if it is unknown"
        )
    return values


def truths(block: ColumnBlock) -> NDArray[np.float64]:
    """Return the block's values as float64, (rows,): 1 for true, 0 for false, NaN where missing.

    Text may be true, false, 1 or 0 in any case; numbers may be 1 or 0.

    Raises
    ------
    DataError
        A value is neither true nor false (row and value are named), or the column's type is not
        usable.
    """
    plain = _plain(block)
    if is_text(plain.type):
        plain = _parse(plain, block, pa.bool_())
    values: NDArray[np.float64] = plain.cast(pa.float64(), safe=False).to_numpy()
    wrong = ~((values == 0) | (values == 1) | np.isnan(values))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{block.at(row)}: {values[row]:g} is neither 1 (true) nor 0 (false)")
    return values


def levels(block: ColumnBlock) -> pa.ChunkedArray:
    """Return the block's values as large_string, (rows,), null where missing.

    Numbers become their shortest text, so the integer 2007 and the float 2007.0 are both "2007";
    truths become "true" and "false", dates and times what ISO 8601 makes of them.

    Raises
    ------
    DataError
        The column's type is not usable.
    """
    plain = _plain(block, moments=True)
    if not pa.types.is_floating(plain.type):
        return plain.cast(pa.large_string())
    # Arrow spells the float 1e10 otherwise than the integer.
    plain = plain.cast(pa.float64())
    whole = pc.and_(pc.equal(pc.floor(plain), plain), pc.less(pc.abs(plain), LARGEST_EXACT))
    integers = pc.if_else(whole, plain, pa.scalar(None, plain.type)).cast(pa.int64())
    return pc.coalesce(integers.cast(pa.large_string()), texts(block))


def texts(block: ColumnBlock) -> pa.ChunkedArray:
    """Return what `levels` does, but whole floats from 1e10 on as Arrow spells them: "1e+10"."""
    plain = _plain(block, moments=True)
    if pa.types.is_floating(plain.type):
        plain = pc.if_else(pc.is_nan(plain), pa.scalar(None, plain.type), plain)
    return plain.cast(pa.large_string())


def without_markers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text without blanks around it, and null for `MISSING_MARKERS`; all else as it is.

    Text may be string, large_string, or a dictionary of these; what is clean is not copied.
    """
    type = values.type
    if pa.types.is_dictionary(type) and is_text(type.value_type):
        return pa.chunked_array([_recoded(chunk) for chunk in values.chunks], type)
    if not is_text(type):
        return values
    return pa.chunked_array([_with_nulls(_trimmed(chunk)) for chunk in values.chunks], type)


def may_have_blanks(text: pa.Array) -> bool:
    """Whether a value of a string array may begin or end with a blank: sure if it says no."""
    if not len(text) or text.buffers()[2] is None:
        return False
    width = np.dtype(np.int64 if pa.types.is_large_string(text.type) else np.int32)
    every: NDArray[np.signedinteger] = np.frombuffer(text.buffers()[1], width)
    offsets = every[text.offset : text.offset + len(text) + 1]
    characters = np.frombuffer(text.buffers()[2], np.uint8)
    if not len(characters):
        return False
    # An empty value looks at its neighbour's.
    first = np.take(characters, offsets[:-1], mode="clip")
    last = np.take(characters, offsets[1:] - 1, mode="clip")
    return any(_MAY_BE_BLANK.take(edge).any() for edge in (first, last))


def _trimmed(text: pa.Array) -> pa.Array:
    return pc.utf8_trim(text, BLANKS) if may_have_blanks(text) else text


def _with_nulls(text: pa.Array) -> pa.Array:
    shortest = pc.min(pc.binary_length(text)).as_py()
    if shortest is None or shortest > _LONGEST_MARKER:
        return text
    missing = _are_markers(text)
    return pc.if_else(missing, pa.scalar(None, text.type), text) if missing.true_count else text


def _recoded(chunk: pa.DictionaryArray) -> pa.DictionaryArray:
    known, indices = chunk.dictionary, chunk.indices
    if len(known) > len(chunk):
        used = indices.unique().drop_null()
        known, indices = known.take(used), pc.index_in(indices, used)
    text = _trimmed(known)
    missing = pc.or_(_are_markers(text), text.is_null())
    if text is known and not missing.true_count:
        return chunk
    codes = np.arange(len(text)).astype(chunk.indices.type.to_pandas_dtype())
    kept = pa.array(codes, mask=missing.to_numpy(zero_copy_only=False))
    return pa.DictionaryArray.from_arrays(kept.take(indices), text, ordered=chunk.type.ordered)


def _are_markers(text: pa.Array) -> pa.BooleanArray:
    return pc.is_in(text, value_set=pa.array(MISSING_MARKERS, text.type))


def first_bad(count: int, fit: Callable[[int, int], bool]) -> int:
    """Return the first of so many rows that does not fit, `count` if all do.

    `fit(start, stop)` says whether these rows all do; it is asked about a logarithm of `count`.
    """
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if fit(low, middle + 1):
            low = middle + 1
        else:
            high = middle
    return low


def casts(values: pa.ChunkedArray, type: pa.DataType) -> Callable[[int, int], bool]:
    """Return what `first_bad` asks for: whether some of the values cast to a type."""

    def fit(start: int, stop: int) -> bool:
        try:
            values[start:stop].cast(type)
        except pa.ArrowInvalid:
            return False
        return True

    return fit


def shortened(text: str) -> str:
    """Return a text for a message: its beginning, if it is long."""
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}... ({len(text):,} characters)"


def quoted(value: object) -> str:
    """Return a value for a message on one line, in quotes if it is text: its beginning, if long."""
    if not isinstance(value, str) or len(value) <= _SHOWN:
        return repr(value)
    return f"{value[:_SHOWN]!r}... ({len(value):,} characters)"


def listing(names: Iterable[str], at_most: int = 20) -> str:
    """Return names for an error message: quoted, the first `at_most` of them."""
    rest = iter(names)
    shown = ", ".join(quoted(name) for name in islice(rest, at_most))
    hidden = sum(1 for _ in rest)
    return f"{shown} and {hidden} more" if hidden else shown


def _plain(block: ColumnBlock, *, moments: bool = False) -> pa.ChunkedArray:
    """Return the values without dictionary and, if text, as large_string."""
    type = block.values.type
    if not (is_usable(type) or (moments and is_moment(type))):
        raise DataError(
            f"column {quoted(block.name)} has the type {type}, which cannot be used like this; "
            "choose another kind, or leave the column out"
        )
    if is_text(type):
        return block.values.cast(pa.large_string())
    if pa.types.is_float16(type):  # Most of Arrow's functions know no halves.
        return block.values.cast(pa.float32())
    if not pa.types.is_dictionary(type):
        return block.values
    return pa.chunked_array(
        [_decoded(chunk) for chunk in block.values.chunks],
        pa.large_string() if is_text(type.value_type) else type.value_type,
    )


def _decoded(chunk: pa.DictionaryArray) -> pa.Array:
    values = chunk.dictionary
    if not is_text(values.type):
        return values.take(chunk.indices)
    if pa.types.is_string_view(values.type):  # Arrow takes no rows of views.
        values = values.cast(pa.large_string())
    return values.take(chunk.indices).cast(pa.large_string())


def _parse(text: pa.ChunkedArray, block: ColumnBlock, type: pa.DataType) -> pa.ChunkedArray:
    text = without_markers(text)
    try:
        return text.cast(type)
    except pa.ArrowInvalid:
        row = first_bad(len(text), casts(text, type))
        raise DataError(
            f"{block.at(row)}: {quoted(text[row].as_py())} is not {_NOUNS[type]}; "
            "correct it, leave it empty, or use the column as a category"
        ) from None
