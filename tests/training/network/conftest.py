"""Small problems for networks."""

import numpy as np
import pytest
import scipy.sparse

from luce.scorers import Network, Tanh, multilayer_perceptron


def make_rows(n=120, d=4, k=3, dtype=np.float64, seed=0, sparse=False):
    random = np.random.default_rng(seed)
    features = random.standard_normal((n, d)).astype(dtype)
    noise = random.gumbel(size=(n, k))
    labels = (features @ random.standard_normal((d, k)) * 2 + noise).argmax(axis=1)
    if sparse:
        features[np.abs(features) < 0.5] = 0
        features = scipy.sparse.csr_array(features)
    return features, labels


def make_network(d=4, k=3, hidden=(8,), dtype=np.float64, seed=1, **options):
    layers = multilayer_perceptron(d, hidden, k, Tanh(), **options)
    return Network.initial(layers, np.random.default_rng(seed), dtype)


@pytest.fixture
def rows():
    return make_rows


@pytest.fixture
def network():
    return make_network


@pytest.fixture
def random():
    return np.random.default_rng(2)
