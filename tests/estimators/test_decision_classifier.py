import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import luce
from luce import DecisionClassifier, SoftmaxClassifier
from luce.decisions import Abstain, Argmax, MinimumCost, PredictionSet, Threshold, TopK
from luce.errors import DataError
from luce.estimators.decision_classifier import set_apart

COUNTS_ROWS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "an exact bound counts rows that are drawn "
    "independently: a copy of a row is none, and weights that differ are refused"
    for kind in ("dense", "sparse")
}
IS_NOT_ARGMAX = {
    "check_classifiers_train": "it wants the class of the largest probability, which thresholds "
    "are there to differ from"
}


@parametrize_with_checks(
    [
        DecisionClassifier(SoftmaxClassifier(), Argmax()),
        DecisionClassifier(SoftmaxClassifier(), TopK(2)),
        DecisionClassifier(SoftmaxClassifier(), Threshold(maximise="balanced_accuracy")),
        DecisionClassifier(SoftmaxClassifier(), Threshold(maximise="f1", average="macro"), cv=2),
        DecisionClassifier(SoftmaxClassifier(), PredictionSet(0.9), random_state=0),
    ],
    expected_failed_checks=lambda classifier: {
        PredictionSet: COUNTS_ROWS,
        Threshold: IS_NOT_ARGMAX,
    }.get(type(classifier.rule), {}),
)
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture
def iris():
    X, y = load_iris(return_X_y=True)
    return X, np.array(["setosa", "versicolor", "virginica"], dtype=object)[y]


@pytest.mark.parametrize("rule", [Argmax(), TopK(2), Threshold([0.2, 0.3, 0.5])])
def test_a_rule_that_learns_nothing_leaves_all_rows_to_the_estimator(rule, iris):
    X, y = iris
    classifier = DecisionClassifier(SoftmaxClassifier(), rule).fit(X, y)
    alone = SoftmaxClassifier().fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), alone.predict_proba(X))
    assert classifier.rule_ is rule
    assert len(classifier.calibration_rows_) == 0
    decision = classifier.decide(X)
    expected = rule.decide(alone.predict_proba(X))
    np.testing.assert_array_equal(decision.labels, expected.labels)
    np.testing.assert_array_equal(classifier.predict(X), alone.classes_[expected.labels])


def test_training_and_calibration_have_rows_of_their_own(digits):
    X, y = digits
    classifier = DecisionClassifier(SoftmaxClassifier(), PredictionSet(0.9), random_state=0)
    classifier.fit(X, y)
    rows = classifier.calibration_rows_
    others = np.setdiff1d(np.arange(len(y)), rows)
    assert len(rows) == pytest.approx(0.2 * len(y), abs=1)
    alone = SoftmaxClassifier().fit(X[others], y[others])
    np.testing.assert_array_equal(classifier.predict_proba(X), alone.predict_proba(X))
    assert classifier.rule_ == PredictionSet(0.9).fit(alone.predict_proba(X[rows]), y[rows])
    assert classifier.rule == PredictionSet(0.9)


def test_the_rows_set_aside_are_drawn_anew_with_the_state(iris):
    def rows(state):
        rule = PredictionSet(0.9)
        return (
            DecisionClassifier(SoftmaxClassifier(), rule, random_state=state)
            .fit(*iris)
            .calibration_rows_
        )

    np.testing.assert_array_equal(rows(1), rows(1))
    assert set(rows(1)) != set(rows(2))


def test_folds_score_every_row_by_a_model_that_has_not_seen_it(iris):
    X, y = iris
    regression = LogisticRegression(max_iter=500)
    folds = KFold(4, shuffle=True, random_state=0)
    classifier = DecisionClassifier(regression, PredictionSet(0.8), cv=folds)
    classifier.fit(X, y)
    scores = cross_val_predict(regression, X, y, cv=folds, method="predict_proba")
    expected = PredictionSet(0.8, cross_fitted=True).fit(scores, load_iris().target)
    assert classifier.rule_ == expected
    assert classifier.rule_.guarantee == pytest.approx(0.6)
    alone = clone(regression).fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), alone.predict_proba(X))
    assert len(classifier.calibration_rows_) == len(y)


def test_folds_by_number(iris):
    rule = DecisionClassifier(SoftmaxClassifier(), Abstain(0.2), cv=5).fit(*iris).rule_
    assert rule.cross_fitted
    assert rule.tested.item() >= 140


