"""From a table to a matrix of features, by rules that are learnt once and saved as data."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, SupportsIndex, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables.assembly import ColumnRows, dense_features, sparse_features
from luce.tables.columns import READ_AS, ColumnSummary, table_columns
from luce.tables.features import FeatureName
from luce.tables.kinds import (
    Column,
    column_width,
    fit_column,
    is_sparse_column,
    most_nonzeros,
    name_feature,
    source_columns,
)
from luce.tables.text import BYTES_TOGETHER, TextColumn, light_parts, text_bytes
from luce.tables.values import ColumnBlocks, column_block, quoted

if TYPE_CHECKING:
    from scipy import sparse

NARROWEST_SPARSE = 512
"""So many features are worth a sparse matrix if less than an eighth of them can be other than 0."""


@dataclass(frozen=True)
class Encoder:
    """How a table becomes features: its columns, in the order of their features.

    Examples
    --------
    >>> from luce.tables import CategoryColumn
    >>> encoder = Encoder((CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False),))
    >>> width(encoder)
    2
    """

    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Encoded:
    """A table as features.

    Attributes
    ----------
    features
        (n, d), float32, finite: one row for each of the table's, in its order. A C-contiguous
        array, or where `is_sparse(encoder)` a `scipy.sparse.csr_array` with sorted indices.
    unseen
        For each category column where there are any: how many rows have a level that no training
        row had, or no value where no training row lacked one; for each column of maps, how many
        rows have an index beyond those of the training rows.

    Examples
    --------
    >>> from luce.tables import CategoryColumn
    >>> encoder = Encoder((CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False),))
    >>> encode(encoder, pa.table({"sex": ["male"]})).features
    array([[0., 1.]], dtype=float32)
    """

    features: "NDArray[np.float32] | sparse.csr_array"
    unseen: Mapping[str, int]


def fit_encoder(
    table: pa.Table,
    columns: Sequence[ColumnSummary],
    *,
    rows: NDArray[np.bool_] | None = None,
) -> Encoder:
    """Learn from the training rows how the columns that are not left out become features.

    - numeric: the training median where missing, then less the mean, over the population standard
      deviation; and 1 where missing, if any training value was.
    - boolean: 1 or 0, the more frequent of them where missing; and 1 where missing, likewise.
    - category: for every level with at least 5 training rows, of the 255 most frequent, 1 where
      the row has it; likewise for all other levels together, and for missing values, if any
      training row has one.
    - datetime: the time elapsed, as a number; sine and cosine of the time of day, the day of the
      week and the day of the year, as far as they vary; and 1 where missing, likewise.
    - text: hashed words and characters with their tf-idf, see `TextColumn`.
    - embedding: its numbers as they are, 0 where it is missing; and 1 where missing, likewise.

    Parameters
    ----------
    table
        The training rows, or a table that has them.
    columns
        What `describe_columns` says of these rows.
    rows
        (table.num_rows,): which of the table's rows to learn from; by default all.

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
    present = set(table.column_names)
    used = [column for column in columns if column.left_out is None]
    fitted = tuple(
        fit_column(
            column.name,
            column.kind,
            ColumnBlocks(table, table_columns(column.name, present), rows),
        )
        for column in used
        if column.kind is not None
    )
    if not fitted:
        reasons = "; ".join(f"{quoted(column.name)}: {column.left_out}" for column in columns[:20])
        raise DataError(f"no column can be used: {reasons or 'there is none beside the target'}")
    return Encoder(fitted)


def encode(
    encoder: Encoder,
    table: pa.Table,
    *,
    first_row: int = 0,
    rows: NDArray[np.bool_] | None = None,
) -> Encoded:
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
    first_row
        How many rows come before these in the table that errors speak of.
    rows
        (table.num_rows,): which of the table's rows to encode; by default all.

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
    columns = [
        ColumnRows(
            column,
            [column_block(table, name, first_row, rows=rows) for name in source_columns(column)],
        )
        for column in encoder.columns
    ]
    assemble = sparse_features if is_sparse(encoder) else dense_features
    count = table.num_rows if rows is None else int(np.count_nonzero(rows))
    return Encoded(*assemble(columns, count))


