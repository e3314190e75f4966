import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

import luce
from luce import NetworkClassifier
from luce.errors import DataError
from luce.kernels import threads as kernel_threads


@parametrize_with_checks([NetworkClassifier()])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X).astype(np.float32), y


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y


def brief(**parameters):
    """A classifier that is planned to end after a few epochs: no warning tells that it did."""
    few = {"hidden_layer_sizes": (8,), "max_iter": 4, "learning_rate": "cosine", "random_state": 0}
    return NetworkClassifier(**{**few, **parameters})


def arrays(classifier):
    return classifier.coefs_ + classifier.intercepts_


def assert_same_network(one, other, **tolerance):
    for mine, yours in zip(arrays(one), arrays(other), strict=True):
        if tolerance:
            np.testing.assert_allclose(mine, yours, **tolerance)
        else:
            np.testing.assert_array_equal(mine, yours)


class TestAgainstMLPClassifier:
    """The same training from the same weights, and the same accuracy from others."""

    @pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
    @pytest.mark.parametrize(
        ("solver", "tolerance"),
        [
            ({"solver": "adam", "alpha": 0.1, "epsilon": 1e-12}, 1e-8),
            ({"solver": "sgd", "learning_rate_init": 0.1}, 1e-12),
            ({"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "invscaling"}, 1e-12),
            ({"solver": "lbfgs", "alpha": 0.1}, 1e-9),
        ],
        ids=str,
    )
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_same_epochs(self, solver, tolerance, activation, iris):
        X, y = iris[0].astype(np.float64), iris[1]
        weights = np.random.default_rng(0).uniform(0.5, 2, len(y))
        settings = {
            "hidden_layer_sizes": (7, 5), "activation": activation, "batch_size": 40, **solver,
            "shuffle": False, "max_iter": 4, "warm_start": True, "random_state": 0,
        }  # fmt: skip
        ours, theirs = NetworkClassifier(**settings), MLPClassifier(**settings)
        ours.fit(X, y), theirs.fit(X, y)
        for mine, yours in zip(arrays(ours), arrays(theirs), strict=True):
            mine[...] = yours
        ours.t_ = theirs.t_ = 0
        ours.fit(X, y, weights), theirs.fit(X, y, weights)
        assert_same_network(ours, theirs, rtol=0, atol=tolerance)
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=tolerance)
        assert ours.n_iter_ == theirs.n_iter_ == 4

    @pytest.mark.parametrize(
        ("parameters", "name"),
        [
            ({"max_iter": 300}, "iris"),
            ({"max_iter": 60}, "digits"),
            ({"solver": "lbfgs", "max_iter": 500}, "iris"),
            ({"solver": "lbfgs", "max_iter": 500, "tol": 1e-3}, "digits"),
        ],
    )
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_same_accuracy(self, parameters, name, request):
        X, y = request.getfixturevalue(name)
        X, unseen, y, truth = X[::2], X[1::2], y[::2], y[1::2]
        ours = NetworkClassifier(**parameters, random_state=1).fit(X, y).score(unseen, truth)
        with threadpool_limits(1):  # small products are slow where threads share them
            theirs = MLPClassifier(**parameters, random_state=1).fit(X, y).score(unseen, truth)
        assert ours > theirs - 0.015
        assert ours > 0.93

    def test_parameters_and_their_defaults(self):
        theirs = MLPClassifier().get_params()
        assert NetworkClassifier().get_params().items() >= theirs.items()

    def test_attributes(self, iris):
        ours = brief(early_stopping=True).fit(*iris)
        theirs = MLPClassifier(early_stopping=True, max_iter=300).fit(*iris)
        fitted = {name for name in vars(theirs) if name.endswith("_")}
        assert fitted <= set(dir(ours))


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "adamw", "alpha": 0.01},
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1},
        {"activation": "gelu"},
        {"dropout": 0.5, "max_iter": 200, "learning_rate": "constant"},
        {"layer_norm": True, "hidden_layer_sizes": (20, 20)},
        {"residual": True, "hidden_layer_sizes": (20, 20, 20)},
        {"layer_norm": True, "residual": True, "dropout": 0.1, "hidden_layer_sizes": (20, 20)},
        {"learning_rate": "cosine", "warmup": 0.2},
        {"max_norm": 0.5},
        {"averaging": 0.9},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": 30},
        {"label_smoothing": 0.1},
        {"early_stopping": True, "scoring": "balanced_accuracy"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_way_of_training_learns(parameters, iris):
    settings = {"max_iter": 60, "learning_rate_init": 0.02, "random_state": 0, **parameters}
    classifier = NetworkClassifier(**settings).fit(*iris)
    assert classifier.score(*iris) > 0.93
    assert np.isfinite(classifier.loss_curve_).all()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_computes_in_the_dtype_of_the_features(dtype, solver, iris):
    X, y = iris
    classifier = brief(solver=solver, max_iter=20, tol=0.01).fit(X.astype(dtype), y)
    assert {array.dtype for array in arrays(classifier)} == {np.dtype(dtype)}
    for other in (np.float32, np.float64):
        assert classifier.predict_proba(X.astype(other)).dtype == other
    np.testing.assert_allclose(
        classifier.predict_proba(X.astype(np.float32)),
        classifier.predict_proba(X.astype(np.float64)),
        atol=1e-5,
    )


@pytest.mark.parametrize("layout", ["csr", "csr matrix", "csc", "F", "read-only", "strided"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_layouts_give_the_same_model(layout, early_stopping, iris):
    X, y = iris[0].astype(np.float64), iris[1]
    X[np.abs(X) < 0.5] = 0.0
    given = {
        "csr": lambda: scipy.sparse.csr_array(X),
        "csr matrix": lambda: scipy.sparse.csr_matrix(X),
        "csc": lambda: scipy.sparse.csc_array(X),
        "F": lambda: np.asfortranarray(X),
        "read-only": lambda: np.frombuffer(X.tobytes()).reshape(X.shape),
        "strided": lambda: np.repeat(X, 2, axis=0)[::2],
    }[layout]()
    expected = brief(early_stopping=early_stopping).fit(X, y)
    actual = brief(early_stopping=early_stopping).fit(given, y)
    assert_same_network(actual, expected, atol=1e-9)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_allclose(
            getattr(actual, method)(given), getattr(expected, method)(X), atol=1e-8
        )


def test_sparse_features_are_never_made_dense(monkeypatch):
    X = scipy.sparse.random_array((60, 100_000), density=1e-4, format="csr", rng=0)
    X.data = X.data.astype(np.float32)
    y = np.arange(60) % 3

    def refuse(*args, **kwargs):
        raise AssertionError("made dense")

    for name in ("toarray", "todense"):
        monkeypatch.setattr(scipy.sparse.csr_array, name, refuse)
    classifier = brief(early_stopping=True, validation_fraction=0.2).fit(X, y)
    assert classifier.predict_proba(X).shape == (60, 3)


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True}, {"solver": "sgd"}])
def test_same_bits_for_any_number_of_threads_and_any_other_run(parameters, digits):
    X, y = digits
    one, two, again = (
        brief(**parameters, max_iter=2, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2, 2)
    )
    assert_same_network(one, two)
    assert_same_network(two, again)
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    other = brief(**parameters, max_iter=2, random_state=1).fit(X, y)
    assert (other.coefs_[0] != one.coefs_[0]).any()


