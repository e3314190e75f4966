import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import luce
from luce import SoftmaxClassifier
from luce.errors import DataError
from luce.estimators import softmax_classifier

DATASETS = {
    "iris": load_iris,
    "wine": load_wine,
    "digits": load_digits,
    "breast cancer": load_breast_cancer,
}


@parametrize_with_checks([SoftmaxClassifier()])
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@pytest.fixture
def iris():
    return load_iris(return_X_y=True)


def reference(X, y, sample_weight=None, **parameters):
    """The optimum by Newton steps on standardised features, where that is the same problem."""
    return LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000, **parameters).fit(
        X, y, sample_weight=sample_weight
    )


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("standardised", [False, True])
def test_same_probabilities_as_logistic_regression(name, standardised):
    X, y = DATASETS[name](return_X_y=True)
    if standardised:
        X = StandardScaler().fit_transform(X)
    ours = SoftmaxClassifier(tol=1e-13).fit(X, y)
    theirs = reference(X, y)
    difference = np.abs(ours.predict_proba(X) - theirs.predict_proba(X)).max()
    print(f"{name}, standardised={standardised}: {difference:.1e} after {ours.n_iter_} passes")
    assert difference < 1e-6


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    ("parameters", "weighted"),
    [
        ({"C": 0.05}, False),
        ({"C": 7.0, "fit_intercept": False}, False),
        ({"class_weight": "balanced"}, False),
        ({"class_weight": {0: 3.0, 1: 0.5}}, True),
        ({"class_weight": "balanced"}, True),
    ],
)
def test_same_coefficients_as_logistic_regression(iris, classes, parameters, weighted):
    X, y = iris
    X, y = X[y < classes], y[y < classes]
    keep = np.arange(len(y)) % 5 != y % 3
    X, y = X[keep] - X.mean(axis=0), y[keep]
    weights = np.random.default_rng(0).uniform(0, 3, len(y)) if weighted else None
    ours = SoftmaxClassifier(tol=1e-13, **parameters).fit(X, y, sample_weight=weights)
    theirs = reference(X, y, weights, **parameters)
    assert ours.coef_.shape == theirs.coef_.shape
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-6)
    np.testing.assert_allclose(
        ours.intercept_ - ours.intercept_.mean() * (classes > 2),
        theirs.intercept_ - theirs.intercept_.mean() * (classes > 2),
        atol=2e-6,
    )
    np.testing.assert_allclose(
        ours.decision_function(X) - ours.decision_function(X).mean(),
        theirs.decision_function(X) - theirs.decision_function(X).mean(),
        atol=1e-5,
    )


def test_binary_c_is_two_class_softmax_at_half_c(iris):
    X, y = iris
    X, y = X[y > 0], y[y > 0] - 1
    binary = SoftmaxClassifier(C=3.0, tol=1e-13).fit(X, y)
    two = luce.training.fit_softmax_regression(X, y.astype(np.int64), classes=2, C=1.5, tol=1e-13)
    np.testing.assert_allclose(binary.coef_[0], two.coef[1] - two.coef[0], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_computes_in_the_dtype_of_the_features(iris, dtype):
    X, y = iris
    classifier = SoftmaxClassifier().fit(X.astype(dtype), y)
    assert classifier.coef_.dtype == dtype
    assert classifier.predict_proba(X.astype(dtype)).dtype == dtype
    assert classifier.optimality_gap_ <= 1e-6
    exact = SoftmaxClassifier(tol=1e-12).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), exact.predict_proba(X), atol=2e-3)


@pytest.mark.parametrize("layout", ["csr", "csc", "F", "read-only", "strided"])
def test_layouts_give_the_same_model(iris, layout):
    X, y = iris
    expected = SoftmaxClassifier(tol=1e-12).fit(X, y).predict_proba(X)
    if layout in ("csr", "csc"):
        given = scipy.sparse.csr_array(X).asformat(layout)
    elif layout == "F":
        given = np.asfortranarray(X)
    elif layout == "read-only":
        given = X.copy()
        given.flags.writeable = False
    else:
        given = np.repeat(X, 2, axis=0)[::2]
    before = X.copy()
    actual = SoftmaxClassifier(tol=1e-12).fit(given, y).predict_proba(given)
    np.testing.assert_allclose(actual, expected, atol=1e-7)
    np.testing.assert_array_equal(X, before)


