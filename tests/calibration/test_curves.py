import numpy as np
import pytest
import sklearn.calibration
from scipy import stats

from luce.calibration import expected_calibration_error, reliability_curve, risk_coverage_curve
from luce.errors import DataError


def labels_right_with(probability, random):
    return (random.random(len(probability)) >= probability).astype(int)


class TestReliability:
    def test_points_are_the_bins_of_the_calibration_error(self, draw):
        log_probabilities, labels, _ = draw(np.random.default_rng(0), 400, 4, 1.5)
        p = np.exp(log_probabilities)
        for strategy in ("uniform", "quantile"):
            curve = reliability_curve(p, labels, n_bins=12, strategy=strategy)
            gaps = curve.count @ abs(curve.predicted - curve.observed) / 400
            error = expected_calibration_error(p, labels, n_bins=12, strategy=strategy)
            assert gaps == pytest.approx(error)
            assert curve.count.sum() == curve.histogram.sum() == 400
            assert (curve.low <= curve.observed).all()
            assert (curve.observed <= curve.high).all()

    def test_one_class(self, draw):
        log_probabilities, labels, _ = draw(np.random.default_rng(0), 400, 3)
        p = np.exp(log_probabilities)
        curve = reliability_curve(p, labels, of_class=2, n_bins=5, name="two")
        place = np.ceil(5 * p[:, 2]).astype(int).clip(1, 5) - 1
        for b in range(5):
            assert curve.count[b] == (place == b).sum()
            assert curve.predicted[b] == pytest.approx(p[place == b, 2].mean())
            assert curve.observed[b] == pytest.approx((labels[place == b] == 2).mean())
        assert curve.name == "two"

    def test_points_of_a_calibrated_model_are_in_their_ranges(self):
        random = np.random.default_rng(0)
        inside, held, points = 0, 0, 0
        for _ in range(200):
            top = random.uniform(0.5, 1, size=200)
            rows = np.stack([top, 1 - top], axis=1)
            curve = reliability_curve(rows, labels_right_with(top, random), n_bins=10)
            inside += ((curve.least <= curve.observed) & (curve.observed <= curve.most)).sum()
            held += ((curve.low <= curve.predicted) & (curve.predicted <= curve.high)).sum()
            points += len(curve.count)
        assert points == 1000  # bins without rows have no point
        for hits in (inside, held):
            assert stats.binom.cdf(hits, points, 0.95) > 1e-3
            assert hits < points

    @pytest.mark.parametrize("of_class", [-1, 2])
    def test_a_class_that_does_not_exist(self, of_class):
        with pytest.raises(DataError, match=f"of_class is {of_class}; expected 0 to 1"):
            reliability_curve([[0.5, 0.5]], [0], of_class=of_class)

    def test_scikit_learn_has_the_same_points(self):
        random = np.random.default_rng(0)
        second = random.random(500)
        labels = (random.random(500) < second**2).astype(int)
        for strategy in ("uniform", "quantile"):
            observed, predicted = sklearn.calibration.calibration_curve(
                labels, second, n_bins=8, strategy=strategy
            )
            curve = reliability_curve(
                np.stack([1 - second, second], axis=1),
                labels,
                of_class=1,
                n_bins=8,
                strategy=strategy,
            )
            # Interpolated quantiles put a row or two into the next bin.
            tolerance = 1e-12 if strategy == "uniform" else 0.02
            np.testing.assert_allclose(curve.predicted, predicted, atol=tolerance)
            np.testing.assert_allclose(curve.observed, observed, atol=tolerance)

    def test_weights_weigh(self, draw):
        log_probabilities, labels, _ = draw(np.random.default_rng(0), 300, 3)
        p, weights = np.exp(log_probabilities), np.random.default_rng(1).gamma(1, size=300)
        weights[::7] = 0
        curve = reliability_curve(p, labels, sample_weight=weights, of_class=1, n_bins=4)
        for b in range(4):
            inside = (p[:, 1] > b / 4) & (p[:, 1] <= (b + 1) / 4) & (weights > 0)
            w, true = weights[inside], labels[inside] == 1
            assert curve.predicted[b] == pytest.approx(np.average(p[inside, 1], weights=w))
            assert curve.observed[b] == pytest.approx(np.average(true, weights=w))
            assert (curve.count[b], curve.true[b]) == (inside.sum(), true.sum())
            alike = w.sum() ** 2 / (w @ w)
            share = np.average(true, weights=w)
            low = stats.beta.ppf(0.025, alike * share, alike * (1 - share) + 1)
            high = stats.beta.ppf(0.975, alike * share + 1, alike * (1 - share))
            assert (curve.low[b], curve.high[b]) == pytest.approx((low, high))
        assert curve.histogram.sum() / weights.sum() == pytest.approx(
            curve.histogram[:5].sum() / weights[p[:, 1] <= 0.1].sum()
        )

    def test_equal_weights_are_none(self, draw):
        log_probabilities, labels, _ = draw(np.random.default_rng(0), 200, 3)
        p = np.exp(log_probabilities)
        for curve_of in (reliability_curve, risk_coverage_curve):
            plain, weighted = (
                vars(curve_of(p, labels, sample_weight=w)) for w in (None, np.full(200, 4.0))
            )
            for name in plain.keys() - {"histogram", "name"}:
                np.testing.assert_allclose(weighted[name], plain[name], atol=1e-12, err_msg=name)

    def test_certainty(self):
        curve = reliability_curve([[1.0, 0.0]] * 5, [0] * 5)
        assert (curve.predicted, curve.observed, curve.high) == (1, 1, 1)
        assert curve.low == pytest.approx(0.025 ** (1 / 5))
        assert curve.least == curve.most == 1


