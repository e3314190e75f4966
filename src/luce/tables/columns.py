"""Which columns of a table can be features, of which kind, and why the others cannot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from luce.errors import DataError
from luce.tables.category import RARE_BELOW, count_levels
from luce.tables.values import (
    ColumnBlock,
    column_block,
    is_text,
    is_usable,
    levels,
    listing,
    numbers,
    truths,
)

ColumnKind = Literal["numeric", "boolean", "category"]

FEWEST_ROWS_FOR_IDENTIFIERS = 20
"""In a smaller table, values that are all different say nothing: no column is left out for it."""

_READ_AS: Mapping[ColumnKind, pa.DataType] = {
    "numeric": pa.float64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
}


@dataclass(frozen=True)
class ColumnSummary:
    """What is known of one column before training.

    Attributes
    ----------
    name
        The column's name.
    kind
        How it is used, or would be; None where its type cannot be used.
    type
        Its Arrow type, as text.
    missing
        How many of its values are missing.
    levels
        How many distinct levels a category has; None for the other kinds.
    left_out
        Why it is not used, in plain words; None where it is used.

    Examples
    --------
    >>> (summary,) = describe_columns(pa.table({"mass": [3750, None, 4300]}), ["mass"])
    >>> summary.kind, summary.missing, summary.left_out
    ('numeric', 1, None)
    """

    name: str
    kind: ColumnKind | None
    type: str
    missing: int
    levels: int | None
    left_out: str | None


def describe_columns(
    table: pa.Table, names: Sequence[str], *, kinds: Mapping[str, str] | None = None
) -> tuple[ColumnSummary, ...]:
    """Decide which of a table's columns become features, of which kind, and say why.

    Without a word from the user integers, floats and decimals are numeric, truths are boolean, and
    text and dictionaries are categories. Left out, with the reason, are columns

    - of a type that cannot be used yet, or with no value at all;
    - with one value, the same in every row;
    - of at least 20 rows that hold an identifier: integers that number the rows, in any order, or
      text that is different wherever there is any;
    - of categories none of which has `RARE_BELOW` rows.

    Parameters
    ----------
    table
        The training rows.
    names
        The columns to describe; leave out the target.
    kinds
        Kinds that the user chose for some of these columns. A choice wins over the guess, and a
        column that was given a kind is never taken for an identifier.

    Returns
    -------
    tuple of ColumnSummary
        One for each of `names`, in their order.

    Raises
    ------
    DataError
        A name is not among the table's columns; `kinds` has an unknown kind or column; a value
        cannot be read as the kind that was chosen, or is infinite (row and value are named).

    Examples
    --------
    >>> table = pa.table({"mass": [3750, None, 4300], "when": [None, None, None]})
    >>> for column in describe_columns(table, ["mass", "when"]):
    ...     print(column.name, column.kind, column.missing, column.left_out)
    mass numeric 1 None
    when category 3 every value is missing
    """
    kinds = _checked_kinds(kinds or {})
    unknown = [name for name in kinds if name not in names]
    if unknown:
        raise DataError(
            f"a kind is given for {listing(unknown)}, not among the columns {listing(names)}"
        )
    return tuple(_describe(column_block(table, name), kinds.get(name)) for name in names)


def types_of_kinds(kinds: Mapping[str, str]) -> dict[str, pa.DataType]:
    """Return the Arrow types that `read_table` is to read columns of these kinds as.

    Numbers are read as float64, whether a file spells them 2007 or 2007.5; categories as they are
    spelt, so that 007 stays "007".

    Parameters
    ----------
    kinds
        For each column's name "numeric", "boolean" or "category".

    Returns
    -------
    dict of str to pyarrow.DataType

    Raises
    ------
    DataError
        A kind is unknown.

    Examples
    --------
    >>> types_of_kinds({"year": "category"})
    {'year': DataType(string)}
    """
    return {name: _READ_AS[kind] for name, kind in _checked_kinds(kinds).items()}


def _checked_kinds(kinds: Mapping[str, str]) -> dict[str, ColumnKind]:
    choices: tuple[ColumnKind, ...] = get_args(ColumnKind)
    checked = {name: choice for name, kind in kinds.items() for choice in choices if choice == kind}
    for name in kinds.keys() - checked.keys():
        raise DataError(
            f"column {name!r}: there is no kind {kinds[name]!r}; the kinds are {listing(choices)}"
        )
    return checked


def _describe(block: ColumnBlock, chosen: ColumnKind | None) -> ColumnSummary:
    type = block.values.type
    reason: str | None = None
    if chosen is None and not is_usable(type):
        reason = f"the type {type} cannot be used yet"
        return ColumnSummary(block.name, None, str(type), block.values.null_count, None, reason)
    kind = chosen or _guess(type)
    if kind == "category":
        return _describe_category(block, chosen)
    values = numbers(block) if kind == "numeric" else truths(block)
    present = values[~np.isnan(values)]
    missing = len(values) - len(present)
    if not len(present):
        reason = "every value is missing"
    elif not missing and present.min() == present.max():
        reason = f"every value is {present[0]:g}"
    elif chosen is None and _numbers_rows(block.values):
        reason = "the values number the rows"
    return ColumnSummary(block.name, kind, str(type), missing, None, reason)


def _describe_category(block: ColumnBlock, chosen: ColumnKind | None) -> ColumnSummary:
    values = levels(block)
    distinct, counts = count_levels(values)
    present = len(values) - values.null_count
    reason: str | None = None
    if not present:
        reason = "every value is missing"
    elif counts[0] == len(values):
        reason = f"every value is {distinct[0].as_py()!r}"
    elif chosen is None and len(distinct) == present and len(values) >= FEWEST_ROWS_FOR_IDENTIFIERS:
        reason = _spoilt_numbers(values) or "every value is different, as in an identifier"
    elif counts[0] < RARE_BELOW:
        reason = _spoilt_numbers(values) or f"no level has {RARE_BELOW} rows or more"
    type = str(block.values.type)
    return ColumnSummary(block.name, "category", type, values.null_count, len(distinct), reason)


def _spoilt_numbers(values: pa.ChunkedArray) -> str | None:
    """What to do about text of which most, but not all, are numbers; None for other text."""
    numeric = pc.match_substring_regex(values, r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$")
    present = len(values) - values.null_count
    count = pc.sum(numeric).as_py()
    if count == present or 2 * count < present:
        return None
    row = pc.index(numeric, value=False).as_py()
    return (
        f"{count} of {present} values are numbers, but row {row + 1} has {values[row].as_py()!r}: "
        "correct it, or leave it empty"
    )


def _guess(type: pa.DataType) -> ColumnKind:
    if is_text(type) or pa.types.is_dictionary(type) or pa.types.is_null(type):
        return "category"
    return "boolean" if pa.types.is_boolean(type) else "numeric"


def _numbers_rows(values: pa.ChunkedArray) -> bool:
    """Whether these are n consecutive integers, each of them once, in any order."""
    rows = len(values)
    if rows < FEWEST_ROWS_FOR_IDENTIFIERS or not pa.types.is_integer(values.type):
        return False
    extremes = pc.min_max(values).as_py()
    if extremes["min"] is None or extremes["max"] - extremes["min"] != rows - 1:
        return False
    return bool(pc.count_distinct(values, mode="all").as_py() == rows)
