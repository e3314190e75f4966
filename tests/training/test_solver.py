"""The line search, and what a memory makes of how searches ended."""

import numpy as np
import pytest

from luce.training.memory import Memory
from luce.training.solver import Evaluation, search


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
