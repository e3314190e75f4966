"""P-values are uniform where models are calibrated, and small where they are not."""

import numpy as np
import pytest
from scipy import stats

from luce.calibration import calibration_test, tally, testing
from luce.calibration.labelled import labelled
from luce.calibration.tally import tallied

KINDS = ["p_value", "confidence", "classes", "top_label", "classwise"]


def p_values(random, rounds, make, **options):
    """Of many data sets; a column for each kind of p-value."""
    found = []
    for seed in range(rounds):
        probabilities, labels, *groups = make(random)
        test = calibration_test(
            probabilities, labels, groups=groups[0] if groups else None, seed=seed, **options
        )
        found.append([getattr(test, kind) for kind in KINDS])
    return np.array(found)


def assert_uniform(values, times):
    """Kolmogorov and Smirnov at the values that a p-value can have; 1 in 1000 fails by chance."""
    grid = np.arange(1, times + 2) / (times + 1)
    shares = (values[:, None] <= grid + 1e-9).mean(axis=0)
    limit = stats.kstwo.isf(1e-3, len(values))
    assert abs(shares - grid).max() < limit


@pytest.fixture
def few_draws(monkeypatch):
    """99 draws and no more, for speed."""
    monkeypatch.setattr(tally, "_MOST_TIMES", 99)
    monkeypatch.setattr(tally, "_LEAST_TIMES", 99)
    monkeypatch.setattr("luce.calibration.smooth.CELLS", 32)
    return 99


def assert_never_too_small(values):
    """Ties make p-values larger, never smaller."""
    for level in (0.01, 0.05, 0.2, 0.5):
        for below in (values <= level + 1e-9).sum(axis=0):
            assert stats.binom.sf(below - 1, len(values), level) > 1e-3


def test_p_values_of_a_calibrated_model_are_uniform(draw, few_draws):
    def make(random):
        log_probabilities, labels, _ = draw(random, 40, 5)
        return np.exp(log_probabilities), labels

    values = p_values(np.random.default_rng(0), 2000, make)
    assert_uniform(values[:, 0], few_draws)
    assert_never_too_small(values)


def test_p_values_of_few_rows_are_never_too_small(draw, few_draws):
    def tied(random):
        return np.tile([0.9, 0.1], (5, 1)), (random.random(5) < 0.1).astype(int)

    def few(random):
        log_probabilities, labels, _ = draw(random, 12, 2)
        return np.exp(log_probabilities), labels

    for make in (tied, few):
        assert_never_too_small(p_values(np.random.default_rng(0), 500, make))


def test_p_values_of_weighted_rows_are_uniform(draw, few_draws):
    weights = np.random.default_rng(1).gamma(0.5, size=25)

    def make(random):
        log_probabilities, labels, _ = draw(random, 25, 3)
        return np.exp(log_probabilities), labels

    values = p_values(np.random.default_rng(0), 1000, make, sample_weight=weights)
    assert_uniform(values[:, 0], few_draws)


def test_p_values_of_a_sample_of_many_rows_are_uniform(draw, few_draws, monkeypatch):
    monkeypatch.setattr("luce.calibration.testing.MOST_TESTED", 50)

    def make(random):
        log_probabilities, labels, _ = draw(random, 200, 3)
        return np.exp(log_probabilities), labels

    assert_uniform(p_values(np.random.default_rng(0), 800, make)[:, 0], few_draws)
    assert calibration_test(*make(np.random.default_rng(0))).rows == 50


def test_rows_that_depend_on_each_other_need_groups(draw, few_draws):
    def repeated(random):
        log_probabilities, labels, _ = draw(random, 80, 3)
        return np.repeat(np.exp(log_probabilities), 5, axis=0), np.repeat(labels, 5)

    def grouped(random):
        return *repeated(random), np.repeat(np.arange(80), 5)

    assert (p_values(np.random.default_rng(0), 100, repeated)[:, 0] <= 0.05).mean() > 0.5
    rejected = (p_values(np.random.default_rng(0), 400, grouped)[:, 0] <= 0.05).mean()
    assert 0.01 < rejected < 0.11


