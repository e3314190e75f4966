"""The figures of a model are honest: of rows that had no part in the fit that is measured."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

import luce
from luce.model.events import Stage
from luce.model.fitting import FOLDS, GRID
from luce.model.split import fold_of_rows, hold_out
from luce.tables import describe_columns, encode, fit_encoder
from luce.tables.roles import class_indices, fit_target, row_groups
from luce.training import Progress, fit_softmax_regression


def fitted(table, names, labels, C=1.0, weights=None):
    """Encoder and fit of these rows, put together from the rooms below."""
    encoder = fit_encoder(table, describe_columns(table, names))
    fit = fit_softmax_regression(
        encode(encoder, table).features, labels, classes=3, C=C, sample_weight=weights, tol=1e-6
    )
    return encoder, fit


def probabilities_of(encoder, fit, table):
    scores = encode(encoder, table).features.astype(float) @ fit.coef.T + fit.intercept
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def assert_figures(model, labels, probabilities, weights=None):
    """Scikit-learn finds the figures that the model holds."""
    figures = model.document.validation.model
    likeliest = probabilities.argmax(axis=1)
    brier = np.average(((np.eye(3)[labels] - probabilities) ** 2).sum(axis=1), weights=weights)
    expected = {
        "accuracy": accuracy_score(labels, likeliest, sample_weight=weights),
        "log_loss": log_loss(labels, probabilities, labels=range(3), sample_weight=weights),
        "brier_score": brier,
    }
    for name, value in expected.items():
        figure = getattr(figures, name)
        assert figure.value == pytest.approx(value, rel=1e-4, abs=1e-6), name
        assert figure.low <= figure.value <= figure.high
    np.testing.assert_allclose(
        model.confusion, confusion_matrix(labels, likeliest, labels=range(3), sample_weight=weights)
    )
    assert model.document.validation.rows == len(labels)


def assert_baseline(model, labels, frequencies):
    guess = np.broadcast_to(frequencies, (len(labels), 3))
    value = model.document.validation.baseline.log_loss.value
    assert value == pytest.approx(log_loss(labels, guess, labels=range(3)), rel=1e-6)


@pytest.mark.parametrize("seed", [0, 3])
def test_figures_are_those_of_the_rows_held_out(table, seed):
    labels = class_indices(fit_target(table, "species"), table)
    held = hold_out(labels, None, 0.2, seed)
    training, others = table.filter(pa.array(~held)), table.filter(pa.array(held))
    encoder, fit = fitted(training, table.column_names[1:], labels[~held])
    model = luce.train(table, "species", seed=seed)
    assert_figures(model, labels[held], probabilities_of(encoder, fit, others))
    assert_baseline(model, labels[held], np.bincount(labels[~held]) / (~held).sum())


def test_groups_are_held_out_whole(patients):
    labels = class_indices(fit_target(patients, "outcome"), patients)
    groups = row_groups(patients, "patient")
    held = hold_out(labels, groups, 0.2, 0)
    assert not set(groups[held]) & set(groups[~held])
    training, others = patients.filter(pa.array(~held)), patients.filter(pa.array(held))
    encoder, fit = fitted(training, ["pulse", "ward"], labels[~held])
    model = luce.train(patients, "outcome", group="patient", drop=["area"])
    assert_figures(model, labels[held], probabilities_of(encoder, fit, others))
    assert "groups" in model.document.validation.source


def test_weights_weigh_the_figures(patients):
    labels = class_indices(fit_target(patients, "outcome"), patients)
    weights = patients["area"].to_numpy().astype(float)
    held = hold_out(labels, None, 0.2, 0)
    training, others = patients.filter(pa.array(~held)), patients.filter(pa.array(held))
    encoder, fit = fitted(training, ["pulse", "ward"], labels[~held], weights=weights[~held])
    model = luce.train(patients, "outcome", weight="area", drop=["patient"])
    assert_figures(model, labels[held], probabilities_of(encoder, fit, others), weights[held])


def test_a_validation_table_is_measured_and_not_trained_on(patients):
    names = ["pulse", "ward"]
    training, others = patients[:60], patients[60:]
    labels = class_indices(fit_target(patients, "outcome"), patients)
    encoder, fit = fitted(training, names, labels[:60])
    model = luce.train(training, "outcome", drop=["area", "patient"], validation=others)
    assert_figures(model, labels[60:], probabilities_of(encoder, fit, others))
    assert not model.document.training.refitted
    assert model.document.training.rows == 60
    np.testing.assert_array_equal(model.scorer.coef, fit.coef)


def test_the_saved_model_is_fitted_on_all_rows(table, model):
    labels = class_indices(fit_target(table, "species"), table)
    encoder, fit = fitted(table, table.column_names[1:], labels)
    assert model.document.encoder.columns[1:] == encoder.columns[1:]
    assert model.document.training.refitted
    np.testing.assert_array_equal(model.scorer.coef, fit.coef)
    np.testing.assert_array_equal(model.scorer.intercept, fit.intercept)
    reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    reference.fit(encode(encoder, table).features.astype(float), labels)
    np.testing.assert_allclose(
        model.predict_proba(table),
        reference.predict_proba(encode(encoder, table).features.astype(float)),
        atol=2e-3,
    )


def test_rows_held_out_have_no_part_in_the_fit_that_is_measured(table):
    labels = class_indices(fit_target(table, "species"), table)
    held = hold_out(labels, None, 0.2, 0)
    bill = np.where(held, 1000.0, table["bill_length_mm"].to_numpy())
    island = np.where(held, "Atlantis", np.array(table["island"].to_pylist()))
    sex = [
        None if out else value for out, value in zip(held, table["sex"].to_pylist(), strict=True)
    ]
    changed = (
        table.set_column(2, "bill_length_mm", pa.array(bill, from_pandas=True))
        .set_column(1, "island", pa.array(island))
        .set_column(6, "sex", pa.array(sex))
    )  # fmt: skip

    def stages(data):
        """Passes of the fit that is measured, and of the fit on all rows."""
        found = []
        luce.train(
            data,
            "species",
            report=lambda e: found.append([]) if isinstance(e, Stage) else found[-1].append(e),
        )
        passes = [[e for e in stage if isinstance(e, Progress)] for stage in found]
        return [[(each.value, each.gap) for each in stage] for stage in passes if stage]

    (measured, on_all), (measured_changed, on_all_changed) = stages(table), stages(changed)
    assert measured == measured_changed
    assert on_all != on_all_changed


@pytest.fixture(scope="module")
def noisy():
    random = np.random.default_rng(2)
    labels = np.arange(75) % 3
    features = random.normal(size=(75, 6))
    features[:, 0] += labels
    return pa.table({f"x{j}": features[:, j] for j in range(6)} | {"y": labels})


class TestPenalty:
    def test_auto_is_the_best_of_the_grid(self, noisy):
        labels = noisy["y"].to_numpy()
        held = hold_out(labels, None, 0.2, 0)
        training = noisy.filter(pa.array(~held))
        names = noisy.column_names[:-1]
        encoder = fit_encoder(training, describe_columns(training, names))
        features, labels = encode(encoder, training).features.astype(float), labels[~held]
        fold = fold_of_rows(labels, None, FOLDS, 0)
        losses = np.zeros(len(GRID))
        for number in range(FOLDS):
            kept = fold != number
            for place, C in enumerate(GRID):
                fit = LogisticRegression(C=C, max_iter=5000).fit(features[kept], labels[kept])
                predicted = fit.predict_proba(features[~kept])
                losses[place] += log_loss(labels[~kept], predicted, normalize=False)
        model = luce.train(noisy, "y", C="auto")
        assert GRID[int(losses.argmin())] == model.document.training.fit.C
        assert model.document.training.fit.C not in (GRID[0], GRID[-1], 1.0)
        assert model.document.training.fit.C_chosen_by == "cross-validation"

    def test_a_number_is_kept(self, noisy):
        model = luce.train(noisy, "y", C=0.25)
        assert (model.document.training.fit.C, model.document.training.fit.C_chosen_by) == (
            0.25,
            "user",
        )
        labels = noisy["y"].to_numpy()
        _, fit = fitted(noisy, noisy.column_names[:-1], labels, C=0.25)
        np.testing.assert_array_equal(model.scorer.coef, fit.coef)

    def test_groups_stay_together(self, patients):
        model = luce.train(patients, "outcome", C="auto", group="patient", weight="area")
        assert model.document.training.fit.C in GRID
