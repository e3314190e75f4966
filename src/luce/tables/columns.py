"""Which columns of a table can be features, of which kind, and why the others cannot."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables.category import RARE_BELOW
from luce.tables.datetimes import moments
from luce.tables.embedding import is_vector, lengths_differ, missing_vectors
from luce.tables.runs import columns_of_run, find_runs
from luce.tables.values import (
    ColumnBlock,
    ColumnBlocks,
    column_block,
    is_moment,
    is_text,
    is_usable,
    levels,
    listing,
    numbers,
    quoted,
    truths,
)

ColumnKind = Literal["numeric", "boolean", "category", "datetime", "text", "embedding"]

FEWEST_ROWS_FOR_IDENTIFIERS = 20
"""In a smaller table, values that are all different say nothing: no column is left out for it."""

FEWEST_WORDS_OF_TEXT = 3
"""Values that differ in most rows are text if they have so many words on average."""

MOST_UNLIKE = 100
"""Columns are numbers of one vector only if no standard deviation is so many times another."""

NO_VALUE = "every value is missing"

READ_AS: Mapping[ColumnKind, pa.DataType] = {
    "numeric": pa.float64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
    "datetime": pa.string(),
    "text": pa.string(),
}
"""What `open_table` is to read as; a column of vectors has the type that it has."""


@dataclass(frozen=True)
class ColumnSummary:
    """What is known of one column before training.

    Attributes
    ----------
    name
        The column's name; of a run of columns that make one vector, "e0..e767".
    kind
        How it is used, or would be; None where its type cannot be used.
    type
        Its Arrow type, as text; of a run, that of its first column.
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
    table: pa.Table,
    names: Sequence[str],
    *,
    kinds: Mapping[str, str] | None = None,
    rows: NDArray[np.bool_] | None = None,
) -> tuple[ColumnSummary, ...]:
    """Decide which of a table's columns become features, of which kind, and say why.

    Without a word from the user integers, floats and decimals are numeric, truths are boolean,
    dates and timestamps are datetime, lists of numbers that all have one length and maps from
    integers to numbers are embeddings, and so is a run of at least 64 floating-point columns that
    are named alike but for their numbers, which go up from 0 or 1, without a missing value and of
    like standard deviations, none 100 times another: e0 to e767 is one entry, "e0..e767". Strings
    are text where most of them differ and they have three words or more on average; other strings,
    and dictionaries, are categories. Left out, with the reason, are columns

    - of a type that cannot be used, or with no value at all;
    - with one value, the same in every row;
    - of at least 20 rows that hold an identifier: integers that number the rows, in any order, or
      strings that are different wherever there is any, and no text;
    - of categories none of which has `RARE_BELOW` rows.

    Parameters
    ----------
    table
        The training rows, or a table that has them, as `open_table` gives it: in a category or
        text of any other table "NA" is a value.
    names
        The columns to describe; leave out the target. The name of a run stands for its columns.
    kinds
        Kinds that the user chose for some of these columns. A choice wins over the guess, and a
        column that was given a kind is never taken for an identifier. The name of a run with the
        kind "embedding" makes it one, of any numbers; with another kind, all its columns have it. A
        kind for one of its columns leaves no run.
    rows
        (table.num_rows,): which of the table's rows to look at; by default all.

    Returns
    -------
    tuple of ColumnSummary
        One for each of `names`, in their order; for a run one where its first column is.

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
    types = dict(zip(table.column_names, table.schema.types, strict=True))
    columns = [column for name in names for column in table_columns(name, types)]
    chosen, runs = _chosen_kinds(_checked_kinds(kinds or {}), columns, types)
    vectors = {column for members in runs.values() for column in members}
    free = (name for name in columns if name not in chosen and name not in vectors)
    floating = (name for name in free if pa.types.is_floating(types.get(name, pa.null())))
    runs |= {
        name: run
        for name, run in find_runs(floating).items()
        if name not in types and _look_like_a_vector(ColumnBlocks(table, run, rows))
    }
    run_of = {column: name for name, members in runs.items() for column in members}

    described: dict[str, ColumnSummary] = {}
    for column in columns:
        name = run_of.get(column, column)
        if name in described:
            continue
        if name in runs:
            described[name] = _describe_vectors(name, ColumnBlocks(table, runs[name], rows))
        else:
            block = column_block(table, column, rows=rows)
            described[name] = _describe(block, chosen.get(column))
    return tuple(described.values())


def types_of_kinds(kinds: Mapping[str, str]) -> dict[str, pa.DataType]:
    """Return the Arrow types that `open_table` is to read columns of these kinds as.

    Numbers are read as float64, whether a file spells them 2007 or 2007.5; categories as they are
    spelt, so that 007 stays "007" and the "1.0" of a CSV file is no "1"; so are text and dates.
    Columns of vectors have the type that they have; those of a run are numbers.

    Parameters
    ----------
    kinds
        For each column's or run's name "numeric", "boolean", "category", "datetime", "text" or
        "embedding".

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
    types: dict[str, pa.DataType] = {}
    for name, kind in _checked_kinds(kinds).items():
        run = columns_of_run(name)
        if kind != "embedding":
            types |= dict.fromkeys((name, *run), READ_AS[kind])
        else:
            types |= dict.fromkeys(run, pa.float64())
    return types


