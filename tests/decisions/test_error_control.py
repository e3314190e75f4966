from math import ceil, inf

import numpy as np
import pytest
from scipy.stats import beta, binom

from luce.decisions import error_control as control


@pytest.mark.parametrize(("errors", "rows"), [(0, 1), (0, 59), (3, 100), (99, 100), (7, 7), (0, 0)])
@pytest.mark.parametrize("level", [0.05, 1e-4])
def test_the_upper_bound_is_where_the_tail_is_the_level(errors, rows, level):
    bound = control.upper_bound(errors, rows, level)
    if errors == rows:
        assert bound == 1.0
    else:
        assert binom.cdf(errors, rows, bound) == pytest.approx(level)
        assert bound == pytest.approx(beta.ppf(1 - level, errors + 1, rows - errors))


@pytest.mark.parametrize("part", [0, 1, 40, 100])
def test_the_interval_of_a_share(part):
    low, high = control.share_interval(part, 100, 0.9)
    assert low <= part / 100 <= high
    if part:
        assert binom.sf(part - 1, 100, low) == pytest.approx(0.05)
    assert (low == 0) == (part == 0)


@pytest.mark.parametrize(("risk", "level"), [(0.01, 0.05), (0.5, 0.1), (0.1, 1e-6)])
def test_fewest_rows(risk, level):
    n = control.fewest_rows(risk, level)
    assert (1 - risk) ** n <= level < (1 - risk) ** (n - 1)


def test_rows_needed_at_a_rate():
    n = control.rows_needed(0.02, 0.05, 0.05)
    assert binom.cdf(int(0.02 * n), n, 0.05) <= 0.05
    assert binom.cdf(int(0.02 * n / 2), ceil(n / 2), 0.05) > 0.05
    assert control.rows_needed(0.0, 0.01, 0.05) == 299
    assert control.rows_needed(0.05, 0.05, 0.05) is None


@pytest.mark.parametrize("n", [299, 300, 450, 700, 1000, 5000])
def test_the_plan_spends_the_level_and_no_more(n):
    scores = np.random.default_rng(n).uniform(size=n)
    thresholds, levels, tested = control._plan(scores, 0.01, 0.05)
    assert levels.sum() == pytest.approx(0.05)
    assert (levels >= 0).all()
    assert (np.diff(thresholds) < 0).all()
    assert thresholds[-1] == -inf
    assert len(np.unique(tested)) == len(tested)
    lent = np.delete(scores, tested)
    assert set(thresholds[:-1]) == set(lent)
    assert (len(lent) == 0) == (n <= 300)


def test_few_rows_are_all_tested_and_only_together():
    found = control.lowest_threshold(np.linspace(0, 1, 299), np.zeros(299, bool), 0.01, 0.05)
    assert (found.threshold, found.rows, found.answered, found.errors) == (-inf, 299, 299, 0)
    assert 0.0099 < found.bound <= 0.01
    wrong = np.arange(299) == 0
    found = control.lowest_threshold(np.linspace(0, 1, 299), wrong, 0.01, 0.05)
    assert (found.threshold, found.answered, found.errors) == (inf, 299, 1)
    assert found.bound > 0.01


def graded(random, n):
    """Rows whose error rate falls with the score."""
    scores = random.uniform(size=n)
    return scores, random.uniform(size=n) < 0.4 * (1 - scores) ** 2


def test_the_threshold_keeps_the_bound_and_is_not_far_from_the_best():
    scores, wrong = graded(np.random.default_rng(0), 20_000)
    found = control.lowest_threshold(scores, wrong, 0.03, 0.05)
    answered = scores >= found.threshold
    assert found.bound <= 0.03
    assert found.rows == 19_000
    assert found.answered / found.rows == pytest.approx(answered.mean(), abs=0.01)
    assert found.errors / found.answered == pytest.approx(wrong[answered].mean(), abs=0.005)
    # The error rate above t is 0.4 / 3 * (1 - t)^2: exactly 0.03 at t = 0.526.
    assert 0.526 < found.threshold < 0.6


def test_an_unlucky_error_among_the_surest_is_not_the_end():
    scores, wrong = graded(np.random.default_rng(0), 5000)
    order = np.argsort(-scores)
    wrong[order[:60:6]] = True
    found = control.lowest_threshold(scores, wrong, 0.05, 0.05)
    assert found.answered > 1000


def test_all_scores_alike_are_answered_together():
    wrong = np.zeros(1000, bool)
    wrong[:5] = True
    found = control.lowest_threshold(np.ones(1000), wrong, 0.02, 0.05)
    assert found.threshold in (1.0, -inf)
    assert found.answered == found.rows == 950


def test_the_order_of_rows_with_equal_scores_says_nothing():
    scores, wrong = graded(np.random.default_rng(2), 3000)
    scores = np.round(scores, 1)
    found = control.lowest_threshold(scores, wrong, 0.05, 0.05)
    assert (
        found.answered
        == (np.round(scores, 1) >= found.threshold)[control._plan(scores, 0.05, 0.05)[2]].sum()
    )


def test_nothing_is_accepted_where_everything_is_wrong():
    found = control.lowest_threshold(np.linspace(0, 1, 1000), np.ones(1000, bool), 0.1, 0.05)
    assert found.threshold == inf
    assert found.bound > 0.1
