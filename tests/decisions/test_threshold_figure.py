import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from luce.decisions.threshold_figure import Figure, Rows


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_the_figures_are_those_of_scikit_learn(average, weighted, draw):
    random = np.random.default_rng(0)
    probabilities, labels = draw(random, 200, 5)
    weights = random.uniform(0.2, 2, 200) if weighted else np.ones(200)
    rows = Rows(probabilities, labels, weights)
    said = rows.table.argmax(axis=1)
    assert Figure("f1", average).of(said, rows) == pytest.approx(
        f1_score(rows.labels, said, average=average, sample_weight=rows.weights)
    )
    assert Figure("balanced_accuracy", "macro").of(said, rows) == pytest.approx(
        balanced_accuracy_score(rows.labels, said, sample_weight=rows.weights)
    )


def test_classes_without_rows_are_left_out_of_the_mean():
    rows = Rows(np.full((2, 3), 1 / 3), np.array([0, 1]), np.ones(2))
    said = np.array([0, 2])
    assert Figure("f1", "macro").of(said, rows) == pytest.approx(0.5)
    assert Figure("balanced_accuracy", "macro").of(said, rows) == pytest.approx(0.5)
