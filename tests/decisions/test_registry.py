"""One registry for all rules: a rule exported without an entry here fails the first test."""

import copy
import dataclasses
import pickle
from functools import cache

import numpy as np
import pytest

from luce import decisions
from luce.errors import DataError

FIXED = {
    "argmax": lambda k: decisions.Argmax(),
    "top 1": lambda k: decisions.TopK(1),
    "top 2": lambda k: decisions.TopK(2),
    "top 3": lambda k: decisions.TopK(np.int64(3)),
    "drawn": lambda k: decisions.Sample(temperature=0),
    "threshold": lambda k: decisions.Threshold(np.full(k, 0.3)),
    "cost of an error": lambda k: decisions.MinimumCost(1 - np.eye(k)),
    "cost of asking": lambda k: decisions.MinimumCost(
        np.column_stack([1 - np.eye(k), np.full(k, 0.5)]), ask=k
    ),
}
LEARNT = {
    "best f1": decisions.Threshold(maximise="f1"),
    "best balanced accuracy": decisions.Threshold(maximise="balanced_accuracy"),
    "abstain": decisions.Abstain(0.7),
    "abstain by margin": decisions.Abstain(0.7, score="margin"),
    "abstain by entropy": decisions.Abstain(0.7, score="entropy"),
    "abstain by class": decisions.Abstain(0.7, by_class=True),
    "lac": decisions.PredictionSet(0.8),
    "aps": decisions.PredictionSet(0.8, "aps"),
    "raps": decisions.PredictionSet(0.8, "raps", randomised=True),
    "saps by class": decisions.PredictionSet(0.8, "saps", "class"),
}
NO_PROMISE_FOR_WEIGHTS = [name for name in LEARNT if not name.startswith("best")]
NO_ORDER_OF_CLASSES = ("class", "best")  # a scale for each class: ties of the classes say nothing

every_rule = pytest.mark.parametrize("name", [*FIXED, *LEARNT])
every_learnt_rule = pytest.mark.parametrize("name", LEARNT)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(scope="module")
def rule_for(draw):
    """The rule of that name for k classes, fitted where it learns."""

    @cache
    def make(name, k):
        if name in FIXED:
            return FIXED[name](k)
        return LEARNT[name].fit(*draw(np.random.default_rng(0), 100 * k, k))

    return make


def test_the_registry_is_complete():
    exported = {getattr(decisions, name) for name in decisions.__all__} - {decisions.Rule}
    listed = {type(make(3)) for make in FIXED.values()} | {type(rule) for rule in LEARNT.values()}
    assert {rule for rule in exported if hasattr(rule, "decide")} == listed


@every_rule
@every_dtype
@pytest.mark.parametrize("n", [0, 1, 50])
@pytest.mark.parametrize("k", [3, 7])
def test_shapes_and_dtypes(name, dtype, n, k, rule_for, few_levels):
    decision = rule_for(name, k).decide(few_levels(n, k, dtype))
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
def test_ties_go_to_the_lower_class(name, dtype, rule_for):
    if any(word in name for word in NO_ORDER_OF_CLASSES):
        pytest.skip("the classes have thresholds of their own")
    decision = rule_for(name, 5).decide(np.full((2, 5), 0.2, dtype=dtype))
    assert decision.labels.tolist() == [0, 0]
    if decision.sets is not None:
        for row in decision.sets:
            assert row.tolist() == [c < row.sum() for c in range(5)]


@every_rule
@pytest.mark.parametrize("column", [0, 2])
def test_nan_is_named(name, column, rule_for):
    probabilities = np.full((4, 3), 1 / 3)
    probabilities[2, column] = np.nan
    with pytest.raises(DataError, match=f"row 2: the probability of class {column} is NaN"):
        rule_for(name, 3).decide(probabilities)


