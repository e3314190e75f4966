import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_iris

from luce import NetworkClassifier
from luce.errors import DataError


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def fit(X, y, sample_weight=None, **parameters):
    settings = {"hidden_layer_sizes": (4,), "max_iter": 1, "learning_rate": "cosine", **parameters}
    return NetworkClassifier(**settings).fit(X, y, sample_weight)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (lambda y: np.eye(3, dtype=int)[y], r"shape \(150, 3\): several labels .*MultiOutput"),
        (lambda y: np.eye(3, dtype=bool)[y], r"several labels a row \(multilabel\)"),
        (lambda y: scipy.sparse.csr_array(np.eye(3)[y]), r"several labels a row \(multilabel\)"),
        (lambda y: np.eye(3)[y] + np.eye(3)[y - 1] * (y == 1)[:, None], "row 51 of y sums to 2;"),
        (lambda y: np.eye(3)[y] * np.where(y == 2, 1.1, 1)[:, None], "row 101 of y sums to 1.1"),
        (lambda y: np.eye(3)[y] * 1.5 - 0.25 * (np.eye(3)[y - 1] + np.eye(3)[y - 2]),
         "row 1 of y has -0.25 in column 2"),
        (lambda y: np.full((150, 3), np.nan), "y contains NaN"),
        (lambda y: np.full((149, 2), 0.5), "inconsistent numbers of samples"),
        (lambda y: y * 0, "y has one class only, .*0"),
        (lambda y: y + 0.5, "Unknown label type: continuous"),
        (lambda y: np.array([["a", "b"]] * 150), "y should be a 1d array"),
    ],
)  # fmt: skip
def test_impossible_targets(y, message, iris):
    with pytest.raises(ValueError, match=message):
        fit(iris[0], y(iris[1]))


def test_impossible_weights(iris):
    X, y = iris
    with pytest.raises(DataError, match=r"class .*2.* has no row of positive weight"):
        fit(X, y, (y != 2).astype(float))
    with pytest.raises(
        DataError, match=r"class_weight of .*1.* is -1.0; expected a number above 0"
    ):
        fit(X, y, class_weight={1: -1.0})
    with pytest.raises(DataError, match=r"class_weight of 2 is 0.0; expected a number above 0"):
        fit(X, y, class_weight={2: 0.0})
    with pytest.raises(ValueError, match="zero"):
        fit(X, y, np.zeros(150))
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        fit(X, y, -np.ones(150))


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "b", "c"], [1.0, 2.0, 3.0], [-5, 0, 7],
        np.array(["x", "yy", "z"], object),
    ],
)  # fmt: skip
def test_labels_of_any_kind(labels, iris):
    X, y = iris
    classifier = fit(X, np.array(labels)[y])
    np.testing.assert_array_equal(classifier.classes_, labels)
    assert set(classifier.predict(X)) <= set(labels)


def test_a_column_of_labels_is_warned_of(iris):
    X, y = iris
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        fit(X, y[:, None])


def test_soft_targets_of_other_floats(iris):
    X, _ = iris
    soft = np.full((150, 3), 1 / 3, np.float16)
    for given in (soft, soft.astype(np.float32), soft.astype(float).tolist()):
        assert fit(X, given).predict_proba(X).shape == (150, 3)
