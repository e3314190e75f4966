import time

import numpy as np
import pytest
import scipy.stats

import luce
from luce.calibration import TemperatureScaling, VectorScaling
from luce.errors import DataError


def loss_of(calibrator, scores, labels):
    return -calibrator.log_probabilities(scores)[np.arange(len(labels)), labels].mean()


def test_it_is_its_formula(calibrated):
    scores, _ = calibrated(50, 3)
    calibrator = VectorScaling(2.0, [1.5, 0.5, -0.1], [0.0, 1.0, -1.0])
    x = luce.log_softmax(scores / 2)
    expected = luce.softmax(calibrator.scale * x + calibrator.bias)
    np.testing.assert_allclose(calibrator.probabilities(scores), expected, rtol=1e-12)
    shifted = calibrator.probabilities(scores + np.arange(50)[:, None])
    np.testing.assert_allclose(shifted, expected, rtol=1e-9)


def test_biases_are_found(calibrated):
    scores, labels = calibrated(20_000, 4)
    wrong = np.array([0.0, 1.0, -2.0, 0.5])
    calibrator = VectorScaling.fit(3 * (scores + wrong), labels)
    fresh, truth = calibrated(50_000, 4, seed=1)
    best = luce.cross_entropy(fresh, truth)
    assert loss_of(calibrator, 3 * (fresh + wrong), truth) < best + 0.001
    single = TemperatureScaling.fit(3 * (scores + wrong), labels)
    assert loss_of(single, 3 * (fresh + wrong), truth) > best + 0.1


@pytest.mark.parametrize(("n", "k"), [(150, 2), (150, 8)])
def test_calibrated_scores_keep_the_identity(calibrated, n, k):
    kept = sum(VectorScaling.fit(*calibrated(n, k, seed=seed)).is_identity for seed in range(100))
    # 95 % is promised; fewer than this come by chance once in 10,000 times.
    assert kept >= scipy.stats.binom.ppf(1e-4, 100, 0.95)


def test_noise_in_the_numbers_of_classes_is_not_learned(calibrated):
    # Were folds drawn by class, held-out rows would give away how many of a class there are.
    calibrator = VectorScaling.fit(*calibrated(3000, 60))
    assert calibrator.is_identity


def test_where_one_temperature_is_all_it_is_that(calibrated):
    scores, labels = calibrated(500, 10)
    calibrator = VectorScaling.fit(3 * scores, labels)
    assert calibrator.strength == np.inf
    assert (calibrator.scale == 1).all()
    single = TemperatureScaling.fit(3 * scores, labels)
    assert calibrator.temperature == pytest.approx(single.temperature)


def test_impossible_classes_stay_impossible(calibrated):
    scores, labels = calibrated(2000, 3)
    scores[:500, 2], labels[:500] = -np.inf, labels[:500] % 2
    calibrator = VectorScaling.fit(np.array([2.0, 0.0, 0.0]) + scores, labels)
    assert not calibrator.is_identity
    p = calibrator.probabilities(scores)
    assert (p[:500, 2] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert VectorScaling(1.0, [1, -1], [0, 0]).probabilities([[-np.inf, 0.0]]).tolist() == [[0, 1]]


def test_weights_of_any_scale_give_the_same(calibrated):
    scores, labels = calibrated(500, 3)
    weights = np.random.default_rng(0).gamma(1.0, size=500) * (np.arange(500) % 3 > 0)
    scores += [0.0, 2.0, 0.0]
    once = VectorScaling.fit(scores, labels, weights)
    scaled = VectorScaling.fit(scores, labels, 1e6 * weights)
    without = VectorScaling.fit(scores[weights > 0], labels[weights > 0], weights[weights > 0])
    for other in (scaled, without):
        np.testing.assert_allclose(other.scale, once.scale, rtol=1e-9)
        np.testing.assert_allclose(other.bias, once.bias, rtol=1e-9, atol=1e-12)


def test_many_classes_are_quick(calibrated):
    scores, labels = calibrated(1000, 1000, dtype=np.float32)
    start = time.process_time()
    calibrator = VectorScaling.fit(2 * scores, labels)
    assert time.process_time() - start < 10
    assert calibrator.log_loss_after < calibrator.log_loss_before
    assert calibrator.probabilities(scores).dtype == np.float32


@pytest.mark.parametrize(
    "parameters",
    [
        (0.0, [1.0], [0.0]),
        (1.0, [1.0, 1.0], [0.0]),
        (1.0, [np.nan], [0.0]),
        (1.0, [[1.0]], [[0.0]]),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters):
    with pytest.raises(DataError, match="expected"):
        VectorScaling(*parameters)