class TestWhatIsFound:
    """Each statistic sees the fault that it is for, and the test as a whole sees it too."""

    def found(self, probabilities, truth, seed=0):
        random = np.random.default_rng(seed)
        ends = truth.cumsum(axis=1)
        labels = (random.random((len(truth), 1)) >= ends / ends[:, -1:]).sum(axis=1)
        return calibration_test(probabilities, labels)

    @pytest.mark.parametrize("temperature", [0.6, 1.6])
    def test_too_sure_or_not_sure_enough(self, temperature, draw):
        log_probabilities, labels, _ = draw(np.random.default_rng(0), 600, 4, temperature)
        test = calibration_test(np.exp(log_probabilities), labels)
        assert test.confidence < 0.01
        assert test.p_value < 0.01

    def test_classes_that_are_more_frequent_than_predicted(self, draw):
        log_probabilities, labels, _ = draw(np.random.default_rng(0), 600, 4, bias=1.0)
        test = calibration_test(np.exp(log_probabilities), labels)
        assert test.classes < 0.01
        assert test.p_value < 0.01

    def test_a_wave_that_is_right_on_the_whole(self):
        top = np.linspace(0.5, 0.99, 3000)
        wave = 0.09 * np.sin(np.linspace(0, 8 * np.pi, 3000))
        truth = (top + wave).clip(0, 1)
        sides = np.arange(3000) % 2  # both classes are on top equally often
        rows, true_rows = (
            np.where(sides[:, None] == [0, 1], x[:, None], 1 - x[:, None]) for x in (top, truth)
        )
        test = self.found(rows, true_rows)
        assert test.classes > 0.05
        assert test.top_label < 0.01
        assert test.p_value < 0.02

    def test_faults_of_classes_that_cancel_in_the_confidence(self):
        top = np.tile(np.linspace(0.55, 0.85, 500), 2)
        side = np.repeat([0, 1], 500)  # which class is on top
        truth = top + np.where(side == 1, 0.1, -0.1)
        rows, true_rows = (
            np.where(side[:, None] == [0, 1], x[:, None], 1 - x[:, None]) for x in (top, truth)
        )
        test = self.found(rows, true_rows)
        assert test.top_label > 0.05
        assert test.classwise < 0.01

    def test_a_label_that_was_held_impossible(self):
        test = calibration_test([[1.0, 0.0]] * 50, [0] * 49 + [1])
        assert test.p_value == test.confidence == 1 / 1000


@pytest.mark.parametrize("kind", range(4))
def test_one_statistic_far_off_is_enough(kind, monkeypatch):
    """However the others look, and of however many squares it is the sum."""
    random = np.random.default_rng(0)
    squares = random.chisquare(np.array([[1], [2], [15], [150]]), size=(4, 1000))
    squares[:, 0] = squares.min(axis=1) / 2
    squares[kind, 0] = stats.chi2.isf(1e-5, [1, 2, 15, 150][kind])
    monkeypatch.setattr("luce.calibration.testing._squares", lambda tally: squares)
    tally_of_few = tallied(
        labelled([[0.5, 0.5]] * 4, [0] * 4, None, None, logarithmic=False), random, apart=False
    )
    found = testing.tested(tally_of_few)
    assert found.p_value <= 0.01
    assert [getattr(found, name) for name in KINDS[1:]] == [
        0.001 if place == kind else 1 for place in range(4)
    ]


def test_how_sure_a_test_can_be_depends_on_the_draws():
    test = calibration_test([[0.9, 0.1]] * 200, [1] * 200)
    assert (test.p_value, test.times, test.rows) == (0.001, 999, 200)


def test_a_single_row_says_little():
    assert calibration_test([[0.5, 0.5]], [0]).p_value == 1
    assert calibration_test([[0.9, 0.1]], [0]).p_value == 1
    assert 0.05 < calibration_test([[0.9, 0.1]], [1]).p_value < 0.15


def test_the_seed_decides(draw):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 100, 3)
    first, again, other = (
        calibration_test(np.exp(log_probabilities), labels, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_one_group_says_nothing(draw):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 300, 3, 4.0)
    assert calibration_test(np.exp(log_probabilities), labels).p_value < 0.01
    assert calibration_test(np.exp(log_probabilities), labels, groups=[7] * 300).p_value > 0.1
