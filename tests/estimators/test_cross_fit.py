"""Scores of rows by models that have not seen them."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris, make_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import luce
from luce import NetworkClassifier, SoftmaxClassifier
from luce.calibration import TemperatureScaling, calibrate
from luce.errors import DataError
from luce.estimators import classifier_scores, cross_fit_scores
from luce.estimators.cross_fit import fitted_folds

CLASSIFIERS = [
    SoftmaxClassifier(),
    NetworkClassifier((8,), batch_size=10, max_iter=20, learning_rate="cosine", random_state=0),
    LogisticRegression(C=0.1, max_iter=500),
    make_pipeline(StandardScaler(), LogisticRegression()),
    RidgeClassifier(),
    LinearSVC(),
    SVC(),
    GaussianNB(),
    RandomForestClassifier(20, random_state=0),
    KNeighborsClassifier(),
    DecisionTreeClassifier(random_state=0),
]


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X, np.array(["setosa", "versicolor", "virginica"])[y]


class Memory(ClassifierMixin, BaseEstimator):
    """Is sure of the label of every row that it has seen, and of nothing else."""

    fits = 0

    def fit(self, X, y, sample_weight=None):
        type(self).fits += 1
        self.classes_ = np.unique(y)
        self.seen_ = {row.tobytes(): label for row, label in zip(X, y, strict=True)}
        self.weights_ = sample_weight
        return self

    def decision_function(self, X):
        scores = np.zeros((len(X), len(self.classes_)))
        for i, row in enumerate(X):
            scores[i] = 100.0 * (self.classes_ == self.seen_.get(row.tobytes()))
        return scores


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("classes", [2, 3])
def test_any_classifier_has_scores(classifier, classes, iris):
    X, y = (part[: 50 * classes] for part in iris)
    scores = cross_fit_scores(classifier, X, y)
    assert scores.shape == (50 * classes, classes)
    winners = np.unique(y)[scores.argmax(axis=1)]
    assert (winners == y).mean() > 0.5
    calibrate(scores, np.unique(y, return_inverse=True)[1], as_is=True)


@pytest.mark.parametrize(
    "classifier", [SoftmaxClassifier(), GaussianNB(), LogisticRegression(C=0.1)]
)
@pytest.mark.parametrize("classes", [2, 3])
def test_their_softmax_are_its_probabilities(classifier, classes, iris):
    X, y = (part[: 50 * classes] for part in iris)
    classifier.fit(X, y)
    found = luce.softmax(classifier_scores(classifier, X))
    np.testing.assert_allclose(found, classifier.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize("cv", [2, 5, KFold(3), GroupKFold(4), "iterable", "masks"])
def test_no_row_is_scored_by_a_model_that_saw_it(cv):
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3
    groups = np.arange(60) // 4 if isinstance(cv, GroupKFold) else None
    if isinstance(cv, str):
        parts = list(KFold(3).split(X))
        masks = [tuple(np.isin(np.arange(60), part) for part in pair) for pair in parts]
        cv = masks if cv == "masks" else parts
    assert (cross_fit_scores(Memory(), X, y, cv=cv, groups=groups) == 0).all()


def test_groups_are_held_out_together():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 5)
    X, y = random.normal(size=(20, 2))[groups], (np.arange(20) % 2)[groups]
    assert (cross_fit_scores(Memory(), X, y, groups=groups) == 0).all()
    assert (cross_fit_scores(Memory(), X, y) != 0).any()


def test_the_rows_come_in_their_order(iris):
    X, y = iris
    found = cross_fit_scores(GaussianNB(), X, y, cv=3)
    folds = StratifiedKFold(3, shuffle=True, random_state=0).split(X, y)
    for train, held_out in folds:
        expected = GaussianNB().fit(X[train], y[train]).predict_log_proba(X[held_out])
        np.testing.assert_array_equal(found[held_out], expected)


def test_each_fold_is_fitted_once_and_the_estimator_never():
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3
    before, estimator = Memory.fits, Memory()
    cross_fit_scores(estimator, X, y, cv=4)
    assert Memory.fits == before + 4
    assert not hasattr(estimator, "classes_")


class Noted(SoftmaxClassifier):
    """Notes of every fit which rows it has seen, itself or by its start, and where it started."""

    fits: ClassVar[list] = []

    def fit(self, X, y, sample_weight=None):
        start = getattr(self, "coef_", None)
        seen = {row.tobytes() for row in X}
        if start is not None:
            seen |= next(rows for _, coef, rows in self.fits if coef is start)
        super().fit(X, y, sample_weight)
        self.fits.append((start, self.coef_, seen))
        self.seen_ = seen
        return self


@pytest.mark.parametrize("cv", [2, 3, 5, 8])
def test_folds_are_warm_started_from_what_only_they_have_seen(cv, iris):
    X, y = iris
    X = X + np.random.default_rng(0).normal(size=X.shape)
    Noted.fits.clear()
    folds = list(fitted_folds(Noted(), X, y, cv=cv))
    assert len(folds) == cv
    for fold in folds:
        assert not fold.model.seen_ & {row.tobytes() for row in fold.features}
    warm = [start for start, _, _ in Noted.fits if start is not None]
    assert len(warm) == (0 if cv == 2 else cv if cv > 3 else 2)


def test_a_warm_start_changes_no_score(iris):
    X, y = iris
    classifier = SoftmaxClassifier(tol=1e-10)
    found = cross_fit_scores(classifier, X, y)
    for train, held_out in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        expected = classifier.fit(X[train], y[train]).decision_function(X[held_out])
        np.testing.assert_allclose(found[held_out], expected, atol=1e-3)


def test_a_class_without_weight_among_the_rows_of_a_start_is_no_error(iris):
    X, y = iris
    folds = list(StratifiedKFold(4, shuffle=True, random_state=0).split(X, y))
    weights = np.ones(150)
    for _, held_out in folds[2:]:
        weights[held_out[y[held_out] == "setosa"]] = 0
    scores = cross_fit_scores(SoftmaxClassifier(), X, y, cv=folds, sample_weight=weights)
    assert np.isfinite(scores).all()


def test_weights_go_with_their_rows(iris):
    X, y = iris
    weights = np.random.default_rng(0).gamma(1.0, size=150)
    found = cross_fit_scores(LogisticRegression(max_iter=500), X, y, sample_weight=weights, cv=2)
    train, held_out = next(StratifiedKFold(2, shuffle=True, random_state=0).split(X, y))
    model = LogisticRegression(max_iter=500).fit(X[train], y[train], weights[train])
    np.testing.assert_array_equal(found[held_out], model.decision_function(X[held_out]))


def test_tables_and_sparse_matrices(iris):
    X, y = iris
    expected = cross_fit_scores(SoftmaxClassifier(), X, y)
    frame = pd.DataFrame(X, columns=list("abcd"))
    found = cross_fit_scores(SoftmaxClassifier(), frame, pd.Series(y))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    sparse = cross_fit_scores(SoftmaxClassifier(), scipy.sparse.csr_array(X), y)
    np.testing.assert_allclose(sparse, expected, atol=1e-2)


def test_single_precision_stays(iris):
    X, y = iris
    assert cross_fit_scores(SoftmaxClassifier(), X.astype(np.float32), y).dtype == np.float32


def test_a_class_that_a_fold_lacks_has_the_probability_of_one_in_a_row_more(iris):
    X, y = iris
    y = np.where(np.arange(150) == 7, "alone", y)
    scores = cross_fit_scores(GaussianNB(), X, y, cv=3)
    assert np.unique(y)[0] == "alone"
    assert luce.softmax(scores[7])[0] == pytest.approx(1 / 101)
    assert np.isfinite(scores[7]).all()


def test_a_checkpoint_of_another_fit_is_not_gone_on_from(iris, tmp_path):
    X, y = iris
    network = NetworkClassifier(
        (4,), max_iter=3, learning_rate="cosine", random_state=0,
        checkpoint=tmp_path / "fit.luce",
    )  # fmt: skip
    expected = cross_fit_scores(network.set_params(checkpoint=None), X, y, cv=2)
    network.set_params(checkpoint=tmp_path / "fit.luce")
    np.testing.assert_array_equal(cross_fit_scores(network, X, y, cv=2), expected)
    assert not any(tmp_path.iterdir())


def test_calibrations_of_cross_fitted_scores_hold_on_new_rows():
    X, y = make_classification(4000, 30, n_informative=10, n_classes=3, flip_y=0.1, random_state=0)
    train, test = slice(600), slice(600, None)
    network = NetworkClassifier(
        (100,), alpha=0, max_iter=60, learning_rate="cosine", learning_rate_init=0.01,
        random_state=0,
    )  # fmt: skip
    scores = cross_fit_scores(network, X[train], y[train])
    calibrator = TemperatureScaling.fit(scores, y[train])
    fresh = classifier_scores(network.fit(X[train], y[train]), X[test])
    before = luce.cross_entropy(fresh, y[test])
    after = luce.cross_entropy(fresh / calibrator.temperature, y[test])
    best = min(luce.cross_entropy(fresh / t, y[test]) for t in np.geomspace(0.1, 20, 100))
    assert after < before - 0.1
    assert after < best + 0.05


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (1, "cv is 1; expected 2 folds at least"),
        (True, "cv is True; expected 2 folds at least"),
        (ShuffleSplit(3, random_state=0), "held out . times; expected once"),
        ([], "row 0 is held out 0 times"),
        ([(np.arange(60), np.arange(60))], "fold 1 trains on rows that it holds out"),
        ([(np.arange(3, 60, 3), np.arange(3))], "fold 1: its 19 training rows have one class only"),
        (100, "the rows cannot be cut into folds"),
    ],
)
def test_folds_that_will_not_do_are_refused(cv, message):
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3
    with pytest.raises(DataError, match=message):
        cross_fit_scores(Memory(), X, y, cv=cv)


class Silent(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self


def test_without_scores_it_is_refused(iris):
    X, y = iris
    with pytest.raises(DataError, match="Silent gives no score for every class"):
        cross_fit_scores(Silent(), X, y)
    with pytest.raises(NotFittedError):
        classifier_scores(GaussianNB(), X)
    of_pairs = SVC(decision_function_shape="ovo").fit(X, y)
    for estimator in (of_pairs, make_pipeline(StandardScaler(), of_pairs).fit(X, y)):
        with pytest.raises(DataError, match="gives no score for every class"):
            classifier_scores(estimator, X)  # three columns, but of pairs of classes


def test_impossible_classes_do_not_warn(iris):
    X, y = iris
    scores = cross_fit_scores(RandomForestClassifier(5, random_state=0), X, y)
    assert np.isneginf(scores).any()
    assert (cross_fit_scores(DummyClassifier(), X, y) == np.log(1 / 3)).all()
