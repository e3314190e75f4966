"""One temperature: the optimum, its bounds, and that it stays away where it does not help."""

import time
import tracemalloc

import numpy as np
import pytest
import scipy.stats
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize_scalar
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

import luce
from luce.calibration import TemperatureScaling, temperature
from luce.calibration.given import checked_scores, labelled
from luce.calibration.temperature import SumsAt, best_temperature
from luce.training.objective import WORTH_SHARING

ANY_SCORE = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.just(-np.inf),
    st.sampled_from([0.0, 1.0, 1e-300, -1e300, 1e308, -1e308]),
)


def rows_of(scores, labels, weights=None):
    return labelled(checked_scores(scores, as_is=True), labels, weights)


def mean_loss(scores, labels, weights, inverse):
    return luce.cross_entropy(scores, labels, sample_weight=weights, temperature=1 / inverse)


@pytest.mark.parametrize("k", [2, 7])
@pytest.mark.parametrize("inverse", [0.1, 0.6, 3.0])
def test_sums_are_derivatives_of_the_loss(calibrated, k, inverse):
    scores, labels = calibrated(200, k)
    weights = np.random.default_rng(1).gamma(1.0, size=200)
    scores[weights < 0.3, 0] = -np.inf
    labels[weights < 0.3] = k - 1
    sums = SumsAt(rows_of(scores, labels, weights))
    here, step, total = sums(inverse), 1e-4, sums.total
    low, middle, high = (
        mean_loss(scores, labels, weights, inverse + move) for move in (-step, 0, step)
    )
    assert here.excess / total == pytest.approx((high - low) / (2 * step), rel=1e-6)
    assert here.variance / total == pytest.approx((high - 2 * middle + low) / step**2, rel=1e-4)
    less, more = sums(inverse - step), sums(inverse + step)
    assert here.steepness == pytest.approx((less.error - more.error) / (2 * step), rel=1e-6)
    right = scores.argmax(axis=1) == labels
    top = luce.softmax(scores * inverse).max(axis=1)
    scale = sums.total / weights.sum()
    assert here.right == pytest.approx(weights[right].sum() * scale)
    assert here.error == pytest.approx(weights[right] @ (1 - top[right]) * scale)


@pytest.mark.parametrize("spread", [0.3, 2.0, 30.0])
@pytest.mark.parametrize(("n", "k"), [(2000, 2), (500, 5), (9000, 3), (300, 1000)])
def test_the_optimum_is_that_of_a_line_search(calibrated, n, k, spread):
    scores, labels = calibrated(n, k, spread=spread, seed=n)
    scores *= 3.0
    weights = np.random.default_rng(1).gamma(1.0, size=n)
    found = best_temperature(rows_of(scores, labels, weights))
    other = minimize_scalar(
        lambda u: mean_loss(scores, labels, weights, np.exp(-u)), bracket=(0, 2), tol=1e-10
    )
    assert np.log(found) == pytest.approx(other.x, abs=1e-6)


@pytest.mark.parametrize("shape", ["normal", "heavy", "mixed"])
def test_the_derivative_vanishes_whatever_the_scale(shape):
    random = np.random.default_rng(0)
    for trial in range(60):
        n, k = int(random.choice([100, 1000, 6000])), int(random.choice([2, 3, 20]))
        scores = random.normal(size=(n, k)) * np.exp(2 * random.normal())
        if shape == "heavy":
            scores = random.standard_t(1.5, size=(n, k))
        if shape == "mixed":
            scores *= random.gamma(0.3, size=(n, 1))
        labels = (scores + random.gumbel(size=(n, k))).argmax(axis=1)
        scores *= 10.0 ** random.uniform(-6, 6)
        sums = SumsAt(rows_of(scores, labels))
        first = sums(0.0)
        found = best_temperature(sums.rows)
        here, spread = sums(1 / found), np.sqrt(first.variance / n)
        is_bound = found > 999 * spread or here.error < 0.5
        assert is_bound or abs(here.excess) < 1e-7 * here.gap, trial


@pytest.mark.parametrize("factor", [1.0, 1 + 1e-9, 0.5, 100.0, 1e-4])
@pytest.mark.parametrize("n", [300, 9000])
def test_a_search_that_begins_near_ends_there(calibrated, n, factor):
    scores, labels = calibrated(n, 3)
    rows = rows_of(2.5 * scores, labels)
    alone = best_temperature(rows)
    assert best_temperature(rows, alone) == pytest.approx(alone, rel=1e-8)
    assert best_temperature(rows, factor * alone) == pytest.approx(alone, rel=1e-4)


