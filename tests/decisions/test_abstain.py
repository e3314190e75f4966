from math import inf

import numpy as np
import pytest
from scipy.stats import entropy

from luce.decisions import Abstain, Argmax
from luce.errors import DataError


def labelled(n, seed=0, error=lambda confidence: 1 - confidence):
    """Two classes; the error rate of a row follows from its confidence."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.5, 1, n)
    guess = random.integers(2, size=n)
    probabilities = np.full((n, 2), 1 - confidence[:, None])
    probabilities[np.arange(n), guess] = confidence
    wrong = random.uniform(size=n) < error(confidence)
    return probabilities, np.where(wrong, 1 - guess, guess)


def test_answers_where_the_confidence_is_high():
    rule = Abstain(0.1).fit(*labelled(5000))
    probabilities, labels = labelled(20_000, seed=1)
    decision = rule.decide(probabilities)
    np.testing.assert_array_equal(decision.labels, Argmax().decide(probabilities).labels)
    confidence = probabilities.max(axis=1)
    np.testing.assert_array_equal(decision.answered, confidence >= rule.thresholds[0])
    wrong = (decision.labels != labels)[decision.answered].mean()
    # The error rate above t is (1 - t) / 2: exactly 0.1 at t = 0.8, where 0.4 are answered.
    assert 0.08 < wrong < 0.1
    assert 0.33 < decision.answered.mean() < 0.4
    assert decision.sets is None


def test_the_fit_tells_what_it_found():
    rule = Abstain(0.1).fit(*labelled(5000))
    assert rule.tested.tolist() == [4750]
    assert rule.classes == 2
    assert rule.bounds[0] <= 0.1
    assert 0 < rule.errors[0] < 0.1 * rule.answered[0]
    share, low, high = rule.answers
    assert share == rule.answered[0] / 4750
    assert low < share < high < low + 0.03
    for word in ("10%", "95%", f"{rule.answered[0]} of 4750", f"{rule.errors[0]} of them wrong"):
        assert word in str(rule)


def test_how_many_will_be_answered_is_within_the_interval():
    inside = []
    for seed in range(100):
        rule = Abstain(0.2).fit(*labelled(1000, seed))
        _, low, high = rule.answers
        inside.append(low <= 2 * (1 - rule.thresholds[0]) <= high)
    assert sum(inside) >= 85


@pytest.mark.parametrize(
    ("score", "k"), [("confidence", 3), ("margin", 3), ("entropy", 5), ("margin", 1)]
)
def test_scores(score, k, draw):
    probabilities, labels = draw(np.random.default_rng(0), 500, k)
    rule = Abstain(0.6, score=score).fit(probabilities, labels)
    ordered = np.sort(probabilities, axis=1)
    plain = {
        "confidence": ordered[:, -1],
        "margin": ordered[:, -1] - (ordered[:, -2] if k > 1 else 0),
        "entropy": -entropy(probabilities, axis=1),
    }[score]
    distance = abs(plain - rule.thresholds[0])
    answered = rule.decide(probabilities).answered
    clear = distance > 1e-9
    np.testing.assert_array_equal(answered[clear], (plain >= rule.thresholds[0])[clear])


def test_certain_rows_have_no_entropy():
    rule = Abstain(0.5, score="entropy").fit([[1.0, 0.0]] * 20, [0] * 20)
    assert rule.decide([[1.0, 0.0], [0.0, 1.0]]).answered.all()


def test_all_are_answered_where_all_may_be():
    rule = Abstain(0.05).fit(*labelled(300, error=lambda confidence: 0 * confidence))
    assert rule.answers[0] == 1
    assert rule.decide([[0.5, 0.5]]).answered.all()


@pytest.mark.parametrize("risk", [0.01, 0.05, 0.2])
def test_too_few_rows_are_refused_with_the_number_needed(risk):
    needed = int(np.ceil(np.log(0.05) / np.log(1 - risk)))
    probabilities, labels = np.tile([0.1, 0.9], (needed, 1)), np.ones(needed, int)
    assert Abstain(risk).fit(probabilities, labels).answers[0] == 1
    with pytest.raises(DataError, match=f"even if none is wrong, at least {needed} are needed"):
        Abstain(risk).fit(probabilities[1:], labels[1:])


def test_rows_that_no_threshold_reaches_are_not_called_too_few():
    """42 rows: their three lend thresholds, and are surer than all that these are tested on."""
    confidence = np.random.default_rng(14).random(42)
    probabilities = np.column_stack([0.5 + confidence / 2, 0.5 - confidence / 2])
    with pytest.raises(
        DataError, match="none of 39 tested rows is as sure as the lowest"
    ) as refusal:
        Abstain(0.5, confidence=0.9).fit(probabilities, np.zeros(42, int))
    assert "needed" not in str(refusal.value)


def test_a_model_that_is_wrong_too_often_is_refused():
    with pytest.raises(DataError, match=r"allow a higher risk or improve the model"):
        Abstain(0.1).fit(*labelled(1000, error=lambda confidence: 0.3 + 0 * confidence))


def test_rows_that_would_do_are_estimated():
    wrong = np.arange(200) < 7
    with pytest.raises(DataError, match="of the surest 190 of 190 rows 6 are wrong") as refusal:
        Abstain(0.05).fit(np.tile([0.9, 0.1], (200, 1)), wrong * 1)
    about = int(str(refusal.value).split("if this goes on, about ")[1].split()[0])
    assert 300 < about < 1500
    about = round(1.1 * about)
    wrong = np.arange(about) < 0.03 * about
    assert Abstain(0.05).fit(np.tile([0.9, 0.1], (about, 1)), wrong * 1).answers[0] == 1


def test_by_class_each_predicted_class_has_its_threshold():
    def draw_two(n, seed):
        probabilities, _ = labelled(n, seed)
        guess = probabilities.argmax(axis=1)
        random = np.random.default_rng(seed + 1)
        rate = np.where(guess == 0, 0.02, 2 * (1 - probabilities.max(axis=1)))
        return probabilities, np.where(random.uniform(size=n) < rate, 1 - guess, guess)

    rule = Abstain(0.1, by_class=True).fit(*draw_two(20_000, 0))
    assert rule.thresholds[0] < 0.55
    assert 0.9 < rule.thresholds[1] < 1
    probabilities, labels = draw_two(20_000, 5)
    decision = rule.decide(probabilities)
    for c in range(2):
        answers = decision.answered & (decision.labels == c)
        assert (labels[answers] != c).mean() < 0.1
    assert "of each class" in str(rule)


def test_by_class_a_class_without_rows_is_never_answered():
    probabilities, labels = labelled(2000)
    three = np.column_stack([probabilities, np.zeros(2000)])
    rule = Abstain(0.2, by_class=True).fit(three, labels)
    assert rule.thresholds[2] == inf
    assert (rule.answered[2], rule.errors[2], rule.bounds[2]) == (0, 0, 1.0)
    assert not rule.decide([[0.0, 0.0, 1.0]]).answered.any()
    assert "never answers class 2" in str(rule)


def test_by_class_is_refused_where_no_class_can_be_answered():
    with pytest.raises(DataError, match="rows of a predicted class cannot show"):
        Abstain(0.01, by_class=True).fit(*labelled(500))


def test_float32_decides_as_it_was_fitted():
    probabilities, labels = labelled(3000)
    probabilities = np.round(probabilities, 2).astype(np.float32)
    rule = Abstain(0.1).fit(probabilities, labels)
    decision = rule.decide(probabilities)
    assert decision.answered.mean() == pytest.approx(rule.answers[0], abs=0.02)


def test_cross_fitting_is_told():
    assert "as far as the models of the folds" in str(Abstain(0.1, cross_fitted=True))
    assert "not fitted" in str(Abstain(0.1))


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"risk": 0}, "risk is 0"),
        ({"risk": 0.1, "confidence": 1.0}, "confidence is 1.0"),
        ({"risk": 0.1, "score": "luck"}, "score is 'luck'"),
        (
            {"risk": 0.1, "thresholds": [0.5]},
            "tested, answered, errors, bounds, classes are missing",
        ),
    ],
)
def test_parameters_out_of_range(parameters, complaint):
    with pytest.raises(DataError, match=complaint):
        Abstain(**parameters)


def test_fitted_arrays_that_do_not_go_together():
    rule = Abstain(0.1).fit(*labelled(3000))
    parts = {name: getattr(rule, name) for name in ("tested", "answered", "errors", "bounds")}
    with pytest.raises(DataError, match=r"should all have the shape \(1,\)"):
        Abstain(0.1, thresholds=[0.5, 0.6], classes=2, **parts)
    with pytest.raises(DataError, match="a threshold is NaN"):
        Abstain(0.1, thresholds=[np.nan], classes=2, **parts)
    with pytest.raises(DataError, match="fit it first"):
        Abstain(0.1).answers  # noqa: B018