def test_threads_are_those_asked_for(iris, monkeypatch):
    seen = set()
    monkeypatch.setattr(
        "luce.scorers.network.Network.winners",
        lambda self, X: seen.add(luce.num_threads()) or np.zeros(len(X), int),
    )
    brief(n_jobs=3).fit(*iris).predict(iris[0])
    brief(n_jobs=-1).fit(*iris).predict(iris[0])
    assert seen == {3, kernel_threads.num_threads()}
    with pytest.raises(DataError, match="whole number of at least 1"):
        brief(n_jobs=0).fit(*iris)


def test_a_random_state_is_drawn_from(iris):
    random_state = np.random.RandomState(0)
    first, second = (brief(random_state=random_state).fit(*iris) for _ in range(2))
    assert (first.coefs_[0] != second.coefs_[0]).any()
    assert_same_network(brief(random_state=np.random.RandomState(0)).fit(*iris), first)


class TestWeights:
    def test_weights_are_repetitions(self, iris):
        X, y = iris[0].astype(np.float64), iris[1]
        counts = np.random.default_rng(0).integers(0, 4, len(y))
        for parameters in ({"batch_size": 1000}, {"solver": "lbfgs", "max_iter": 30, "tol": 1e-9}):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                weighted = brief(**parameters).fit(X, y, sample_weight=counts)
                repeated = brief(**parameters).fit(
                    np.repeat(X, counts, axis=0), np.repeat(y, counts)
                )
            assert_same_network(weighted, repeated, atol=1e-6)

    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_rows_of_weight_0_are_not_there(self, early_stopping, iris):
        X, y = iris
        weights = np.arange(len(y)) % 3.0
        weighted = brief(early_stopping=early_stopping, batch_size=10).fit(X, y, weights)
        there = weights > 0
        rest = brief(early_stopping=early_stopping, batch_size=10).fit(
            X[there], y[there], weights[there]
        )
        assert_same_network(weighted, rest)
        assert weighted.validation_scores_ == rest.validation_scores_
        assert weighted.t_ == rest.t_ == 4 * (90 if early_stopping else 100)

    @pytest.mark.parametrize("early_stopping", [False, True])
    @pytest.mark.parametrize("class_weight", ["balanced", {0: 3.0, 2: 0.5}])
    def test_class_weights_are_weights(self, class_weight, early_stopping, iris):
        X, y = iris[0][20:], iris[1][20:]
        own = np.random.default_rng(0).uniform(1, 2, len(y)) * np.where(y == 2, 5.0, 1.0)
        ours = brief(class_weight=class_weight, early_stopping=early_stopping).fit(X, y)
        weights = compute_sample_weight(class_weight, y)
        assert_same_network(
            ours, brief(early_stopping=early_stopping).fit(X, y, weights), atol=1e-6
        )
        steep = {"solver": "sgd", "learning_rate_init": 0.1}
        both = brief(class_weight=class_weight, **steep).fit(X, y, own)
        sums = np.bincount(y, own)
        of_classes = {"balanced": sums.sum() / (3 * sums)}.get(str(class_weight), [3.0, 1.0, 0.5])
        product = own * np.take(of_classes, y)
        assert_same_network(both, brief(**steep).fit(X, y, product), atol=1e-6)


