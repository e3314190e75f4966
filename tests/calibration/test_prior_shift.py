import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

import luce
from luce import SoftmaxClassifier
from luce.calibration import PriorShift
from luce.errors import DataError


@pytest.fixture
def shifted(calibrated):
    """Probabilities calibrated for equal frequencies, of rows that come with others."""

    def draw(n, new, spread=2.0, seed=0):
        k = len(new)
        scores, labels = calibrated(20 * n, k, spread=spread, seed=seed)
        chances = np.asarray(new)[labels]
        drawn = np.random.default_rng(seed).choice(20 * n, n, p=chances / chances.sum())
        return luce.softmax(scores[drawn]), labels[drawn]

    return draw


def test_it_is_the_rule_of_bayes(calibrated):
    p = luce.softmax(calibrated(100, 3)[0])
    shift = PriorShift([2, 1, 1], [1, 1, 0])
    expected = p * [0.5 / 0.5, 0.5 / 0.25, 0.0]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shift.from_probabilities(p), expected)
    np.testing.assert_allclose(shift.probabilities(np.log(p)), expected)
    np.testing.assert_allclose(np.exp(shift.log_probabilities(np.log(p))), expected)


def test_there_and_back_is_where_it_was(calibrated):
    p = luce.softmax(calibrated(100, 3)[0])
    there, back = PriorShift([1, 2, 3], [3, 1, 1]), PriorShift([3, 1, 1], [1, 2, 3])
    np.testing.assert_allclose(back.from_probabilities(there.from_probabilities(p)), p)
    assert PriorShift([1, 3], [2, 6]).is_identity
    assert not there.is_identity


def test_shifted_probabilities_are_calibrated(shifted):
    new = np.array([0.8, 0.15, 0.05])
    p, labels = shifted(20_000, new)
    after = PriorShift([1, 1, 1], new).from_probabilities(p)
    np.testing.assert_allclose(after.mean(axis=0), np.bincount(labels) / 20_000, atol=0.01)
    losses = [-np.log(q[np.arange(20_000), labels]).mean() for q in (p, after)]
    assert losses[1] < losses[0] - 0.1


def test_balanced_class_weights_are_undone(shifted):
    """`old` is then 1 / k, not the counts of the rows."""
    new = np.array([0.7, 0.25, 0.05])
    p, y = shifted(3000, new)
    X = np.log(p)
    plain, balanced = (
        SoftmaxClassifier(class_weight=weight).fit(X[:2000], y[:2000])
        for weight in (None, "balanced")
    )
    frequencies = np.bincount(y[:2000]) / 2000
    q = balanced.predict_proba(X[2000:])
    corrected = PriorShift([1, 1, 1], frequencies).from_probabilities(q)
    assert abs(q - plain.predict_proba(X[2000:])).mean() > 0.1
    assert abs(corrected - plain.predict_proba(X[2000:])).mean() < 0.02


def test_miscalibration_is_taken_for_a_shift(shifted):
    p, _ = shifted(2000, [0.95, 0.05], spread=1.0)
    sound, too_sure, unsure = (
        PriorShift.estimate(luce.softmax(factor * np.log(p)), [1, 1]).new[1]
        for factor in (1.0, 3.0, 0.4)
    )
    assert unsure < 0.01 < 0.03 < sound < 0.08 < 0.1 < too_sure


@pytest.mark.parametrize("new", [[0.9, 0.1], [0.5, 0.3, 0.2], [0.6, 0.4, 0.0]])
def test_frequencies_are_estimated_within_their_error(shifted, new):
    found = np.array(
        [
            PriorShift.estimate(shifted(500, new, seed=s)[0], np.ones(len(new))).new
            for s in range(30)
        ]
    )
    error = np.sqrt(found.var(axis=0, ddof=1) / 30) + 1e-3
    assert (abs(found.mean(axis=0) - new) < 4.5 * error + 0.003).all()


def test_the_estimate_maximises_the_likelihood(shifted):
    p, _ = shifted(300, [0.6, 0.3, 0.1], spread=0.7)
    weights = np.random.default_rng(0).gamma(1.0, size=300)
    old = np.array([0.2, 0.3, 0.5])
    found = PriorShift.estimate(p, old, weights).new

    def loss(free):
        new = np.exp([0.0, *free])
        return -weights @ np.log(p / old @ (new / new.sum())) / weights.mean()

    other = minimize(loss, [0.0, 0.0], method="BFGS")
    assert loss(np.log(found[1:] / found[0])) - other.fun < 0.011


def test_hard_estimates_end(shifted):
    new = np.random.default_rng(0).dirichlet(np.ones(50))
    p, _ = shifted(2000, new, spread=0.5)
    found = PriorShift.estimate(p, np.ones(50)).new
    assert found.sum() == pytest.approx(1)
    derivative = (1 / (p @ found)) @ p / 2000
    assert np.log(derivative.max()) * 2000 <= 0.011  # the certificate, computed by itself


def test_zeros_and_sure_rows():
    p = np.repeat(np.eye(3), [5, 3, 2], axis=0)
    np.testing.assert_allclose(PriorShift.estimate(p, [1, 1, 1]).new, [0.5, 0.3, 0.2])
    np.testing.assert_allclose(PriorShift.estimate(p[:5], [1, 1, 1]).new, [1, 0, 0])
    weights = [1, 1, 1, 1, 1, 0, 0, 0, 5, 0]
    np.testing.assert_allclose(PriorShift.estimate(p, [1, 1, 1], weights).new, [0.5, 0, 0.5])


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 8), st.integers(1, 4)),
        elements=st.sampled_from([0.0, 1e-300, 0.1, 0.5, 1.0]),
    ),
    st.data(),
)
def test_any_rows_have_an_estimate(p, data):
    p[~p.any(axis=1), 0] = 1.0
    old = data.draw(arrays(np.float64, p.shape[1], elements=st.floats(1e-3, 1)))
    new = PriorShift.estimate(p, old, as_is=True).new
    assert (new >= 0).all()
    assert new.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ([1, 1], [1, 1, 1], "old has 2 classes, new has 3"),
        ("ab", [1, 1], r"old has shape \(\) and dtype <U2; expected \(k,\)"),
        ([1, 1], ["a", "b"], r"new has shape \(2,\) and dtype <U1"),
        ([1, [1, 2]], [1, 1], "old are no table"),
        ([1, 0], [1, 1], "class 1 was never there before"),
        ([1, -1], [1, 1], r"old\[1\] is -1"),
        ([1, 1], [1, np.nan], r"new\[1\] is nan"),
        ([0, 0], [1, 1], "old is 0 for every class"),
        (0.5, 0.5, "a number for each class"),
    ],
)
def test_frequencies_that_are_none_are_refused(old, new, message):
    with pytest.raises(DataError, match=message):
        PriorShift(old, new)


def test_rows_that_are_none_are_refused():
    with pytest.raises(DataError, match="no row"):
        PriorShift.estimate(np.empty((0, 2)), [1, 1])
    with pytest.raises(DataError, match=r"row 1: the probability of class 0 is -0\.5"):
        PriorShift.estimate([[0.5, 0.5], [-0.5, 1.5]], [1, 1])
    with pytest.raises(DataError, match="old has 3 classes, the probabilities have 2"):
        PriorShift.estimate([[0.5, 0.5]], [1, 1, 1])
    with pytest.raises(DataError, match="class 1 has old 0"):
        PriorShift.estimate([[0.5, 0.5]], [1, 0])
    with pytest.raises(DataError, match="weights sum to 0"):
        PriorShift.estimate([[0.5, 0.5]], [1, 1], [0.0])