def test_a_frozen_estimator_is_used_as_it_is(digits):
    X, y = digits
    model = SoftmaxClassifier().fit(X[:900], y[:900])
    classifier = DecisionClassifier(FrozenEstimator(model), PredictionSet(0.9))
    classifier.fit(X[900:1500], y[900:1500])
    expected = PredictionSet(0.9).fit(model.predict_proba(X[900:1500]), y[900:1500])
    assert classifier.rule_ == expected
    assert classifier.estimator_.estimator is model
    np.testing.assert_array_equal(classifier.calibration_rows_, np.arange(600))


def test_a_class_that_a_frozen_estimator_does_not_know(digits):
    X, y = digits
    model = SoftmaxClassifier().fit(X[y < 9], y[y < 9])
    classifier = DecisionClassifier(FrozenEstimator(model), PredictionSet(0.9))
    with pytest.raises(DataError, match="row 9: the estimator does not know the class 9"):
        classifier.fit(X, y)


@pytest.mark.parametrize(
    ("classes", "unanswered", "dtype"),
    [
        (np.array(["no", "yes"]), None, object),
        (np.array(["no", "yes"]), "ask a person", "<U12"),
        (np.array([0, 1]), -1, int),
        (np.array([0, 1]), "ask", object),
        (np.array([False, True]), None, object),
    ],
)
def test_rows_without_an_answer(classes, unanswered, dtype):
    X, y = load_breast_cancer(return_X_y=True)
    rule = MinimumCost([[0, 1, 0.05], [1, 0, 0.05]], ask=2)
    classifier = DecisionClassifier(SoftmaxClassifier(), rule, unanswered=unanswered)
    classifier.fit(X, classes[y])
    predicted, decision = classifier.predict(X), classifier.decide(X)
    assert 0 < decision.answered.sum() < len(y)
    assert predicted.dtype == dtype
    answered = decision.answered
    np.testing.assert_array_equal(predicted[answered], classes[decision.labels[answered]])
    assert all(value == unanswered for value in predicted[~answered])
    right = answered & (decision.labels == y)
    assert classifier.score(X, classes[y]) == right.mean()
    assert classifier.predict(X[:1]).dtype == dtype


def test_an_abstaining_classifier_can_be_scored(digits):
    X, y = digits
    classifier = DecisionClassifier(SoftmaxClassifier(C=1e-4), Abstain(0.1), random_state=0)
    scores = cross_val_score(classifier, X, y, cv=3)
    assert (scores > 0.4).all()
    assert (scores < 0.95).all()


def test_actions_that_are_no_classes(iris):
    X, y = iris
    costs = [[0, 5], [1, 1], [5, 0]]
    named = DecisionClassifier(SoftmaxClassifier(), MinimumCost(costs, ["keep", "sell"])).fit(X, y)
    assert set(named.predict(X)) == {"keep", "sell"}
    plain = DecisionClassifier(SoftmaxClassifier(), MinimumCost(costs)).fit(X, y)
    assert set(plain.predict(X)) == {0, 1}


def test_groups(digits):
    X, y = digits
    groups = np.where(X.sum(axis=1) > 310, "dark", "light")
    rule = PredictionSet(0.9, conditional="group")
    classifier = DecisionClassifier(SoftmaxClassifier(), rule, random_state=0)
    classifier.fit(X, y, groups=groups)
    assert classifier.rule_.groups.tolist() == ["dark", "light"]
    assert classifier.rule_.rows.sum() == len(classifier.calibration_rows_)
    assert classifier.decide(X[:5], groups=groups[:5]).sets.shape == (5, 10)
    assert classifier.predict(X[:5], groups=groups[:5]).shape == (5,)
    with pytest.raises(DataError, match="groups are not given"):
        classifier.decide(X[:5])
    for rule in (Argmax(), Abstain(0.1), PredictionSet(0.9)):
        with pytest.raises(DataError, match="the rule is no PredictionSet"):
            clone(classifier).set_params(rule=rule).fit(X, y, groups=groups)


