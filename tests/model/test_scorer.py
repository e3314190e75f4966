"""Extreme rows: named, and never a NaN among the probabilities."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

import luce
from luce.errors import DataError
from luce.model.network import NetworkScorer
from luce.scorers import Dense, Network, Relu

ROWS = 120
CLASSES = np.array(["a", "b", "c"])


def embeddings(vectors, labels=None):
    vectors = np.asarray(vectors, np.float32)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.table({"e": lists, "y": CLASSES[: len(vectors)] if labels is None else labels})


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(ROWS, 3)).astype(np.float32)
    return vectors, CLASSES[vectors.argmax(axis=1)]


@pytest.fixture(scope="module", params=["linear", "network"])
def model(rows, request):
    """Whose scores grow with the features."""
    linear = luce.train(embeddings(*rows), "y", C=1e4)
    return linear if request.param == "linear" else as_network(linear)


def as_network(model):
    """A network of the same scores: relu of them and of their opposites, and the difference."""
    coef, intercept = (tensor.astype(np.float32) for tensor in model.scorer.tensors.values())
    layers = (Dense(3, 6, Relu()), Dense(6, 3))
    parameters = [np.c_[coef.T, -coef.T], np.r_[np.eye(3), -np.eye(3)], intercept, -intercept]
    vector = np.concatenate([*map(np.ravel, parameters), np.zeros(3)]).astype(np.float32)
    return dataclasses.replace(model, scorer=NetworkScorer(Network(layers, vector)))


@pytest.mark.parametrize("use", ["predict", "predict_proba", "evaluate"])
@pytest.mark.parametrize("vector", [[3e38, -3e38, 3e38], [3e38, 3e38, 3e38], [0, -3e38, 0]])
def test_a_score_beyond_float32_names_its_row(use, vector, model):
    data = embeddings([[1, 2, 3], vector, [3e38, 0, 0]])
    with pytest.raises(DataError, match=r"column 'e', row 2 .*beyond float32"):
        getattr(model, use)(data)


def test_rows_are_counted_over_blocks(model, monkeypatch):
    monkeypatch.setattr("luce.model.rows.MOST_ROWS", 1)
    monkeypatch.setattr("luce.model.rows.LEAST_ROWS", 1)
    with pytest.raises(DataError, match="row 3 "):
        model.predict(embeddings([[0, 0, 0], [1, 0, 0], [3e38, 3e38, 0]]))


def test_a_held_out_row_is_counted_among_all_rows(rows):
    vectors, labels = rows
    others = embeddings(np.r_[vectors[:5], [[3e38, -3e38, 0]]], labels[:6])
    blank = others.set_column(1, "y", pa.array([None, *labels[:5]]))
    with pytest.raises(DataError, match=r"column 'e', row 6 .*beyond float32"):
        luce.train(embeddings(*rows), "y", C=1e4, validation=blank)


@pytest.mark.parametrize("size", [1e10, 1e20, 1e36])
def test_large_scores_that_float32_holds_are_fine(size, model):
    probabilities = model.predict_proba(embeddings([[size, 0, 0], [0, size, -size]]))
    np.testing.assert_array_equal(probabilities, [[1, 0, 0], [0, 1, 0]])


def test_sparse_rows_too():
    values = [[(0, 1.0 + i % 5), (1 + i % 3, 1.0)] for i in range(60)]
    maps = pa.array(values, pa.map_(pa.int32(), pa.float32()))
    model = luce.train(pa.table({"e": maps, "y": CLASSES[np.arange(60) % 3]}), "y", C=1e4)
    data = pa.table({"e": pa.array([[(1, 1.0)], [(1, 3e38), (2, -3e38)]], maps.type)})
    with pytest.raises(DataError, match=r"column 'e', row 2 .*beyond float32"):
        model.predict(data)