def test_a_data_frame_of_many_classes_and_features():
    X, y = load_digits(return_X_y=True)
    by_columns = pd.DataFrame(X)
    assert not by_columns.to_numpy().flags.c_contiguous
    actual = SoftmaxClassifier().fit(by_columns, y).predict_proba(by_columns)
    np.testing.assert_allclose(actual, SoftmaxClassifier().fit(X, y).predict_proba(X), atol=1e-4)


def test_plain_arrays_need_no_validation_and_keep_its_meaning(iris, monkeypatch):
    X, y = iris
    expected = SoftmaxClassifier().fit(X.tolist(), y.tolist())
    again = SoftmaxClassifier().fit(pd.DataFrame(X, columns=list("abcd")), y)
    assert again.feature_names_in_.tolist() == list("abcd")
    validate = softmax_classifier.validate_data
    monkeypatch.setattr(softmax_classifier, "validate_data", None)
    again.fit(X, y)
    monkeypatch.setattr(softmax_classifier, "validate_data", validate)
    np.testing.assert_array_equal(again.coef_, expected.coef_)
    assert again.n_features_in_ == 4
    assert not hasattr(again, "feature_names_in_")
    with pytest.raises(ValueError, match="Input X contains NaN"):
        again.fit(np.where(X > 7, np.nan, X), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        again.fit(X, y[1:])
    with pytest.raises(ValueError, match="Input y contains NaN"):
        again.fit(X, np.where(y == 2, np.nan, y))


def test_string_labels_and_predictions_agree_with_probabilities(iris):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    classifier = SoftmaxClassifier().fit(X, names)
    probabilities = classifier.predict_proba(X)
    np.testing.assert_array_equal(
        classifier.predict(X), classifier.classes_[probabilities.argmax(axis=1)]
    )
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(X)), probabilities, rtol=1e-12)


def test_same_bits_for_any_number_of_threads():
    random = np.random.default_rng(0)
    X = random.standard_normal((20000, 30)).astype(np.float32)
    y = (X[:, :4] + random.standard_normal((20000, 4))).argmax(axis=1)
    one, two, three = (SoftmaxClassifier(n_jobs=n).fit(X, y) for n in (1, 2, 3))
    np.testing.assert_array_equal(one.coef_, two.coef_)
    np.testing.assert_array_equal(one.coef_, three.coef_)


def test_warm_start_needs_fewer_passes(iris):
    X, y = iris
    for classes in (2, 3):
        classifier = SoftmaxClassifier(warm_start=True).fit(X[y < classes], y[y < classes])
        cold = classifier.n_iter_
        classifier.fit(X[y < classes], y[y < classes])
        assert classifier.n_iter_ <= 2 < cold


def test_running_out_of_passes_warns_with_the_gap(iris):
    with pytest.warns(ConvergenceWarning, match=r"relative gap of .*max_iter=4 passes"):
        classifier = SoftmaxClassifier(max_iter=4).fit(*iris)
    assert classifier.optimality_gap_ > 1e-6


@pytest.mark.parametrize(
    "name",
    ["solver", "dual", "intercept_scaling", "penalty", "l1_ratio", "multi_class", "random_state",
     "verbose"],
)  # fmt: skip
def test_parameters_that_mean_nothing_here_are_answered(name):
    with pytest.raises(TypeError, match=f"SoftmaxClassifier has no '{name}': .*leave|wrap"):
        SoftmaxClassifier(**{name: "anything"})


def test_unknown_parameters_are_a_plain_type_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'temperature'"):
        SoftmaxClassifier(temperature=2)


@pytest.mark.parametrize("C", [0.0, -1.0, np.nan])
def test_impossible_c(iris, C):
    with pytest.raises(DataError, match="C must be positive"):
        SoftmaxClassifier(C=C).fit(*iris)


def test_one_class_and_weightless_class(iris):
    X, y = iris
    with pytest.raises(DataError, match=r"y has one class only, .*1"):
        SoftmaxClassifier().fit(X[y == 1], y[y == 1])
    with pytest.raises(DataError, match=r"class .*2.* have weight 0"):
        SoftmaxClassifier().fit(X, y, sample_weight=(y != 2).astype(float))


@pytest.mark.parametrize("n_jobs", [0, -2])
def test_impossible_number_of_threads(iris, n_jobs):
    with pytest.raises(DataError, match="whole number of at least 1"):
        SoftmaxClassifier(n_jobs=n_jobs).fit(*iris)