def test_weights_go_to_the_estimator_and_to_the_rule(iris):
    X, y = iris
    weights = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    rule = Threshold(maximise="balanced_accuracy")
    classifier = DecisionClassifier(SoftmaxClassifier(), rule, random_state=0)
    classifier.fit(X, y, sample_weight=weights)
    rows = classifier.calibration_rows_
    others = np.setdiff1d(np.flatnonzero(weights), rows)
    alone = SoftmaxClassifier().fit(X[others], y[others], sample_weight=weights[others])
    np.testing.assert_array_equal(classifier.predict_proba(X), alone.predict_proba(X))
    labels = load_iris().target[rows]
    expected = rule.fit(alone.predict_proba(X[rows]), labels, sample_weight=weights[rows])
    assert classifier.rule_ == expected
    with pytest.raises(DataError, match="no exact promise for weights"):
        clone(classifier).set_params(rule=PredictionSet(0.9)).fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("cv", [0.3, 3])
@pytest.mark.parametrize("rule", [PredictionSet(0.9), Threshold(maximise="f1", average="macro")])
def test_rows_of_weight_0_are_no_rows(rule, cv, iris):
    X, y = iris
    weights = np.ones(len(y))
    weights[::4] = 0
    kept = np.flatnonzero(weights)
    new = DecisionClassifier(SoftmaxClassifier(), rule, cv=cv, random_state=0)
    weighted = clone(new).fit(X, y, sample_weight=weights)
    without = clone(new).fit(X[kept], y[kept], sample_weight=np.ones(len(kept)))
    assert weighted.rule_ == without.rule_
    np.testing.assert_array_equal(weighted.predict_proba(X), without.predict_proba(X))
    np.testing.assert_array_equal(weighted.calibration_rows_, kept[without.calibration_rows_])
    with pytest.raises(ValueError, match="at least one non-zero"):
        clone(new).fit(X, y, sample_weight=np.zeros(len(y)))


def test_groups_of_rows_of_weight_0(digits):
    X, y = digits
    groups = np.where(X.sum(axis=1) > 310, "dark", "light")
    weights = (np.arange(len(y)) % 3 > 0).astype(float)
    rule = PredictionSet(0.9, conditional="group")
    classifier = DecisionClassifier(SoftmaxClassifier(), rule, random_state=0)
    classifier.fit(X, y, sample_weight=weights, groups=groups)
    rows = classifier.calibration_rows_
    assert weights[rows].all()
    counts = [(groups[rows] == group).sum() for group in ("dark", "light")]
    assert classifier.rule_.rows.tolist() == counts


def test_a_class_that_the_rows_of_a_fold_lack_has_probability_0_there(iris):
    X, y = iris
    some = np.r_[0:50, 50:100, 100]
    classifier = DecisionClassifier(SoftmaxClassifier(), PredictionSet(0.9), cv=3)
    classifier.fit(X[some], y[some])
    assert classifier.rule_.thresholds < 1
    assert classifier.decide(X).sets.shape == (150, 3)


def test_folds_that_leave_rows_out(iris):
    folds = [(np.arange(75, 150), np.arange(75)), (np.arange(60), np.arange(75, 140))]
    classifier = DecisionClassifier(SoftmaxClassifier(), PredictionSet(0.9), cv=folds)
    with pytest.raises(DataError, match="row 140 is held out 0 times"):
        classifier.fit(*iris)


def test_an_estimator_that_takes_no_weights(iris):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    classifier = DecisionClassifier(pipeline, PredictionSet(0.9), random_state=0)
    assert classifier.fit(X, y).predict(X).shape == (150,)
    with pytest.raises(DataError, match="Pipeline takes no sample_weight"):
        classifier.fit(X, y, sample_weight=np.ones(150))


def test_an_estimator_without_probabilities(iris):
    with pytest.raises(DataError, match="Perceptron has no predict_proba"):
        DecisionClassifier(Perceptron(), Argmax()).fit(*iris)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 1.5])
def test_a_share_out_of_range(share, iris):
    classifier = DecisionClassifier(SoftmaxClassifier(), PredictionSet(0.9), cv=share)
    with pytest.raises(DataError, match=r"expected a share in \(0, 1\), or folds"):
        classifier.fit(*iris)


@pytest.mark.parametrize("groups", [np.arange(10), np.where(np.arange(150) == 3, np.nan, 0)])
def test_groups_that_are_not_those_of_the_rows(groups, iris):
    classifier = DecisionClassifier(SoftmaxClassifier(), PredictionSet(0.9, conditional="group"))
    with pytest.raises(DataError, match=r"groups have shape|row 3: the group is NaN"):
        classifier.fit(*iris, groups=groups)


