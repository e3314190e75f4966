"""Counts of what rules do, and intervals that hold as often as they say, also of groups."""

import numpy as np
import pytest
from scipy.stats import binomtest

from luce.calibration.units import MOST
from luce.decisions import Abstain, MinimumCost, PredictionSet
from luce.decisions.measuring import RunningAnswers, RunningSets, Sums
from luce.errors import DataError


@pytest.fixture
def problem(draw):
    return draw(np.random.default_rng(1), 500, 3)


@pytest.fixture
def abstain(draw):
    return Abstain(0.15).fit(*draw(np.random.default_rng(0), 2000, 3))


def exact(part, whole):
    interval = binomtest(part, whole).proportion_ci(method="exact")
    return pytest.approx((part / whole, interval.low, interval.high))


def numbers(figure):
    return figure.value, figure.low, figure.high


def test_answers_are_counted(abstain, problem):
    probabilities, labels = problem
    decision = abstain.decide(probabilities)
    answered = decision.answered.sum()
    errors = (decision.answered & (decision.labels != labels)).sum()
    found = abstain.evaluate(probabilities, labels)
    assert (found.rows, found.answered, found.errors) == (500, answered, errors)
    assert 0 < errors < answered < 500
    assert numbers(found.share_answered) == exact(int(answered), 500)
    assert numbers(found.error_rate) == exact(int(errors), int(answered))


def test_sets_are_counted(problem):
    probabilities, labels = problem
    rule = PredictionSet(0.8).fit(probabilities, labels)
    sets = rule.decide(probabilities).sets
    covered = int(sets[np.arange(500), labels].sum())
    single = int((sets.sum(axis=1) == 1).sum())
    found = rule.evaluate(probabilities, labels)
    assert (found.rows, found.covered) == (500, covered)
    assert found.mean_size == sets.sum() / 500
    assert 1 < found.mean_size < 3
    assert numbers(found.coverage) == exact(covered, 500)
    assert numbers(found.single) == exact(single, 500)


@pytest.mark.parametrize("rule", [Abstain(0.15), PredictionSet(0.8), MinimumCost(1 - np.eye(3))])
def test_rows_of_no_weight_are_refused(rule, problem):
    rule = rule if isinstance(rule, MinimumCost) else rule.fit(*problem)
    with pytest.raises(DataError, match="the weights sum to 0"):
        rule.evaluate(*problem, sample_weight=np.zeros(500))


@pytest.mark.parametrize("grouped", [False, True])
def test_blocks_make_no_difference(abstain, problem, grouped):
    probabilities, labels = problem
    groups = np.arange(500) // 3 if grouped else None
    rules = abstain, PredictionSet(0.8, "aps", randomised=True).fit(probabilities, labels)
    for rule, kind in zip(rules, (RunningAnswers, RunningSets), strict=True):
        whole, parts = kind(rule), kind(rule)
        whole.add(probabilities, labels, groups=groups)
        for some in (slice(0), slice(7), slice(7, 8), slice(8, None)):
            of_some = None if groups is None else groups[some]
            parts.add(probabilities[some], labels[some], groups=of_some)
        assert whole.result() == parts.result()


