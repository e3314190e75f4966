import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

import luce
from luce.decisions import Argmax, Threshold
from luce.errors import DataError


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 3, 30])
def test_equal_thresholds_are_argmax(k, dtype, few_levels):
    probabilities = few_levels(300, k, dtype)
    decision = Threshold(np.full(k, 0.3)).decide(probabilities)
    np.testing.assert_array_equal(decision.labels, Argmax().decide(probabilities).labels)
    assert decision.answered.all()
    assert decision.sets is None


@pytest.mark.parametrize("cut", [0.01, 0.3, 0.5, 0.7, 0.1 + 0.2, 1e-12, 1 - 1e-12])
def test_two_classes_are_cut_exactly(cut):
    p = np.array([0.0, cut / 2, np.nextafter(cut, 0), cut, np.nextafter(cut, 1), 1.0])
    labels = Threshold([1 - cut, cut]).decide(np.stack([1 - p, p], axis=1)).labels
    assert labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_the_largest_ratio_is_chosen(draw):
    probabilities, _ = draw(np.random.default_rng(0), 500, 6)
    thresholds = np.random.default_rng(1).uniform(0.1, 1, 6)
    labels = Threshold(thresholds).decide(probabilities).labels
    np.testing.assert_array_equal(labels, (probabilities / thresholds).argmax(axis=1))
    np.testing.assert_array_equal(Threshold(thresholds * 7).decide(probabilities).labels, labels)


def test_the_only_class_above_its_threshold_is_chosen():
    thresholds = np.array([0.6, 0.3, 0.2])
    probabilities = [[0.65, 0.25, 0.1], [0.5, 0.32, 0.18], [0.55, 0.22, 0.23]]
    assert Threshold(thresholds).decide(probabilities).labels.tolist() == [0, 1, 2]


def test_thresholds_of_any_size():
    probabilities = [[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]]
    assert Threshold([1e-308, 1e-308, 1e308]).decide(probabilities).labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("thresholds", "complaint"),
    [
        ([0.5, 0.0], "the threshold of class 1 is 0.0"),
        ([0.5, -0.1], "the threshold of class 1 is -0.1"),
        ([np.nan, 0.1], "the threshold of class 0 is nan"),
        ([0.5, np.inf], "the threshold of class 1 is inf"),
        (0.5, r"thresholds have shape \(\)"),
        ([], r"thresholds have shape \(0,\)"),
        ([[0.5, 0.5]], r"thresholds have shape \(1, 2\)"),
    ],
)
def test_thresholds_are_positive_numbers(thresholds, complaint):
    with pytest.raises(DataError, match=complaint):
        Threshold(thresholds)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({}, "give thresholds, or say what fit is to maximise"),
        ({"maximise": "accuracy"}, "maximise is 'accuracy'"),
        ({"maximise": "f1", "average": "micro"}, "average is 'micro'"),
        ({"maximise": "balanced_accuracy", "average": "macro"}, "only maximise='f1' can use"),
    ],
)
def test_parameters_that_mean_nothing(parameters, complaint):
    with pytest.raises(DataError, match=complaint):
        Threshold(**parameters)


def test_nothing_to_fit():
    rule = Threshold([0.5, 0.5])
    assert not rule.learns
    with pytest.raises(DataError, match="nothing to fit: say what to maximise"):
        rule.fit([[0.5, 0.5]], [0])


def test_binary_f1_is_of_two_classes():
    with pytest.raises(DataError, match="average is 'binary', but there are 3 classes"):
        Threshold(maximise="f1", average="binary").fit(np.full((3, 3), 1 / 3), [0, 1, 2])


def plain_figure(maximise, average, labels, said, weights):
    """Over two classes; `said` may have leading axes."""
    of_class = np.arange(2)[:, None]
    actual = (weights * (labels == of_class)).sum(axis=1)
    guessed = (weights * (said[..., None, :] == of_class)).sum(axis=-1)
    hits = (weights * (said[..., None, :] == of_class) * (labels == of_class)).sum(axis=-1)
    if maximise == "balanced_accuracy":
        return (hits / actual).mean(axis=-1)
    f1 = 2 * hits / (guessed + actual)
    if average == "weighted":
        return f1 @ actual / actual.sum()
    return f1[..., 1] if average is None else f1.mean(axis=-1)


FIGURES = [("f1", None), ("f1", "macro"), ("f1", "weighted"), ("balanced_accuracy", None)]


