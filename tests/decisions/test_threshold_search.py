import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from luce.decisions import threshold_search as search


def rows_of(draw, n, k, seed=0, weighted=False):
    random = np.random.default_rng(seed)
    probabilities, labels = draw(random, n, k)
    weights = random.uniform(0.2, 2, n) if weighted else np.ones(n)
    return search.Rows(probabilities, labels, weights)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_the_figures_are_those_of_scikit_learn(average, weighted, draw):
    rows = rows_of(draw, 200, 5, weighted=weighted)
    said = rows.table.argmax(axis=1)
    assert search.Figure("f1", average).of(said, rows) == pytest.approx(
        f1_score(rows.labels, said, average=average, sample_weight=rows.weights)
    )
    assert search.Figure("balanced_accuracy", "macro").of(said, rows) == pytest.approx(
        balanced_accuracy_score(rows.labels, said, sample_weight=rows.weights)
    )


def test_classes_without_rows_are_left_out_of_the_mean():
    rows = search.Rows(np.full((2, 3), 1 / 3), np.array([0, 1]), np.ones(2))
    said = np.array([0, 2])
    assert search.Figure("f1", "macro").of(said, rows) == pytest.approx(0.5)
    assert search.Figure("balanced_accuracy", "macro").of(said, rows) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_threshold_moves_to_its_best_place(name, weighted, draw):
    for seed in range(5):
        rows = rows_of(draw, 60, 4, seed, weighted)
        figure = search.Figure(name, "macro")
        factors = np.random.default_rng(seed).uniform(0.5, 2, 4)
        ascent = search._Ascent(rows, figure, factors.copy())
        for c in range(4):
            before = ascent.factors.copy()
            ascent._move(c)
            turns = np.delete(rows.table * before, c, axis=1).max(axis=1) / rows.table[:, c]
            tried = []
            for factor in np.append(np.sort(turns) * (1 + 1e-9), [turns.min() / 2, before[c]]):
                trial = before.copy()
                trial[c] = factor
                tried.append(figure.of((rows.table * trial).argmax(axis=1), rows))
            assert ascent.value == pytest.approx(max(tried), abs=1e-12)
            said = (rows.table * ascent.factors).argmax(axis=1)
            assert figure.of(said, rows) == pytest.approx(ascent.value, abs=1e-12)


def test_the_two_best_classes_are_kept_up_to_date(draw):
    rows = rows_of(draw, 100, 6)
    ascent = search._Ascent(rows, search.Figure("f1", "macro"), np.ones(6))
    for c in (0, 3, 5, 1):
        ascent._move(c)
        order = np.argsort(-rows.table * ascent.factors, axis=1, kind="stable")[:, :2]
        np.testing.assert_array_equal(ascent.classes, order)


def test_the_ascent_finds_a_combination_that_no_single_move_would(draw):
    rows = rows_of(draw, 3000, 3)
    skewed = rows.table * np.array([1.0, 0.2, 0.05])
    rows = search.Rows(skewed / skewed.sum(axis=1, keepdims=True), rows.labels, rows.weights)
    figure = search.Figure("f1", "macro")
    thresholds = search.ascend(rows, figure)
    undone = figure.of((skewed / np.array([1.0, 0.2, 0.05])).argmax(axis=1), rows)
    assert figure.of(search.choose(rows.table, thresholds), rows) >= undone
    assert thresholds[0] / thresholds[2] == pytest.approx(20, rel=0.5)


def test_impossible_classes_are_left_alone():
    table = np.tile([[0.6, 0.4, 0.0], [0.3, 0.7, 0.0]], (10, 1))
    rows = search.Rows(table, np.tile([0, 1], 10), np.ones(20))
    thresholds = search.ascend(rows, search.Figure("f1", "macro"))
    assert np.isfinite(thresholds).all()
    assert search.choose(table, thresholds).tolist() == [0, 1] * 10