def test_a_search_over_rules_and_their_parameters(digits):
    X, y = digits[0][:400], digits[1][:400]
    decider = DecisionClassifier(SoftmaxClassifier(), Abstain(0.3), random_state=0)
    chain = make_pipeline(StandardScaler(), decider)
    grid = {"decisionclassifier__rule__risk": [0.4, 0.6], "decisionclassifier__unanswered": [-1]}
    search = GridSearchCV(chain, grid, cv=2, scoring="accuracy").fit(X, y)
    best = search.best_estimator_[-1]
    assert best.rule == Abstain(search.best_params_["decisionclassifier__rule__risk"])
    assert best.rule_.risk == best.rule.risk
    rules = [Argmax(), Threshold(maximise="f1")]
    search = GridSearchCV(chain, {"decisionclassifier__rule": rules}, cv=2).fit(X, y)
    assert search.best_estimator_[-1].rule in rules


def test_parameters_of_a_rule_are_set_by_name():
    rule = Abstain(0.3)
    classifier = DecisionClassifier(SoftmaxClassifier(), rule)
    assert classifier.set_params(rule__risk=0.1, estimator__C=3).rule == Abstain(0.1)
    assert (classifier.estimator.C, rule.risk) == (3, 0.3)
    classifier.set_params(rule=PredictionSet(0.9), rule__score="aps")
    assert classifier.rule == PredictionSet(0.9, "aps")
    with pytest.raises(DataError, match="'risk' is no parameter of the rule PredictionSet"):
        classifier.set_params(rule__risk=0.1)
    with pytest.raises(DataError, match="risk is 2; expected"):
        classifier.set_params(rule=rule, rule__risk=2)


@pytest.mark.parametrize("rule", ["argmax", Argmax, None])
def test_what_is_no_rule(rule, iris):
    with pytest.raises(DataError, match=r"rule is .*; expected a rule, such as Argmax"):
        DecisionClassifier(SoftmaxClassifier(), rule).fit(*iris)


def test_a_rule_of_ones_own(iris):
    class Never:
        def fit(self, probabilities, labels):
            self.rows = len(labels)
            return self

        def decide(self, probabilities):
            n = len(probabilities)
            return luce.decisions.Decision(np.zeros(n, np.intp), np.zeros(n, bool))

    classifier = DecisionClassifier(SoftmaxClassifier(), Never(), random_state=0).fit(*iris)
    assert classifier.rule_.rows == 30
    assert classifier.predict(iris[0]).tolist() == [None] * 150


def test_sparse_features(digits):
    X, y = digits
    classifier = DecisionClassifier(SoftmaxClassifier(), PredictionSet(0.9), random_state=0)
    dense, sparse = clone(classifier).fit(X, y), classifier.fit(scipy.sparse.csr_matrix(X), y)
    assert dense.rule_.thresholds == pytest.approx(sparse.rule_.thresholds, abs=1e-3)


def test_pickled_it_decides_as_before(iris):
    classifier = DecisionClassifier(SoftmaxClassifier(), PredictionSet(0.9), random_state=0)
    classifier.fit(*iris)
    again = pickle.loads(pickle.dumps(classifier))
    assert again.rule_ == classifier.rule_
    np.testing.assert_array_equal(again.decide(iris[0]).sets, classifier.decide(iris[0]).sets)


def test_rows_are_set_apart_by_class():
    labels = np.repeat([0, 1, 2, 3], [500, 40, 10, 1])
    apart = set_apart(labels, 0.2, np.random.RandomState(0))
    counts = np.bincount(labels[apart], minlength=4)
    assert abs(counts - [100, 8, 2, 0]).max() <= 1
    assert counts[3] == 0


def test_every_row_is_set_apart_equally_often():
    labels = np.repeat([0, 1, 2], [30, 7, 3])
    counts = np.zeros(40)
    for seed in range(2000):
        counts += set_apart(labels, 0.2, np.random.RandomState(seed))
    assert abs(counts / 2000 - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 2000)


def test_a_class_keeps_a_row_to_train_on():
    labels = np.array([0, 0, 0, 1])
    for seed in range(50):
        apart = set_apart(labels, 0.9, np.random.RandomState(seed))
        assert set(labels[~apart]) == {0, 1}