def test_rows_without_weight_are_left_out_and_others_count_once(abstain, problem):
    probabilities, labels = problem
    weights = np.arange(500) % 3
    kept = weights > 0
    found = abstain.evaluate(probabilities, labels, weights, np.arange(500) // 5)
    expected = abstain.evaluate(
        probabilities[kept], labels[kept], None, (np.arange(500) // 5)[kept]
    )
    assert found == expected


def test_nothing_answered_has_no_error_rate(problem):
    one = np.array([1])
    silent = Abstain(
        0.1, thresholds=[np.inf], tested=9 * one, answered=0 * one, errors=0 * one, bounds=one,
        classes=3,
    )  # fmt: skip
    found = silent.evaluate(*problem)
    assert (found.rows, found.answered, found.errors) == (500, 0, 0)
    assert np.isnan(numbers(found.error_rate)).all()


def test_a_rule_that_is_not_fitted(problem):
    for rule in (Abstain(0.1), PredictionSet(0.9)):
        with pytest.raises(DataError, match="fit it first"):
            rule.evaluate(*problem)


@pytest.fixture
def rules(abstain, problem):
    return abstain, PredictionSet(0.8).fit(*problem), MinimumCost(1 - np.eye(3))


@pytest.mark.parametrize(
    ("rows", "groups", "complaint"),
    [
        (500, np.arange(499), r"groups have shape \(499,\); expected \(500,\)"),
        (500, np.where(np.arange(500) == 7, np.nan, 1), "row 7: the group is NaN"),
        (0, None, "needs a row"),
    ],
    ids=["too few", "NaN", "no row"],
)
def test_rows_that_cannot_be_measured(rows, groups, complaint, rules, problem):
    for rule in rules:
        with pytest.raises(DataError, match=complaint):
            rule.evaluate(problem[0][:rows], problem[1][:rows], groups=groups)


def test_sets_by_group_are_told_the_groups(problem):
    probabilities, labels = problem
    groups = np.where(probabilities.max(axis=1) > 0.7, "sure", "unsure")
    rule = PredictionSet(0.9, conditional="group").fit(probabilities, labels, groups=groups)
    sets = rule.decide(probabilities, groups).sets
    covered = sets[np.arange(500), labels]
    found = rule.evaluate(probabilities, labels, groups=groups)
    assert found.mean_size == sets.sum() / 500
    assert numbers(found.coverage) == exact(int(covered.sum()), 500)
    some = groups == "sure"
    of_one = rule.evaluate(probabilities[some], labels[some], groups=groups[some])
    assert of_one.covered == covered[some].sum()
    with pytest.raises(DataError, match="groups are not given"):
        rule.evaluate(probabilities, labels)


class TestGroups:
    def test_rows_that_are_one_row_repeated_say_as_much_as_one(self):
        random = np.random.default_rng(0)
        right = random.random(60) < 0.8
        alone, repeated = Sums(2), Sums(2)
        alone.add(np.stack([np.ones(60), right]), np.arange(60))
        repeated.add(np.repeat([np.ones(60), right], 20, axis=1), np.repeat(np.arange(60), 20))
        # A design effect that is estimated costs a little: n / (n - 1), and t for the normal.
        assert numbers(repeated.share(1, 0)) == pytest.approx(numbers(alone.share(1, 0)), abs=0.01)

    def test_independent_rows_in_groups_lose_little(self):
        right = np.random.default_rng(0).random(4000) < 0.8
        grouped, bare = Sums(2), Sums(2)
        grouped.add(np.stack([np.ones(4000), right]), np.arange(4000) // 2)
        bare.add(np.stack([np.ones(4000), right]), None)
        assert numbers(grouped.share(1, 0)) == pytest.approx(numbers(bare.share(1, 0)), abs=0.002)

    def test_without_an_error_there_are_as_many_rows_as_groups(self):
        sums = Sums(2)
        sums.add(np.ones((2, 300)), np.arange(300) % 30)
        assert numbers(sums.share(1, 0)) == exact(30, 30)

    def test_one_group_says_next_to_nothing(self):
        sums = Sums(2)
        sums.add(np.stack([np.ones(10), np.arange(10) < 7]), np.zeros(10))
        value, low, high = numbers(sums.share(1, 0))
        assert value == 0.7
        assert low < 0.05
        assert high > 0.95

    def test_intervals_hold_the_share_behind_them(self):
        """Groups of 5 rows, whose own share is spread: about 95 of 100 intervals hold the mean."""
        random = np.random.default_rng(3)
        held = plain_held = 0
        for _ in range(400):
            shares = np.repeat(random.beta(1.4, 0.6, size=50), 5)
            values = np.stack([np.ones(250), random.random(250) < shares])
            sums, plain = Sums(2), Sums(2)
            sums.add(values, np.arange(250) // 5)
            plain.add(values, None)
            held += sums.share(1, 0).low <= 0.7 <= sums.share(1, 0).high
            plain_held += plain.share(1, 0).low <= 0.7 <= plain.share(1, 0).high
        assert held >= 370  # of 400 with 95 %, fewer come up once in 100
        assert plain_held < 350

    def test_many_groups_are_remembered_in_bounded_memory(self):
        n = 3 * MOST
        right = np.random.default_rng(0).random(n) < 0.9
        whole, blocks = Sums(2), Sums(2)
        whole.add(np.stack([np.ones(n), right]), np.arange(n))
        for some in np.array_split(np.arange(n), 7):
            blocks.add(np.stack([np.ones(len(some)), right[some]]), some)
        assert whole.share(1, 0) == blocks.share(1, 0)
        bare = Sums(2)
        bare.add(np.stack([np.ones(n), right]), None)
        assert numbers(whole.share(1, 0)) == pytest.approx(numbers(bare.share(1, 0)), abs=3e-4)

    def test_groups_that_come_again_stay_whole_however_many_there_are(self):
        groups = np.tile(np.arange(2 * MOST), 4)
        right = np.tile(np.random.default_rng(0).random(2 * MOST) < 0.9, 4)
        order = np.argsort(groups, kind="stable")
        in_turn, one_by_one = Sums(2), Sums(2)
        in_turn.add(np.stack([np.ones(len(groups)), right]), groups)
        one_by_one.add(np.stack([np.ones(len(groups)), right[order]]), groups[order])
        found = numbers(in_turn.share(1, 0))
        assert found == pytest.approx(numbers(one_by_one.share(1, 0)), abs=1e-9)

    def test_groups_are_for_all_rows_or_none(self):
        sums = Sums(2)
        sums.add(np.ones((2, 3)), None)
        with pytest.raises(DataError, match="for all blocks"):
            sums.add(np.ones((2, 3)), np.arange(3))
