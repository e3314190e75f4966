"""Encoded rows, and the losses of some of them."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from luce.model.fitting import EncodedRows, LinearRecipe
from luce.model.linear import LinearScorer
from luce.model.record import LinearTraining
from luce.model.rows import LabelledRows
from luce.tables import Encoder
from luce.training import fit_softmax_regression

N, D, K = 300, 4, 3
RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(N, D)).astype(np.float32)
LABELS = RANDOM.integers(K, size=N)
WEIGHTS = RANDOM.uniform(0.5, 2, size=N)


def encoded(features=FEATURES, weights=None):
    table = pa.table({"y": LABELS})
    rows = LabelledRows(table, np.arange(N), LABELS, weights, None)
    return EncodedRows(rows, Encoder(()), features, K)


@pytest.mark.parametrize("made", [np.asarray, csr_array])
def test_losses_are_of_the_rows_chosen(made, monkeypatch):
    monkeypatch.setattr("luce.model.rows.MOST_ROWS", 70)  # in a block
    scorer = LinearScorer(RANDOM.normal(size=(K, D)), RANDOM.normal(size=K))
    chosen = RANDOM.random(N) < 0.3
    found = encoded(made(FEATURES)).losses(scorer, chosen)
    probabilities = scorer.probabilities(FEATURES)[np.arange(N), LABELS]
    np.testing.assert_allclose(found, -np.log(probabilities[chosen]), rtol=1e-4, atol=1e-6)
    assert found.dtype == np.float64
    assert len(encoded().losses(scorer, np.zeros(N, np.bool_))) == 0


def test_weights_are_1_where_there_are_none():
    np.testing.assert_array_equal(encoded().weights, np.ones(N))
    assert encoded(weights=WEIGHTS).weights is WEIGHTS


def test_a_stage_says_how_many_rows():
    assert encoded().stage("fitting on").name == "fitting on 300 rows"
    assert encoded().stage("fitting on", 20).name == "fitting on 20 rows"


@pytest.mark.parametrize("others", [None, 1 / WEIGHTS])
def test_the_linear_recipe(others):
    fitted = LinearRecipe(0.3, "user").fit(encoded(weights=WEIGHTS), lambda event: None, others)
    weights = WEIGHTS if others is None else others
    expected = fit_softmax_regression(FEATURES, LABELS, classes=K, C=0.3, sample_weight=weights)
    np.testing.assert_array_equal(fitted.scorer.coef, expected.coef)
    assert fitted.record == LinearTraining(
        C=0.3,
        C_chosen_by="user",
        objective=expected.objective,
        optimality_gap=expected.optimality_gap,
        tol=1e-6,
        passes=expected.passes,
    )


def test_an_interruption_is_passed_on():
    def interrupt(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LinearRecipe(1.0, "user").fit(encoded(), interrupt)
