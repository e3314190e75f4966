import numpy as np
import pytest

from luce.calibration import (
    TemperatureScaling,
    brier_score,
    brier_score_split,
    expected_calibration_error,
    log_loss,
    log_loss_split,
)
from luce.calibration.labelled import labelled
from luce.calibration.splits import recalibration
from luce.calibration.temperature import best_temperature


@pytest.mark.parametrize("weighted", [False, True])
def test_parts_add_up_to_the_score(draw, weighted):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 300, 4, 1.5)
    weights = np.random.default_rng(1).gamma(1, size=300) if weighted else None
    split = log_loss_split(log_probabilities, labels, sample_weight=weights)
    assert split.score == log_loss(log_probabilities, labels, sample_weight=weights)
    assert split.calibration + split.refinement == pytest.approx(split.score)
    split = brier_score_split(np.exp(log_probabilities), labels, sample_weight=weights)
    assert split.score == brier_score(np.exp(log_probabilities), labels, sample_weight=weights)
    assert split.calibration + split.refinement == pytest.approx(split.score)


def test_the_calibration_of_the_brier_score_is_the_sum_of_squared_gaps(draw):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 300, 4, 2.0)
    rows = np.exp(log_probabilities), labels
    error = expected_calibration_error(
        *rows, classwise=True, strategy="quantile", norm=2, debiased=True
    )
    assert brier_score_split(*rows).calibration == pytest.approx(4 * error * abs(error))


def test_of_calibrated_models_the_calibration_has_the_mean_0(draw):
    random = np.random.default_rng(0)
    found = []
    for _ in range(300):
        log_probabilities, labels, _ = draw(random, 100, 3)
        found.append(
            [
                log_loss_split(log_probabilities, labels).calibration,
                brier_score_split(np.exp(log_probabilities), labels).calibration,
            ]
        )
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(300)
    assert abs(mean[1]) < 4 * error[1]
    # Of the log loss terms in 1 / n^2 remain; the correction itself is about 1 / (2 n).
    assert abs(mean[0]) < 4 * error[0] + 0.2 / 200


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_of_others_it_is_what_recalibration_would_gain(draw, temperature):
    random = np.random.default_rng(0)
    differences = []
    for _ in range(100):
        log_probabilities, labels, truth = draw(random, 300, 3, temperature)
        gain = (truth * (np.log(truth) - log_probabilities)).sum(axis=1).mean()
        differences.append(log_loss_split(log_probabilities, labels).calibration - gain)
    assert abs(np.mean(differences)) < 4 * np.std(differences) / 10


def test_the_gain_is_that_of_the_best_temperature_of_all_rows(draw, monkeypatch):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 3000, 3, 1.5)
    given = labelled(log_probabilities, labels, None, None, logarithmic=True)
    unit, once = np.arange(3000), np.ones((3000, 1))
    best = TemperatureScaling.fit(log_probabilities, labels)
    after = log_loss(best.log_probabilities(log_probabilities), labels)
    gain = log_loss(log_probabilities, labels) - after
    whole = recalibration(given, unit)
    assert whole.of(once)[0] / 3000 == pytest.approx(gain, rel=1e-6)
    # Fitted to a sample, it is one Newton step from the best.
    monkeypatch.setattr("luce.calibration.labelled._LEAST_SAMPLE", 300)
    monkeypatch.setattr("luce.calibration.labelled._SAMPLE_ELEMENTS", 300)
    sampled = recalibration(given, unit)
    assert sampled.gain.sum() < whole.gain.sum()
    assert sampled.of(once)[0] == pytest.approx(whole.of(once)[0], rel=0.02)


def test_resamples_have_temperatures_of_their_own(draw):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 2000, 3, 1.3)
    given = labelled(log_probabilities, labels, None, None, logarithmic=True)
    found = recalibration(given, np.arange(2000))
    random = np.random.default_rng(1)
    for _ in range(5):
        drawn = random.integers(2000, size=2000)
        rows = labelled(log_probabilities[drawn], labels[drawn], None, None, logarithmic=True)
        fitted = recalibration(rows, np.arange(2000)).of(np.ones((2000, 1)))
        counts = np.bincount(drawn, minlength=2000)[:, None].astype(float)
        assert found.of(counts)[0] == pytest.approx(fitted[0], rel=0.01)


def test_slope_and_curvature_are_derivatives_by_the_logarithm_of_the_temperature(draw):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 50, 4)
    found = recalibration(
        labelled(log_probabilities, labels, None, None, logarithmic=True), np.arange(50)
    )
    from luce.calibration.given import Rows

    best = best_temperature(Rows(log_probabilities, labels.astype(np.int64), np.ones(50)))

    def losses(u):
        scores = log_probabilities / (best * np.exp(u))
        scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        return -scores[np.arange(50), labels]

    h = 1e-4
    slope = (losses(h) - losses(-h)) / (2 * h)
    np.testing.assert_allclose(found.slope, slope, atol=1e-6)
    bend = ((losses(h) - 2 * losses(0) + losses(-h)) / h**2).sum()
    # The second derivative is the variance but for a multiple of the slope, which sums to 0.
    assert found.curvature.sum() == pytest.approx(bend, rel=1e-3)


def test_an_impossible_label_costs_the_refinement_everything():
    with np.errstate(divide="ignore"):
        rows = np.log([[0.9, 0.1, 0.0]] * 20)
    split = log_loss_split(rows, [0] * 12 + [1] * 7 + [2])
    assert (split.score, split.refinement) == (np.inf, np.inf)
    assert 0.1 < split.calibration < 1


@pytest.mark.parametrize("labels", [[0], [1], [0, 1], [0] * 30])
def test_few_rows_or_rows_all_right_have_finite_parts(labels):
    rows = [[0.9, 0.1]] * len(labels)
    for split in (log_loss_split(np.log(rows), labels), brier_score_split(rows, labels)):
        assert np.isfinite([split.calibration, split.refinement]).all()


def test_probabilities_that_are_all_equal_gain_nothing():
    split = log_loss_split(np.full((10, 4), -np.log(4)), np.arange(10) % 3)
    assert split.calibration == pytest.approx(0, abs=1e-12)
