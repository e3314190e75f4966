import numpy as np
import pytest

from luce import decisions
from luce.errors import DataError

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def test_argmax_answers_every_row_without_sets():
    decision = decisions.Argmax().decide([[0.1, 0.6, 0.3], [0.4, 0.2, 0.4]])
    assert decision.labels.tolist() == [1, 0]
    assert decision.answered.all()
    assert decision.sets is None


@every_dtype
@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_topk_equals_a_stable_sort(size, dtype, few_levels):
    probabilities = few_levels(300, 9, dtype)
    decision = decisions.TopK(size).decide(probabilities)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :size]
    expected = np.zeros_like(probabilities, dtype=bool)
    expected[np.arange(300)[:, None], order] = True
    np.testing.assert_array_equal(decision.sets, expected)
    np.testing.assert_array_equal(decision.labels, order[:, 0])
    assert decision.answered.all()


def test_top_1_is_argmax(few_levels):
    probabilities = few_levels(200, 5, np.float64)
    one, argmax = (rule.decide(probabilities) for rule in (decisions.TopK(1), decisions.Argmax()))
    np.testing.assert_array_equal(one.labels, argmax.labels)
    assert (one.sets.sum(axis=1) == 1).all()


@pytest.mark.parametrize("n", [0, 2])
def test_more_than_all_classes(n):
    with pytest.raises(DataError, match="k is 4, but there are 3 classes"):
        decisions.TopK(4).decide(np.full((n, 3), 1 / 3))


@pytest.mark.parametrize("size", [0, -1, 1.0, True, "2"])
def test_k_is_a_positive_integer(size):
    with pytest.raises(DataError, match="expected an integer"):
        decisions.TopK(size)
