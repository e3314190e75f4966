"""Synthetic rows: made by rule from the encoder alone, and tables again of what a file says."""

import dataclasses
import time

import msgspec
import numpy as np
import pyarrow as pa
import pytest

import luce
from luce.errors import ModelFileError
from luce.model.linear import LinearScorer
from luce.model.replay import ROWS, synthetic_values, table_of
from luce.tables import (
    BooleanColumn,
    CategoryColumn,
    DatetimeColumn,
    EmbeddingColumn,
    Encoder,
    NumericColumn,
    TextColumn,
    encode,
)
from luce.tables.roles import Target

NUMBER = NumericColumn(
    name="n", type="double", median=1, mean=2.0, scale=4.0, missing_indicator=True
)
TRUTH = BooleanColumn(name="b", type="bool", most_frequent=True, missing_indicator=True)
LEVEL = CategoryColumn(name="c", type="string", levels=("x", "y"), rare=("z",), missing=True)
ENCODER = Encoder((NUMBER, TRUTH, LEVEL))
MOMENT = DatetimeColumn(
    name="d",
    type="timestamp[us]",
    median=0,
    mean=0.0,
    scale=8.64e10,
    parts=("time of day", "day of week", "day of year"),
    missing_indicator=True,
)
VECTOR = EmbeddingColumn(
    name="e", type="float", columns=("e",), length=3, sparse=False, missing_indicator=True
)


def test_each_feature_is_reached():
    features = encode(ENCODER, table_of(ENCODER, synthetic_values(ENCODER))).features
    assert features.shape == (ROWS, 8)
    assert features.any(axis=0).all()


def test_columns_are_not_missing_together():
    values = synthetic_values(ENCODER)
    assert len({column.index(None) for column in values}) == len(values)


@pytest.mark.parametrize(
    "column",
    [
        MOMENT,
        msgspec.structs.replace(MOMENT, median=2**62, mean=2.0**62, scale=1e17),
        VECTOR,
        msgspec.structs.replace(VECTOR, columns=("e0", "e1", "e2")),
        msgspec.structs.replace(VECTOR, sparse=True, length=1),
        msgspec.structs.replace(VECTOR, sparse=True, length=100_000),
        TextColumn(name="t", type="string", bits=4, idf=np.ones(16, np.float32)),
        msgspec.structs.replace(NUMBER, mean=1.7e308, scale=1e308),
        CategoryColumn(name="c", type="string", levels=(), rare=(), missing=True),
        CategoryColumn(name="c", type="string", levels=("x",), rare=(), missing=False),
    ],
)
def test_awkward_columns(column):
    encoder = Encoder((column,))
    features = encode(encoder, table_of(encoder, synthetic_values(encoder))).features
    assert features.shape[0] == ROWS
    features = features if isinstance(features, np.ndarray) else features.data
    assert np.isfinite(features).all()


@pytest.mark.parametrize(
    "values",
    [
        [[1.0] * ROWS, [True] * ROWS],
        [[1.0] * 3, [True] * 3, [0] * 3],
        [[1.0] * 3, [True] * ROWS, [0] * ROWS],
        [["a"] * ROWS, [True] * ROWS, [0] * ROWS],
        [[1.0] * ROWS, [2] * ROWS, [0] * ROWS],
        [[1.0] * ROWS, [True] * ROWS, [3] * ROWS],
        [[1.0] * ROWS, [True] * ROWS, [-1] * ROWS],
        [[1.0] * ROWS, [True] * ROWS, [2**70] * ROWS],
    ],
)
def test_values_of_no_table(values):
    with pytest.raises((ValueError, OverflowError, IndexError, pa.ArrowException)):
        table_of(ENCODER, values)


def test_a_luce_that_encodes_otherwise_is_found(model, tmp_path, monkeypatch):
    path = tmp_path / "model.luce"
    model.save(path)
    luce.load(path)
    probabilities = LinearScorer.probabilities
    monkeypatch.setattr(
        LinearScorer, "probabilities", lambda self, features: probabilities(self, features * 1.01)
    )
    with pytest.raises(ModelFileError, match=r"this luce \(.*\) does not compute from it"):
        luce.load(path)


def test_levels_that_are_now_read_as_missing_are_still_encoded(model, tmp_path):
    levels = CategoryColumn(name="c", type="string", levels=(" x", "NA"), rare=("",), missing=True)
    document = dataclasses.replace(model.document, encoder=Encoder((levels,)))
    scorer = LinearScorer(np.arange(12.0).reshape(3, 4) % 5, np.zeros(3))
    older = luce.Model(document, scorer, model.confusion)
    older.save(tmp_path / "model.luce")
    loaded = luce.load(tmp_path / "model.luce")
    assert loaded.document.encoder == document.encoder
    values = synthetic_values(document.encoder)
    features = encode(document.encoder, table_of(document.encoder, values)).features
    np.testing.assert_array_equal(features, np.eye(ROWS))
    np.testing.assert_array_equal(loaded._replayed(values), loaded.scorer.probabilities(features))
    found = loaded.predict_proba(pa.table({"c": ["NA", None]}))
    np.testing.assert_array_equal(found[0], found[1])


def test_20_000_columns_and_10_000_classes(model, tmp_path):
    def save_and_load(columns, classes):
        document = dataclasses.replace(
            model.document,
            encoder=Encoder(columns),
            target=Target("target", "int64", tuple(range(classes))),
            training=msgspec.structs.replace(
                model.document.training, class_weights=(1.0,) * classes
            ),
        )
        random = np.random.default_rng(0)
        coef = random.normal(size=(classes, 2 * len(columns)))
        confusion = np.zeros((classes, classes)) if classes <= 100 else None
        start = time.process_time()
        wide = luce.Model(document, LinearScorer(coef, np.zeros(classes)), confusion)
        wide.save(tmp_path / "wide.luce")
        assert luce.load(tmp_path / "wide.luce").document == document
        assert time.process_time() - start < 20

    columns = [msgspec.structs.replace(NUMBER, name=str(place)) for place in range(20_000)]
    save_and_load(tuple(columns), 2)
    save_and_load(tuple(columns[:20]), 10_000)