@pytest.mark.parametrize(("maximise", "average"), FIGURES)
@pytest.mark.parametrize("decimals", [1, 2, 15])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_no_cut_of_two_classes_is_better(maximise, average, decimals, dtype, weighted):
    rule = Threshold(maximise=maximise, average=average)
    for seed in range(20):
        random = np.random.default_rng(seed)
        p = np.round(random.beta(1, 3, size=40), decimals).astype(dtype)
        labels = (random.uniform(size=40) < 0.8 * p + 0.1).astype(int)
        weights = random.uniform(0.1, 3, size=40) if weighted else np.ones(40)
        probabilities = np.stack([1 - p, p], axis=1)
        fitted = rule.fit(probabilities, labels, sample_weight=weights)
        said = fitted.decide(probabilities).labels
        found = plain_figure(maximise, average, labels, said, weights)
        cuts = np.append(0.0, p) if p.min() == 0 else np.append(-1.0, p)
        every = (p > cuts[cuts < 1, None]).astype(int)
        best = plain_figure(maximise, average, labels, every, weights).max()
        assert found == pytest.approx(best, abs=1e-12)
        assert fitted.thresholds.sum() == pytest.approx(1)


def test_the_plain_figures_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    labels, said = random.integers(2, size=(2, 50))
    weights = random.uniform(size=50)
    for average in (None, "macro", "weighted"):
        assert plain_figure("f1", average, labels, said, weights) == pytest.approx(
            f1_score(labels, said, average=average or "binary", sample_weight=weights)
        )
    assert plain_figure("balanced_accuracy", None, labels, said, weights) == pytest.approx(
        balanced_accuracy_score(labels, said, sample_weight=weights)
    )


def test_of_equal_cuts_the_nearest_to_a_half():
    rule = Threshold(maximise="f1").fit([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]], [0, 0, 1])
    assert rule.thresholds.tolist() == pytest.approx([0.45, 0.55])


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_classes_that_are_certain_have_no_cut(p):
    rule = Threshold(maximise="f1").fit([[1 - p, p]] * 4, [0, 1, 1, 1])
    assert rule.thresholds.sum() == 1
    assert (rule.decide([[1 - p, p]]).labels == p).all()


@pytest.mark.parametrize("maximise", ["f1", "balanced_accuracy"])
@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [0]])
def test_a_single_class_or_row(maximise, labels):
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])[: len(labels)]
    rule = Threshold(maximise=maximise).fit(probabilities, labels)
    assert rule.decide(probabilities).labels.shape == (len(labels),)


def test_one_class_only():
    rule = Threshold(maximise="f1").fit([[1.0], [1.0]], [0, 0])
    assert rule.thresholds.tolist() == [1.0]


@pytest.mark.parametrize("k", [3, 10])
def test_balanced_accuracy_rises_where_classes_are_unequal(k):
    random = np.random.default_rng(0)
    shares = 0.5 ** np.arange(k) / sum(0.5 ** np.arange(k))
    labels = random.choice(k, size=6000, p=shares)
    scores = random.normal(size=(6000, k)) + 2.0 * np.eye(k)[labels] + np.log(shares)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    train, test = slice(3000), slice(3000, None)
    rule = Threshold(maximise="balanced_accuracy").fit(probabilities[train], labels[train])
    before = balanced_accuracy_score(labels[test], probabilities[test].argmax(axis=1))
    after = balanced_accuracy_score(labels[test], rule.decide(probabilities[test]).labels)
    assert after > before + 0.05
    assert rule.improvement[0] == pytest.approx(before, abs=0.05)
    assert rule.improvement[1] == pytest.approx(after, abs=0.1)


def test_argmax_is_kept_where_other_thresholds_do_worse(draw):
    kept = 0
    for seed in range(10):
        probabilities, labels = draw(np.random.default_rng(seed), 40, 8, sharpness=0.5)
        rule = Threshold(maximise="f1").fit(probabilities, labels)
        before, after = rule.improvement
        assert after >= before
        assert (after == before) == (rule.thresholds == 1 / 8).all()
        kept += after == before
    assert 0 < kept < 10


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [2, 3, 10])
def test_probabilities_of_any_size(k, dtype):
    """As of naive Bayes: some so small that no ratio of two is a number."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(400, k))
    labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    probabilities = luce.softmax(700 * scores).astype(dtype)
    smallest = np.finfo(dtype).smallest_normal
    assert ((probabilities > 0) & (probabilities < smallest)).any()
    for maximise in ("f1", "balanced_accuracy"):
        rule = Threshold(maximise=maximise).fit(probabilities, labels)
        assert (rule.thresholds > 0).all()
        assert (rule.decide(probabilities).labels == labels).mean() > 1 / k
