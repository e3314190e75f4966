"""Costs of rows in blocks are those of all at once, with the standard error of groups."""

import dataclasses

import numpy as np
import pytest

from luce.decisions import MinimumCost
from luce.decisions.cost_evaluation import RunningCosts
from luce.errors import DataError

LOAN = MinimumCost([[0, 10, 2], [50, 0, 2]], actions=["pay", "refuse", "ask"], ask="ask")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_blocks_make_no_difference(weighted, grouped, draw):
    random = np.random.default_rng(0)
    p, labels = draw(random, 300, 2)
    weights = random.integers(0, 3, 300) if weighted else None
    groups = np.arange(300) // 4 if grouped else None
    whole = LOAN.evaluate(p, labels, weights, groups)
    running = RunningCosts(LOAN)
    for some in (slice(0), slice(11), slice(11, 12), slice(12, None)):
        of_some = (None if each is None else each[some] for each in (weights, groups))
        running.add(p[some], labels[some], *of_some)
    found = running.result()
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(whole), rel=1e-12)


def test_rows_that_are_one_row_repeated_say_as_much_as_one(draw):
    p, labels = draw(np.random.default_rng(0), 100, 2)
    once = LOAN.evaluate(p, labels)
    groups = np.repeat(np.arange(100), 9)
    repeated = LOAN.evaluate(p.repeat(9, axis=0), labels.repeat(9), None, groups)
    assert repeated.cost == pytest.approx(once.cost)
    assert repeated.standard_error == pytest.approx(once.standard_error)
    ungrouped = LOAN.evaluate(p.repeat(9, axis=0), labels.repeat(9))
    assert ungrouped.standard_error == pytest.approx(once.standard_error / 3, rel=0.01)


def test_one_group_has_no_standard_error(draw):
    found = LOAN.evaluate(*draw(np.random.default_rng(0), 20, 2), groups=np.zeros(20))
    assert np.isnan(found.standard_error)


def test_costs_far_from_0_keep_their_spread(draw):
    p, labels = draw(np.random.default_rng(0), 1000, 2)
    near = MinimumCost([[0.0, 1.0], [3.0, 0.0]]).evaluate(p, labels)
    far = MinimumCost([[1e9, 1e9 + 1], [1e9 + 3, 1e9]]).evaluate(p, labels)
    assert far.standard_error == pytest.approx(near.standard_error, rel=1e-5)


@pytest.mark.parametrize("size", [1e-300, 1e100, 1e300])
def test_costs_of_any_size(size, draw):
    p, labels = draw(np.random.default_rng(0), 100, 2)
    costs = np.array([[0.0, 1.0], [3.0, 0.0]])
    once, scaled = (MinimumCost(costs * by).evaluate(p, labels) for by in (1.0, size))
    assert scaled.cost == pytest.approx(size * once.cost)
    assert scaled.standard_error == pytest.approx(size * once.standard_error)


def test_no_rows_have_no_cost():
    with pytest.raises(DataError, match="weights sum to 0"):
        RunningCosts(LOAN).result()
