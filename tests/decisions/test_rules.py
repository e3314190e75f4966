"""One registry for all rules: a rule exported without an entry here fails the first test."""

import dataclasses

import numpy as np
import pytest

from luce import decisions
from luce.errors import DataError

RULES = [
    *[decisions.Argmax(), decisions.TopK(1), decisions.TopK(2), decisions.TopK(np.int64(3))],
    decisions.Sample(temperature=0),
]

every_rule = pytest.mark.parametrize("rule", RULES, ids=repr)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def random_probabilities(n, k, dtype, seed=0):
    # Few levels, so that ties are common.
    weights = np.random.default_rng(seed).integers(0, 4, size=(n, k)) + 0.25
    return (weights / weights.sum(axis=1, keepdims=True)).astype(dtype)


def test_the_registry_is_complete():
    exported = {getattr(decisions, name) for name in decisions.__all__} - {decisions.Rule}
    assert {rule for rule in exported if hasattr(rule, "decide")} == {type(r) for r in RULES}


@every_rule
@every_dtype
@pytest.mark.parametrize("n", [0, 1, 50])
@pytest.mark.parametrize("k", [3, 7])
def test_shapes_and_dtypes(rule, dtype, n, k):
    decision = rule.decide(random_probabilities(n, k, dtype))
    assert decision.labels.shape == (n,)
    assert decision.labels.dtype == np.intp
    assert decision.answered.shape == (n,)
    assert decision.answered.dtype == bool
    if decision.sets is not None:
        assert decision.sets.shape == (n, k)
        assert decision.sets.dtype == bool
        assert decision.sets[np.arange(n), decision.labels].all()


@every_rule
@every_dtype
def test_ties_go_to_the_lower_class(rule, dtype):
    decision = rule.decide(np.full((2, 5), 0.2, dtype=dtype))
    assert decision.labels.tolist() == [0, 0]
    if decision.sets is not None:
        size = decision.sets[0].sum()
        assert decision.sets.tolist() == [[c < size for c in range(5)]] * 2


@every_rule
@pytest.mark.parametrize("column", [0, 2])
def test_nan_is_named(rule, column):
    probabilities = np.full((4, 3), 1 / 3)
    probabilities[2, column] = np.nan
    with pytest.raises(DataError, match=f"row 2: the probability of class {column} is NaN"):
        rule.decide(probabilities)


@every_rule
@pytest.mark.parametrize(
    "probabilities",
    [np.ones(3), np.ones((2, 3, 1)), np.ones((2, 0)), np.ones((2, 3), int), [["a"] * 3] * 2],
    ids=["one axis", "three axes", "no class", "integers", "text"],
)
def test_what_is_no_table_of_probabilities(rule, probabilities):
    with pytest.raises(DataError, match="the probabilities have shape"):
        rule.decide(probabilities)


@every_rule
def test_strides_and_the_input_are_left_alone(rule):
    plain = random_probabilities(20, 6, np.float64)
    strided = np.asfortranarray(np.repeat(plain, 2, axis=0))[::2]
    strided.flags.writeable = False
    expected, decision = rule.decide(plain), rule.decide(strided)
    np.testing.assert_array_equal(decision.labels, expected.labels)
    if expected.sets is not None:
        np.testing.assert_array_equal(decision.sets, expected.sets)


@every_rule
def test_frozen_hashable_values(rule):
    assert rule == dataclasses.replace(rule)
    assert hash(rule) == hash(dataclasses.replace(rule))


def test_argmax_answers_every_row_without_sets():
    decision = decisions.Argmax().decide([[0.1, 0.6, 0.3], [0.4, 0.2, 0.4]])
    assert decision.labels.tolist() == [1, 0]
    assert decision.answered.all()
    assert decision.sets is None


@every_dtype
@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_topk_equals_a_stable_sort(size, dtype):
    probabilities = random_probabilities(300, 9, dtype)
    decision = decisions.TopK(size).decide(probabilities)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :size]
    expected = np.zeros_like(probabilities, dtype=bool)
    expected[np.arange(300)[:, None], order] = True
    np.testing.assert_array_equal(decision.sets, expected)
    np.testing.assert_array_equal(decision.labels, order[:, 0])
    assert decision.answered.all()


def test_top_1_is_argmax():
    probabilities = random_probabilities(200, 5, np.float64)
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
