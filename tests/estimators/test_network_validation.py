import numpy as np
import pytest
import scipy.sparse
from scipy.special import log_softmax
from sklearn.metrics import log_loss

import luce
from luce import NetworkClassifier
from luce.estimators.network_rows import Rows
from luce.estimators.network_validation import mean_losses
from luce.scorers import Network, multilayer_perceptron


@pytest.fixture(scope="module")
def noisy():
    """Labels that can not be learnt: what improves on the training rows gets worse on others."""
    random = np.random.default_rng(0)
    X = random.standard_normal((120, 10)).astype(np.float32)
    return X, np.array(["a", "b", "c"])[random.integers(0, 3, 120)]


def brief(**parameters):
    few = {"hidden_layer_sizes": (8,), "max_iter": 4, "learning_rate": "cosine", "random_state": 0}
    return NetworkClassifier(**{**few, **parameters})


def eager(**parameters):
    """One that fits noise soon."""
    return brief(learning_rate_init=0.05, max_iter=40, hidden_layer_sizes=(30,), **parameters)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_mean_losses(temperature, soft, weighted, sparse):
    random = np.random.default_rng(0)
    features = random.standard_normal((10_001, 3))
    network = Network.initial(
        multilayer_perceptron(3, (5,), 4), random, np.float64, luce.Softmax(temperature)
    )
    weights = random.uniform(0, 2, 10_001) if weighted else None
    labels = random.integers(0, 4, 10_001)
    truth = random.dirichlet(np.ones(4), 10_001) if soft else np.eye(4)[labels]
    if soft:
        truth[truth < 0.1] = 0.0
        truth /= truth.sum(axis=1, keepdims=True)
    targets = truth if soft else labels
    given = scipy.sparse.csr_array(features) if sparse else features
    own, log = mean_losses(network, Rows(given, targets, weights))
    logarithms = log_softmax(network.scores(features) / temperature, axis=1)
    expected = np.average(-(truth * logarithms).sum(axis=1), weights=weights)
    assert log == pytest.approx(expected, rel=1e-12)
    if temperature != 1.0:
        values = luce.FenchelYoung(network.map).value(network.scores(features), targets)
        expected = np.average(values, weights=weights)
    assert own == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("soft", [False, True])
def test_rows_that_a_map_gives_probability_0(soft):
    features = np.array([[1.0], [-1.0]])
    layers = multilayer_perceptron(1, (), 2)
    network = Network(layers, np.array([1.0, -1.0, 0.0, 0.0]), luce.Hardmax())
    for labels, own, log in (([0, 1], 0.0, 0.0), ([0, 0], 1.0, np.inf)):
        targets = np.eye(2)[labels] if soft else np.array(labels)
        assert mean_losses(network, Rows(features, targets, None)) == (own, log)


def test_softmax_at_another_temperature(noisy):
    X, y = noisy
    classifier = brief(map=luce.Softmax(2.0), early_stopping=True, max_iter=30).fit(X, y)
    scores = classifier.network_.scores(X)
    np.testing.assert_allclose(classifier.predict_proba(X), luce.softmax(scores / 2), rtol=1e-5)
    np.testing.assert_allclose(
        classifier.predict_log_proba(X), luce.log_softmax(scores / 2), rtol=1e-4, atol=1e-6
    )
    assert classifier.out_activation_ == "softmax"


@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one")
def test_the_loss_of_the_map_is_the_score(noisy):
    X, y = noisy
    data = (X[80:], y[80:])
    classifier = eager(map=luce.Hardmax()).fit(X[:80], y[:80], validation_data=data)
    labels = np.searchsorted(classifier.classes_, y[80:])
    losses = luce.FenchelYoung(luce.Hardmax()).value(classifier.network_.scores(X[80:]), labels)
    assert classifier.best_validation_score_ == pytest.approx(-losses.mean(), rel=1e-5)
    assert classifier.validation_loss_curve_[0] == np.inf
    assert set(classifier.predict_proba(X).ravel()) == {0.0, 1.0}

    warm = eager(map=luce.Softmax(3.0)).fit(X[:80], y[:80], validation_data=data)
    kept = log_loss(y[80:], warm.predict_proba(X[80:]))
    best = np.argmax(warm.validation_scores_)
    assert warm.validation_loss_curve_[best] == pytest.approx(kept, rel=1e-5)
