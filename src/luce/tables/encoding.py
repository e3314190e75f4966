"""From a table to a matrix of features, by rules that are learnt once and saved as data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables.boolean import BooleanColumn, fit_boolean, name_boolean, write_boolean
from luce.tables.category import CategoryColumn, fit_category, name_category, write_category
from luce.tables.columns import ColumnKind, ColumnSummary, types_of_kinds
from luce.tables.features import FeatureName
from luce.tables.numeric import NumericColumn, fit_numeric, name_numeric, write_numeric
from luce.tables.values import ColumnBlock, column_block

Column = NumericColumn | BooleanColumn | CategoryColumn

BLOCK_ROWS = 8192
"""Rows that are encoded together, so that their features stay in cache column after column."""

_FIT: Mapping[ColumnKind, Callable[[ColumnBlock], Column]] = {
    "numeric": fit_numeric,
    "boolean": fit_boolean,
    "category": fit_category,
}


class Encoder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a table becomes features: its columns, in the order of their features.

    Everything `encode` needs, and plain data: `msgspec.json` writes it and reads it back equal.

    Examples
    --------
    >>> encoder = Encoder((CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False),))
    >>> msgspec.json.decode(msgspec.json.encode(encoder), type=Encoder) == encoder
    True
    """

    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Encoded:
    """A table as features.

    Attributes
    ----------
    features
        (n, d), float32, C-contiguous, finite: one row for each of the table's, in its order.
    unseen
        For each category column where there are any: how many rows have a level that no training
        row had, or no value where no training row lacked one.

    Examples
    --------
    >>> encoder = Encoder((CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False),))
    >>> encode(encoder, pa.table({"sex": ["male"]})).features
    array([[0., 1.]], dtype=float32)
    """

    features: NDArray[np.float32]
    unseen: Mapping[str, int]


def fit_encoder(table: pa.Table, columns: Sequence[ColumnSummary]) -> Encoder:
    """Learn from the training rows how the columns that are not left out become features.

    - numeric: the training median where missing, then less the mean, over the population standard
      deviation; and 1 where missing, if any training value was.
    - boolean: 1 or 0, the more frequent of them where missing; and 1 where missing, likewise.
    - category: for every level with at least 5 training rows, of the 255 most frequent, 1 where
      the row has it; likewise for all other levels together, and for missing values, if any
      training row has one.

    Parameters
    ----------
    table
        The training rows.
    columns
        What `describe_columns` says of this table.

    Returns
    -------
    Encoder

    Raises
    ------
    DataError
        Every column is left out, a column is not in the table, or a value cannot be read as its
        column's kind.

    Examples
    --------
    >>> from luce.tables import describe_columns, encode, feature_names
    >>> table = pa.table({"depth": [18.7, None, 13.3], "wet": [True, False, True]})
    >>> encoder = fit_encoder(table, describe_columns(table, table.column_names))
    >>> encode(encoder, table).features.round(2)
    array([[ 1.22,  0.  ,  1.  ],
           [ 0.  ,  1.  ,  0.  ],
           [-1.22,  0.  ,  1.  ]], dtype=float32)
    >>> for feature in feature_names(encoder):
    ...     print(feature.column, feature.what, feature.unit)
    depth value per standard deviation (2.2)
    depth missing when depth is missing
    wet value when wet is true
    """
    fitted = tuple(
        _FIT[column.kind](column_block(table, column.name))
        for column in columns
        if column.kind is not None and column.left_out is None
    )
    if not fitted:
        reasons = "; ".join(f"{column.name!r}: {column.left_out}" for column in columns)
        raise DataError(f"no column can be used: {reasons or 'there is none beside the target'}")
    return Encoder(fitted)


def encode(encoder: Encoder, table: pa.Table) -> Encoded:
    """Return the features of a table's rows.

    The table needs the encoder's columns, in any order and among any others, of any type that
    their kind can be read from: a level is found by its text, whether the column holds text, a
    dictionary or numbers. A level that no training row had goes to the rare levels' feature if
    there is one and is 0 in every feature if not.

    Parameters
    ----------
    encoder
        What `fit_encoder` learnt.
    table
        Any rows, also none.

    Returns
    -------
    Encoded

    Raises
    ------
    DataError
        A column is absent or of a type that cannot be used, a value cannot be read as its column's
        kind, is infinite, or is too many standard deviations from the mean for float32. The message
        names column, row and value.

    Examples
    --------
    >>> from luce.tables import describe_columns
    >>> table = pa.table({"island": ["Dream"] * 5 + ["Biscoe"] * 5})
    >>> encoder = fit_encoder(table, describe_columns(table, ["island"]))
    >>> encode(encoder, pa.table({"island": ["Biscoe", "Atka"]}))
    Encoded(features=array([[1., 0.],
           [0., 0.]], dtype=float32), unseen={'island': 1})
    """
    widths = [len(_names(column)) for column in encoder.columns]
    ends = np.cumsum(widths).tolist()
    blocks = [column_block(table, column.name) for column in encoder.columns]
    features = np.empty((table.num_rows, sum(widths)), np.float32)
    unseen: dict[str, int] = {}
    for first in range(0, table.num_rows, BLOCK_ROWS):
        rows = features[first : first + BLOCK_ROWS]
        for column, block, width, end in zip(encoder.columns, blocks, widths, ends, strict=True):
            piece = ColumnBlock(block.name, block.values.slice(first, BLOCK_ROWS), first)
            if count := _write(column, piece, rows[:, end - width : end]):
                unseen[column.name] = unseen.get(column.name, 0) + count
    return Encoded(features, unseen)


def feature_names(encoder: Encoder) -> tuple[FeatureName, ...]:
    """Return what each of the features that `encode` returns means, (d,).

    Parameters
    ----------
    encoder
        What `fit_encoder` learnt.

    Returns
    -------
    tuple of FeatureName
        In the order of the features.

    Examples
    --------
    >>> encoder = Encoder((CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False),))
    >>> [feature.unit for feature in feature_names(encoder)]
    ['when sex = female', 'when sex = male']
    """
    return tuple(name for column in encoder.columns for name in _names(column))


def read_types(encoder: Encoder) -> dict[str, pa.DataType]:
    """Return the types that `read_table` is to read the encoder's columns of a CSV file as.

    So a column that holds 2007 in one file and 2007.5 in the next is the same column.

    Parameters
    ----------
    encoder
        What `fit_encoder` learnt.

    Returns
    -------
    dict of str to pyarrow.DataType

    Examples
    --------
    >>> encoder = Encoder((CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False),))
    >>> read_types(encoder)
    {'sex': DataType(string)}
    """
    return types_of_kinds({column.name: column.kind for column in encoder.columns})


def _write(column: Column, block: ColumnBlock, out: NDArray[np.float32]) -> int:
    """Write the block's features into `out`; return how many rows have a level never seen."""
    match column:
        case NumericColumn():
            write_numeric(column, block, out)
        case BooleanColumn():
            write_boolean(column, block, out)
        case CategoryColumn():
            return write_category(column, block, out)
        case _:
            assert_never(column)
    return 0


def _names(column: Column) -> tuple[FeatureName, ...]:
    match column:
        case NumericColumn():
            return name_numeric(column)
        case BooleanColumn():
            return name_boolean(column)
        case CategoryColumn():
            return name_category(column)
        case _:
            assert_never(column)
