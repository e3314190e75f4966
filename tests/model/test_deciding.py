"""The rules of a model make one decision, and those that cannot be a model's are refused."""

import numpy as np
import pytest

from luce.decisions import Abstain, Argmax, MinimumCost, PredictionSet, Sample, Threshold
from luce.errors import DataError
from luce.model.deciding import check_rules, decide

COSTS = MinimumCost([[0, 5, 1], [5, 0, 1], [9, 9, 1]], ["go", "stop", "ask"], ask="ask")


@pytest.fixture(scope="module")
def problem():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.5] * 3, 900).astype(np.float32)
    labels = (probabilities.cumsum(axis=1) < random.random((900, 1))).sum(axis=1).clip(max=2)
    return probabilities, labels


def same(decision, labels, answered, sets):
    np.testing.assert_array_equal(decision.labels, labels)
    np.testing.assert_array_equal(decision.answered, answered)
    if sets is None:
        assert decision.sets is None
    else:
        np.testing.assert_array_equal(decision.sets, sets)


def test_no_rule_is_the_most_probable_class(problem):
    probabilities, _ = problem
    same(decide((), probabilities), probabilities.argmax(axis=1), True, None)


@pytest.mark.parametrize("order", [1, -1])
def test_answers_of_the_one_and_sets_of_the_other(problem, order):
    probabilities, _ = problem
    sets = PredictionSet(0.8).fit(*problem)
    for answers in (Abstain(0.3).fit(*problem), COSTS):
        found = decide((sets, answers)[::order], probabilities)
        alone = answers.decide(probabilities)
        assert not alone.answered.all()
        same(found, alone.labels, alone.answered, sets.decide(probabilities).sets)


def test_sets_alone(problem):
    probabilities, _ = problem
    rule = PredictionSet(0.8).fit(*problem)
    found = decide((rule,), probabilities)
    same(found, probabilities.argmax(axis=1), True, rule.decide(probabilities).sets)


def test_blocks_that_share_a_generator_are_as_one(problem):
    probabilities, _ = problem
    rule = PredictionSet(0.8, "aps", randomised=True).fit(*problem)
    whole = decide((rule,), probabilities, np.random.default_rng(1)).sets
    random = np.random.default_rng(1)
    parts = [decide((rule,), part, random).sets for part in np.split(probabilities, [100, 350])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ((Abstain(0.1), COSTS), "2 rules Abstain or MinimumCost; a model decides by one"),
        ((Abstain(0.1), Abstain(0.2)), "2 rules Abstain or MinimumCost"),
        ((PredictionSet(0.9), PredictionSet(0.8)), "2 rules PredictionSet"),
        ((Argmax(),), r"a rule is Argmax\(\); a model can hold Abstain, PredictionSet and Min"),
        ((Sample(),), "a rule is Sample"),
        ((Threshold([0.1, 0.2, 0.3]),), "a rule is Threshold"),
        (("abstain",), "a rule is 'abstain'"),
        ((Abstain,), "a rule is <class"),
        ((PredictionSet(0.9, conditional="group"),), "conditional on groups cannot be a model's"),
        ((MinimumCost(np.ones((2, 2))),), "costs are of 2 classes, the rows of 3: give a row"),
    ],
)
def test_rules_that_cannot_be_a_models(rules, complaint):
    with pytest.raises(DataError, match=complaint):
        check_rules(rules, 3)


def test_rules_that_can_be():
    check_rules((), 3)
    check_rules((COSTS, PredictionSet(0.9, "saps", "class")), 3)
    check_rules((PredictionSet(0.9), Abstain(0.1)), 3)
