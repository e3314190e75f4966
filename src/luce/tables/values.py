"""An Arrow column's values as numbers, truths or text, whatever type they are stored in.

The one place that says what counts as missing and how each Arrow type is read; everything else in
`luce.tables` works on what these functions return.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luce.errors import DataError

MISSING_MARKERS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""Text that means "missing" in a CSV file, quoted or not, and where text is read as numbers.

Exactly these spellings. The text columns of a Parquet file or a dataframe have a missing value of
their own, so there the text "NA" stays the text "NA".
"""

_NOUNS = {pa.float64(): "a number", pa.bool_(): "true or false"}


@dataclass(frozen=True)
class ColumnBlock:
    """Consecutive rows of one column, and where they stand in the table."""

    name: str
    values: pa.ChunkedArray
    first_row: int = 0

    def at(self, row: int) -> str:
        """Where the block's `row` is found, as error messages say it."""
        return f"column {self.name!r}, row {self.first_row + row + 1} (the first row of data is 1)"


def column_block(table: pa.Table, name: str, first_row: int = 0) -> ColumnBlock:
    """Return the table's column of that name.

    Raises
    ------
    DataError
        The table has no such column, or more than one.
    """
    places = table.schema.get_all_field_indices(name)
    if not places:
        raise DataError(
            f"the table has no column {name!r}; its columns are {listing(table.column_names)}"
        )
    if len(places) > 1:
        raise DataError(f"the table has {len(places)} columns {name!r}: rename all but one")
    return ColumnBlock(name, table.column(places[0]), first_row)


def is_usable(type: pa.DataType) -> bool:
    """Whether a column of this Arrow type can be read as numbers, truths or text."""
    if pa.types.is_dictionary(type):
        return is_usable(type.value_type)
    return is_text(type) or any(
        test(type)
        for test in (
            pa.types.is_boolean,
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_decimal,
            pa.types.is_null,
        )
    )


def is_text(type: pa.DataType) -> bool:
    """Whether a column of this Arrow type holds text, in any of Arrow's layouts."""
    return any(
        test(type)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )


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
    truths become "true" and "false".

    Raises
    ------
    DataError
        The column's type is not usable.
    """
    plain = _plain(block)
    if pa.types.is_floating(plain.type):
        plain = pc.if_else(pc.is_nan(plain), pa.scalar(None, plain.type), plain)
    return plain.cast(pa.large_string())


def first_failure(values: pa.ChunkedArray, type: pa.DataType) -> int:
    """Return the first row that does not cast to `type`, of values that do not all cast."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            values[low:middle].cast(type)
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low


def listing(names: Iterable[str], at_most: int = 20) -> str:
    """Return names for an error message: quoted, the first `at_most` of them."""
    rest = iter(names)
    shown = ", ".join(repr(name) for name in islice(rest, at_most))
    hidden = sum(1 for _ in rest)
    return f"{shown} and {hidden} more" if hidden else shown


def _plain(block: ColumnBlock) -> pa.ChunkedArray:
    """Return the values without dictionary and, if text, as large_string."""
    type = block.values.type
    if not is_usable(type):
        raise DataError(f"column {block.name!r} has the type {type}, which cannot be used yet")
    if is_text(type):
        return block.values.cast(pa.large_string())
    if pa.types.is_float16(type):  # Most of Arrow's functions know no halves.
        return block.values.cast(pa.float32())
    if not pa.types.is_dictionary(type):
        return block.values
    value_type = pa.large_string() if is_text(type.value_type) else type.value_type
    # Arrow casts no dictionary of string_view: the dictionary's own values are cast instead.
    decoded = [
        chunk.dictionary.cast(value_type).take(chunk.indices) for chunk in block.values.chunks
    ]
    return pa.chunked_array(decoded, value_type)


def _parse(text: pa.ChunkedArray, block: ColumnBlock, type: pa.DataType) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(text)
    markers = pa.array(MISSING_MARKERS, text.type)
    text = pc.if_else(pc.is_in(text, value_set=markers), pa.scalar(None, text.type), text)
    try:
        return text.cast(type)
    except pa.ArrowInvalid:
        row = first_failure(text, type)
        raise DataError(
            f"{block.at(row)}: {text[row].as_py()!r} is not {_NOUNS[type]}; "
            "correct it, leave it empty, or use the column as a category"
        ) from None
