"""The solver: its line search, what a memory makes of how they ended, and where it recentres."""

import numpy as np
import pytest

from luce.training import solver
from luce.training.memory import Curvature, Memory
from luce.training.solver import Evaluation, lbfgs, search


def searched(first, minimum):
    """Lengths tried for ``(length - minimum)^2 / 2``, and the one that was found."""
    tried = []

    def evaluate(point):
        tried.append(float(point[0]))
        return Evaluation(float((point[0] - minimum) ** 2 / 2), point - minimum, 0.0)

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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_flattest_point_within_the_steps_remembered(dtype):
    random = np.random.default_rng(0)
    hessian = random.standard_normal((12, 12))
    hessian = hessian @ hessian.T + np.eye(12)
    memory = Memory((3, 4), pairs=4, dtype=np.dtype(dtype))
    steps = random.standard_normal((6, 12))  # the first two are forgotten
    for step in steps:
        memory.remember(step.reshape(3, 4), (hessian @ step).reshape(3, 4))
    gradient = random.standard_normal((3, 4))
    step, there = memory.flattened(gradient)
    rounding = 100 * float(np.finfo(dtype).eps) + 1e-5
    np.testing.assert_allclose(
        there.ravel(), gradient.ravel() + hessian @ step.ravel(), atol=rounding
    )
    changes = hessian @ steps[2:].T
    along = np.linalg.lstsq(changes, gradient.ravel())[0]
    least = gradient.ravel() - changes @ along
    np.testing.assert_allclose(there.ravel(), least, atol=1e-3)
    assert np.linalg.norm(least) < 0.95 * np.linalg.norm(gradient)


def test_changes_whose_squares_overflow_flatten_nothing():
    memory = Memory((2,), pairs=2, dtype=np.dtype(np.float32))
    memory.remember(np.ones(2), np.full(2, 1e30))
    step, there = memory.flattened(np.ones(2))
    np.testing.assert_array_equal((step, there), ([0, 0], [1, 1]))


def test_a_flatter_point_is_certified_sooner(monkeypatch):
    """By ``50 |gradient|^2``, which sees steep directions first, on a quadratic."""
    steepness = np.geomspace(1e-3, 1e3, 400)

    def objective(point):
        slope = steepness * point
        return Evaluation(1 + point @ slope / 2, slope, 50 * slope @ slope)

    def attainable(gradient):
        return 50 * gradient @ gradient

    def passes(reach, attainable=attainable, objective=objective):
        monkeypatch.setattr(solver, "PATIENCE", 0)
        monkeypatch.setattr(solver, "WITHIN_REACH", reach)
        solution = lbfgs(
            objective,
            np.random.default_rng(0).standard_normal(400),
            curvature=lambda point, passes, damping: Curvature(
                lambda gradient: gradient / np.sqrt(steepness), 1e9, to_scale=False
            ),
            attainable=attainable,
            recentre=lambda point, gradient, exactly: point,
            tol=1e-6,
            smallest=1e-12,
            enough=-np.inf,
            rounding=1e-14,
            stalled=25,
            is_last=True,
            memory=Memory((400,), pairs=15, dtype=np.dtype(np.float64)),
            max_iter=1000,
            on_pass=lambda point, value, gap: None,
        )
        assert solution.stopped == "certified"
        assert solution.value - 1 <= 1e-6
        return solution.passes

    without = passes(0.0)
    assert passes(1e5) < 0.9 * without

    found = []

    def hopeful(gradient):
        """Of a gradient that no evaluation found, too much is expected."""
        return attainable(gradient) if any(gradient is one for one in found) else 0.0

    def evaluated(point):
        evaluation = objective(point)
        found.append(evaluation.gradient)
        return evaluation

    assert passes(1e5, hopeful, evaluated) <= 1.25 * without + 1


def solved(objective, attainable, recentre, *, is_last=True, rounding=1e-15):
    """From ``x = 0.1`` by steps half as long as Newton's, to a gap of 1e-6."""
    return lbfgs(
        objective,
        np.full(3, 0.1),
        curvature=lambda point, passes, damping: Curvature(lambda gradient: gradient / 2, 100.0),
        attainable=attainable,
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
    ("is_last", "rounding"),
    [(True, 1e-15), (False, 1e-9), (False, 1e-7), (True, 1e-7)],
)
def test_an_attainable_gap_is_left_to_better_arithmetic_where_rounding_may_hide_it(
    is_last, rounding
):
    """On ``1 + x^2 / 2``, whose gap is certified only where `recentre` has been."""
    recentred = []

    def objective(point):
        true = float(point @ point) / 2
        return Evaluation(1 + true, point, 1.0 if not recentred else true)

    def recentre(point, gradient, exactly):
        assert not exactly
        recentred.append(point + 1e-6)
        return recentred[-1]

    def attainable(gradient):
        return float(gradient @ gradient) / 2

    solution = solved(objective, attainable, recentre, is_last=is_last, rounding=rounding)
    is_attained = is_last or rounding < 1e-8
    assert solution.stopped == ("certified" if is_attained else "precision")
    assert len(recentred) == 1
    assert solution.onward is (solution.point if is_attained else recentred[0])
    assert solution.value - 1 <= 0.8e-6


def test_steps_below_rounding_end_where_the_attainable_gap_falls_no_more():
    """What is handed on is where they ended: rounding decides which value is the least."""
    points = []

    def objective(point):
        points.append(point)
        return Evaluation(1 + float(point @ point) / 2 + 0.0135 * len(points), point, 1.0)

    solution = solved(
        objective, lambda gradient: 1.0, lambda *_: None, is_last=False, rounding=1e-2
    )
    assert solution.stopped == "precision"
    assert solution.point is points[0]
    assert len(points) > 1
    np.testing.assert_array_equal(solution.onward, points[-1])


def test_steps_below_rounding_go_on_while_each_halves_the_attainable_gap():
    steepness, left = np.array([1.0, 2.0, 3.0]), []

    def objective(point):
        return Evaluation(1 + point @ (steepness * point) / 2, steepness * point, 1.0)

    def attainable(gradient):
        return float(gradient @ (gradient / steepness)) / 2

    def recentre(point, gradient, exactly):
        left.append(attainable(gradient))
        return point

    solution = solved(objective, attainable, recentre, is_last=False, rounding=1e-3)
    assert solution.stopped == "precision"
    assert len(left) == 1
    assert left[0] < 0.8e-6


@pytest.mark.parametrize("moves", [True, False])
def test_recentring_ends_where_the_gap_has_moved_out_of_reach(moves):
    """Where the gap is still in reach, a second time brings it; else steps go on before that."""
    recentred, ways, steepness = [], [], np.array([1.0, 7.0, 50.0])
    has_moved = False

    def objective(point):
        nonlocal has_moved
        has_moved = moves and len(recentred) == 1 and recentred[0] is point
        true = float(point @ (steepness * point)) / 2
        return Evaluation(1 + true, steepness * point, 1 + true if len(recentred) < 2 else true)

    def attainable(gradient):
        return 1.0 if has_moved else float(gradient @ (gradient / steepness)) / 2

    def recentre(point, gradient, exactly):
        ways.append(exactly)
        recentred.append(point.copy())
        return recentred[-1]

    assert solved(objective, attainable, recentre).stopped == "certified"
    assert ways == ([False, False] if moves else [False, True])