def test_weak_signals_are_found_in_as_few_readings(calibrated):
    # Here a sample of the rows may say that labels are no likelier than chance.
    ends = 0
    for seed in range(40):
        scores, labels = calibrated(5000, 3, spread=0.03, seed=seed)
        sums = SumsAt(rows_of(scores, labels))
        first, found = sums(0.0), best_temperature(sums.rows)
        if first.excess < 0 and found < 999 * np.sqrt(first.variance / 5000):
            assert abs(sums(1 / found).excess) < 1e-7 * first.gap, seed
            ends += 1
    assert ends > 10


def test_a_known_temperature_is_found_within_its_sampling_error(calibrated):
    deviations = []
    for seed in range(300):
        scores, labels = calibrated(300, 4, seed=seed)
        sums = SumsAt(rows_of(2.5 * scores, labels))
        found = best_temperature(sums.rows)
        information = sums(1 / found).variance / found**2
        deviations.append(np.log(found / 2.5) * np.sqrt(information))
    assert abs(np.mean(deviations)) < 4 / np.sqrt(300)
    assert np.std(deviations) == pytest.approx(1, abs=4 / np.sqrt(2 * 300))


@given(
    scores=arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=ANY_SCORE),
    data=st.data(),
)
def test_there_is_a_positive_temperature_for_any_rows(scores, data):
    n, k = scores.shape
    labels = data.draw(arrays(np.int64, n, elements=st.integers(0, k - 1)))
    found = best_temperature(rows_of(scores, labels))
    assert 0 < found < np.inf
    calibrator = TemperatureScaling.fit(scores, labels, as_is=True)
    assert 0 < calibrator.temperature < np.inf
    p = TemperatureScaling(found).probabilities(scores, as_is=True)
    possible = (scores > -np.inf).any(axis=1)
    np.testing.assert_allclose(p.sum(axis=1), possible, rtol=1e-12)
    assert (p[scores == -np.inf] == 0).all()


@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("n", [20, 5000])
def test_where_all_rows_are_right_about_half_an_error_is_expected(calibrated, n, k):
    scores, _ = calibrated(n, k)
    found = best_temperature(rows_of(scores, scores.argmax(axis=1)))
    p = luce.softmax(scores / found)
    assert (1 - p.max(axis=1)).sum() == pytest.approx(0.5 * n / (n + 1), rel=1e-6)


def test_one_row_that_is_barely_wrong_changes_little(calibrated):
    scores, _ = calibrated(500, 3)
    labels = scores.argmax(axis=1)
    right = best_temperature(rows_of(scores, labels))
    scores[0] = [1.0, 1.0 + 1e-9, 0.0]
    labels[0] = 0
    assert best_temperature(rows_of(scores, labels)) == pytest.approx(right, rel=0.02)
    scores[1], labels[1] = [1.0, 1.0, 0.0], 0
    assert best_temperature(rows_of(scores, labels)) == pytest.approx(right, rel=0.02)


def test_where_labels_are_no_likelier_than_chance_it_is_a_thousand_spreads(calibrated):
    scores, _ = calibrated(1000, 4)
    found = best_temperature(rows_of(scores, scores.argmin(axis=1)))
    assert found == pytest.approx(1000 * np.sqrt(scores.var(axis=1).mean()))
    assert abs(luce.softmax(scores / found) - 0.25).max() < 0.002


def test_ties_and_constant_rows(calibrated):
    assert best_temperature(rows_of(np.ones((5, 3)), [0, 1, 2, 0, 1])) == 1.0
    assert best_temperature(rows_of(np.full((2, 3), -np.inf), [0, 1])) == 1.0
    tied = np.repeat([[1.0, 1.0, 0.0]], 40, axis=0)
    p = luce.softmax(tied / best_temperature(rows_of(tied, np.arange(40) % 2)))
    assert p[:, 2].sum() == pytest.approx(0.5 * 40 / 41)  # that it never comes is all to learn


def test_an_impossible_label_does_not_count(calibrated):
    scores, labels = calibrated(300, 3)
    worse, also = np.vstack([3 * scores, [[-np.inf, 0.0, 9.0]]]), [*labels, 0]
    assert best_temperature(rows_of(worse, also)) == best_temperature(rows_of(3 * scores, labels))
    calibrator = TemperatureScaling.fit(worse, also)
    assert calibrator.temperature == pytest.approx(3, rel=0.2)
    assert calibrator.log_loss_before == calibrator.log_loss_after == np.inf


