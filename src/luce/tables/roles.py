"""Columns that are no features: the target, the weight of a row, the group that it belongs to."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables.values import (
    LARGEST_EXACT,
    MISSING_MARKERS,
    column_block,
    is_text,
    levels,
    listing,
    numbers,
    quoted,
)

Label: TypeAlias = bool | int | float | str

MISSING_LABEL = -1

MOST_NUMBERS = 1000
"""More distinct numbers than these, in most rows another, are measurements and no classes."""

_INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())
_TYPES = {
    str(type): type
    for type in (
        *(pa.string(), pa.large_string(), pa.bool_(), pa.uint64()),
        *(*_INTEGERS, pa.float16(), pa.float32(), pa.float64()),
    )
}


@dataclass(frozen=True)
class Target:
    """The column to predict: its name, the Arrow type of its labels, and the labels themselves.

    `classes` are the distinct labels in ascending order; a label's position is its class index.
    """

    column: str
    type: str
    classes: tuple[Label, ...]

    @cached_property
    def labels(self) -> pa.Array:
        """The classes in the Arrow type of the labels.

        Raises
        ------
        DataError
            The type is not one that labels can have, or does not hold the classes.
        """
        try:
            return pa.array(self.classes, _TYPES[self.type])
        except (KeyError, pa.ArrowException, OverflowError, TypeError) as error:
            raise DataError(
                f"labels {listing(map(str, self.classes))} are no {self.type}"
            ) from error

    @cached_property
    def texts(self) -> pa.Array:
        """The text of each class, as `levels` gives it."""
        labels = pa.table({self.column: self.labels})
        return levels(column_block(labels, self.column)).combine_chunks()


def fit_target(table: pa.Table, column: str, *, as_text: bool = False) -> Target:
    """Return what the target column of the training rows can say.

    Labels are text, truths, integers, or floats that are whole numbers, plain or in a dictionary;
    or, `as_text`, the text of values of any of these types, however many they are.

    Raises
    ------
    DataError
        The table has no such column, its type cannot be a label, its values look continuous, or
        there are fewer than two classes.

    Examples
    --------
    >>> fit_target(pa.table({"species": ["Gentoo", None, "Adelie", "Gentoo"]}), "species")
    Target(column='species', type='string', classes=('Adelie', 'Gentoo'))
    """
    block = column_block(table, column)
    values = levels(block) if as_text else block.values
    type = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    type = pa.string() if pa.types.is_string_view(type) else type
    if len(values) == values.null_count:
        raise DataError(
            f"column {quoted(column)} has no label at all: every value is missing, or one of the "
            f"markers of missing values ({listing(MISSING_MARKERS)})"
        )
    if str(type) not in _TYPES:
        raise DataError(
            f"column {quoted(column)} has the type {type}, which cannot be a label: "
            "labels are text, true or false, or whole numbers"
        )
    classes = _distinct(values)
    advice = (
        "luce predicts classes: put the numbers into classes, such as low, middle and high, in a "
        "column of their own, or name another target"
    )
    fractions = [x for x in classes if isinstance(x, float) and not x.is_integer()]
    if fractions:
        raise DataError(
            f"column {quoted(column)} holds numbers such as {fractions[0]:g}, not labels; {advice}"
        )
    labelled = len(values) - values.null_count
    if not is_text(type) and len(classes) > max(MOST_NUMBERS, labelled // 2):
        raise DataError(
            f"column {quoted(column)} holds {len(classes):,} different numbers in {labelled:,} "
            f"rows, not labels; {advice}; where each number does name a class, give the column the "
            'kind "category"'
        )
    if len(classes) < 2:
        found = f"one class only, {quoted(classes[0])}" if classes else "no label at all"
        raise DataError(
            f"column {quoted(column)} has {found}: a classifier needs rows of two classes"
        )
    return Target(column, str(type), tuple(classes))


def label_types(target: Target) -> dict[str, pa.DataType]:
    """Return the type to read the target column of a CSV file as, so that nothing is inferred.

    Text stays as it is spelt, truths are read as such, and numbers as float64, so that a file may
    spell 2 as 2.0; but numbers that float64 does not have as text.
    """
    type = _TYPES[target.type]
    if is_text(type):
        return {target.column: pa.string()}
    if pa.types.is_boolean(type):
        return {target.column: pa.bool_()}
    exact = all(abs(x) < LARGEST_EXACT for x in target.classes if not isinstance(x, str))
    return {target.column: pa.float64() if exact else pa.string()}


def class_indices(target: Target, table: pa.Table, *, first_row: int = 0) -> NDArray[np.int64]:
    """Return the class index of each row's label, shape (n,), `MISSING_LABEL` where there is none.

    Labels are compared by their text, so that a file that spells the same labels in another type
    is understood. Errors count rows as if `first_row` more came before; so for the other roles.

    Raises
    ------
    DataError
        The table has no such column, or a row's label is none of the classes.

    Examples
    --------
    >>> target = Target("species", "string", ("Adelie", "Gentoo"))
    >>> class_indices(target, pa.table({"species": ["Gentoo", None, "Adelie"]}))
    array([ 1, -1,  0])
    """
    block = column_block(table, target.column, first_row)
    found = levels(block)
    indices = pc.index_in(found, value_set=target.texts)
    indices = indices.fill_null(MISSING_LABEL).to_numpy().astype(np.int64)
    unknown = (indices == MISSING_LABEL) & found.is_valid().to_numpy()
    if unknown.any():
        row = int(unknown.argmax())
        raise DataError(
            f"{block.at(row)}: {quoted(found[row].as_py())} is none of "
            f"the classes {listing(target.texts.to_pylist())}; correct it, leave it empty, or "
            "train on such rows too"
        )
    return np.asarray(indices)


def row_weights(
    table: pa.Table,
    column: str,
    *,
    first_row: int = 0,
    rows: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return the weight of each row, or of each of `rows`, (n,): at least 0, none missing.

    Raises
    ------
    DataError
        The table has no such column, or a weight is missing, negative, infinite or no number.

    Examples
    --------
    >>> row_weights(pa.table({"area": [2, 0.5]}), "area")
    array([2. , 0.5])
    """
    block = column_block(table, column, first_row, rows=rows)
    weights = numbers(block)
    wrong = ~(weights >= 0)
    if wrong.any():
        row = int(wrong.argmax())
        found = "missing" if np.isnan(weights[row]) else f"{weights[row]:g}, below 0"
        raise DataError(f"{block.at(row)}: the weight is {found}; every row needs one of 0 or more")
    return weights


