"""The solver: its line search, what a memory makes of how they ended, and where it recentres."""

import numpy as np
import pytest

from luce.training.memory import Curvature, Memory
from luce.training.solver import Evaluation, lbfgs, search


def searched(first, minimum):
    """Lengths tried for ``(length - minimum)^2 / 2``, and the one that was found."""
    tried = []

    def evaluate(point):
        tried.append(float(point[0]))
        return Evaluation(float((point[0] - minimum) ** 2 / 2), point - minimum, 0.0, 0.0)

    start = np.zeros(1)
    here = evaluate(start)
    found = search(evaluate, start, np.ones(1), here, most=25, slack=0.0, first=first)
    return tried[1:], found


@pytest.mark.parametrize(("first", "minimum"), [(1.0, 1.0), (0.25, 0.2), (0.25, 0.3)])
def test_a_first_step_about_right_is_the_only_one(first, minimum):
    tried, found = searched(first, minimum)
    assert tried == [first]
    assert found.length == first


@pytest.mark.parametrize(("first", "minimum"), [(1.0, 0.01), (1.0, 40.0), (0.01, 1.0)])
def test_a_first_step_far_too_long_or_short_is_mended(first, minimum):
    tried, found = searched(first, minimum)
    assert 1 < len(tried) < 10
    assert 0.1 * minimum <= found.length <= 1.8 * minimum


def test_a_step_begins_with_no_more_than_twice_the_last_one_that_was_right():
    memory = Memory((2, 3), pairs=3, dtype=np.dtype(np.float64))
    begun = []
    for length in (1.0, 0.2, 0.3, 0.7, 5.0, 0.1, 0.0):
        memory.took(2, length)
        begun.append(memory.first_length)
    np.testing.assert_allclose(begun, [1.0, 0.4, 0.6, 1.0, 1.0, 0.2, 1.0])
    assert memory.too_long == 5


def solved(objective, recentre, *, is_last=True, rounding=1e-15):
    """From ``x = 0.1`` by steps half as long as Newton's, to a gap of 1e-6."""
    return lbfgs(
        objective,
        np.full(3, 0.1),
        curvature=lambda point, passes, damping: Curvature(lambda gradient: gradient / 2, 100.0),
        recentre=recentre,
        tol=1e-6,
        smallest=1e-12,
        enough=-np.inf,
        rounding=rounding,
        stalled=25,
        is_last=is_last,
        memory=Memory((3,), pairs=2, dtype=np.dtype(np.float64)),
        max_iter=100,
        on_pass=lambda point, value, gap: None,
    )


@pytest.mark.parametrize(
    ("is_last", "rounding"), [(True, 1e-15), (False, 1e-9), (False, 1e-7), (True, 1e-7)]
)
def test_an_attainable_gap_is_left_to_better_arithmetic_where_rounding_may_hide_it(
    is_last, rounding
):
    """On ``1 + x^2 / 2``, whose gap is certified only where `recentre` has been."""
    recentred = []

    def objective(point):
        true = float(point @ point) / 2
        return Evaluation(1 + true, point, 1.0 if not recentred else true, true)

    def recentre(point, gradient, exactly):
        recentred.append(exactly)
        return point

    solution = solved(objective, recentre, is_last=is_last, rounding=rounding)
    is_attained = is_last or rounding < 1e-8
    assert solution.stopped == ("certified" if is_attained else "precision")
    assert recentred == ([False] if is_attained else [])
    assert solution.value - 1 <= 0.8e-6


@pytest.mark.parametrize("moves", [True, False])
def test_recentring_ends_where_the_gap_has_moved_out_of_reach(moves):
    """Where the gap is still in reach, a second time brings it; else steps go on before that."""
    recentred, ways, steepness = [], [], np.array([1.0, 7.0, 50.0])

    def objective(point):
        true = float(point @ (steepness * point)) / 2
        attainable = 1.0 if moves and len(recentred) == 1 and recentred[0] is point else true
        gap = 1 + true if len(recentred) < 2 else true
        return Evaluation(1 + true, steepness * point, gap, attainable)

    def recentre(point, gradient, exactly):
        ways.append(exactly)
        recentred.append(point.copy())
        return recentred[-1]

    assert solved(objective, recentre).stopped == "certified"
    assert ways == ([False, False] if moves else [False, True])
