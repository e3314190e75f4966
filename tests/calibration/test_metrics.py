import inspect

import numpy as np
import pytest
import sklearn.metrics

from luce import calibration
from luce.errors import DataError

METRICS = [
    calibration.accuracy,
    calibration.log_loss,
    calibration.brier_score,
    calibration.expected_calibration_error,
    calibration.maximum_calibration_error,
    calibration.smooth_calibration_error,
]
OF_LOGARITHMS = [
    calibration.log_loss,
    calibration.log_loss_split,
    calibration.evaluate,
    calibration.calibration_report,
]
OTHERS = [calibration.brier_score_split, calibration.calibration_test, *OF_LOGARITHMS[1:]]


def random_rows(n, k, seed, dtype=np.float64):
    random = np.random.default_rng(seed)
    scores = 2 * random.normal(size=(n, k))
    log_probabilities = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    return log_probabilities.astype(dtype), random.integers(k, size=n), random.gamma(1, size=n)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "k"), [(1, 2), (97, 2), (1000, 3), (400, 11)])
def test_metrics_equal_scikit_learn(n, k, weighted, dtype):
    log_probabilities, labels, weights = random_rows(n, k, seed=k, dtype=dtype)
    probabilities = np.exp(log_probabilities.astype(np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    sample_weight = weights if weighted else None
    options = {"sample_weight": sample_weight}
    names = np.arange(k)
    rtol = 1e-5 if dtype == np.float32 else 1e-12

    assert calibration.accuracy(probabilities, labels, **options) == pytest.approx(
        sklearn.metrics.accuracy_score(labels, probabilities.argmax(axis=1), **options), rel=1e-12
    )
    assert calibration.log_loss(log_probabilities, labels, **options) == pytest.approx(
        sklearn.metrics.log_loss(labels, probabilities, labels=names, **options), rel=rtol
    )
    brier_score = calibration.brier_score(probabilities, labels, **options)
    one_hot = np.eye(k)[labels]
    by_hand = np.average(((probabilities - one_hot) ** 2).sum(axis=1), weights=sample_weight)
    assert brier_score == pytest.approx(by_hand, rel=1e-12)
    if "scale_by_half" in inspect.signature(sklearn.metrics.brier_score_loss).parameters:
        theirs = sklearn.metrics.brier_score_loss(
            labels, probabilities, labels=names, scale_by_half=False, **options
        )
        assert brier_score == pytest.approx(theirs, rel=1e-12)


def test_log_loss_beyond_the_smallest_float():
    log_probabilities = np.array([[-2000.0, 0.0], [0.0, -np.inf]])
    assert calibration.log_loss(log_probabilities, [0, 0]) == 1000.0
    assert calibration.log_loss(log_probabilities, [0, 1]) == np.inf
    assert calibration.log_loss(log_probabilities, [0, 1], sample_weight=[1, 0]) == 2000.0


def test_brier_score_of_an_almost_perfect_model_does_not_cancel():
    error = 1e-12
    score = calibration.brier_score([[1 - error, error]], [0])
    assert score == pytest.approx(2 * error**2, rel=1e-3)


@pytest.mark.parametrize("metric", METRICS)
def test_blocks_do_not_show(metric, monkeypatch):
    log_probabilities, labels, weights = random_rows(500, 4, seed=1)
    values = log_probabilities if metric is calibration.log_loss else np.exp(log_probabilities)
    whole = metric(values, labels, sample_weight=weights)
    monkeypatch.setattr("luce.calibration.rows._BLOCK_ELEMENTS", 7 * 19)
    assert metric(values, labels, sample_weight=weights) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("metric", [*METRICS, *OTHERS])
class TestBadInput:
    """Every metric refuses the same things and names the row."""

    def values(self, metric, probabilities):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(probabilities) if metric in OF_LOGARITHMS else np.asarray(probabilities)

    @pytest.mark.parametrize(
        ("row", "message"),
        [([0.5, np.nan], "class 1 is NaN"), ([0.5, 0.6], "sum to 1.1"), ([0.0, 0.0], "sum to 0")],
    )
    def test_no_distribution(self, metric, row, message, monkeypatch):
        monkeypatch.setattr("luce.calibration.rows._BLOCK_ELEMENTS", 2 * 17)
        values = self.values(metric, [[0.5, 0.5]] * 3 + [row])
        with pytest.raises(DataError, match=f"row 3: .*{message}"):
            metric(values, [0, 1, 0, 1])

    @pytest.mark.parametrize("label", [-1, 2])
    def test_label_outside(self, metric, label):
        with pytest.raises(DataError, match=f"row 1: the label {label} .* 0 to 1"):
            metric(self.values(metric, [[0.5, 0.5]] * 2), [0, label])

    @pytest.mark.parametrize("labels", [[0.0, 1.0], [True, False], [0], [[0], [1]], ["a", "b"]])
    def test_labels_of_the_wrong_kind(self, metric, labels):
        with pytest.raises(DataError, match="labels have shape"):
            metric(self.values(metric, [[0.5, 0.5]] * 2), labels)

    @pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
    def test_bad_weight(self, metric, weight):
        with pytest.raises(DataError, match="row 1: the weight"):
            metric(self.values(metric, [[0.5, 0.5]] * 2), [0, 1], sample_weight=[1, weight])

    @pytest.mark.parametrize("weights", [[0, 0], [1e308, 1e308]])
    def test_bad_sum_of_weights(self, metric, weights):
        with pytest.raises(DataError, match="the weights sum to"):
            metric(self.values(metric, [[0.5, 0.5]] * 2), [0, 1], sample_weight=weights)

    @pytest.mark.parametrize("weights", [[1], ["a", "b"]])
    def test_weights_of_the_wrong_kind(self, metric, weights):
        with pytest.raises(DataError, match="sample_weight has shape"):
            metric(self.values(metric, [[0.5, 0.5]] * 2), [0, 1], sample_weight=weights)

    @pytest.mark.parametrize("shape", [(0, 2), (2, 0), (2,), (2, 2, 2)])
    def test_shape(self, metric, shape):
        with pytest.raises(DataError, match="the probabilities have shape"):
            metric(np.ones(shape), np.zeros(shape[0], int))


def test_negative_probability():
    with pytest.raises(DataError, match="row 0: class 1 is negative"):
        calibration.accuracy([[1.1, -0.1]], [0])


def test_a_row_without_weight_is_checked_all_the_same():
    with pytest.raises(DataError, match="row 1"):
        calibration.accuracy([[0.5, 0.5], [3.0, 4.0]], [0, 0], sample_weight=[1, 0])
