"""Columns taken apart for a file and put together again; every kind there is."""

from typing import get_args

import numpy as np
import pytest

from luce.model.columns import array_shapes, count_features, count_texts, pack, unpack
from luce.tables import (
    BooleanColumn,
    CategoryColumn,
    Column,
    Encoder,
    NumericColumn,
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