def row_groups(
    table: pa.Table,
    column: str,
    *,
    first_row: int = 0,
    rows: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Return a number for the group that each row, or each of `rows`, belongs to, shape (n,).

    It is a hash of the group's text: the same in every table, and another for another group, but
    for one chance in 2**64.

    Raises
    ------
    DataError
        The table has no such column, its type cannot be used, or a row's group is missing.

    Examples
    --------
    >>> row_groups(pa.table({"patient": ["b", "a", "b"]}), "patient")
    array([8453121595177857668, 3405396810240292928, 8453121595177857668])
    """
    block = column_block(table, column, first_row, rows=rows)
    names = levels(block)
    if names.null_count:
        row = int(names.is_null().to_numpy().argmax())
        raise DataError(f"{block.at(row)}: the group is missing; every row needs one")
    encoded = names.combine_chunks().dictionary_encode()
    numbers = [_hash(name) for name in encoded.dictionary.to_pylist()]
    return np.asarray(np.array(numbers, np.int64)[encoded.indices.to_numpy()])


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _distinct(values: pa.ChunkedArray) -> list[Label]:
    if pa.types.is_dictionary(values.type):
        values = pa.chunked_array([chunk.dictionary_decode() for chunk in values.chunks])
    if is_text(values.type):
        values = values.cast(pa.large_string())
    elif pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    labels = pc.unique(values).drop_null().to_pylist()
    # NaN is a missing label, and -0.0 is 0.0.
    return sorted({x + 0.0 if isinstance(x, float) else x for x in labels if x == x})