@every_rule
@pytest.mark.parametrize(
    "probabilities",
    [np.ones(3), np.ones((2, 3, 1)), np.ones((2, 0)), [["a"] * 3] * 2, [[0.5, 0.5, 0], [1.0]]],
    ids=["one axis", "three axes", "no class", "text", "rows of unequal length"],
)
def test_what_is_no_table_of_probabilities(name, probabilities, rule_for):
    with pytest.raises(DataError, match=r"the probabilities (have shape|are no table)"):
        rule_for(name, 3).decide(probabilities)


@every_rule
def test_integers_are_probabilities_too(name, rule_for):
    certain = np.eye(3, dtype=int)[[2, 0, 1]]
    found, expected = (rule_for(name, 3).decide(each) for each in (certain, certain + 0.0))
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.answered, expected.answered)
    if expected.sets is not None:
        np.testing.assert_array_equal(found.sets, expected.sets)


@every_rule
@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ([0.5, 0.7, -0.2], "row 1: the probability of class 2 is negative"),
        ([0.5, 0.5, 0.5], "row 1: the probabilities sum to 1.5"),
        ([np.inf, 0.0, 0.0], "row 1: the probabilities sum to inf"),
    ],
)
def test_rules_that_use_the_values_refuse_what_is_no_distribution(name, row, complaint, rule_for):
    if name.startswith(("argmax", "top")):
        pytest.skip("needs the order only")
    with pytest.raises(DataError, match=complaint):
        rule_for(name, 3).decide([[0.2, 0.3, 0.5], row])


@every_rule
def test_another_number_of_classes_is_refused(name, rule_for):
    if name.startswith(("argmax", "top", "drawn")):
        pytest.skip("for any number of classes")
    with pytest.raises(DataError, match=r"the probabilities are of 4 classes; .* between 3"):
        rule_for(name, 3).decide(np.full((2, 4), 0.25))


@every_rule
def test_strides_and_the_input_are_left_alone(name, rule_for, few_levels):
    rule, plain = rule_for(name, 6), few_levels(20, 6)
    strided = np.asfortranarray(np.repeat(plain, 2, axis=0))[::2]
    strided.flags.writeable = False
    expected, decision = rule.decide(plain), rule.decide(strided)
    np.testing.assert_array_equal(decision.labels, expected.labels)
    np.testing.assert_array_equal(decision.answered, expected.answered)
    if expected.sets is not None:
        np.testing.assert_array_equal(decision.sets, expected.sets)


@every_rule
def test_blocks_do_not_show(name, rule_for, few_levels, monkeypatch):
    rule, probabilities = rule_for(name, 6), few_levels(50, 6)
    whole = rule.decide(probabilities)
    monkeypatch.setattr("luce.decisions.rows._BLOCK_ELEMENTS", 6 * 7)
    parts = rule.decide(probabilities)
    np.testing.assert_array_equal(parts.labels, whole.labels)
    np.testing.assert_array_equal(parts.answered, whole.answered)
    if whole.sets is not None:
        np.testing.assert_array_equal(parts.sets, whole.sets)


@every_rule
def test_frozen_hashable_values(name, rule_for):
    rule, again, other = rule_for(name, 5), rule_for.__wrapped__(name, 5), rule_for(name, 6)
    assert rule == dataclasses.replace(rule) == copy.deepcopy(rule) == again
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert hash(rule) == hash(dataclasses.replace(rule)) == hash(again)
    assert rule != "rule"
    if not name.startswith(("argmax", "top", "drawn")):
        assert rule != other
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.k = 3


@every_rule
def test_arrays_in_fields_cannot_be_written_to(name, rule_for):
    rule = rule_for(name, 5)
    for field in dataclasses.fields(rule):
        value = getattr(rule, field.name)
        if isinstance(value, np.ndarray):
            assert value.dtype.kind in "fiU"
            with pytest.raises(ValueError, match="read-only"):
                value[...] = value


