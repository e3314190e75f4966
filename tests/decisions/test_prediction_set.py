from fractions import Fraction
from math import ceil, inf

import numpy as np
import pytest

from luce.decisions import PredictionSet
from luce.decisions.conformity import SCORES, scores_of
from luce.decisions.prediction_set import fewest_rows, rank_of
from luce.errors import DataError


@pytest.mark.parametrize(
    "coverage", ["0.5", "0.7", "0.9", "0.95", "0.57", "0.001", "0.999", "1e-05"]
)
def test_the_rank_is_that_of_the_decimal_number(coverage):
    for n in [*range(30), 99, 100, 10**6, 10**12]:
        assert rank_of(n, float(coverage)) == ceil((n + 1) * Fraction(coverage))
    least = fewest_rows(float(coverage))
    assert rank_of(least, float(coverage)) <= least
    assert rank_of(least - 1, float(coverage)) > least - 1


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("n", [20, 199])
def test_the_threshold_is_the_quantile_of_the_scores_of_the_true_classes(score, n, draw):
    probabilities, labels = draw(np.random.default_rng(0), n, 5)
    rule = PredictionSet(0.9, score).fit(probabilities, labels)
    scores = scores_of(score, probabilities, np.ones(n), 0.1, 1)
    of_labels = np.sort(scores[np.arange(n), labels])
    assert rule.thresholds.tolist() == [of_labels[ceil(0.9 * (n + 1)) - 1]]
    assert rule.rows.tolist() == [n]
    decision = rule.decide(probabilities)
    expected = scores <= rule.thresholds
    expected[np.arange(n), probabilities.argmax(axis=1)] = True
    np.testing.assert_array_equal(decision.sets, expected)
    np.testing.assert_array_equal(decision.labels, probabilities.argmax(axis=1))
    assert decision.answered.all()


@pytest.mark.parametrize("score", SCORES)
def test_the_rows_of_the_fit_are_covered_themselves(score, draw):
    probabilities, labels = draw(np.random.default_rng(0), 1000, 7)
    rule = PredictionSet(0.8, score).fit(probabilities, labels)
    covered = rule.decide(probabilities).sets[np.arange(1000), labels]
    assert covered.mean() >= 0.8


def test_too_few_rows_give_all_classes(draw):
    probabilities, labels = draw(np.random.default_rng(0), 9, 4)
    few = PredictionSet(0.9).fit(probabilities[:8], labels[:8])
    assert few.thresholds.tolist() == [inf]
    assert few.decide(probabilities).sets.all()
    assert "all classes are in every set, having fewer than 9 rows" in str(few)
    assert PredictionSet(0.9).fit(probabilities, labels).thresholds[0] < inf


def test_by_class_each_class_has_its_threshold(draw):
    probabilities, labels = draw(np.random.default_rng(0), 600, 3)
    rule = PredictionSet(0.9, "lac", "class").fit(probabilities, labels)
    for c in range(3):
        own = labels == c
        alone = PredictionSet(0.9).fit(probabilities[own], labels[own])
        assert rule.thresholds[c] == alone.thresholds[0]
        assert rule.rows[c] == own.sum()
    sets = rule.decide(probabilities).sets
    expected = 1 - probabilities <= rule.thresholds
    expected[np.arange(600), probabilities.argmax(axis=1)] = True
    np.testing.assert_array_equal(sets, expected)


def test_by_class_a_class_with_too_few_rows_is_in_all_sets(draw):
    probabilities, labels = draw(np.random.default_rng(0), 300, 3)
    labels[labels == 2] = 0
    labels[:5] = 2
    rule = PredictionSet(0.9, "aps", "class").fit(probabilities, labels)
    assert rule.thresholds[2] == inf
    assert rule.decide(probabilities).sets[:, 2].all()
    assert "1 of 3 classes are in every set, having fewer than 9 rows" in str(rule)


@pytest.mark.parametrize(
    "names", [["north", "south", "west"], [3, 1, 2], [0.5, -1.0, 2.0], [True, False, False]]
)
def test_by_group_each_group_has_its_threshold(names, draw):
    probabilities, labels = draw(np.random.default_rng(0), 600, 4)
    groups = np.array(names)[np.random.default_rng(1).integers(3, size=600)]
    rule = PredictionSet(0.9, "aps", "group").fit(probabilities, labels, groups=groups)
    decision = rule.decide(probabilities, groups=groups.tolist())
    for group in set(names):
        own = groups == group
        alone = PredictionSet(0.9, "aps").fit(probabilities[own], labels[own])
        np.testing.assert_array_equal(decision.sets[own], alone.decide(probabilities[own]).sets)


def test_a_group_that_was_not_seen_has_all_classes(draw):
    probabilities, labels = draw(np.random.default_rng(0), 100, 4)
    groups = np.array(["a", "b"] * 50, dtype=object)
    rule = PredictionSet(0.5, conditional="group").fit(probabilities, labels, groups=groups)
    sets = rule.decide(probabilities[:3], groups=["a", "c", "zebra"]).sets
    assert not sets[0].all()
    assert sets[1:].all()
    assert rule.decide(probabilities[:0], groups=[]).sets.shape == (0, 4)


