"""Promises as promises: over many data sets, coverage and risk hold at the stated rate.

A count of data sets is held against the binomial distribution that it would have if the promise
just held: the bounds are passed by chance once in a million.
"""

from functools import partial

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

from luce import DecisionClassifier, SoftmaxClassifier
from luce.decisions import Abstain, PredictionSet
from luce.errors import DataError

CHANCE = 1e-6
SCORES = [("lac", False), *((s, r) for s in ("aps", "raps", "saps") for r in (False, True))]
every_score = pytest.mark.parametrize(("score", "randomised"), SCORES)


def assert_at_least(count, trials, rate):
    assert count >= binom.ppf(CHANCE, trials, rate), f"{count} of {trials}, not {rate}"


def assert_at_most(count, trials, rate):
    assert count <= binom.ppf(1 - CHANCE, trials, rate), f"{count} of {trials}, more than {rate}"


def covered(rule, probabilities, labels, sets, n):
    """Whether a row to come is covered, for each of `sets` data sets of n rows and one to come.

    Each data set is a group of a rule by groups, which fits them all at once.
    """
    groups = np.repeat(np.arange(sets), n + 1)
    to_come = np.tile(np.arange(n + 1) == n, sets)
    fitted = rule.fit(probabilities[~to_come], labels[~to_come], groups=groups[~to_come])
    decision = fitted.decide(probabilities[to_come], groups=groups[to_come])
    return decision.sets[np.arange(sets), labels[to_come]]


@every_score
@pytest.mark.parametrize(
    ("k", "n", "sets", "decimals"),
    [
        (2, 20, 4000, None),
        (3, 20, 4000, 1),
        (3, 57, 2000, None),
        (50, 20, 1500, 2),
        (1000, 20, 300, None),
    ],
)
def test_coverage(score, randomised, k, n, sets, decimals, draw):
    probabilities, labels = draw(np.random.default_rng(k), sets * (n + 1), k, 1.5, decimals)
    rule = PredictionSet(0.9, score, "group", randomised, allow_empty=True)
    count = covered(rule, probabilities, labels, sets, n).sum()
    assert_at_least(count, sets, 0.9)
    exact = decimals is None and (randomised or score == "lac")
    if exact:
        assert_at_most(count, sets, 0.9 + 1 / (n + 1))


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
@every_score
def test_coverage_of_probabilities_that_are_wrong(score, randomised, coverage, draw):
    random = np.random.default_rng(0)
    probabilities, labels = draw(random, 2000 * 41, 5, 1.0)
    labels = np.where(random.uniform(size=len(labels)) < 0.3, 4, labels)
    sharp = probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True)
    rule = PredictionSet(coverage, score, "group", randomised)
    assert_at_least(covered(rule, sharp, labels, 2000, 40).sum(), 2000, coverage)


@every_score
def test_a_class_that_the_fit_may_miss_is_covered(score, randomised):
    random = np.random.default_rng(1)
    sets, n = 3000, 20
    labels = random.choice(4, p=[0.6, 0.3, 0.08, 0.02], size=sets * (n + 1))
    probabilities = random.dirichlet(np.ones(4), size=len(labels))
    rule = PredictionSet(0.9, score, "group", randomised)
    assert_at_least(covered(rule, probabilities, labels, sets, n).sum(), sets, 0.9)


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("score", ["lac", "aps"])
def test_coverage_of_each_class(score, n):
    """Also of a class that is rare, often missing, and nearly always mistaken."""
    random = np.random.default_rng(2)
    means = np.array([[2, 0, 0], [0, 2, 0], [2, 0, -1]])
    hits, trials = np.zeros(3), np.zeros(3)
    for _ in range(800):
        labels = random.choice(3, p=[0.55, 0.4, 0.05], size=n + 20)
        scores = random.normal(size=(n + 20, 3)) + means[labels]
        probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        rule = PredictionSet(0.8, score, "class").fit(probabilities[:n], labels[:n])
        sets = rule.decide(probabilities[n:]).sets
        for c in range(3):
            of_class = np.flatnonzero(labels[n:] == c)[:1]
            hits[c] += sets[of_class, c].sum()
            trials[c] += len(of_class)
    for c in range(3):
        assert_at_least(hits[c], trials[c], 0.8)


