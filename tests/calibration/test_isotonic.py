import numpy as np
import pytest
import scipy.stats
from sklearn.isotonic import IsotonicRegression

import luce
from luce.calibration import IsotonicScaling, TemperatureScaling
from luce.errors import DataError


def steps(calibrator, c):
    return slice(*calibrator.first[c : c + 2])


@pytest.fixture
def unsure(calibrated):
    """Probabilities that no temperature mends, and labels."""

    def draw(n, k=3, seed=0):
        scores, labels = calibrated(n, k, seed=seed)
        p = luce.softmax(scores)
        return np.round((0.2 + 0.6 * p) / (0.2 * k + 0.6), 2), labels

    return draw


def test_the_levels_are_those_of_scikit_learn(unsure):
    p, labels = unsure(2000)
    weights = np.random.default_rng(1).gamma(1.0, size=2000)
    calibrator = IsotonicScaling.fit_from_probabilities(p, labels, weights, as_is=True)
    assert not calibrator.is_identity
    p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    for c in range(3):
        knots, levels = (
            calibrator.knots[steps(calibrator, c)],
            calibrator.levels[steps(calibrator, c)],
        )
        peer = (
            IsotonicRegression().fit(p[:, c], labels == c, sample_weight=weights).predict(p[:, c])
        )
        mine = levels[np.searchsorted(knots, p[:, c], "right") - 1]
        np.testing.assert_allclose(mine, peer, rtol=1e-9)


def test_it_is_its_formula():
    calibrator = IsotonicScaling([0.0, 0.5, 0.0], [0.25, 0.75, 0.5], [0, 2, 3], rows=10.0)
    found = calibrator.from_probabilities([[0.4, 0.6], [0.5, 0.5], [1.0, 0.0]])
    levels = np.array([[0.25, 0.5], [0.75, 0.5], [0.75, 0.5]]) + 1 / (2 * 10)
    np.testing.assert_allclose(found, levels / levels.sum(axis=1, keepdims=True))


def test_a_step_is_midway():
    p = np.repeat([[0.8, 0.2], [0.2, 0.8]], 500, axis=0)
    calibrator = IsotonicScaling.fit_from_probabilities(p, [0] * 480 + [1] * 500 + [0] * 20)
    assert not calibrator.is_identity
    np.testing.assert_allclose(calibrator.knots, [0.0, 0.5, 0.0, 0.5], atol=1e-7)
    np.testing.assert_allclose(calibrator.levels, [0.04, 0.96, 0.04, 0.96])


def test_where_all_levels_are_zero_probabilities_stay():
    calibrator = IsotonicScaling([0.0, 0.0], [0.0, 0.0], [0, 1, 2], rows=np.inf)
    np.testing.assert_allclose(calibrator.from_probabilities([[0.3, 0.7]]), [[0.3, 0.7]])
    smoothed = IsotonicScaling([0.0, 0.0], [0.0, 0.0], [0, 1, 2], rows=5)
    np.testing.assert_allclose(smoothed.from_probabilities([[0.3, 0.7]]), [[0.5, 0.5]])


@pytest.mark.parametrize("k", [2, 5, 200])
def test_probabilities_are_positive_and_sum_to_1(unsure, k):
    p, labels = unsure(3000, k)
    calibrator = IsotonicScaling._stepped(rows_of(p, labels))
    fresh = np.random.default_rng(0).dirichlet(np.full(k, 0.01), size=500)
    found = calibrator.from_probabilities(fresh)
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def rows_of(p, labels):
    from luce.calibration.given import labelled, scores_of

    return labelled(scores_of(p, as_is=True), labels, None)


def test_a_class_that_never_comes_is_almost_impossible(unsure):
    p, labels = unsure(500, 4)
    labels[labels == 3] = 0
    found = IsotonicScaling._stepped(rows_of(p, labels)).from_probabilities(p, as_is=True)
    assert (found[:, 3] < 2e-3).all()


def test_it_mends_what_no_temperature_does(unsure, calibrated):
    p, labels = unsure(20_000)
    fresh, truth = unsure(20_000, seed=1)
    best = luce.cross_entropy(calibrated(20_000, 3, seed=1)[0], truth)
    isotonic, temperature = (
        -np.log(
            method.fit_from_probabilities(p, labels, as_is=True).from_probabilities(
                fresh, as_is=True
            )[np.arange(20_000), truth]
        ).mean()
        - best
        for method in (IsotonicScaling, TemperatureScaling)
    )
    assert isotonic < 0.6 * temperature


def test_zeros_of_a_forest_become_what_they_were_worth():
    random = np.random.default_rng(0)
    truth = random.random(4000)
    votes = (random.random((4000, 10)) < truth[:, None]).mean(axis=1)
    labels = (random.random(4000) < truth).astype(int)
    p = np.column_stack([1 - votes, votes])
    calibrator = IsotonicScaling.fit_from_probabilities(p, labels)
    assert calibrator.log_loss_before == np.inf
    assert calibrator.log_loss_after < 0.7
    found = calibrator.from_probabilities([[1.0, 0.0]])[0, 1]
    assert found == pytest.approx(labels[votes == 0].mean(), abs=0.03)


def test_calibrated_scores_keep_the_identity(calibrated):
    kept = sum(
        IsotonicScaling.fit(*calibrated(150, 3, seed=seed)).is_identity for seed in range(100)
    )
    # 95 % is promised; fewer than this come by chance once in 10,000 times.
    assert kept >= scipy.stats.binom.ppf(1e-4, 100, 0.95)


def test_the_identity_keeps_the_number_of_classes(calibrated):
    calibrator = IsotonicScaling.fit(*calibrated(20, 3))
    assert calibrator.is_identity
    assert IsotonicScaling(
        calibrator.knots, calibrator.levels, calibrator.first, np.inf
    ).is_identity
    with pytest.raises(DataError, match="there are 2 classes; expected 3"):
        calibrator.probabilities([[0.0, 2.0]])


@pytest.mark.parametrize(
    ("knots", "levels", "first", "rows"),
    [
        ([0.0, 0.5], [0.1], [0, 2], 1),
        ([0.1], [0.1], [0, 1], 1),
        ([0.0, 0.0], [0.1, 0.2], [0, 2], 1),
        ([0.0], [1.1], [0, 1], 1),
        ([0.0], [0.1], [0, 2], 1),
        ([0.0], [0.1], [0, 1, 1], 1),
        ([0.0], [0.1], [0.0, 1.0], 1),
        ([0.0], [0.1], [0, 1], 0),
        ([0.0], [np.nan], [0, 1], 1),
        ([], [], [0, 1], 1),
    ],
)
def test_what_are_no_step_functions_is_refused(knots, levels, first, rows):
    with pytest.raises(DataError, match="expected"):
        IsotonicScaling(knots, levels, first, rows)
