import numpy as np
import pytest

from luce.decisions import threshold_ascent
from luce.decisions import threshold_search as search
from luce.decisions.threshold_figure import Figure, Rows


def test_the_climb_finds_a_combination_that_no_single_move_would(draw):
    probabilities, labels = draw(np.random.default_rng(0), 3000, 3)
    skewed = probabilities * np.array([1.0, 0.2, 0.05])
    rows = Rows(skewed / skewed.sum(axis=1, keepdims=True), labels, np.ones(3000))
    figure = Figure("f1", "macro")
    thresholds = search.climb(rows, figure)
    undone = figure.of((skewed / np.array([1.0, 0.2, 0.05])).argmax(axis=1), rows)
    assert figure.of(search.choose(rows.table, thresholds), rows) >= undone
    assert thresholds[0] / thresholds[2] == pytest.approx(20, rel=0.5)


def test_impossible_classes_are_left_alone():
    table = np.tile([[0.6, 0.4, 0.0], [0.3, 0.7, 0.0]], (10, 1))
    rows = Rows(table, np.tile([0, 1], 10), np.ones(20))
    thresholds = search.climb(rows, Figure("f1", "macro"))
    assert np.isfinite(thresholds).all()
    assert search.choose(table, thresholds).tolist() == [0, 1] * 10


def plain_climb(rows, figure):
    """Every class moved to the best of the factors at which some row goes over, all rows tried."""
    best_of_all = -1.0
    for thresholds in (search.equal(rows, figure), search.frequencies(rows, figure)):
        factors, value = 1 / thresholds, 0.0
        for _ in range(4):
            for c in range(len(factors)):
                scaled = rows.table * factors
                scaled[:, c] = -np.inf
                turns = np.sort(scaled.max(axis=1) / rows.table[:, c]) * (1 + 1e-9)
                for factor in [factors[c], *turns]:
                    scaled[:, c] = rows.table[:, c] * factor
                    tried = figure.of(scaled.argmax(axis=1), rows)
                    if tried > value + 1e-12:
                        value, factors[c] = tried, factor
        best_of_all = max(best_of_all, value)
    return best_of_all


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy"])
def test_many_classes_come_as_high_as_by_trying_all_rows(name, draw, monkeypatch):
    monkeypatch.setattr(threshold_ascent, "_ROWS_TRIED", 40)
    probabilities, labels = draw(np.random.default_rng(3), 120, 25)
    rows, figure = Rows(probabilities, labels, np.ones(120)), Figure(name, "macro")
    found = figure.of(search.choose(rows.table, search.climb(rows, figure)), rows)
    assert found > figure.of(rows.table.argmax(axis=1), rows) + 0.05
    assert found > plain_climb(rows, figure) - 0.02


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy"])
def test_a_thousand_classes(name):
    random = np.random.default_rng(0)
    shares = 0.997 ** np.arange(1000)
    labels = random.choice(1000, size=3000, p=shares / shares.sum())
    scores = random.normal(size=(3000, 1000)) + np.log(shares)
    scores[np.arange(3000), labels] += 3
    table = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    rows, figure = Rows(table, labels, np.ones(3000)), Figure(name, "macro")
    found = figure.of(search.choose(table, search.climb(rows, figure)), rows)
    for way in (search.equal, search.frequencies):
        assert found > figure.of(search.choose(table, way(rows, figure)), rows) + 0.1