def parts_to_encode(encoder: Encoder, table: pa.Table, rows: int) -> Iterator[slice]:
    """Cut a table into parts to `encode` one after another, so that each takes little memory.

    Parameters
    ----------
    encoder
        What `fit_encoder` learnt.
    table
        Any rows, also none.
    rows
        How many a part has at most. It has fewer where texts are long: no more than a megabyte of
        text, but for a single row that has more.

    Yields
    ------
    slice
        Of the table's rows, in order.

    Raises
    ------
    DataError
        A column of texts is absent, or of a type that cannot be used.

    Examples
    --------
    >>> encoder = Encoder((TextColumn(name="x", type="string", bits=1, idf=np.ones(2)),))
    >>> table = pa.table({"x": ["é" * 300_000, "e", "é" * 300_000]})
    >>> list(parts_to_encode(encoder, table, rows=1000))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    names = [column.name for column in encoder.columns if isinstance(column, TextColumn)]
    for first in range(0, table.num_rows, rows):
        some = table.slice(first, rows)
        sizes = np.zeros(some.num_rows, np.int64)
        for name in names:
            sizes += text_bytes(column_block(some, name))
        for part in light_parts(sizes, BYTES_TOGETHER):
            yield slice(first + part.start, first + part.stop)


def width(encoder: Encoder) -> int:
    """Return how many features `encode` makes, without making any.

    Parameters
    ----------
    encoder
        What `fit_encoder` learnt.

    Returns
    -------
    int

    Examples
    --------
    >>> from luce.tables import CategoryColumn
    >>> encoder = Encoder((CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False),))
    >>> width(encoder)
    2
    """
    return sum(map(column_width, encoder.columns))


def is_sparse(encoder: Encoder) -> bool:
    """Return whether `encode` makes a CSR array.

    It does where a column is sparse by nature, text or maps; and for at least 512 features of
    which each row has less than an eighth, as categories of many levels make them.

    Parameters
    ----------
    encoder
        What `fit_encoder` learnt.

    Returns
    -------
    bool

    Examples
    --------
    >>> from luce.tables import CategoryColumn
    >>> encoder = Encoder((CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False),))
    >>> is_sparse(encoder)
    False
    """
    if any(map(is_sparse_column, encoder.columns)):
        return True
    features = width(encoder)
    return features >= NARROWEST_SPARSE and 8 * sum(map(most_nonzeros, encoder.columns)) < features


class FeatureNames(Sequence[FeatureName]):
    """The names of an encoder's features, each made when it is asked for: there may be millions."""

    def __init__(self, encoder: Encoder) -> None:
        self._columns = encoder.columns
        self._ends = list(accumulate(map(column_width, encoder.columns)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: SupportsIndex) -> FeatureName: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[FeatureName, ...]: ...
    def __getitem__(self, place: SupportsIndex | slice) -> FeatureName | tuple[FeatureName, ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(len(self))[place])
        place = range(len(self))[place]
        index = bisect_right(self._ends, place)
        column = self._columns[index]
        return name_feature(column, place - self._ends[index] + column_width(column))


def feature_names(encoder: Encoder) -> Sequence[FeatureName]:
    """Return what each of the features that `encode` returns means, (d,).

    Parameters
    ----------
    encoder
        What `fit_encoder` learnt.

    Returns
    -------
    sequence of FeatureName
        In the order of the features. A name is made when it is asked for, so that the length, and
        a few names of millions, cost nothing.

    Examples
    --------
    >>> from luce.tables import CategoryColumn
    >>> encoder = Encoder((CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False),))
    >>> [feature.unit for feature in feature_names(encoder)]
    ['when sex = female', 'when sex = male']
    """
    return FeatureNames(encoder)


def read_types(encoder: Encoder) -> dict[str, pa.DataType]:
    """Return the types that `open_table` is to read the encoder's columns of a CSV file as.

    So a column that holds 2007 in one file and 2007.5 in the next is the same column.

    Parameters
    ----------
    encoder
        What `fit_encoder` learnt.

    Returns
    -------
    dict of str to pyarrow.DataType
        By the table's columns, those of a run each; not for columns of lists and maps, which no
        CSV file has.

    Examples
    --------
    >>> from luce.tables import CategoryColumn
    >>> encoder = Encoder((CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False),))
    >>> read_types(encoder)
    {'sex': DataType(string)}
    """
    types: dict[str, pa.DataType] = {}
    for column in encoder.columns:
        names = source_columns(column)
        kind = "numeric" if len(names) > 1 else column.kind
        types |= {name: READ_AS[kind] for name in names if kind in READ_AS}
    return types


def encoder_columns(encoder: Encoder) -> list[str]:
    """Return the names of the table's columns that the encoder reads, those of a run each.

    Parameters
    ----------
    encoder
        What `fit_encoder` learnt.

    Returns
    -------
    list of str
        In the order of the features.

    Examples
    --------
    >>> from luce.tables import EmbeddingColumn
    >>> encoder = Encoder((EmbeddingColumn(
    ...     name="e0..e1", type="double", columns=("e0", "e1"), length=2, sparse=False,
    ...     missing_indicator=False),))
    >>> encoder_columns(encoder)
    ['e0', 'e1']
    """
    return [name for column in encoder.columns for name in source_columns(column)]
