"""Columns taken apart for a file and put together again; every kind there is."""

from typing import get_args

import numpy as np
import pytest

from luce.model.columns import Packed, array_shapes, count_features, count_texts, pack, unpack
from luce.tables import (
    BooleanColumn,
    CategoryColumn,
    Column,
    DatetimeColumn,
    EmbeddingColumn,
    Encoder,
    NumericColumn,
    TextColumn,
    feature_names,
)


def category(levels=(), rare=(), missing=False):
    return CategoryColumn(name="c", type="string", levels=levels, rare=rare, missing=missing)


def vectors(columns, length, sparse=False):
    return EmbeddingColumn(
        name="e",
        type="float",
        columns=columns,
        length=length,
        sparse=sparse,
        missing_indicator=True,
    )


COLUMNS = [
    NumericColumn(name="n", type="double", median=1, mean=1.5, scale=2, missing_indicator=False),
    NumericColumn(name="n", type="double", median=1, mean=1.5, scale=2, missing_indicator=True),
    BooleanColumn(name="b", type="bool", most_frequent=True, missing_indicator=False),
    BooleanColumn(name="b", type="bool", most_frequent=True, missing_indicator=True),
    category(),
    category(("a", "b"), missing=True),
    category(("a", "b"), ("", "née")),
    DatetimeColumn(
        name="d",
        type="date32[day]",
        median=0,
        mean=0.0,
        scale=8.64e10,
        parts=("day of week", "day of year"),
        missing_indicator=True,
    ),
    TextColumn(name="t", type="string", bits=3, idf=np.arange(8, dtype=np.float32)),
    vectors(("e",), 7),
    vectors(("m",), 1000, sparse=True),
    vectors(("e0", "e1", "e2"), 3),
]


def test_every_kind_is_tried():
    assert {type(column) for column in COLUMNS} == set(get_args(Column))


@pytest.mark.parametrize("column", COLUMNS, ids=repr)
def test_it_comes_back(column):
    packed = pack(column)
    assert unpack(packed) == column
    assert packed.record.name == column.name


@pytest.mark.parametrize("column", COLUMNS, ids=repr)
def test_its_record_says_what_it_needs(column):
    packed = pack(column)
    assert count_texts(packed.record) == len(packed.texts)
    assert count_features(packed.record) == len(feature_names(Encoder((column,))))
    shapes = array_shapes(packed.record)
    assert shapes.keys() == packed.arrays.keys()
    for name, array in packed.arrays.items():
        assert (np.dtype(shapes[name][0]), shapes[name][1]) == (array.dtype, array.shape)


@pytest.mark.parametrize("value", [-1, 101])
def test_weights_of_text_that_none_can_have(value):
    packed = pack(TextColumn(name="t", type="string", bits=1, idf=np.full(2, value, np.float32)))
    with pytest.raises(ValueError, match="weight of a text column"):
        unpack(packed)


@pytest.mark.parametrize(
    "column", [vectors((), 3), vectors(("a", "b"), 3), vectors(("a", "b"), 2, sparse=True)]
)
def test_vectors_of_another_length_than_their_columns(column):
    with pytest.raises(ValueError, match="columns give a vector"):
        unpack(Packed(column))
