import numpy as np
import pytest

from luce.decisions import threshold_ascent
from luce.decisions.threshold_ascent import Ascent
from luce.decisions.threshold_figure import Figure, Rows


def rows_of(draw, n, k, seed=0, weighted=False):
    random = np.random.default_rng(seed)
    probabilities, labels = draw(random, n, k)
    weights = random.uniform(0.2, 2, n) if weighted else np.ones(n)
    return Rows(probabilities, labels, weights)


def ascent_of(rows, figure, factors):
    return Ascent(rows, np.ascontiguousarray(rows.table.T), figure, factors)


@pytest.mark.parametrize("name", ["f1", "balanced_accuracy"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_threshold_moves_to_its_best_place(name, weighted, draw):
    for seed in range(5):
        rows = rows_of(draw, 60, 4, seed, weighted)
        figure = Figure(name, "macro")
        factors = np.random.default_rng(seed).uniform(0.5, 2, 4)
        ascent = ascent_of(rows, figure, factors.copy())
        for c in range(4):
            before = ascent.factors.copy()
            ascent.move(c)
            turns = np.delete(rows.table * before, c, axis=1).max(axis=1) / rows.table[:, c]
            tried = []
            for factor in np.append(np.sort(turns) * (1 + 1e-9), [turns.min() / 2, before[c]]):
                trial = before.copy()
                trial[c] = factor
                tried.append(figure.of((rows.table * trial).argmax(axis=1), rows))
            assert ascent.value == pytest.approx(max(tried), abs=1e-12)
            said = (rows.table * ascent.factors).argmax(axis=1)
            assert figure.of(said, rows) == pytest.approx(ascent.value, abs=1e-12)


@pytest.mark.parametrize("k", [6, 40])
def test_what_is_kept_of_the_rows_is_up_to_date(k, draw, monkeypatch):
    monkeypatch.setattr("luce.decisions.rows._BLOCK_ELEMENTS", 200)
    monkeypatch.setattr(threshold_ascent, "_ROWS_TRIED", 20)
    rows = rows_of(draw, 300, k, weighted=True)
    figure = Figure("f1", "macro")
    ascent = ascent_of(rows, figure, np.ones(k))
    for c in (0, 3, 5, 1, k - 1, 0):
        ascent.move(c)
        scores = rows.table * ascent.factors
        best = np.argsort(-scores, axis=1, kind="stable")[:, :2]
        np.testing.assert_array_equal(ascent.best.T, best)
        kept = ascent.best_scores.T
        np.testing.assert_array_equal(kept, np.take_along_axis(scores, best, axis=1))
        assert ascent.value == pytest.approx(figure.of(best[:, 0], rows))


def test_of_many_rows_those_are_tried_that_would_go_over_first(draw, monkeypatch):
    monkeypatch.setattr(threshold_ascent, "_ROWS_TRIED", 20)
    monkeypatch.setattr(threshold_ascent, "_LOOKED_AT", 500)
    rows = rows_of(draw, 2000, 50)
    ascent = ascent_of(rows, Figure("f1", "macro"), np.ones(50))
    for c in range(50):
        tried, end = ascent._rows_to_try(c)
        others = np.setdiff1d(np.arange(2000), tried)
        turn = ascent.best_scores[0] / rows.table[:, c]
        assert turn[tried].max() * (1 - 1e-12) <= end < turn[others].min()
        assert set(np.flatnonzero(ascent.best[0] == c)) <= set(tried)
        of_class = (rows.labels == c).sum()
        assert len(tried) == pytest.approx(max(20, 4 * of_class), rel=0.5)


def test_a_sweep_leaves_out_what_has_not_moved(draw, monkeypatch):
    rows = rows_of(draw, 400, 8)
    ascent = ascent_of(rows, Figure("f1", "macro"), np.ones(8))
    moved = []
    monkeypatch.setattr(Ascent, "move", lambda self, c: moved.append(c))
    ascent.is_settled[[1, 2, 7]] = True
    ascent.sweep()
    assert moved == [0, 3, 4, 5, 6]


def test_a_move_unsettles_the_rivals_only(draw):
    rows = rows_of(draw, 60, 30)
    ascent = ascent_of(rows, Figure("f1", "macro"), np.ones(30))
    moves = 0
    for c in range(30):
        ascent.is_settled[:] = True
        before = ascent.best.copy()
        ascent.move(c)
        changed = np.flatnonzero((ascent.best != before).any(axis=0))
        rivals = np.union1d(before[:, changed], ascent.best[:, changed])
        assert not ascent.is_settled[np.setdiff1d(rivals, [c])].any()
        assert ascent.is_settled[c]
        moves += len(changed) > 0
    assert moves > 5