def slow_areas(confidence, correct, orders, random):
    """The mean risk over all coverages, mean over ties in random order."""
    areas = []
    for _ in range(orders):
        order = np.lexsort([random.random(len(correct)), -confidence])
        wrong = np.cumsum(1 - correct[order])
        areas.append(np.mean(wrong / np.arange(1, len(wrong) + 1)))
    return np.mean(areas)


class TestRiskCoverage:
    def test_points_and_areas(self, draw):
        log_probabilities, labels, _ = draw(np.random.default_rng(0), 300, 3)
        p = np.exp(log_probabilities)
        curve = risk_coverage_curve(p, labels)
        confidence, correct = p.max(axis=1), (p.argmax(axis=1) == labels).astype(int)
        assert len(curve.coverage) == 300
        for j in (0, 10, 299):
            answered = confidence >= curve.threshold[j]
            assert curve.coverage[j] == pytest.approx(answered.mean())
            assert curve.risk[j] == pytest.approx(1 - correct[answered].mean())
            wrong, n = int(answered.sum() - correct[answered].sum()), int(answered.sum())
            exact = stats.binomtest(wrong, n).proportion_ci(0.95, "exact")
            assert (curve.low[j], curve.high[j]) == pytest.approx((exact.low, exact.high))
        random = np.random.default_rng(0)
        assert curve.area == pytest.approx(slow_areas(confidence, correct, 1, random))
        perfect = slow_areas(correct.astype(float), correct, 1, random)
        assert curve.perfect_area == pytest.approx(perfect)

    def test_equal_confidences_are_answered_together(self):
        random = np.random.default_rng(0)
        confidence = random.choice([0.6, 0.8, 0.9], size=60)
        rows = np.stack([confidence, 1 - confidence], axis=1)
        labels = labels_right_with(confidence, random)
        curve = risk_coverage_curve(rows, labels)
        np.testing.assert_array_equal(curve.threshold, [0.9, 0.8, 0.6])
        slow = slow_areas(confidence, 1 - labels, 4000, random)
        assert curve.area == pytest.approx(slow, abs=0.003)

    def test_many_rows_have_a_thousand_points_at_most(self):
        random = np.random.default_rng(0)
        top = random.uniform(0.5, 1, size=50_000)
        rows = np.stack([top, 1 - top], axis=1)
        curve = risk_coverage_curve(rows, labels_right_with(top, random), name="A")
        assert 500 < len(curve.coverage) <= 1000
        assert (np.diff(curve.coverage) > 0).all()
        assert np.diff(curve.coverage).max() < 0.003
        assert curve.coverage[0] == 1 / 50_000
        assert curve.coverage[-1] == 1
        assert curve.risk[-1] == pytest.approx((1 - top).mean(), abs=0.01)
        assert curve.area < curve.risk[-1]

    def test_weights_weigh(self, draw):
        log_probabilities, labels, _ = draw(np.random.default_rng(0), 120, 3)
        p, weights = np.exp(log_probabilities), np.random.default_rng(1).gamma(1, size=120)
        weights[::7] = 0
        curve = risk_coverage_curve(p, labels, sample_weight=weights)
        confidence, wrong = p.max(axis=1), p.argmax(axis=1) != labels
        risks = []
        for row in np.flatnonzero(weights):
            answered = (confidence >= confidence[row]) & (weights > 0)
            w = weights[answered]
            risk = np.average(wrong[answered], weights=w)
            (place,) = np.flatnonzero(curve.threshold == confidence[row])
            assert curve.coverage[place] == pytest.approx(w.sum() / weights.sum())
            assert curve.risk[place] == pytest.approx(risk)
            alike = w.sum() ** 2 / (w @ w)
            high = stats.beta.ppf(0.975, alike * risk + 1, alike * (1 - risk))
            assert curve.high[place] == pytest.approx(1 if risk == 1 else high)
            risks.append(risk)
        assert curve.area == pytest.approx(np.average(risks, weights=weights[weights > 0]))
        surer = confidence / 5 + np.where(
            wrong, 0.5, 0.75
        )  # every right row before every wrong one
        rows = np.stack([surer, 1 - surer], axis=1)
        ideal = risk_coverage_curve(rows, wrong.astype(int), sample_weight=weights)
        assert ideal.area == pytest.approx(ideal.perfect_area)
        assert curve.perfect_area == pytest.approx(ideal.perfect_area)

    @pytest.mark.parametrize("label", [0, 1])
    def test_a_single_row(self, label):
        curve = risk_coverage_curve([[0.7, 0.3]], [label])
        assert (curve.risk, curve.area, curve.perfect_area) == (label, label, label)
