import numpy as np
import pytest
import scipy.sparse

from luce.training.objective import SoftmaxRegression


@pytest.fixture
def make():
    return make_objective


def make_objective(
    dtype=np.float64, sparse=False, weighted=True, fit_intercept=True, n=9, d=3, k=4
):
    random = np.random.default_rng(0)
    features = random.standard_normal((n, d)) * [1.0, 5.0, 0.1] + [0.0, 10.0, -1.0]
    features[np.abs(features) < 0.1] = 0
    features = features.astype(dtype)
    weights = random.uniform(0.5, 2, n)
    return SoftmaxRegression(
        features=scipy.sparse.csr_array(features) if sparse else features,
        centre=None if sparse else np.array([0.5, 10.0, -1.0]),
        labels=np.arange(n) % k,
        weights=weights / weights.mean() if weighted else None,
        classes=k,
        l2=0.1,
        fit_intercept=fit_intercept,
        dtype=np.dtype(dtype),
    )


@pytest.fixture
def parameters():
    return np.random.default_rng(1).standard_normal((4, 4)) * 0.3