def table_columns(name: str, present: Container[str]) -> tuple[str, ...]:
    """Return which of the columns present a name stands for: itself, or those of a run."""
    return (name,) if name in present else columns_of_run(name) or (name,)


def _checked_kinds(kinds: Mapping[str, str]) -> dict[str, ColumnKind]:
    choices: tuple[ColumnKind, ...] = get_args(ColumnKind)
    checked = {name: choice for name, kind in kinds.items() for choice in choices if choice == kind}
    for name in kinds.keys() - checked.keys():
        raise DataError(
            f"column {quoted(name)}: there is no kind {quoted(kinds[name])}; the kinds are "
            f"{listing(choices)}"
        )
    return checked


def _chosen_kinds(
    kinds: Mapping[str, ColumnKind], columns: Sequence[str], present: Container[str]
) -> tuple[dict[str, ColumnKind], dict[str, tuple[str, ...]]]:
    """Kinds given to columns, by themselves or by their run; and the runs that are vectors."""
    described = set(columns)
    own: dict[str, ColumnKind] = {}
    shared: dict[str, ColumnKind] = {}
    vectors: dict[str, tuple[str, ...]] = {}
    for name, kind in kinds.items():
        members = table_columns(name, present)
        if not described.issuperset(members):
            raise DataError(
                f"a kind is given for {quoted(name)}, not among the columns {listing(columns)}"
            )
        if members == (name,):
            own[name] = kind
        elif kind == "embedding":
            vectors[name] = members
        else:
            shared |= dict.fromkeys(members, kind)
    chosen = shared | own
    for name, members in vectors.items():
        if twice := [member for member in members if member in chosen]:
            raise DataError(
                f"column {quoted(twice[0])} is a part of the embedding {quoted(name)} and has a "
                "kind of its own: give one of them"
            )
    return chosen, vectors


def _describe(block: ColumnBlock, chosen: ColumnKind | None) -> ColumnSummary:
    type = block.values.type
    kind = chosen or _guess(type)
    match kind:
        case "numeric":
            return _describe_numbers(block, kind, numbers(block), chosen)
        case "boolean":
            return _describe_numbers(block, kind, truths(block), chosen)
        case "text":
            return _describe_text(block)
        case "category":
            return _describe_strings(block, chosen)
        case "datetime":
            return _describe_moments(block)
        case "embedding":
            reason = lengths_differ(block) if chosen is None else None
            return _describe_vectors(block.name, [block], reason)
        case None:
            missing = block.values.null_count
            reason = f"the type {type} cannot be used"
            return ColumnSummary(block.name, None, str(type), missing, None, reason)


def _describe_numbers(
    block: ColumnBlock, kind: ColumnKind, values: NDArray[np.float64], chosen: ColumnKind | None
) -> ColumnSummary:
    present = values[~np.isnan(values)]
    missing = len(values) - len(present)
    reason: str | None = None
    if not len(present):
        reason = NO_VALUE
    elif not missing and present.min() == present.max():
        reason = f"every value is {present[0]:g}"
    elif chosen is None and _numbers_rows(block.values):
        reason = "the values number the rows"
    return ColumnSummary(block.name, kind, str(block.values.type), missing, None, reason)


