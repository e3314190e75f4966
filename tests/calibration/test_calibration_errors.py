"""Peers' figures, slow twins, and the bias of calibrated models."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize

from luce import calibration
from luce.calibration import (
    expected_calibration_error,
    maximum_calibration_error,
    smooth_calibration_error,
)
from luce.errors import DataError

RECORDED = {
    (500, 3): {
        "probmetrics logloss": 0.6504357875044365,
        "probmetrics brier": 0.3851382424066014,
        "probmetrics ece-15": 0.04928205534815788,
        "probmetrics rmsce-15": 0.06234882026910782,
        "probmetrics mce-15": 0.13345307111740112,
        "netcal ECE": 0.04928203822635816,
        "netcal ECE quantile": 0.05909291380575492,
        "netcal MCE": 0.1334529716781101,
        "netcal ECE classwise": 0.054247510827369096,
        "relplot smECE": 0.0370810365526659,
        "uncertainty-calibration": 0.04453286106593549,
    },
    (2000, 10): {
        "probmetrics logloss": 1.9225148226282511,
        "probmetrics brier": 0.8187228843810981,
        "probmetrics ece-15": 0.10184633731842041,
        "probmetrics rmsce-15": 0.1117362529039383,
        "probmetrics mce-15": 0.3899783492088318,
        "netcal ECE": 0.10184634411009885,
        "netcal ECE quantile": 0.10281635317595822,
        "netcal MCE": 0.38997835083659893,
        "netcal ECE classwise": 0.02991289448071342,
        "relplot smECE": 0.1018423673278537,
        "uncertainty-calibration": 0.2571058398800923,
    },
}
"""What `python tests/calibration/peers.py` printed: netcal 1.4.0, probmetrics 1.3.0, relplot 1.0.3,
uncertainty-calibration 0.1.4."""

PEERS = runpy.run_path(str(Path(__file__).parent / "peers.py"))


@pytest.mark.parametrize("size", RECORDED)
def test_peers_measure_the_same(size):
    probabilities, labels = PEERS["rows"](*size)
    given = probabilities, labels
    ours = {
        "probmetrics logloss": calibration.log_loss(np.log(probabilities), labels),
        "probmetrics brier": calibration.brier_score(*given),
        "probmetrics ece-15": expected_calibration_error(*given),
        "probmetrics rmsce-15": expected_calibration_error(*given, norm=2),
        "probmetrics mce-15": maximum_calibration_error(*given, strategy="uniform"),
        "netcal ECE": expected_calibration_error(*given),
        "netcal MCE": maximum_calibration_error(*given, strategy="uniform"),
        "netcal ECE classwise": expected_calibration_error(*given, classwise=True),
        "uncertainty-calibration": expected_calibration_error(
            *PEERS["rounded"](*size), norm=2, n_bins=200, debiased=True
        ),
    }
    for name, value in ours.items():
        assert value == pytest.approx(RECORDED[size][name], rel=1e-5), name
    # Quantiles that are interpolated put a few rows into the next bin.
    quantile = expected_calibration_error(*given, strategy="quantile")
    assert quantile == pytest.approx(RECORDED[size]["netcal ECE quantile"], rel=0.02)
    # The other's bisection ends at a width of 1/1024.
    smooth = smooth_calibration_error(*given)
    assert smooth == pytest.approx(RECORDED[size]["relplot smECE"], abs=1e-3)


def slow_gaps(predicted, came, weights, bins):
    """Weight, and weighted excess, of each bin (b / bins, (b + 1) / bins]."""
    sums = np.zeros((bins, 2))
    for p, y, w in zip(predicted, came, weights, strict=True):
        b = next(b for b in range(bins) if p <= (b + 1) / bins or b == bins - 1)
        sums[b] += w, w * (p - y)
    return sums[sums[:, 0] > 0].T


def rows_of_many_kinds(n, k, weighted, seed=0):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(k, 0.7), size=n)
    weights = random.gamma(1, size=n) if weighted else np.ones(n)
    return probabilities, random.integers(k, size=n), weights


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "k", "bins"), [(1, 2, 15), (97, 2, 4), (300, 5, 15), (40, 3, 1)])
def test_binned_errors_equal_a_slow_twin(n, k, bins, weighted):
    probabilities, labels, weights = rows_of_many_kinds(n, k, weighted)
    options = {"sample_weight": weights if weighted else None, "n_bins": bins}
    correct = probabilities.argmax(axis=1) == labels
    weight, excess = slow_gaps(probabilities.max(axis=1), correct, weights, bins)
    total = weights.sum()

    def measured(**more):
        return expected_calibration_error(probabilities, labels, **options, **more)

    assert measured() == pytest.approx(abs(excess).sum() / total)
    assert measured(norm=2) == pytest.approx(np.sqrt((excess**2 / weight).sum() / total))
    assert maximum_calibration_error(
        probabilities, labels, strategy="uniform", **options
    ) == pytest.approx(abs(excess / weight).max())
    classes = [slow_gaps(probabilities[:, c], labels == c, weights, bins) for c in range(k)]
    mean = np.mean([abs(excess).sum() / total for _, excess in classes])
    assert measured(classwise=True) == pytest.approx(mean)
    square = np.mean([(excess**2 / weight).sum() / total for weight, excess in classes])
    assert measured(classwise=True, norm=2) == pytest.approx(np.sqrt(square))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_square_without_bias_leaves_out_a_row_times_itself(weighted):
    probabilities, labels, weights = rows_of_many_kinds(60, 3, weighted)
    confidence = probabilities.max(axis=1)
    excess = weights * (confidence - (probabilities.argmax(axis=1) == labels))
    square = 0.0
    for b in range(4):
        inside = np.flatnonzero((confidence > b / 4) & (confidence <= (b + 1) / 4))
        pairs = [(i, j) for i in inside for j in inside if i != j]
        if pairs:
            mean = sum(excess[i] * excess[j] for i, j in pairs)
            mean /= sum(weights[i] * weights[j] for i, j in pairs)
            square += weights[inside].sum() / weights.sum() * mean
    measured = expected_calibration_error(
        probabilities, labels, sample_weight=weights, norm=2, n_bins=4, debiased=True
    )
    assert measured * abs(measured) == pytest.approx(square)


def slow_smooth_error(confidence, correct, weights):
    """The kernel row by row, with its images in the mirrors at 0 and 1."""
    points = (np.arange(500) + 0.5) / 500
    images = np.concatenate([2 * m + s * confidence for m in range(-3, 4) for s in (1, -1)])
    excess = np.tile(weights * (confidence - correct), 14)

    def size(width):
        kernel = np.exp(-0.5 * ((points[:, None] - images) / width) ** 2)
        smoothed = kernel @ excess / (width * np.sqrt(2 * np.pi) * weights.sum())
        return abs(smoothed).mean()

    return optimize.brentq(lambda width: size(width) - width, 1e-3, 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "k"), [(3, 2), (80, 2), (300, 4)])
def test_the_smooth_error_equals_a_slow_twin(n, k, weighted):
    probabilities, labels, weights = rows_of_many_kinds(n, k, weighted, seed=1)
    correct = probabilities.argmax(axis=1) == labels
    measured = smooth_calibration_error(probabilities, labels, sample_weight=weights)
    slow = slow_smooth_error(probabilities.max(axis=1), correct, weights)
    assert measured == pytest.approx(slow, abs=5e-4)


def test_confidence_on_an_edge_belongs_to_the_bin_below():
    # 0.6 = 9/15: with 0.61, in the next bin, the gaps 0.6 and 0.39 do not cancel.
    rows = np.array([[0.6, 0.4], [0.61, 0.39]])
    error = expected_calibration_error(rows, [1, 0])
    assert error == pytest.approx((0.6 + 0.39) / 2)


def test_equal_confidences_share_a_bin_of_quantiles():
    rows = [[0.8, 0.2]] * 10
    labels = [0] * 5 + [1] * 5
    for metric in (expected_calibration_error, maximum_calibration_error):
        assert metric(rows, labels, strategy="quantile") == pytest.approx(0.3)


def test_bins_of_quantiles_are_of_equal_counts():
    # One row in four is right; in quarters by confidence, one quarter is all right.
    confidence = np.linspace(0.6, 0.9, 40)
    labels = (np.arange(40) < 30).astype(int)
    rows = np.stack([confidence, 1 - confidence], axis=1)
    error = expected_calibration_error(rows, labels, n_bins=4, strategy="quantile")
    means = confidence.reshape(4, 10).mean(axis=1)
    assert error == pytest.approx(np.mean(abs(means - [0, 0, 0, 1])))


def test_quantiles_of_a_sample_are_nearly_those_of_all(monkeypatch, draw):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 3000, 3, 2.0)
    probabilities = np.exp(log_probabilities)

    def measured():
        return maximum_calibration_error(probabilities, labels)

    whole = measured()
    monkeypatch.setattr("luce.calibration.labelled._LEAST_SAMPLE", 300)
    monkeypatch.setattr("luce.calibration.labelled._SAMPLE_ELEMENTS", 300)
    assert measured() != whole
    assert measured() == pytest.approx(whole, rel=0.1)


def perfect(n):
    return np.tile([1.0, 0.0], (n, 1)), np.zeros(n, int)


@pytest.mark.parametrize("debiased", [False, True])
@pytest.mark.parametrize("n", [1, 20])
def test_sure_and_right_is_no_error(n, debiased):
    for metric in (
        expected_calibration_error,
        maximum_calibration_error,
        smooth_calibration_error,
    ):
        assert metric(*perfect(n), debiased=debiased) == pytest.approx(0, abs=1e-4)
    assert expected_calibration_error(*perfect(n), norm=2, debiased=debiased) == 0
    assert expected_calibration_error(*perfect(n), classwise=True, debiased=debiased) == 0


ERRORS = {
    "mean": (expected_calibration_error, {}),
    "quantile": (expected_calibration_error, {"strategy": "quantile"}),
    "square": (expected_calibration_error, {"norm": 2, "n_bins": 3}),
    "classwise": (expected_calibration_error, {"classwise": True}),
    "classwise square": (expected_calibration_error, {"classwise": True, "norm": 2}),
    "maximum": (maximum_calibration_error, {}),
    "smooth": (smooth_calibration_error, {}),
}


@pytest.mark.parametrize("name", ERRORS)
def test_without_bias_a_calibrated_model_has_the_mean_0(name, draw):
    metric, options = ERRORS[name]
    random = np.random.default_rng(0)
    plain, debiased = [], []
    for _ in range(150):
        log_probabilities, labels, _ = draw(random, 60, 3)
        rows = np.exp(log_probabilities), labels
        plain.append(metric(*rows, **options))
        debiased.append(metric(*rows, debiased=True, **options))
    # A root has no mean of 0 where its square has.
    debiased = np.array(debiased)
    if options.get("norm") == 2:
        debiased *= abs(debiased)
    assert np.mean(plain) > 5 * np.std(plain) / np.sqrt(150)
    assert abs(debiased.mean()) < 4 * debiased.std() / np.sqrt(150)


def test_the_square_without_bias_has_the_mean_of_the_true_square():
    random = np.random.default_rng(0)
    levels, truth = np.array([0.55, 0.75, 0.95]), np.array([0.5, 0.85, 0.9])
    kind = np.arange(30) % 3
    rows = np.stack([levels[kind], 1 - levels[kind]], axis=1)
    squares = []
    for _ in range(1500):
        labels = (random.random(30) > truth[kind]).astype(int)
        error = expected_calibration_error(rows, labels, norm=2, debiased=True)
        squares.append(error * abs(error))
    difference = np.mean(squares) - np.mean((levels - truth) ** 2)
    assert abs(difference) < 4 * np.std(squares) / np.sqrt(1500)


@pytest.mark.parametrize(
    ("metric", "documented"),
    [
        (expected_calibration_error, lambda n: 0.3 * np.sqrt(15 / n)),
        (maximum_calibration_error, lambda n: 0.8 * np.sqrt(15 / n)),
        (smooth_calibration_error, lambda n: 0.4 / n ** (1 / 3)),
    ],
)
def test_the_bias_of_a_calibrated_model_is_as_documented(metric, documented):
    random = np.random.default_rng(0)
    n = 2000
    top = random.uniform(0.5, 1, size=n)
    probabilities = np.stack([top, 1 - top], axis=1)
    measured = [
        metric(probabilities, (random.uniform(size=n) > top).astype(int)) for _ in range(20)
    ]
    assert 0.6 < np.mean(measured) / documented(n) < 1.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_bins": 0}, "n_bins is 0; expected 1 to 1000"),
        ({"n_bins": 1001}, "n_bins is 1001"),
        ({"n_bins": 2.5}, "n_bins is 2.5; expected an integer"),
        ({"n_bins": True}, "n_bins is True"),
        ({"strategy": "mass"}, "strategy is 'mass'; expected 'uniform' or 'quantile'"),
        ({"norm": 3}, "norm is 3; expected 1 or 2"),
    ],
)
def test_options_that_do_not_exist(options, message):
    with pytest.raises(DataError, match=message):
        expected_calibration_error([[0.5, 0.5]], [0], **options)
    if "norm" not in options:
        with pytest.raises(DataError, match=message):
            maximum_calibration_error([[0.5, 0.5]], [0], **options)