@pytest.mark.parametrize(
    ("conditional", "groups", "complaint"),
    [
        (None, [1, 2], "groups are given, but conditional is None"),
        ("group", None, "groups are not given, but conditional is 'group'"),
        ("group", [1], r"groups have shape \(1,\)"),
        ("group", [1.0, np.nan], "row 1: the group is NaN"),
        ("group", np.array(["a", 1], dtype=object), "expected numbers or names"),
    ],
)
def test_groups_that_cannot_be_used(conditional, groups, complaint):
    rule = PredictionSet(0.5, conditional=conditional)
    with pytest.raises(DataError, match=complaint):
        rule.fit([[0.5, 0.5]] * 2, [0, 1], groups=groups)
    fitted = rule.fit([[0.5, 0.5]] * 2, [0, 1], groups=[1, 2] if conditional else None)
    with pytest.raises(DataError, match=complaint):
        fitted.decide([[0.5, 0.5]] * 2, groups=groups)


def test_names_are_not_numbers():
    rule = PredictionSet(0.5, conditional="group").fit([[0.5, 0.5]] * 2, [0, 1], groups=[1, 2])
    with pytest.raises(DataError, match="groups have dtype <U1, those of the fit int64"):
        rule.decide([[0.5, 0.5]], groups=["1"])


def test_sets_may_be_left_empty(draw):
    probabilities, labels = draw(np.random.default_rng(0), 500, 3, sharpness=8)
    rule = PredictionSet(0.5).fit(probabilities, labels)
    bare = PredictionSet(0.5, allow_empty=True).fit(probabilities, labels)
    empty = ~bare.decide(probabilities).sets.any(axis=1)
    assert 0.2 < empty.mean() < 0.6
    sets = rule.decide(probabilities).sets
    np.testing.assert_array_equal(sets.sum(axis=1)[empty], 1)
    np.testing.assert_array_equal(sets[~empty], bare.decide(probabilities).sets[~empty])


def test_what_is_drawn_can_be_drawn_again(draw):
    probabilities, labels = draw(np.random.default_rng(0), 400, 6)
    rule = PredictionSet(0.8, "aps", randomised=True, seed=3).fit(probabilities, labels)
    assert rule == PredictionSet(0.8, "aps", randomised=True, seed=3).fit(probabilities, labels)
    other = PredictionSet(0.8, "aps", randomised=True, seed=4).fit(probabilities, labels)
    assert rule.thresholds != other.thresholds
    sets = rule.decide(probabilities).sets
    np.testing.assert_array_equal(rule.decide(probabilities).sets, sets)
    generator = np.random.default_rng(7)
    first = rule.decide(probabilities, random=generator).sets
    assert (first != rule.decide(probabilities, random=generator).sets).any()
    whole = rule.decide(probabilities, random=np.random.default_rng(7)).sets
    np.testing.assert_array_equal(whole, first)
    generator = np.random.default_rng(7)
    parts = [rule.decide(part, random=generator).sets for part in np.split(probabilities, 4)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_rows_of_the_fit_and_of_decisions_draw_apart(draw):
    probabilities, labels = draw(np.random.default_rng(0), 200, 3)
    drawn = []

    class Spy(PredictionSet):
        def _scores(self, block, random):
            drawn.append(random.bit_generator.state["state"]["state"])
            return super()._scores(block, random)

    Spy(0.8, "aps", randomised=True).fit(probabilities, labels).decide(probabilities)
    assert drawn[0] != drawn[1]


def test_a_cross_fitted_rule_says_what_it_guarantees():
    rule = PredictionSet(0.95, cross_fitted=True)
    assert rule.guarantee == pytest.approx(0.9)
    assert "cross-fitted: 90% is guaranteed" in str(rule)
    assert PredictionSet(0.95).guarantee == 0.95
    assert PredictionSet(0.3, cross_fitted=True).guarantee == 0
    assert "cross_fitted=True" in repr(rule)


def test_a_rule_tells_its_promise(draw):
    fitted = PredictionSet(0.9, "raps", "class").fit(*draw(np.random.default_rng(0), 300, 3))
    assert str(fitted) == (
        "the set holds the true class of at least 90% of each class's rows; raps on 300 rows"
    )
    assert str(PredictionSet(0.9)).endswith("(not fitted)")


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"coverage": 1}, "coverage is 1"),
        ({"coverage": 0.9, "score": "best"}, "score is 'best'"),
        ({"coverage": 0.9, "conditional": "row"}, "conditional is 'row'"),
        ({"coverage": 0.9, "randomised": True}, "'lac' counts no class in part"),
        ({"coverage": 0.9, "penalty": -1}, "penalty is -1"),
        ({"coverage": 0.9, "penalty": np.nan}, "penalty is nan"),
        ({"coverage": 0.9, "unpenalised": 0.5}, "unpenalised is 0.5"),
        ({"coverage": 0.9, "seed": -1}, "seed is -1"),
        ({"coverage": 0.9, "thresholds": [0.5]}, "not those of a fitted"),
        ({"coverage": 0.9, "thresholds": [0.5], "rows": [1, 2], "classes": 3}, "not those of"),
        ({"coverage": 0.9, "thresholds": [np.nan], "rows": [1], "classes": 3}, "is NaN"),
        (
            {"coverage": 0.9, "conditional": "class", "thresholds": [0], "rows": [1], "classes": 3},
            "not those of a fitted",
        ),
    ],
)
def test_parameters_out_of_range(parameters, complaint):
    with pytest.raises(DataError, match=complaint):
        PredictionSet(**parameters)
