import dataclasses

import numpy as np
import pytest
import sklearn.metrics

from luce import calibration
from luce.errors import DataError

FIGURES = ["accuracy", "log_loss", "brier_score", "expected_calibration_error"]
LEVELS = np.array([[0.9, 0.05, 0.05], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6], [0.35, 0.33, 0.32]])


def draw(random, n):
    """Rows of four kinds, each with a truth of its own that the probabilities miss a little."""
    kind = random.integers(4, size=n)
    truth = (LEVELS[kind] + 0.2) / 1.6
    labels = (random.uniform(size=(n, 1)) > truth.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return np.log(LEVELS[kind]), labels


def truths():
    truth = (LEVELS + 0.2) / 1.6
    top = LEVELS.argmax(axis=1)
    correct = truth[np.arange(4), top]
    brier_score = (LEVELS**2).sum(axis=1) - 2 * (truth * LEVELS).sum(axis=1) + 1
    return {
        "accuracy": correct.mean(),
        "log_loss": -(truth * np.log(LEVELS)).sum(axis=1).mean(),
        "brier_score": brier_score.mean(),
        "expected_calibration_error": abs(LEVELS.max(axis=1) - correct).mean(),
    }


def as_numbers(evaluation):
    return np.array([dataclasses.astuple(getattr(evaluation, name)) for name in FIGURES])


@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_those_of_the_metrics(weighted):
    random = np.random.default_rng(0)
    log_probabilities, labels = draw(random, 500)
    weights = random.gamma(1, size=500) * (random.uniform(size=500) < 0.7) if weighted else None
    evaluation = calibration.evaluate(log_probabilities, labels, sample_weight=weights)
    for name in FIGURES:
        values = log_probabilities if name == "log_loss" else np.exp(log_probabilities)
        metric = getattr(calibration, name)
        figure = getattr(evaluation, name)
        assert figure.value == pytest.approx(metric(values, labels, sample_weight=weights))
        assert figure.low < figure.value < figure.high
    assert evaluation.rows == (500 if weights is None else (weights > 0).sum())
    theirs = sklearn.metrics.confusion_matrix(
        labels, log_probabilities.argmax(axis=1), sample_weight=weights
    )
    np.testing.assert_allclose(evaluation.confusion, theirs, rtol=1e-12)
    assert evaluation.confusion.dtype == (float if weighted else int)


def test_the_seed_decides():
    rows = draw(np.random.default_rng(0), 300)
    first, again, other = (as_numbers(calibration.evaluate(*rows, seed=s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first[:, 1:] != other[:, 1:]).any()
    np.testing.assert_array_equal(first[:, 0], other[:, 0])


def covered(rounds, make, **options):
    """How often the interval of each figure holds the truth."""
    truth = np.array([truths()[name] for name in FIGURES])
    hits = np.zeros(4)
    for seed in range(rounds):
        log_probabilities, labels, groups = make(np.random.default_rng(seed))
        if not options.get("grouped", True):
            groups = None
        evaluation = calibration.evaluate(
            log_probabilities, labels, groups=groups, seed=seed, resamples=400
        )
        numbers = as_numbers(evaluation)
        hits += (numbers[:, 1] <= truth) & (truth <= numbers[:, 2])
    return hits / rounds


def independent(random):
    return *draw(random, 400), None


def repeated(random):
    """Each row six times over: 60 independent things in 360 rows."""
    log_probabilities, labels = draw(random, 60)
    order = random.permutation(np.repeat(np.arange(60), 6))
    return log_probabilities[order], labels[order], order


def test_intervals_hold_the_truth_as_often_as_they_say():
    share = covered(400, independent)
    # Three standard deviations of a share of 400 at 0.95, and no more than 0.01 of bias.
    margin = 3 * np.sqrt(0.95 * 0.05 / 400) + 0.01
    assert np.all(abs(share[:3] - 0.95) < margin)
    assert share[3] > 0.85


def test_intervals_of_bundled_rows_hold_the_truth(monkeypatch):
    monkeypatch.setattr("luce.calibration.units.MOST", 100)
    share = covered(400, independent)
    margin = 3 * np.sqrt(0.95 * 0.05 / 400) + 0.015
    assert np.all(abs(share[:3] - 0.95) < margin)


def test_groups_are_drawn_whole():
    grouped = covered(200, repeated)
    apart = covered(200, repeated, grouped=False)
    assert np.all(grouped[:3] > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200) - 0.02)
    assert np.all(apart[:3] < 0.7)


def test_groups_beyond_the_limit_are_bundled_whole(monkeypatch):
    random = np.random.default_rng(3)
    log_probabilities, labels, groups = (
        np.concatenate(parts) for parts in zip(*(repeated(random) for _ in range(20)), strict=True)
    )
    groups = groups + 60 * np.repeat(np.arange(20), 360)
    widths = []
    for limit in (10_000, 300):
        monkeypatch.setattr("luce.calibration.units.MOST", limit)
        evaluation = calibration.evaluate(log_probabilities, labels, groups=groups)
        widths.append(np.diff(as_numbers(evaluation)[:, 1:]).ravel())
    np.testing.assert_allclose(widths[0][:3], widths[1][:3], rtol=0.2)


def test_names_of_groups_do_not_matter():
    random = np.random.default_rng(0)
    log_probabilities, labels = draw(random, 100)
    groups = random.integers(20, size=100)
    by_number = calibration.evaluate(log_probabilities, labels, groups=groups)
    by_name = calibration.evaluate(
        log_probabilities, labels, groups=[f"patient {g:02}" for g in groups]
    )
    np.testing.assert_array_equal(as_numbers(by_number), as_numbers(by_name))


def test_one_infinite_loss_leaves_a_finite_low_end():
    log_probabilities = np.array([[0.0, -np.inf]] * 10)
    labels = np.array([1] + [0] * 9)
    figure = calibration.evaluate(log_probabilities, labels).log_loss
    assert (figure.value, figure.low, figure.high) == (np.inf, 0.0, np.inf)


def test_the_interval_is_widened_to_hold_the_value():
    random = np.random.default_rng(0)
    top = random.uniform(0.5, 1, size=2000)
    log_probabilities = np.log(np.stack([top, 1 - top], axis=1))
    widened = 0
    for _ in range(10):
        labels = (random.uniform(size=2000) > top).astype(int)
        evaluation = calibration.evaluate(log_probabilities, labels, resamples=100)
        figure = evaluation.expected_calibration_error
        assert figure.low <= figure.value <= figure.high
        widened += figure.low == figure.value
    # A calibrated model's error is mostly bias, which drawing anew adds once more.
    assert widened > 0


@pytest.mark.parametrize("grouped", [False, True])
def test_blocks_do_not_show(grouped, monkeypatch):
    random = np.random.default_rng(0)
    log_probabilities, labels = draw(random, 200)
    weights = random.integers(3, size=200)
    groups = random.integers(30, size=200) if grouped else None
    options = {"sample_weight": weights, "groups": groups, "resamples": 50}
    whole = calibration.evaluate(log_probabilities, labels, **options)
    monkeypatch.setattr("luce.calibration.rows._BLOCK_ELEMENTS", 7 * 18)
    parts = calibration.evaluate(log_probabilities, labels, **options)
    np.testing.assert_allclose(as_numbers(parts), as_numbers(whole), rtol=1e-12)
    np.testing.assert_array_equal(parts.confusion, whole.confusion)
    assert parts.rows == whole.rows


@pytest.mark.parametrize("groups", [None, ["a", "a"]])
def test_a_single_unit_has_no_interval(groups):
    n = 1 if groups is None else len(groups)
    evaluation = calibration.evaluate(np.log([[0.5, 0.5]] * n), [0] * n, groups=groups)
    numbers = as_numbers(evaluation)
    assert np.isfinite(numbers[:, 0]).all()
    assert np.isnan(numbers[:, 1:]).all()


def test_units_without_weight_are_no_units():
    log_probabilities, labels = draw(np.random.default_rng(0), 50)
    weights = np.r_[np.ones(30), np.zeros(20)]
    some = calibration.evaluate(log_probabilities, labels, sample_weight=weights)
    alone = calibration.evaluate(log_probabilities[:30], labels[:30])
    np.testing.assert_array_equal(as_numbers(some), as_numbers(alone))
    np.testing.assert_array_equal(some.confusion, alone.confusion)


def test_the_featureless_guess_needs_no_copy_of_its_row():
    random = np.random.default_rng(0)
    n, frequencies = 200_000, np.array([0.2, 0.3, 0.5])
    labels = random.choice(3, size=n, p=frequencies)
    guess = np.broadcast_to(np.log(frequencies), (n, 3))
    evaluation = calibration.evaluate(guess, labels, resamples=100)
    entropy = -(frequencies * np.log(frequencies)).sum()
    assert evaluation.log_loss.value == pytest.approx(entropy, abs=0.01)
    assert evaluation.accuracy.value == pytest.approx(0.5, abs=0.01)
    assert evaluation.confusion[:, :2].sum() == 0


def test_no_confusion_of_very_many_classes():
    k = 2001
    evaluation = calibration.evaluate(np.full((3, k), -np.log(k)), [0, 1, 2000])
    assert evaluation.confusion is None
    assert evaluation.log_loss.value == pytest.approx(np.log(k))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([0], "groups have shape"),
        ([0.0, np.nan], "row 1: the group is NaN"),
        (np.array(["a", 1], dtype=object), "no common order"),
    ],
)
def test_bad_groups(groups, message):
    with pytest.raises(DataError, match=message):
        calibration.evaluate(np.log([[0.5, 0.5]] * 2), [0, 1], groups=groups)


