"""What a fitted classifier answers, however the rows are given."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from luce import NetworkClassifier

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X).astype(np.float32), y


def brief(**parameters):
    """A classifier that is planned to end after a few epochs: no warning tells that it did."""
    few = {"hidden_layer_sizes": (8,), "max_iter": 4, "learning_rate": "cosine", "random_state": 0}
    return NetworkClassifier(**{**few, **parameters})


def test_predictions_agree(iris):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    for classes in (2, 3):
        classifier = brief().fit(X[y < classes], names[y < classes])
        probabilities, scores = classifier.predict_proba(X), classifier.decision_function(X)
        assert probabilities.shape == (150, classes)
        winners = classifier.classes_[probabilities.argmax(axis=1)]
        np.testing.assert_array_equal(classifier.predict(X), winners)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(
            np.exp(classifier.predict_log_proba(X)), probabilities, rtol=1e-5
        )
        if classes == 2:
            np.testing.assert_array_equal(scores > 0, winners == "versicolor")
            np.testing.assert_allclose(1 / (1 + np.exp(-scores)), probabilities[:, 1], rtol=1e-5)
        else:
            np.testing.assert_array_equal(classifier.classes_[scores.argmax(axis=1)], winners)


def test_predict_never_holds_the_scores_of_all_rows():
    X = np.random.default_rng(0).standard_normal((300, 3)).astype(np.float32)
    classifier = brief(max_iter=1).fit(X, np.arange(300) % 100)
    many = np.tile(X, (300, 1))
    classifier.predict(X)
    tracemalloc.start()
    try:
        classifier.predict(many)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(many) * 100 * 4 / 2


def test_coefs_are_views_of_the_network(iris):
    X, y = iris
    classifier = brief(layer_norm=True, residual=True, hidden_layer_sizes=(6, 6)).fit(X, y)
    for again in (classifier, pickle.loads(pickle.dumps(classifier))):
        assert [coef.shape for coef in again.coefs_] == [(4, 6), (6, 6), (6, 3)]
        assert [intercept.shape for intercept in again.intercepts_] == [(6,), (6,), (3,)]
        again.coefs_[-1][...] = 0.0
        again.intercepts_[-1][...] = [1.0, 3.0, 2.0]
        np.testing.assert_array_equal(again.predict(X), 1)


def test_the_network_can_be_traced(iris):
    X, y = iris
    classifier = brief().fit(X, y)
    trace = classifier.network_.trace(X[:4], y[:4])
    assert "p - y" in trace.explain()


@pytest.mark.parametrize("method", METHODS)
def test_rows_in_any_form(method, iris):
    X, y = iris[0].astype(np.float64), iris[1]
    classifier = brief().fit(X, y)
    answer = getattr(classifier, method)
    expected = answer(X)
    forms = [
        X.tolist(), np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X.astype(">f8"),
        scipy.sparse.csr_matrix(X), scipy.sparse.csc_array(X), np.frombuffer(X).reshape(X.shape),
        np.ma.masked_array(X), pd.DataFrame(X).rename(columns=lambda i: i),
    ]  # fmt: skip
    for form in forms:
        np.testing.assert_allclose(answer(form), expected, atol=1e-12)
    np.testing.assert_allclose(np.concatenate([answer(X[i : i + 1]) for i in range(150)]), expected)
    assert answer(X).flags.writeable


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [1, 150])
def test_impossible_rows(method, rows, iris):
    X, y = iris
    classifier = brief().fit(X, y)
    answer = getattr(classifier, method)
    for value, message in ((np.nan, "Input X contains NaN"), (-np.inf, "infinity")):
        wrong = X[:rows].copy()
        wrong[-1, 2] = value
        with pytest.raises(ValueError, match=message):
            answer(wrong)
    with pytest.raises(ValueError, match="X has 3 features, but NetworkClassifier is expecting 4"):
        answer(X[:rows, :3])
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        answer(X[:0])
    with pytest.raises(ValueError, match="Expected 2D array"):
        answer(X[0])
    with pytest.raises(NotFittedError):
        getattr(brief(), method)(X[:rows])


def test_features_whose_squares_overflow_are_finite(iris):
    X, y = iris
    classifier = brief().fit(X, y)
    classifier.coefs_[0][...] = 0.0
    huge = np.full_like(X, 1e38)
    np.testing.assert_array_equal(classifier.predict_proba(huge), classifier.predict_proba(X))