class TestSoftTargets:
    def test_label_smoothing_is_soft_targets(self, iris):
        X, y = iris[0].astype(np.float64), iris[1]
        smoothed = 0.7 * np.eye(3)[y] + 0.1
        ours = brief(label_smoothing=0.3).fit(X, y)
        assert_same_network(ours, brief().fit(X, smoothed), atol=1e-9)

    @pytest.mark.parametrize("solver", ["adam", "lbfgs"])
    def test_one_hot_rows_are_labels(self, solver, iris):
        X, y = iris
        labelled = brief(solver=solver, tol=0.1, max_iter=20).fit(X, y)
        soft = brief(solver=solver, tol=0.1, max_iter=20).fit(X, np.eye(3, dtype=np.float32)[y])
        assert_same_network(soft, labelled, atol=1e-4)
        np.testing.assert_array_equal(soft.classes_, [0, 1, 2])

    def test_probabilities_come_close_to_the_targets(self, iris):
        X, y = iris
        targets = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])[y]
        classifier = brief(max_iter=100, learning_rate_init=0.02, early_stopping=True)
        found = classifier.fit(X, pd.DataFrame(targets)).predict_proba(X)
        assert np.abs(found - targets).mean() < 0.08


class TestGoingOn:
    def test_warm_start_goes_on_from_the_weights(self, iris):
        X, y = iris
        classifier = brief(warm_start=True, solver="sgd", momentum=0.0, learning_rate="constant",
                           shuffle=False)  # fmt: skip
        with pytest.warns(ConvergenceWarning):
            classifier.fit(X, y).fit(X, y)
        with pytest.warns(ConvergenceWarning):
            whole = clone(classifier).set_params(max_iter=8).fit(X, y)
        assert_same_network(classifier, whole)
        assert classifier.loss_curve_ == whole.loss_curve_
        assert (classifier.n_iter_, classifier.t_) == (4, 8 * len(y))

    def test_warm_start_in_another_dtype(self, iris):
        X, y = iris
        classifier = brief(warm_start=True, tol=0.1, solver="lbfgs", max_iter=50)
        classifier.fit(X.astype(np.float64), y).fit(X, y)
        assert classifier.coefs_[0].dtype == np.float32
        assert classifier.n_iter_ == 0
        evaluations = 1 + len(classifier.loss_curve_)
        assert classifier.t_ >= 150 * evaluations

    def test_warm_start_refuses_another_problem(self, iris):
        X, y = iris
        classifier = brief(warm_start=True).fit(X, y)
        with pytest.raises(DataError, match=r"row 3 of y has the label 7, .*3 classes: 0, 1, 2"):
            classifier.fit(X, np.where(np.arange(len(y)) == 2, 7, y))
        with pytest.raises(DataError, match="class 2 has no row"):
            classifier.fit(X[y < 2], y[y < 2])
        with pytest.raises(
            ValueError, match="X has 3 features, but NetworkClassifier is expecting"
        ):
            classifier.fit(X[:, :3], y)
        with pytest.raises(DataError, match=r"hidden_layer_sizes=\(9,\).*warm_start=False"):
            classifier.set_params(hidden_layer_sizes=(9,)).fit(X, y)
        classifier.set_params(warm_start=False).fit(X[y < 2], y[y < 2])

    @pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "cosine", "adaptive"])
    @pytest.mark.parametrize("parameters", [{"dropout": 0.2, "averaging": 0.9}, {"solver": "sgd"}])
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_partial_fits_are_one_fit(self, parameters, learning_rate, iris):
        X, y = iris
        settings = {**parameters, "learning_rate": learning_rate, "batch_size": 40, "tol": 0.3}
        whole = brief(**settings, n_iter_no_change=np.inf).fit(X, y)
        parts = brief(**settings)
        for _ in range(4):
            parts = pickle.loads(pickle.dumps(parts.partial_fit(X, y, classes=[2, 0, 1])))
        assert_same_network(parts, whole)
        assert parts.loss_curve_ == whole.loss_curve_
        assert (parts.n_iter_, parts.t_) == (1, whole.t_)

    def test_partial_fit_with_names_weights_and_few_classes_a_call(self, iris):
        X, y = iris
        names = np.array(["a", "b", "c"])
        classifier = brief(class_weight={"a": 2.0}, learning_rate_init=0.05)
        for i in range(60):
            rows = y == i % 3
            classifier.partial_fit(X[rows], names[y[rows]], names, np.full(50, 2.0))
        assert classifier.score(X, names[y]) > 0.6
        weighted = brief().partial_fit(X, names[y], names, np.where(y == 0, 2.0, 1.0))
        assert_same_network(
            brief(class_weight={"a": 2.0}).partial_fit(X, names[y], names), weighted
        )
        np.testing.assert_array_equal(classifier.classes_, names)
        soft = brief().partial_fit(X, np.eye(3)[y], names)
        np.testing.assert_array_equal(soft.classes_, names)
        assert brief().partial_fit(X, np.eye(3)[y]).predict_proba(X).shape == (150, 3)

    def test_partial_fit_refuses(self, iris):
        X, y = iris
        with pytest.raises(DataError, match="first call of partial_fit needs classes"):
            brief().partial_fit(X, y)
        with pytest.raises(DataError, match="one class only"):
            brief().partial_fit(X, y, classes=[1])
        with pytest.raises(DataError, match="row 101 of y has the label 2, which is none of the 2"):
            brief().partial_fit(X, y, classes=[0, 1])
        with pytest.raises(DataError, match="they can not change"):
            brief().partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y, classes=[0, 1])
        with pytest.raises(DataError, match=r"4 columns of soft targets; expected 3"):
            brief().partial_fit(X, y, [0, 1, 2]).partial_fit(X, np.full((150, 4), 0.25))
        with pytest.raises(DataError, match="set early_stopping=False"):
            brief(early_stopping=True).partial_fit(X, y, [0, 1, 2])
        with pytest.raises(DataError, match="balanced"):
            brief(class_weight="balanced").partial_fit(X, y, [0, 1, 2])
        assert not hasattr(NetworkClassifier(solver="lbfgs"), "partial_fit")

    def test_a_checkpoint_is_gone_on_from(self, iris, tmp_path):
        settings = {"early_stopping": True, "dropout": 0.1, "max_iter": 6}
        path, scores = tmp_path / "fit", []

        def scoring(estimator, X, y):
            scores.append(-log_loss(y, estimator.predict_proba(X)))
            if len(scores) == 4:
                raise RuntimeError("killed")
            return scores[-1]

        with pytest.raises(RuntimeError, match="killed"):
            brief(**settings, checkpoint=path, scoring=scoring).fit(*iris)
        went_on = brief(**settings, checkpoint=path, scoring=scoring).fit(*iris)
        whole = brief(**settings, scoring=scoring).fit(*iris)
        assert_same_network(went_on, whole)
        assert went_on.validation_scores_ == whole.validation_scores_
        assert went_on.loss_curve_ == whole.loss_curve_
        with pytest.raises(DataError, match="the checkpoint is of another fit"):
            brief(**settings, checkpoint=path, random_state=1).fit(*iris)


def test_pipeline_search_and_names(iris):
    frame = pd.DataFrame(iris[0], columns=["a", "b", "c", "d"])
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), brief())
    grid = {"networkclassifier__hidden_layer_sizes": [(3,), (5,)]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(frame, iris[1])
    np.testing.assert_array_equal(search.best_estimator_[-1].feature_names_in_, frame.columns)
    scored = brief(early_stopping=True, scoring="accuracy")
    assert len(scored.fit(frame, iris[1], validation_data=(frame, iris[1])).validation_scores_) == 4
    with pytest.raises(ValueError, match="feature names should match"):
        scored.fit(frame, iris[1], validation_data=(frame.rename(columns={"a": "e"}), iris[1]))
    with pytest.raises(NotFittedError):
        _ = brief().predict(iris[0])
    with pytest.raises(AttributeError):
        _ = brief().coefs_
