import numpy as np
import pytest
import scipy.sparse

from luce.scorers import linear, linear_vjp


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sparse", [False, True])
def test_forward_and_backward_are_transposes(dtype, sparse):
    random = np.random.default_rng(0)
    features = random.integers(-4, 5, (7, 3)).astype(dtype)
    coef, intercept = random.integers(-4, 5, (5, 3)), random.integers(-4, 5, 5)
    cotangent = random.integers(-4, 5, (7, 5)).astype(dtype)
    given = scipy.sparse.csr_array(features) if sparse else features
    scores = linear(given, coef, intercept)
    coef_gradient, intercept_gradient = linear_vjp(given, cotangent)
    assert scores.dtype == dtype
    assert scores.flags.c_contiguous
    np.testing.assert_array_equal(scores, features @ coef.T + intercept)
    felt = np.vdot(coef_gradient, coef) + intercept_gradient @ intercept
    assert felt == np.vdot(scores, cotangent)


def test_column_sums_are_kept_accurate():
    cotangent = np.full((10**6, 1), 0.1, np.float32)
    _, total = linear_vjp(np.ones((10**6, 1), np.float32), cotangent)
    assert total[0] == pytest.approx(1e6 * float(np.float32(0.1)), rel=1e-12)
