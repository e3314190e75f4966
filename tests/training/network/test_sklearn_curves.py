"""Where scikit-learn's MLPClassifier has a meaning, it is the same: its loss curve, to rounding."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from luce.scorers import Network, Tanh, multilayer_perceptron
from luce.scorers.chain import initial_parameters
from luce.training.network import (
    Adam,
    Adaptive,
    Constant,
    InverseScaling,
    Momentum,
    fit_network,
    fit_network_lbfgs,
)

SEED = 3
ALPHA = 0.7
SGD = {"solver": "sgd", "learning_rate_init": 0.05}


def theirs(features, labels, **parameters):
    classifier = MLPClassifier(
        (6, 5), activation="tanh", alpha=ALPHA, random_state=SEED, shuffle=False, **parameters
    )
    return classifier.fit(features, labels)


def start(features, labels):
    layers = multilayer_perceptron(features.shape[1], (6, 5), labels.max() + 1, Tanh())
    drawn = initial_parameters(layers, np.random.RandomState(SEED), np.float64)
    return Network(layers, drawn)


def ours(features, labels, **arguments):
    return fit_network(
        start(features, labels),
        features,
        labels,
        random=np.random.default_rng(0),
        penalty=ALPHA,
        shuffle=False,
        **arguments,
    )


@pytest.mark.parametrize("batch_size", [7, 60, 500])
@pytest.mark.parametrize(
    ("named", "schedule", "rate"),
    [
        ({"learning_rate": "constant"}, Constant(), 0.05),
        ({"learning_rate": "invscaling", "power_t": 0.3}, InverseScaling(0.3), 0.5),
        ({"learning_rate": "adaptive"}, Adaptive(epochs=4), 0.5),
    ],
)
def test_the_loss_curve_ends_where_theirs_does(rows, batch_size, named, schedule, rate):
    features, labels = rows()
    patience = {"tol": 1e-3, "n_iter_no_change": 3, "max_iter": 400}
    other = theirs(
        features,
        labels,
        solver="sgd",
        batch_size=min(batch_size, len(labels)),
        **patience,
        **named | {"learning_rate_init": rate},
    )
    fit = ours(
        features,
        labels,
        optimiser=Momentum(0.9, nesterov=True),
        schedule=schedule,
        learning_rate=rate,
        batch_size=batch_size,
        tol=1e-3,
        patience=3,
        max_epochs=400,
    )
    assert fit.stopped == "tol"
    np.testing.assert_allclose(fit.loss_curve, other.loss_curve_, rtol=1e-8)


def test_adam_without_epsilon(rows):
    features, labels = rows()
    with pytest.warns(ConvergenceWarning):
        other = theirs(features, labels, max_iter=50, batch_size=32, epsilon=1e-30)
    fit = ours(features, labels, optimiser=Adam(epsilon=1e-30), max_epochs=50, batch_size=32)
    assert fit.stopped == "max_epochs"
    np.testing.assert_allclose(fit.loss_curve, other.loss_curve_, rtol=1e-8)


def test_weights_in_the_full_batch(rows):
    features, labels = rows()
    weights = np.random.default_rng(0).uniform(0.5, 3, len(labels))
    classifier = MLPClassifier(
        (6, 5), activation="tanh", alpha=ALPHA, random_state=SEED, shuffle=False, max_iter=30,
        batch_size=len(labels), **SGD,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning):
        other = classifier.fit(features, labels, weights)
    fit = ours(
        features,
        labels,
        optimiser=Momentum(),
        learning_rate=0.05,
        sample_weight=weights,
        batch_size=500,
        max_epochs=30,
    )
    np.testing.assert_allclose(fit.loss_curve, other.loss_curve_, rtol=1e-8)


def test_lbfgs_finds_what_theirs_finds(rows):
    features, labels = rows()
    other = theirs(features, labels, solver="lbfgs", max_iter=500, tol=1e-5)
    fit = fit_network_lbfgs(
        start(features, labels), features, labels, penalty=ALPHA, max_epochs=500, tol=1e-5
    )
    assert fit.stopped == "tol"
    assert fit.loss == pytest.approx(other.loss_, rel=1e-4)
