"""Columns as a model file holds them: a small record in the document, what is large in tensors.

A kind of column whose state is small plain data is its own record. For any other, add its record
here, and a case to each of the functions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from luce.files import Shapes
from luce.model.record import Count
from luce.tables import (
    BooleanColumn,
    CategoryColumn,
    Column,
    DatetimeColumn,
    EmbeddingColumn,
    NumericColumn,
    TextColumn,
)
from luce.tables.category import width_of_levels
from luce.tables.kinds import column_width
from luce.tables.text import MOST_BITS

LARGEST_IDF = 100.0  # 1 + the logarithm of a number of rows


class CategoryRecord(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="category",
):
    """A category column without its levels: how many there are, and how many rare ones."""

    name: str
    type: str
    levels: Count
    rare: Count
    missing: bool


class TextRecord(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="text",
):
    """A text column without the weights of its buckets, which are the array `idf`."""

    name: str
    type: str
    bits: Annotated[int, Meta(ge=1, le=MOST_BITS)]


ColumnRecord: TypeAlias = (
    NumericColumn | BooleanColumn | CategoryRecord | DatetimeColumn | TextRecord | EmbeddingColumn
)


@dataclass(frozen=True)
class Packed:
    """A column in its parts: the texts and arrays are those that its record does not hold."""

    record: ColumnRecord
    texts: tuple[str, ...] = ()
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def pack(column: Column) -> Packed:
    """Take a column apart."""
    match column:
        case CategoryColumn():
            record = CategoryRecord(
                name=column.name,
                type=column.type,
                levels=len(column.levels),
                rare=len(column.rare),
                missing=column.missing,
            )
            return Packed(record, column.levels + column.rare)
        case TextColumn():
            text = TextRecord(name=column.name, type=column.type, bits=column.bits)
            return Packed(text, arrays={"idf": column.idf})
        case _:
            return Packed(column)


def unpack(packed: Packed) -> Column:
    """Put a column together; texts and arrays are of the numbers and shapes that belong to it.

    Raises
    ------
    ValueError
        No column can be like this.
    """
    match packed.record:
        case CategoryRecord() as record:
            return CategoryColumn(
                name=record.name,
                type=record.type,
                levels=packed.texts[: record.levels],
                rare=packed.texts[record.levels :],
                missing=record.missing,
            )
        case TextRecord() as record:
            idf = packed.arrays["idf"]
            if not 0 <= idf.min() <= idf.max() <= LARGEST_IDF:
                raise ValueError(f"a weight of a text column is not from 0 to {LARGEST_IDF:g}")
            return TextColumn(name=record.name, type=record.type, bits=record.bits, idf=idf)
        case EmbeddingColumn() as record:
            count = len(record.columns)
            if not count or (count > 1 and (record.sparse or count != record.length)):
                raise ValueError(f"{count} columns give a vector of length {record.length}")
            return record
        case plain:
            return plain


def count_texts(record: ColumnRecord) -> int:
    """How many texts a column has."""
    match record:
        case CategoryRecord():
            return record.levels + record.rare
        case _:
            return 0


def array_shapes(record: ColumnRecord) -> Shapes:
    """Dtypes and shapes of the arrays that a column has."""
    match record:
        case TextRecord():
            return {"idf": (np.float32, (1 << record.bits,))}
        case _:
            return {}


def count_features(record: ColumnRecord) -> int:
    """How many features a column becomes."""
    match record:
        case CategoryRecord():
            return width_of_levels(record.levels, record.rare, missing=record.missing)
        case TextRecord():
            return 1 << record.bits
        case NumericColumn() | BooleanColumn() | DatetimeColumn() | EmbeddingColumn():
            return column_width(record)