def test_too_few_resamples():
    with pytest.raises(DataError, match="at least 40"):
        calibration.evaluate(np.log([[0.5, 0.5]] * 2), [0, 1], resamples=39)


def in_blocks(cuts, log_probabilities, labels, weights=None, groups=None, **options):
    running = calibration.RunningEvaluation(
        log_probabilities.shape[1], weighted=weights is not None, **options
    )
    for block in np.split(np.arange(len(labels)), cuts):
        running.add(
            log_probabilities[block],
            labels[block],
            sample_weight=None if weights is None else weights[block],
            groups=None if groups is None else groups[block],
        )
    return running


class TestRunningEvaluation:
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("grouped", [None, "number", "text"])
    @pytest.mark.parametrize("most", [2**14, 50])
    def test_how_rows_are_cut_does_not_show(self, weighted, grouped, most, monkeypatch):
        monkeypatch.setattr("luce.calibration.units.MOST", most)
        random = np.random.default_rng(0)
        log_probabilities, labels = draw(random, 600)
        log_probabilities[7, labels[7]] = -np.inf
        log_probabilities[7] -= np.log(np.exp(log_probabilities[7]).sum())
        weights = random.integers(3, size=600) * random.random(600) if weighted else None
        groups = random.integers(200, size=600) if grouped else None
        if grouped == "text":
            groups = np.array([f"p{'x' * (g % 5)}{g}" for g in groups])
        rows = (log_probabilities, labels, weights, groups)
        whole = calibration.evaluate(
            *rows[:2], sample_weight=weights, groups=groups, seed=3, resamples=100
        )
        for cuts in ([], [1], [0, 1, 1, 599], range(7, 600, 7), [600]):
            parts = in_blocks(cuts, *rows, seed=3).result(100)
            np.testing.assert_array_equal(as_numbers(parts), as_numbers(whole))
            np.testing.assert_array_equal(parts.confusion, whole.confusion)
            assert parts.confusion.dtype == whole.confusion.dtype
            assert parts.rows == whole.rows

    def test_more_may_be_added_after_a_result(self):
        log_probabilities, labels = draw(np.random.default_rng(0), 60)
        running = in_blocks([], log_probabilities[:40], labels[:40])
        first = running.result(50)
        running.add(log_probabilities[40:], labels[40:])
        both = calibration.evaluate(log_probabilities, labels, resamples=50)
        np.testing.assert_array_equal(as_numbers(running.result(50)), as_numbers(both))
        assert first.confusion.sum() == 40

    def test_errors_count_rows_over_all_blocks(self):
        running = calibration.RunningEvaluation(2, weighted=True)
        half = np.log([[0.5, 0.5]] * 5)

        def add(log_probabilities=half, labels=(0,) * 5, sample_weight=(1,) * 5, groups=(0,) * 5):
            running.add(log_probabilities, labels, sample_weight=sample_weight, groups=groups)

        add()
        with pytest.raises(DataError, match="row 7: the weight"):
            add(sample_weight=(1, 1, -1, 1, 1))
        with pytest.raises(DataError, match="row 14: the label"):
            add(labels=(0, 0, 0, 0, 2))
        with pytest.raises(DataError, match="row 16: the group is NaN"):
            add(groups=(0, np.nan, 0, 0, 0))
        bad = half.copy()
        bad[3] = 0
        with pytest.raises(DataError, match="row 23: the probabilities sum to 2"):
            add(bad)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"log_probabilities": np.log([[0.5, 0.25, 0.25]])}, "3 classes; expected 2"),
            ({"sample_weight": [1]}, "sample_weight is for all blocks"),
            ({"groups": [1]}, "groups are for all blocks"),
        ],
    )
    def test_all_blocks_are_of_one_kind(self, arguments, message):
        running = calibration.RunningEvaluation(2, weighted=False)
        row = {"log_probabilities": np.log([[0.5, 0.5]]), "labels": [0]}
        running.add(**row)
        with pytest.raises(DataError, match=message):
            running.add(**row | arguments)

    def test_groups_of_two_types_have_no_order(self):
        running = calibration.RunningEvaluation(2, weighted=False)
        for group in (1, "a"):
            running.add(np.log([[0.5, 0.5]]), [0], groups=[group])
        with pytest.raises(DataError, match="no common order"):
            running.result()

    def test_nothing_has_no_figures(self):
        running = calibration.RunningEvaluation(2, weighted=False)
        running.add(np.empty((0, 2)), np.empty(0, int))
        with pytest.raises(DataError, match="there was no row"):
            running.result()

    def test_weights_may_be_0_in_some_blocks_but_not_in_all(self):
        running = calibration.RunningEvaluation(2, weighted=True)
        running.add(np.log([[0.5, 0.5]]), [0], sample_weight=[0])
        with pytest.raises(DataError, match=r"the weights sum to 0\.0"):
            running.result()
        running.add(np.log([[0.5, 0.5]]), [0], sample_weight=[2])
        assert running.result().rows == 1
        for _ in range(2):
            running.add(np.log([[0.5, 0.5]]), [0], sample_weight=[1e308])
        with pytest.raises(DataError, match="the weights sum to inf"):
            running.result()


@pytest.mark.parametrize("units", [20_000, 120_000])
@pytest.mark.parametrize("of_each", [1, 3])
def test_intervals_beyond_the_limit_are_as_wide_as_theory_says(units, of_each):
    """Also where rows come sorted, and where the rows of a group come far from each other."""
    random = np.random.default_rng(0)
    log_probabilities, labels = draw(random, units)
    order = np.argsort(log_probabilities.argmax(axis=1) == labels, kind="stable")
    place = np.tile(order, of_each)
    evaluation = calibration.evaluate(
        log_probabilities[place],
        labels[place],
        groups=place if of_each > 1 else None,
        resamples=2000,
    )
    squared = ((np.eye(3)[labels] - np.exp(log_probabilities)) ** 2).sum(axis=1)
    for figure, deviation in (
        (evaluation.accuracy, (log_probabilities.argmax(axis=1) == labels).std()),
        (evaluation.log_loss, log_probabilities[np.arange(units), labels].std()),
        (evaluation.brier_score, squared.std()),
    ):
        expected = 2 * 1.96 * deviation / np.sqrt(units)
        assert figure.high - figure.low == pytest.approx(expected, rel=0.08)
