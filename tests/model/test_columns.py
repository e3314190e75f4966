"""Columns taken apart for a file and put together again; every kind there is."""

from typing import get_args

import numpy as np
import pytest

from luce.model.columns import array_shapes, count_features, count_texts, pack, unpack
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


COLUMNS = [
    NumericColumn(name="n", type="double", median=1, mean=1.5, scale=2, missing_indicator=False),
    NumericColumn(name="n", type="double", median=1, mean=1.5, scale=2, missing_indicator=True),
    BooleanColumn(name="b", type="bool", most_frequent=True, missing_indicator=False),
    BooleanColumn(name="b", type="bool", most_frequent=True, missing_indicator=True),
    category(),
    category(("a", "b"), missing=True),
    category(("a", "b"), ("", "née")),
    TextColumn(name="t", type="string", bits=3, idf=np.arange(8, dtype=np.float32)),
    DatetimeColumn(
        name="d",
        type="date32[day]",
        median=5,
        mean=1.5,
        scale=2,
        parts=("day of week",),
        missing_indicator=True,
    ),
    EmbeddingColumn(
        name="e",
        type="list<item: float>",
        columns=("e",),
        length=3,
        sparse=False,
        missing_indicator=True,
    ),
    EmbeddingColumn(
        name="X",
        type="map<int32, float>",
        columns=("X",),
        length=9,
        sparse=True,
        missing_indicator=False,
    ),
    EmbeddingColumn(
        name="e0..e2",
        type="double",
        columns=("e0", "e1", "e2"),
        length=3,
        sparse=False,
        missing_indicator=False,
    ),
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