def two_classes(random, n, shares, rates):
    """Rows of a few confidences, with a rate of errors for each."""
    confidences = np.linspace(0.99, 0.55, len(shares))
    place = random.choice(len(shares), p=shares, size=n)
    wrong = random.uniform(size=n) < np.asarray(rates)[place]
    confidence = confidences[place]
    return np.stack([confidence, 1 - confidence], axis=1), wrong.astype(int)


def assert_risk_is_kept(rule, problem, true_risk, sets):
    """Of many fits at most 1 - confidence answer with a risk above what is allowed."""
    exceeded = 0
    fitted = 0
    for _ in range(sets):
        probabilities, labels = problem()
        try:
            found = rule.fit(probabilities, labels)
        except DataError:
            continue
        fitted += 1
        exceeded += true_risk(found) > rule.risk
    assert_at_most(exceeded, sets, 1 - rule.confidence)
    return fitted, exceeded


HARD = {
    # All alike, and just above: the bound is reached as often as it may be.
    "alike": ([1.0], [0.0501]),
    # Just above from the first answer on.
    "flat": ([0.05] * 20, [0.0501] * 20),
    # Good, until the last step takes it just above.
    "step": ([0.4, 0.2, 0.2, 0.2], [0.01, 0.01, 0.01, 0.2105]),
    # The surest are the worst, and the others make up for them only just not.
    "overconfident": ([0.1, 0.3, 0.3, 0.3], [0.2, 0.034, 0.034, 0.034]),
    # Above, below and above again.
    "waves": ([0.1, 0.2, 0.3, 0.4], [0.06, 0.044, 0.053, 0.053]),
}


@pytest.mark.parametrize(
    ("name", "n"), [*((name, n) for name in HARD for n in (92, 400)), ("flat", 3000)]
)
def test_risk(name, n):
    shares, rates = map(np.array, HARD[name])
    random = np.random.default_rng(3)
    confidences = np.linspace(0.99, 0.55, len(shares))

    def true_risk(rule):
        answered = confidences >= rule.thresholds[0]
        return (shares * rates)[answered].sum() / shares[answered].sum()

    problem = partial(two_classes, random, n, shares, rates)
    fitted, exceeded = assert_risk_is_kept(Abstain(0.05, 0.9), problem, true_risk, 1500)
    if name == "alike":
        # What could never fail would show nothing: of all rows or none, all are as often allowed
        # as the bound comes near the level.
        assert fitted == exceeded
        assert exceeded > 30


@pytest.mark.parametrize(
    ("k", "n", "sharpness", "decimals"),
    [(2, 20, 6, None), (2, 200, 3, 1), (3, 20, 6, 1), (1000, 20, 20, None), (1000, 200, 6, 2)],
)
def test_risk_of_few_rows_many_classes_and_ties(k, n, sharpness, decimals, draw):
    random = np.random.default_rng(k + n)
    probabilities, labels = draw(random, 3000, k, sharpness, decimals)
    confidence, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != labels

    def problem():
        rows = random.integers(len(labels), size=n)
        return probabilities[rows], labels[rows]

    def true_risk(rule):
        answered = confidence >= rule.thresholds[0]
        return wrong[answered].mean() if answered.any() else 0.0

    fitted, _ = assert_risk_is_kept(Abstain(0.2, 0.9), problem, true_risk, 1000)
    assert fitted > 100


@pytest.mark.parametrize("n", [30, 300])
def test_risk_by_class_where_classes_are_missing(n):
    """A class that is seldom seen and never said, and one that is said too often."""
    random = np.random.default_rng(n)
    labels = random.choice(4, p=[0.6, 0.3, 0.08, 0.02], size=4000)
    scores = 3 * np.eye(4)[labels] + random.normal(size=(4000, 4)) + np.array([0, 0, 2, -3])
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)

    def true_risk(rule):
        decision = rule.decide(probabilities)
        wrong = decision.labels != labels
        answers = [decision.answered & (decision.labels == c) for c in range(4)]
        return max(wrong[some].mean() if some.any() else 0.0 for some in answers)

    problem, _ = resampled(random, probabilities, labels, n)
    fitted, _ = assert_risk_is_kept(Abstain(0.3, 0.8, by_class=True), problem, true_risk, 600)
    assert fitted > 100