def test_weights_are_repetitions_of_any_scale(calibrated):
    scores, labels = calibrated(400, 3)
    weights = np.random.default_rng(0).integers(0, 4, size=400)
    once = best_temperature(rows_of(2 * scores, labels, weights))
    repeated = np.repeat(np.arange(400), weights)
    assert once == pytest.approx(best_temperature(rows_of(2 * scores[repeated], labels[repeated])))
    tiny = best_temperature(rows_of(2 * scores, labels, weights * 1e-300))
    assert once == pytest.approx(tiny)
    alone = TemperatureScaling.fit(2 * scores[weights > 0], labels[weights > 0])
    assert TemperatureScaling.fit(2 * scores, labels, 1.0 * (weights > 0)) == alone


@pytest.mark.parametrize("factor", [1e-150, 1e-3, 1e6, 1e250])
def test_it_scales_with_the_scores(calibrated, factor):
    scores, labels = calibrated(300, 3)
    found = best_temperature(rows_of(factor * scores, labels))
    assert found == pytest.approx(factor * best_temperature(rows_of(scores, labels)))


def test_a_number_added_to_a_row_changes_nothing(calibrated):
    scores, labels = calibrated(300, 3)
    shifted = scores + 2.0 ** np.random.default_rng(0).integers(0, 20, size=(300, 1))
    once, shift = (best_temperature(rows_of(given, labels)) for given in (scores, shifted))
    assert shift == pytest.approx(once, rel=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels_are", ["drawn", "wrong", "right", "random"])
@pytest.mark.parametrize("factor", [1e-12, 0.2, 1.0, 5.0, 1e12])
def test_all_rows_are_read_at_most_eight_times(
    factor, labels_are, weighted, dtype, calibrated, monkeypatch
):
    scores, labels = calibrated(9_000, 3, dtype=dtype)
    if labels_are == "random":
        labels = labels[::-1]
    elif labels_are != "drawn":
        labels = scores.argmax(axis=1)
        labels[:40] += labels_are == "wrong"
    weights = np.random.default_rng(1).gamma(0.3, size=9_000) if weighted else None
    readings = []
    monkeypatch.setattr(
        temperature,
        "summed",
        lambda rows, *rest: readings.append(len(rows)) or original(rows, *rest),
    )
    rows = rows_of(scores * dtype(factor), labels % 3, weights)
    found = best_temperature(rows)
    assert readings.count(9_000) <= 8
    assert all(few <= 4500 for few in set(readings) - {9_000})
    if labels_are in ("drawn", "wrong"):
        monkeypatch.undo()
        sums = SumsAt(rows, factor)
        assert abs(sums(factor / found).excess) < 1e-6 * sums(0.0).gap


@pytest.mark.parametrize("factor", [1.0, 1e200])
def test_a_search_that_does_not_end_is_ended(factor, calibrated, monkeypatch):
    scores, labels = calibrated(9_000, 3)
    readings = []
    monkeypatch.setattr(
        temperature,
        "summed",
        lambda rows, *rest: readings.append(len(rows)) or original(rows, *rest),
    )
    monkeypatch.setattr(temperature, "PRECISION", 0.0)
    monkeypatch.setattr(temperature, "_newton_step", lambda here, inverse, enough: 1e-3)
    best_temperature(rows_of(factor * scores, labels))
    readings_of_sizes = 0 if factor == 1 else 1
    assert readings.count(9_000) + readings_of_sizes == 8


original = temperature.summed


def test_many_scores_are_quick(calibrated):
    scores, labels = calibrated(100_000, 100, dtype=np.float32)
    start = time.process_time()
    calibrator = TemperatureScaling.fit(scores / 2, labels)
    assert time.process_time() - start < 10  # a third of a second on a machine by itself
    assert calibrator.temperature == pytest.approx(0.5, rel=0.02)


def test_threads_do_not_show(calibrated):
    scores, labels = calibrated(WORTH_SHARING // 4, 5)
    found = []
    for n in (1, 2):
        with luce.threads(n):
            found.append(best_temperature(rows_of(2 * scores, labels)))
    assert found[0] == found[1]


@pytest.mark.parametrize(("n", "k"), [(20, 2), (150, 5)])
def test_calibrated_scores_keep_the_identity(calibrated, n, k):
    spreads = [0.5, 1.0, 3.0]
    kept = sum(
        TemperatureScaling.fit(*calibrated(n, k, spread=spreads[seed % 3], seed=seed)).is_identity
        for seed in range(100)
    )
    # 95 % is promised; fewer than this come by chance once in 10,000 times.
    assert kept >= scipy.stats.binom.ppf(1e-4, 100, 0.95)


def test_what_helps_is_kept_and_says_how_much(calibrated):
    scores, labels = calibrated(1000, 3)
    calibrator = TemperatureScaling.fit(3 * scores, labels)
    assert not calibrator.is_identity
    assert calibrator.improvement.is_real
    assert calibrator.log_loss_before == pytest.approx(luce.cross_entropy(3 * scores, labels))
    fresh, truth = calibrated(100_000, 3, seed=1)
    held_out = luce.cross_entropy(3 * fresh / calibrator.temperature, truth)
    assert calibrator.log_loss_after == pytest.approx(held_out, abs=0.06)


def test_the_identity_says_what_it_gave_up(calibrated):
    calibrator = TemperatureScaling.fit(*calibrated(1000, 3))
    assert calibrator.is_identity
    assert calibrator.temperature == 1.0
    assert not calibrator.improvement.is_real
    assert calibrator.log_loss_after == pytest.approx(calibrator.log_loss_before, abs=0.01)


def test_peers_find_the_same():
    random = np.random.default_rng(0)
    scores = 2 * random.normal(size=(400, 4))
    labels = (scores + random.gumbel(size=(400, 4))).argmax(axis=1)
    found = best_temperature(rows_of(2.5 * scores + [0.0, 0.5, 0.0, -1.0], labels))
    assert found == pytest.approx(2.6418400835, rel=1e-6)  # probmetrics 1.3.0, "temp-scaling"
    assert found == pytest.approx(2.64184018, rel=1e-6)  # netcal 1.4.0, TemperatureScaling


@pytest.mark.skipif(
    sklearn.__version__.startswith("1.7"), reason="scikit-learn 1.7 has no temperature scaling"
)
@pytest.mark.filterwarnings("ignore:Since FrozenEstimator does not appear to accept")
@pytest.mark.parametrize("weighted", [False, True])
def test_scikit_learn_finds_the_same(weighted):
    X, y = load_digits(return_X_y=True)
    classifier = LogisticRegression(C=0.01, max_iter=500).fit(X[:500] / 16, y[:500])
    weights = np.random.default_rng(0).gamma(1.0, size=len(y) - 500) if weighted else None
    peer = CalibratedClassifierCV(FrozenEstimator(classifier), method="temperature")
    peer.fit(X[500:] / 16, y[500:], sample_weight=weights)
    scores = classifier.decision_function(X[500:] / 16)
    found = best_temperature(rows_of(scores, y[500:], weights))
    assert abs(np.log(found)) > 0.1
    np.testing.assert_allclose(
        luce.softmax(scores, temperature=found), peer.predict_proba(X[500:] / 16), rtol=1e-5
    )


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.inf, np.nan, "hot", None, np.ones(2)])
def test_no_temperature_that_cannot_be(wrong):
    with pytest.raises(luce.DataError, match="expected a finite number > 0"):
        TemperatureScaling(wrong)


@pytest.mark.parametrize("k", [temperature.MANY_CLASSES - 1, temperature.MANY_CLASSES, 70_000])
def test_rows_of_any_length(calibrated, k):
    scores, labels = calibrated(12, k, spread=3.0)
    scores[:, :3], labels = -np.inf, labels % (k - 3) + 3
    sums = SumsAt(rows_of(scores, labels))(0.7)
    p = luce.softmax(0.7 * scores)
    possible = np.where(p > 0, scores, 0.0)
    mean = (p * possible).sum(axis=1)
    assert sums.excess == pytest.approx((mean - scores[np.arange(12), labels]).sum())
    assert sums.variance == pytest.approx((p * possible**2).sum() - (mean**2).sum())
    assert sums.gap == pytest.approx((scores.max(axis=1) - scores[np.arange(12), labels]).sum())


def test_memory_is_bounded():
    scores = np.random.default_rng(0).normal(size=(40, 100_000)).astype(np.float32)
    tracemalloc.start()
    TemperatureScaling.fit(scores, np.arange(40))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * scores.nbytes
