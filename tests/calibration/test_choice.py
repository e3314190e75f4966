import numpy as np
import pytest
import scipy.stats

import luce
from luce.calibration import (
    IsotonicScaling,
    MatrixScaling,
    TemperatureScaling,
    VectorScaling,
    calibrate,
    calibrate_from_probabilities,
)
from luce.errors import CalibrationWarning, DataError


def mixing(k):
    return np.eye(k) + 0.6 * np.random.default_rng(5).normal(size=(k, k)) / np.sqrt(k)


def test_nothing_is_chosen_where_nothing_is_wrong(calibrated):
    choice = calibrate(*calibrated(2000, 4))
    assert choice.method == "none"
    assert choice.calibrator.is_identity
    assert choice.reason.startswith("none: log loss ")
    assert set(choice.log_losses) == {"none", "temperature", "vector", "matrix", "isotonic"}


def test_each_is_chosen_where_it_is_called_for(calibrated):
    scores, labels = calibrated(6000, 4)
    p = luce.softmax(scores)
    chosen = {
        "temperature": calibrate(3 * scores, labels),
        "vector": calibrate(np.array([0.0, 1.0, -2.0, 0.5]) + scores, labels),
        "matrix": calibrate(scores @ mixing(4), labels),
        "isotonic": calibrate_from_probabilities(
            (0.3 + 0.2 * p + 0.3 * (p > 0.5)), labels, as_is=True
        ),
    }
    types = TemperatureScaling, VectorScaling, MatrixScaling, IsotonicScaling
    for (name, choice), kind in zip(chosen.items(), types, strict=True):
        assert choice.method == name, choice.reason
        assert type(choice.calibrator) is kind
        assert choice.reason.startswith(f"{name}: log loss ")
        assert choice.calibrator.log_loss_after == pytest.approx(choice.log_losses[name])
        assert choice.calibrator.log_loss_before == pytest.approx(choice.log_losses["none"])
        assert choice.log_losses[name] < choice.log_losses["none"]


def test_a_method_that_is_named_is_taken(calibrated):
    scores, labels = calibrated(500, 3)
    for name, kind in [("vector", VectorScaling), ("isotonic", IsotonicScaling)]:
        choice = calibrate(4 * scores, labels, method=name)
        assert choice.method == name
        assert type(choice.calibrator) is kind
        assert set(choice.log_losses) == {"none", name}
        unneeded = calibrate(scores, labels, method=name)
        assert unneeded.method == "none"
        assert unneeded.calibrator.is_identity
        assert unneeded.reason.endswith(f"too little to calibrate by {name}.")


def test_none_is_none(calibrated):
    choice = calibrate(*calibrated(50, 3), method="none")
    assert choice.method == "none"
    assert choice.calibrator.is_identity
    assert choice.calibrator.improvement is None


def test_what_would_be_slow_or_hopeless_is_not_tried(calibrated):
    few = calibrate(*calibrated(500, 40))
    assert set(few.log_losses) == {"none", "temperature", "vector"}


@pytest.mark.parametrize(("n", "k"), [(20, 2), (150, 4)])
def test_calibrated_scores_keep_the_identity(calibrated, n, k):
    """Had any method seemed to help by itself, it would have been chosen or one before it."""
    kept = sum(calibrate(*calibrated(n, k, seed=seed)).method == "none" for seed in range(100))
    # 95 % is promised; fewer than this come by chance once in 10,000 times.
    assert kept >= scipy.stats.binom.ppf(1e-4, 100, 0.95)


def test_probabilities_have_their_own_door(calibrated):
    scores, labels = calibrated(200, 3)
    p = luce.softmax(3 * scores)
    choice = calibrate_from_probabilities(p, labels, method="temperature")
    assert choice.calibrator.temperature == pytest.approx(
        calibrate(3 * scores, labels, method="temperature").calibrator.temperature
    )
    with pytest.warns(CalibrationWarning, match="look like probabilities") as caught:
        calibrate(p, labels, method="temperature")
    assert caught[0].filename == __file__
    with pytest.raises(DataError, match="row 0"):
        calibrate_from_probabilities(scores, labels)


def test_an_unknown_method_is_refused(calibrated):
    with pytest.raises(DataError, match="method is 3; expected 'auto', 'temperature'"):
        calibrate(*calibrated(20, 2), method=3)
    with pytest.raises(DataError, match="method is 'platt'; expected 'auto', 'temperature'"):
        calibrate(*calibrated(20, 2), method="platt")


def test_some_methods_are_tried_and_no_other():
    random = np.random.default_rng(0)
    scores = random.normal(size=(3000, 3))
    labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    choice = calibrate(3 * scores, labels, method=["temperature", "vector"])
    assert choice.log_losses.keys() == {"none", "temperature", "vector"}
    every = calibrate(3 * scores, labels)
    assert (choice.method, choice.calibrator) == (every.method, every.calibrator)
    assert calibrate(3 * scores, labels, method=("vector",)).method == "vector"


@pytest.mark.parametrize("methods", [[], ["temperature", "auto"], ("none",), ["Vector"]])
def test_methods_that_there_are_not(methods):
    with pytest.raises(DataError, match=r"methods are .*; expected some of 'temperature', 'v"):
        calibrate([[0.0, 2.0]], [0], method=methods)
