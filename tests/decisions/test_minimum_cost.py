import numpy as np
import pytest

from luce.decisions import Argmax, MinimumCost
from luce.errors import DataError

LOAN = MinimumCost([[0, 10, 2], [50, 0, 2]], ["pay", "refuse", "ask"], ask="ask")


@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (7, 2), (4, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_action_costs_less(shape, dtype, draw):
    random = np.random.default_rng(0)
    costs = random.normal(size=shape)
    probabilities = draw(random, 200, shape[0])[0].astype(dtype)
    rule = MinimumCost(costs)
    decision = rule.decide(probabilities)
    for row, action in zip(probabilities.astype(np.float64), decision.labels, strict=True):
        every = [
            sum(p * cost for p, cost in zip(row, costs[:, a], strict=True)) for a in range(shape[1])
        ]
        assert every[action] == pytest.approx(min(every), abs=1e-12)
    assert decision.answered.all()
    assert decision.sets is None


def test_the_cost_of_an_error_is_argmax(few_levels):
    probabilities = few_levels(500, 6)
    labels = MinimumCost(1 - np.eye(6)).decide(probabilities).labels
    np.testing.assert_array_equal(labels, Argmax().decide(probabilities).labels)


def test_expected_costs(few_levels):
    probabilities = few_levels(50, 3, np.float32)
    costs = np.random.default_rng(0).normal(size=(3, 4))
    rule = MinimumCost(costs)
    expected = probabilities.astype(np.float64) @ costs
    np.testing.assert_allclose(rule.expected_costs(probabilities), expected, rtol=1e-12)
    np.testing.assert_allclose(rule.expected_cost(probabilities), expected.min(axis=1), rtol=1e-12)
    chosen = rule.decide(probabilities).labels
    np.testing.assert_array_equal(chosen, expected.argmin(axis=1))


def test_many_actions_are_worked_on_in_blocks(monkeypatch, few_levels):
    probabilities, costs = few_levels(40, 3), np.random.default_rng(0).normal(size=(3, 50))
    whole = MinimumCost(costs).expected_costs(probabilities)
    monkeypatch.setattr("luce.decisions.rows._BLOCK_ELEMENTS", 170)
    np.testing.assert_allclose(MinimumCost(costs).expected_costs(probabilities), whole, rtol=1e-12)


def test_equal_costs_go_to_the_lower_action():
    third = 1 / 3
    rule = MinimumCost([[0.3, 0.1, 0.2], [0.1, 0.2, 0.3], [0.2, 0.3, 0.1]])
    assert rule.decide([[third, third, third]]).labels.tolist() == [0]
    assert MinimumCost([[-1e9, -1e9]]).decide([[1.0]]).labels.tolist() == [0]


def test_asking_a_person():
    probabilities = np.array([[0.99, 0.01], [0.9, 0.1], [0.5, 0.5], [0.1, 0.9]])
    decision = LOAN.decide(probabilities)
    assert decision.answered.tolist() == [True, False, False, True]
    assert decision.labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(LOAN.expected_cost(probabilities), [0.5, 2, 2, 1])


@pytest.mark.parametrize("ask", [0, 1, 2])
def test_the_action_of_asking_may_stand_anywhere(ask):
    costs = np.insert(1.0 - np.eye(2), ask, 0.3, axis=1)
    decision = MinimumCost(costs, ask=ask).decide([[0.6, 0.4], [0.1, 0.9]])
    assert decision.answered.tolist() == [False, True]
    places = np.delete(np.arange(3), ask)
    assert decision.labels.tolist() == places.tolist()


def test_names_of_what_is_decided():
    classes = np.array(["good", "bad"])
    assert LOAN.names(classes).tolist() == ["pay", "refuse", "ask"]
    assert MinimumCost(np.ones((2, 2))).names(classes).tolist() == ["good", "bad"]
    assert MinimumCost(np.ones((2, 3)), ask=2).names(classes).tolist() == ["good", "bad"]
    assert MinimumCost(np.ones((2, 3)), ask=0).names(classes).tolist() == [0, 1, 2]
    assert MinimumCost(np.ones((2, 3))).names(classes).tolist() == [0, 1, 2]


@pytest.mark.parametrize("weighted", [False, True])
def test_evaluation_against_plain_means(weighted, draw, monkeypatch):
    monkeypatch.setattr("luce.calibration.rows._BLOCK_ELEMENTS", 17 * 7)
    random = np.random.default_rng(0)
    p, labels = draw(random, 300, 2)
    weights = random.integers(0, 3, 300) if weighted else np.ones(300, int)
    found = LOAN.evaluate(p, labels, sample_weight=weights if weighted else None)
    p, labels = np.repeat(p, weights, axis=0), np.repeat(labels, weights)
    decision = LOAN.decide(p)
    action = np.where(decision.answered, decision.labels, 2)
    cost = LOAN.costs[labels, action]
    assert found.cost == pytest.approx(cost.mean())
    assert found.expected_cost == pytest.approx(LOAN.expected_cost(p).mean())
    assert found.asked == pytest.approx(1 - decision.answered.mean())
    always = LOAN.costs[labels].mean(axis=0)
    assert (found.single_action, found.single_cost) == (
        always.argmin(),
        pytest.approx(always.min()),
    )
    assert found.perfect_cost == pytest.approx(LOAN.costs[labels].min(axis=1).mean())
    assert found.worth == pytest.approx(always.min() - cost.mean())
    assert found.worth_of_perfect == pytest.approx(always.min() - found.perfect_cost)
    assert found.rows == (weights > 0).sum()
    if not weighted:
        assert found.standard_error == pytest.approx(cost.std(ddof=1) / np.sqrt(300))


def test_the_standard_error_is_the_spread_of_means(draw):
    random = np.random.default_rng(1)
    found = [LOAN.evaluate(*draw(random, 100, 2)) for _ in range(400)]
    spread = np.std([evaluation.cost for evaluation in found])
    told = np.sqrt(np.mean([evaluation.standard_error**2 for evaluation in found]))
    assert told == pytest.approx(spread, rel=0.15)
    costs = np.array([evaluation.cost for evaluation in found])
    promised = np.array([evaluation.expected_cost for evaluation in found])
    assert (costs - promised).mean() == pytest.approx(0, abs=4 * spread / np.sqrt(400))


def test_one_row_has_no_standard_error():
    found = LOAN.evaluate([[0.5, 0.5]], [0])
    assert found.cost == 2
    assert np.isnan(found.standard_error)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (([1, 2],), r"costs have shape \(2,\)"),
        ((np.ones((0, 2)),), r"costs have shape \(0, 2\)"),
        (([["a", "b"]],), "dtype <U1"),
        (([[1, 2], [np.nan, 0]],), "the cost of action 0 for class 1 is nan"),
        (([[1, np.inf]],), "the cost of action 1 for class 0 is inf"),
        (([[1, 2]], ["a"]), "actions are 1 names"),
        (([[1, 2]], ["a", "a"]), "2 names, 1 of them distinct"),
        (([[1, 2]], "ab"), "expected a sequence of names"),
        (([[1, 2]], [1, 2]), "expected a sequence of names"),
    ],
)
def test_costs_that_cannot_be_used(arguments, complaint):
    with pytest.raises(DataError, match=complaint):
        MinimumCost(*arguments)


@pytest.mark.parametrize("ask", ["c", 2, -1, True, 1.0])
def test_asking_is_one_of_the_actions(ask):
    with pytest.raises(DataError, match="expected the name of an action, or 0 to 1"):
        MinimumCost([[1, 2]], ["a", "b"], ask=ask)


def test_asking_is_not_the_only_action():
    with pytest.raises(DataError, match="the only action is to ask"):
        MinimumCost([[1]], ask=0)


def test_another_number_of_classes():
    with pytest.raises(DataError, match="of 3 classes; this rule decides between 2"):
        LOAN.evaluate(np.full((2, 3), 1 / 3), [0, 1])
