"""Early stopping, limits, and callbacks."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import StandardScaler

import luce
from luce import NetworkClassifier
from luce.errors import DataError


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X).astype(np.float32), y


@pytest.fixture(scope="module")
def noisy():
    """Labels that can not be learnt: what improves on the training rows gets worse on others."""
    random = np.random.default_rng(0)
    X = random.standard_normal((120, 10)).astype(np.float32)
    return X, np.array(["a", "b", "c"])[random.integers(0, 3, 120)]


def brief(**parameters):
    few = {"hidden_layer_sizes": (8,), "max_iter": 4, "learning_rate": "cosine", "random_state": 0}
    return NetworkClassifier(**{**few, **parameters})


def eager(**parameters):
    """One that fits noise soon."""
    return brief(learning_rate_init=0.05, max_iter=40, hidden_layer_sizes=(30,), **parameters)


class TestEarlyStopping:
    def test_the_best_epoch_is_kept(self, noisy):
        X, y = noisy
        classifier = eager().fit(X[:80], y[:80], validation_data=(X[80:], y[80:]))
        curve = classifier.validation_loss_curve_
        kept = log_loss(y[80:], classifier.predict_proba(X[80:]))
        assert min(curve) == pytest.approx(kept, rel=1e-5)
        assert min(curve) < curve[-1]
        assert classifier.validation_scores_ == [-loss for loss in curve]
        assert classifier.best_validation_score_ == -min(curve)
        assert classifier.best_loss_ is None
        assert classifier.n_iter_ == len(curve) == len(classifier.loss_curve_) < 40

    def test_without_validation_the_last_epoch_is_kept(self, noisy):
        classifier = brief().fit(*noisy)
        assert classifier.validation_scores_ is None
        assert classifier.validation_loss_curve_ is None
        assert classifier.best_validation_score_ is None
        assert classifier.best_loss_ == min(classifier.loss_curve_)
        assert classifier.loss_ == classifier.loss_curve_[-1]
        jumping = eager(solver="sgd", momentum=0.99).fit(*noisy)
        assert jumping.best_loss_ == min(jumping.loss_curve_) < jumping.loss_

    def test_patience(self, noisy):
        X, y = noisy
        data = {"validation_data": (X[80:], y[80:])}
        waits = [eager(n_iter_no_change=n).fit(X[:80], y[:80], **data).n_iter_ for n in (1, 5)]
        assert waits[0] < waits[1] < 40
        assert eager(n_iter_no_change=np.inf).fit(X[:80], y[:80], **data).n_iter_ == 40

    def test_held_out_rows_are_not_learnt_and_are_of_all_classes(self, iris, monkeypatch):
        X, y = iris
        X = X + np.arange(150, dtype=np.float32)[:, None] * 1e-3  # every row is unlike the others
        fitted = {}
        from luce.estimators import network_fit

        def watch(network, features, targets, *, validate, sample_weight, **settings):
            fitted["learnt"] = {tuple(row) for row in features[sample_weight > 0]}
            fitted["weights"] = sample_weight
            return original(network, features, targets, validate=validate,
                            sample_weight=sample_weight, **settings)  # fmt: skip

        def hold(rows, scores):
            fitted["held out"] = {tuple(row) for row in rows.features}
            fitted["labels"] = rows.targets
            return original_validation(rows, scores)

        original, original_validation = network_fit.fit_network, network_fit.validation
        monkeypatch.setattr(network_fit, "fit_network", watch)
        monkeypatch.setattr(network_fit, "validation", hold)
        brief(early_stopping=True, validation_fraction=0.2).fit(X, y)
        assert len(fitted["learnt"]) == 120
        assert len(fitted["held out"]) == 30
        assert not fitted["learnt"] & fitted["held out"]
        np.testing.assert_array_equal(np.bincount(fitted["labels"]), 10)

    def test_held_out_rows_have_their_weights(self, noisy):
        X, y = noisy
        weights = np.random.default_rng(1).uniform(0, 2, 40)
        weights[::5] = 0.0
        rows = (X[80:], y[80:], weights)
        given = {"class_weight": {"a": 3.0}}
        classifier = eager(**given).fit(X[:80], y[:80], validation_data=rows)
        weights = weights * np.where(y[80:] == "a", 3.0, 1.0)
        expected = log_loss(y[80:], classifier.predict_proba(X[80:]), sample_weight=weights)
        assert min(classifier.validation_loss_curve_) == pytest.approx(expected, rel=1e-5)
        classifier = eager(scoring="accuracy", **given)
        classifier.fit(X[:80], y[:80], validation_data=rows)
        expected = accuracy_score(y[80:], classifier.predict(X[80:]), sample_weight=weights)
        assert classifier.best_validation_score_ == pytest.approx(expected)

    def test_held_out_rows_of_weight_0_are_not_there(self, iris):
        X, y = iris
        wrong = np.arange(150) % 3 == 0
        rows = y != 1  # the others are told apart without an error
        classifier = brief(map=luce.Hardmax(), max_iter=100, learning_rate_init=0.02)
        data = (X[rows], np.where(wrong, 2 - y, y)[rows], (~wrong)[rows])
        classifier.fit(X[rows].astype(np.float64), y[rows], validation_data=data)
        assert classifier.validation_loss_curve_[-1] == 0.0

    def test_lbfgs_holds_out_nothing(self, iris):
        plain = {"solver": "lbfgs", "tol": 0.1, "max_iter": 50}
        early = brief(early_stopping=True, **plain).fit(*iris)
        np.testing.assert_array_equal(early.coefs_[0], brief(**plain).fit(*iris).coefs_[0])
        assert early.validation_scores_ is None
        with pytest.raises(DataError, match="validation_data is for stopping early"):
            brief(**plain).fit(*iris, validation_data=iris)

    def test_scoring(self, noisy):
        X, y = noisy
        data = {"validation_data": (X[80:], y[80:])}

        def scoring(estimator, X, y):
            assert isinstance(estimator, NetworkClassifier)
            return estimator.score(X, y)

        by_name = eager(scoring="accuracy").fit(X[:80], y[:80], **data)
        by_function = eager(scoring=scoring).fit(X[:80], y[:80], **data)
        assert by_name.validation_scores_ == by_function.validation_scores_
        assert by_name.best_validation_score_ == max(by_name.validation_scores_)
        assert by_name.score(X[80:], y[80:]) == by_name.best_validation_score_
        best = np.argmax(by_name.validation_scores_)
        kept = log_loss(y[80:], by_name.predict_proba(X[80:]))
        assert by_name.validation_loss_curve_[best] == pytest.approx(kept, rel=1e-5)
        with pytest.raises(ValueError, match="scoring"):
            eager(scoring="accurate").fit(X[:80], y[:80], **data)

    def test_soft_targets(self, iris):
        X, y = iris
        soft = 0.8 * np.eye(3)[y] + 0.2 / 3
        classifier = brief(early_stopping=True).fit(X, soft)
        assert len(classifier.validation_scores_) == 4
        with pytest.raises(DataError, match=r"scoring='accuracy' needs labels, .* soft targets"):
            brief(early_stopping=True, scoring="accuracy").fit(X, soft)
        with pytest.raises(DataError, match="weigh the rows with sample_weight"):
            brief(class_weight="balanced").fit(X, soft)
        brief(scoring="accuracy").fit(X, soft, validation_data=(X, y))
        brief(class_weight="balanced").fit(X, y, validation_data=(X, soft))

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (lambda X, y: X, r"validation_data is ndarray; expected a tuple \(X, y\)"),
            (lambda X, y: (X,), "validation_data is tuple; expected"),
            (lambda X, y: (X[:, :2], y), "validation_data: X has 2 features"),
            (lambda X, y: (X, y + 1), "validation_data: row 101 of y has the label 3"),
            (lambda X, y: (X, y[:10]), "validation_data: Found input .* inconsistent"),
            (lambda X, y: (X, y.astype(str)), "validation_data: row 1 of y has the label '0'"),
            (lambda X, y: (X, y, y * 0), "validation_data: .*weight"),
        ],
    )
    def test_impossible_validation_data(self, data, message, iris):
        with pytest.raises(DataError, match=message):
            brief().fit(*iris, validation_data=data(*iris))

    def test_training_rows_are_not_copied(self):
        X, y = np.zeros((50_000, 512), np.float32), np.arange(50_000) % 2
        classifier = brief(early_stopping=True, batch_size=2000, max_iter=1)
        tracemalloc.start()
        try:
            classifier.fit(X, y, np.ones(len(y)))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 0.6 * X.nbytes

    def test_too_few_rows_to_hold_some_out(self, iris):
        X, y = iris[0][::15], iris[1][::15]
        with pytest.raises(
            DataError, match=r"validation_fraction=0.1 of 10 rows .*validation_data"
        ):
            brief(early_stopping=True).fit(X, y)


class TestLimits:
    def test_all_epochs_used_up(self, iris):
        classifier = brief(learning_rate="constant")
        message = r"after 4 epochs: all of max_iter=4 were used up; the training loss is 1\.\d+\. "
        with pytest.warns(ConvergenceWarning, match=message + "If that .*raise max_iter, or") as w:
            classifier.fit(*iris)
        assert w[0].filename == __file__
        message = r"used up; epoch 4 was the best .*kept\. If that is too early, raise max_iter\.$"
        with pytest.warns(ConvergenceWarning, match=message):
            classifier.set_params(early_stopping=True).fit(*iris)
        with pytest.warns(ConvergenceWarning, match="after 4 iterations: all of max_iter=4"):
            classifier.set_params(solver="lbfgs", learning_rate="cosine").fit(*iris)

    def test_training_loss_that_falls_no_more(self, iris):
        classifier = brief(learning_rate="constant", tol=10.0, max_iter=100).fit(*iris)
        assert classifier.n_iter_ == 12  # the first, and more than ten without an improvement
        small = brief(learning_rate="adaptive", solver="sgd", tol=10.0, max_iter=100).fit(*iris)
        assert small.n_iter_ < 30

    def test_the_time_is_limited(self, iris):
        with pytest.warns(ConvergenceWarning, match=r"after 1 epochs: max_seconds=1e-09 were"):
            classifier = brief(max_seconds=1e-9, max_iter=1000).fit(*iris)
        assert classifier.n_iter_ == 1

    def test_evaluations_of_lbfgs_are_limited(self, iris):
        with pytest.warns(ConvergenceWarning, match=r"max_fun=5 evaluations"):
            brief(solver="lbfgs", max_fun=5, max_iter=100).fit(*iris)

    def test_batches_of_more_rows_than_there_are(self, iris):
        one = brief(batch_size=1000).fit(*iris)
        np.testing.assert_array_equal(one.coefs_[0], brief(batch_size=150).fit(*iris).coefs_[0])

    def test_interrupted_fits_keep_the_best_so_far(self, noisy):
        epochs = []

        def scoring(estimator, X, y):
            epochs.append(estimator.coefs_[0].copy())
            if len(epochs) == 3:
                raise KeyboardInterrupt
            return -len(epochs)

        classifier = brief(early_stopping=True, scoring=scoring)
        with pytest.raises(KeyboardInterrupt):
            classifier.fit(*noisy)
        np.testing.assert_array_equal(classifier.coefs_[0], epochs[0])
        assert classifier.score(*noisy) >= 0

    @pytest.mark.filterwarnings("ignore:overflow encountered")
    def test_steps_that_are_too_long(self, iris):
        with pytest.raises(DataError, match="Scale the features"):
            brief(solver="sgd", learning_rate_init=1e15).fit(*iris)


class TestCallbacks:
    @pytest.mark.parametrize("solver", ["adam", "lbfgs"])
    def test_every_epoch_is_a_task_with_a_fitted_estimator(self, solver, iris):
        pytest.importorskip("sklearn.callback")
        from sklearn.callback import ScoringMonitor

        monitor = ScoringMonitor(scoring="neg_log_loss")
        classifier = brief(solver=solver, tol=0.05, max_iter=30).set_callbacks(monitor).fit(*iris)
        scores = monitor.get_logs().data_as_pandas["neg_log_loss"]
        assert len(scores) == classifier.n_iter_ + 1
        assert all(later > before for before, later in pairwise(scores[1:]))
        expected = -log_loss(iris[1], classifier.predict_proba(iris[0]))
        assert scores.iloc[0] == scores.iloc[-1] == pytest.approx(expected)  # the fit, an epoch

    def test_a_callback_can_end_the_fit(self, iris):
        pytest.importorskip("sklearn.callback")

        class Enough:
            def setup(self, estimator, context):
                self.epochs = 0

            def teardown(self, estimator, context): ...

            def on_fit_task_begin(self, estimator, context): ...

            def on_fit_task_end(self, estimator, context):
                self.epochs += context.task_name == "epoch"
                return self.epochs == 3

        assert brief(max_iter=20).set_callbacks(Enough()).fit(*iris).n_iter_ == 3