def _describe_strings(block: ColumnBlock, chosen: ColumnKind | None) -> ColumnSummary:
    values = levels(block)
    counted = pc.value_counts(values.drop_null())
    distinct, most = len(counted), pc.max(counted.field("counts")).as_py() or 0
    missing = values.null_count
    present = len(values) - missing
    if chosen is None and _is_prose(block, values, distinct):
        return _describe_text(block)
    reason: str | None = None
    if not present:
        reason = NO_VALUE
    elif most == len(values):
        reason = f"every value is {quoted(values[0].as_py())}"
    elif chosen is None and distinct == present and len(values) >= FEWEST_ROWS_FOR_IDENTIFIERS:
        reason = _spoilt_numbers(values, block) or "every value is different, as in an identifier"
    elif most < RARE_BELOW:
        reason = _spoilt_numbers(values, block) or f"no level has {RARE_BELOW} rows or more"
    return ColumnSummary(block.name, "category", str(block.values.type), missing, distinct, reason)


def _describe_text(block: ColumnBlock) -> ColumnSummary:
    """As `_describe_strings` does, without a copy of all texts to count them."""
    values = levels(block)
    extremes = pc.min_max(values).as_py()
    reason: str | None = None
    if values.null_count == len(values):
        reason = NO_VALUE
    elif not values.null_count and extremes["min"] == extremes["max"]:
        reason = f"every value is {quoted(extremes['min'])}"
    type = str(block.values.type)
    return ColumnSummary(block.name, "text", type, values.null_count, None, reason)


def _describe_moments(block: ColumnBlock) -> ColumnSummary:
    values, missing = moments(block)
    present = values[~missing]
    reason: str | None = None
    if not len(present):
        reason = NO_VALUE
    elif len(present) == len(values) and present.min() == present.max():
        reason = f"every value is {present[0].astype('datetime64[us]')}"
    type = str(block.values.type)
    return ColumnSummary(block.name, "datetime", type, int(missing.sum()), None, reason)


def _describe_vectors(
    name: str, blocks: Sequence[ColumnBlock], reason: str | None = None
) -> ColumnSummary:
    missing = missing_vectors(name, blocks)
    type = str(blocks[0].values.type)
    reason = NO_VALUE if missing.all() else reason
    return ColumnSummary(name, "embedding", type, int(missing.sum()), None, reason)


def _look_like_a_vector(blocks: Sequence[ColumnBlock]) -> bool:
    """Whether no number is missing, and all columns are of about one scale, as in an embedding."""
    scales = []
    for block in blocks:
        values = numbers(block)
        if not len(values) or np.isnan(values).any():
            return False
        with np.errstate(over="ignore", invalid="ignore"):
            scales.append(values.std())
    return bool(0 < max(scales) <= MOST_UNLIKE * min(scales))


def _spoilt_numbers(values: pa.ChunkedArray, block: ColumnBlock) -> str | None:
    """What to do about text of which most, but not all, are numbers; None for other text."""
    numeric = pc.match_substring_regex(values, r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$")
    present = len(values) - values.null_count
    count = pc.sum(numeric).as_py()
    if count == present or 2 * count < present:
        return None
    row = pc.index(numeric, value=False).as_py()
    return (
        f"{count} of {present} values are numbers, but row {block.row_number(row)} has "
        f"{quoted(values[row].as_py())}: correct it, or leave it empty"
    )


def _guess(type: pa.DataType) -> ColumnKind | None:
    if is_moment(type):
        return "datetime"
    if is_vector(type):
        return "embedding"
    if not is_usable(type):
        return None
    if is_text(type) or pa.types.is_dictionary(type) or pa.types.is_null(type):
        return "category"
    return "boolean" if pa.types.is_boolean(type) else "numeric"


def _is_prose(block: ColumnBlock, values: pa.ChunkedArray, distinct: int) -> bool:
    """Whether most values differ, and have several words."""
    present = len(values) - values.null_count
    if not is_text(block.values.type) or len(values) < FEWEST_ROWS_FOR_IDENTIFIERS:
        return False
    if 2 * distinct <= present:
        return False
    words = pc.sum(pc.count_substring_regex(values, r"\S+")).as_py()
    return bool(words >= FEWEST_WORDS_OF_TEXT * present)


def _numbers_rows(values: pa.ChunkedArray) -> bool:
    """Whether these are n consecutive integers, each of them once, in any order."""
    rows = len(values)
    if rows < FEWEST_ROWS_FOR_IDENTIFIERS or not pa.types.is_integer(values.type):
        return False
    extremes = pc.min_max(values).as_py()
    if extremes["min"] is None or extremes["max"] - extremes["min"] != rows - 1:
        return False
    return bool(pc.count_distinct(values, mode="all").as_py() == rows)