@pytest.mark.parametrize("score", ["margin", "entropy"])
def test_risk_of_other_scores(score, draw):
    random = np.random.default_rng(4)
    population = draw(random, 4000, 4, 2.0)
    assert_risk_is_kept(Abstain(0.15, 0.9, score=score), *resampled(random, *population, 300), 800)


def test_risk_by_class_holds_for_all_classes_at_once():
    """Each class is just above the risk, so that one that is answered at all is one too many."""
    random = np.random.default_rng(5)

    def problem():
        guess = random.integers(3, size=300)
        wrong = random.uniform(size=300) < 0.2005
        return np.where(np.eye(3)[guess] == 1, 0.6, 0.2), (guess + wrong) % 3

    _, exceeded = assert_risk_is_kept(
        Abstain(0.2, 0.8, by_class=True), problem, lambda rule: 0.2005, 1500
    )
    assert exceeded > 100


def resampled(random, probabilities, labels, n):
    """Draws of n rows with replacement, and the risk of a rule over all rows."""

    def problem():
        rows = random.integers(len(labels), size=n)
        return probabilities[rows], labels[rows]

    def true_risk(rule):
        decision = rule.decide(probabilities)
        answered = decision.answered
        return (decision.labels != labels)[answered].mean() if answered.any() else 0.0

    return problem, true_risk


@pytest.fixture(scope="module")
def digits():
    """Probabilities and labels of digits that a small model has not seen."""
    X, y = load_digits(return_X_y=True)
    model = SoftmaxClassifier(C=1e-4).fit(X[:300], y[:300])
    return model.predict_proba(X[300:]), y[300:]


@pytest.mark.parametrize("risk", [0.05, 0.1])
def test_risk_on_resampled_digits(risk, digits):
    problem, true_risk = resampled(np.random.default_rng(6), *digits, 400)
    rule = Abstain(risk, confidence=0.9)
    fitted, _ = assert_risk_is_kept(rule, problem, true_risk, 1000)
    assert fitted > 500


@every_score
def test_coverage_on_resampled_digits(score, randomised, digits):
    probabilities, labels = digits
    rows = np.random.default_rng(7).integers(len(labels), size=2000 * 31)
    rule = PredictionSet(0.9, score, "group", randomised)
    count = covered(rule, probabilities[rows], labels[rows], 2000, 30).sum()
    assert_at_least(count, 2000, 0.9)


def test_coverage_of_cross_fitted_scores():
    """At least 1 - 2 alpha, of a model of all rows, with as many rows as a fold can be made of."""
    random = np.random.default_rng(9)
    classifier = DecisionClassifier(GaussianNB(), PredictionSet(0.9, allow_empty=True), cv=4)
    hits = 0
    for _ in range(150):
        y = random.permutation(np.arange(25) % 3)
        X = random.normal(size=(25, 4)) + np.eye(4)[y]
        classifier.fit(X[:24], y[:24])
        hits += classifier.decide(X[24:]).sets[0, y[24]]
    assert classifier.rule_.guarantee == pytest.approx(0.8)
    assert_at_least(hits, 150, 0.8)


def test_the_coverage_of_one_fit_is_spread_as_said(draw):
    """Beta(rank, n + 1 - rank): mean and standard deviation over data sets."""
    random = np.random.default_rng(8)
    probabilities, labels = draw(random, 20_000, 4)
    found = []
    for _ in range(300):
        rows = random.integers(20_000, size=99)
        rule = PredictionSet(0.9, allow_empty=True).fit(probabilities[rows], labels[rows])
        found.append((1 - probabilities[np.arange(20_000), labels] <= rule.thresholds[0]).mean())
    assert np.mean(found) == pytest.approx(0.9, abs=4 * 0.03 / np.sqrt(300))
    assert np.std(found) == pytest.approx(np.sqrt(0.9 * 0.1 / 101), rel=0.2)