def test_clone_pickle_and_html(iris):
    classifier = SoftmaxClassifier(C=2.0).fit(*iris)
    assert clone(classifier).get_params() == classifier.get_params()
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(iris[0]), classifier.predict_proba(iris[0]))
    assert "SoftmaxClassifier" in classifier._repr_html_()


def test_fits_of_many_threads_at_once(iris):
    X, y = iris
    X, y = np.tile(X, (40, 1)), np.tile(y, 40)
    expected = SoftmaxClassifier().fit(X, y).coef_
    with ThreadPoolExecutor(4) as executor:
        fits = list(executor.map(lambda _: SoftmaxClassifier().fit(X, y).coef_, range(8)))
    for coef in fits:
        np.testing.assert_array_equal(coef, expected)


@pytest.fixture
def overlapping():
    random = np.random.default_rng(0)
    features = random.standard_normal((600, 5))
    labels = (features[:, :3] + random.standard_normal((600, 3))).argmax(axis=1)
    return features, np.array(["a", "b", "c"])[labels]


def test_history_has_a_row_per_pass(overlapping):
    classifier = SoftmaxClassifier().fit(*overlapping)
    history = classifier.history_
    assert len(history) == classifier.n_iter_
    assert history.dtype.names == ("seconds", "objective", "gap")
    assert (np.diff(history["seconds"]) >= 0).all()
    assert (np.diff(history["objective"]) <= 0).all()
    assert history["gap"][-1] == classifier.optimality_gap_


def test_the_time_is_limited(overlapping):
    with pytest.warns(ConvergenceWarning, match=r"max_seconds=1e-09 were over") as caught:
        classifier = SoftmaxClassifier(max_seconds=1e-9, tol=1e-12).fit(*overlapping)
    assert caught[0].filename == __file__
    assert classifier.n_iter_ == 1
    with pytest.raises(DataError, match="max_seconds must be positive"):
        SoftmaxClassifier(max_seconds=0).fit(*overlapping)


def test_interrupted_fits_keep_the_best_so_far(overlapping, monkeypatch):
    passes = []

    def pressed(self, objective, point, value, gap):
        passes.append(value)
        self.rows.append((0.0, value, gap))
        if len(passes) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("luce.training.record.Record.add", pressed)
    classifier = SoftmaxClassifier(tol=1e-12)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(*overlapping)
    assert len(passes) == classifier.n_iter_ == 4
    assert classifier.score(*overlapping) > 0.5


def test_separable_classes_are_named_without_a_penalty(overlapping):
    features, labels = overlapping
    features = features + 20.0 * (labels == "b")[:, None]
    with pytest.warns(ConvergenceWarning, match="classes in `separable_`"):
        classifier = SoftmaxClassifier(C=np.inf).fit(features, labels)
    np.testing.assert_array_equal(classifier.separable_, ["b"])
    assert np.isfinite(classifier.coef_).all()


def test_no_penalty_is_like_a_very_weak_one(overlapping):
    classifier = SoftmaxClassifier(C=np.inf, tol=1e-10).fit(*overlapping)
    assert classifier.separable_.shape == (0,)
    weak = SoftmaxClassifier(C=1e9, tol=1e-10).fit(*overlapping)
    np.testing.assert_allclose(classifier.coef_, weak.coef_, atol=1e-5)


class TestCallbacks:
    @pytest.fixture(autouse=True)
    def needs_callbacks(self):
        pytest.importorskip("sklearn.callback")

    def test_every_pass_is_a_task_with_a_fitted_estimator(self, overlapping):
        from sklearn.callback import ScoringMonitor

        monitor = ScoringMonitor(scoring="neg_log_loss")
        classifier = SoftmaxClassifier().set_callbacks(monitor).fit(*overlapping)
        scores = monitor.get_logs().data_as_pandas["neg_log_loss"]
        assert len(scores) == classifier.n_iter_ + 1
        expected = -log_loss(overlapping[1], classifier.predict_proba(overlapping[0]))
        assert scores.iloc[-1] == pytest.approx(expected)

    def test_a_callback_can_end_the_fit(self, overlapping):
        class Enough:
            def setup(self, estimator, context):
                self.passes = 0

            def teardown(self, estimator, context): ...

            def on_fit_task_begin(self, estimator, context): ...

            def on_fit_task_end(self, estimator, context):
                self.passes += context.task_name == "pass"
                return self.passes == 3

        classifier = SoftmaxClassifier(tol=1e-12).set_callbacks(Enough()).fit(*overlapping)
        assert classifier.n_iter_ == 3
        assert classifier.optimality_gap_ > 1e-12