@every_rule
def test_a_rule_is_told_in_few_words(name, rule_for):
    assert len(repr(rule_for(name, 100 if name in FIXED else 12))) < 300
    assert len(str(rule_for(name, 12 if name in LEARNT else 3))) < 300


@every_learnt_rule
def test_an_unfitted_rule_says_so(name):
    with pytest.raises(DataError, match="fit it first"):
        LEARNT[name].decide([[0.5, 0.5]])
    assert LEARNT[name].learns


@every_learnt_rule
def test_fitting_leaves_the_rule_and_the_rows_alone(name, draw):
    rule, (probabilities, labels) = LEARNT[name], draw(np.random.default_rng(1), 300, 4)
    before = copy.deepcopy(rule), probabilities.copy()
    fitted = rule.fit(probabilities, labels)
    assert rule == before[0]
    assert rule != fitted
    np.testing.assert_array_equal(probabilities, before[1])
    assert fitted.fit(probabilities, labels) == fitted


@every_learnt_rule
def test_blocks_do_not_show_in_a_fit(name, draw, monkeypatch):
    probabilities, labels = draw(np.random.default_rng(1), 300, 4)
    whole = LEARNT[name].fit(probabilities, labels)
    monkeypatch.setattr("luce.decisions.rows._BLOCK_ELEMENTS", 4 * 17)
    monkeypatch.setattr("luce.calibration.rows._BLOCK_ELEMENTS", 19 * 17)
    assert LEARNT[name].fit(probabilities, labels) == whole


@every_learnt_rule
def test_rows_of_weight_0_are_left_out(name, draw):
    probabilities, labels = draw(np.random.default_rng(2), 300, 4)
    weights = np.full(300, 2.0)
    weights[::3] = 0
    kept = weights > 0
    found = LEARNT[name].fit(probabilities, labels, sample_weight=weights)
    expected = LEARNT[name].fit(probabilities[kept], labels[kept])
    if expected.thresholds is not None:
        np.testing.assert_allclose(found.thresholds, expected.thresholds, rtol=1e-12)
    with pytest.raises(DataError, match="sum to 0"):
        LEARNT[name].fit(probabilities, labels, sample_weight=np.zeros(300))


@pytest.mark.parametrize("name", NO_PROMISE_FOR_WEIGHTS)
def test_weights_that_differ_have_no_exact_promise(name, draw):
    probabilities, labels = draw(np.random.default_rng(2), 300, 4)
    with pytest.raises(DataError, match="no exact promise for weights that differ"):
        LEARNT[name].fit(probabilities, labels, sample_weight=np.arange(300.0))


@every_learnt_rule
@pytest.mark.parametrize(
    ("probabilities", "labels", "weights", "complaint"),
    [
        ([[0.5, 0.5], [0.5, 0.6]], [0, 1], None, "row 1: the probabilities sum to 1.1"),
        ([[0.5, 0.5], [np.nan, 0.6]], [0, 1], None, "row 1: class 0 is NaN"),
        ([[0.5, 0.5], [0.4, 0.6]], [0, 2], None, "row 1: the label 2 is no class"),
        ([[0.5, 0.5], [0.4, 0.6]], [0], None, "labels have shape"),
        ([[0.5, 0.5], [0.4, 0.6]], [0, 1], [1, -1], "row 1: the weight -1.0"),
        ([[0.5, 0.5], [0.4, 0.6]], [0, 1], ["a", "b"], "sample_weight has shape"),
        (np.empty((0, 2)), [], None, "needs a row"),
        ([0.5, 0.5], [0, 1], None, "the probabilities have shape"),
        ([[0.5, 0.5], [1.0]], [0, 1], None, "expected rows of equal length"),
    ],
)
def test_unusable_rows_are_named(name, probabilities, labels, weights, complaint):
    with pytest.raises(DataError, match=complaint):
        LEARNT[name].fit(probabilities, labels, sample_weight=weights)
