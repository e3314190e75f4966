"""Value, gradient and Hessian of the objective against exact differences."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from mpmath import mp, mpf

from luce.training.curvature import inverse_hessian, recentred
from luce.training.moments import centre_of, covariance, first_moments, variances
from luce.training.objective import SoftmaxRegression, blocks_of_rows, shared_rows
from luce.training.preconditioner import precondition


def make(dtype=np.float64, sparse=False, weighted=True, fit_intercept=True, n=9, d=3, k=4):
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


def exact_value(objective, parameters):
    """The objective in 50 digits."""
    features = objective.features
    dense = features.toarray() if objective.centre is None else features - objective.centre
    weights = np.ones(len(dense)) if objective.weights is None else objective.weights
    total = mpf(0)
    for row, label, weight in zip(dense, objective.labels, weights, strict=True):
        scores = [
            sum(mpf(float(x)) * mpf(w) for x, w in zip(row, line[:-1], strict=True)) + mpf(line[-1])
            for line in parameters
        ]
        total += mpf(float(weight)) * (mp.log(sum(mp.exp(s) for s in scores)) - scores[label])
    penalty = sum(mpf(w) ** 2 for line in parameters for w in line[:-1])
    return total / len(dense) + mpf(objective.l2) / 2 * penalty


@pytest.fixture
def parameters():
    return np.random.default_rng(1).standard_normal((4, 4)) * 0.3


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_value_and_gradient(parameters, sparse, weighted, dtype, tolerance):
    objective = make(dtype, sparse, weighted)
    with shared_rows(blocks_of_rows(9, 8)) as over_rows:
        value, gradient = objective.value_and_gradient(parameters, over_rows)
    with mp.workdps(50):
        exact = parameters.astype(object)
        assert value == pytest.approx(float(exact_value(objective, exact)), rel=tolerance)
        step = mpf(10) ** -20
        for index in np.ndindex(parameters.shape):
            moved = exact.copy()
            moved[index] += step
            slope = (exact_value(objective, moved) - exact_value(objective, exact)) / step
            assert gradient[index] == pytest.approx(float(slope), abs=10 * tolerance)


def test_without_intercept_its_gradient_is_zero(parameters):
    objective = make(fit_intercept=False)
    with shared_rows(blocks_of_rows(9, 8)) as over_rows:
        _, gradient = objective.value_and_gradient(parameters, over_rows)
    assert not gradient[:, -1].any()
    assert gradient[:, :-1].all()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_inverse_hessian_undoes_a_change_of_the_gradient(parameters, sparse, fit_intercept):
    objective = make(sparse=sparse, fit_intercept=fit_intercept)
    random = np.random.default_rng(2)
    with shared_rows(blocks_of_rows(9, 8)) as over_rows:
        change_of_variables = precondition(
            objective, first_moments(objective, over_rows), over_rows
        )
        if not fit_intercept:
            parameters[:, -1] = 0
        here = change_of_variables.variables(parameters)
        np.testing.assert_allclose(change_of_variables.parameters(here), parameters, atol=1e-12)
        product = inverse_hessian(objective, change_of_variables, here, over_rows)
        step = random.standard_normal(here.shape) * 1e-5
        if fit_intercept:
            unseen = 1 / change_of_variables.scale[:, -1]
            step[:, -1] -= unseen * (step[:, -1] @ unseen) / (unseen @ unseen)
        else:
            step[:, -1] = 0

        def slope(variables):
            raw = change_of_variables.parameters(variables)
            return change_of_variables.pull_back(objective.value_and_gradient(raw, over_rows)[1])

        change = (slope(here + step) - slope(here - step)) / 2
    np.testing.assert_allclose(product(change), step, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_moments(weighted):
    objective = make(weighted=weighted)
    sparse = make(weighted=weighted, sparse=True)
    weights = np.ones(9) if objective.weights is None else objective.weights
    with shared_rows(blocks_of_rows(9, 8)) as over_rows:
        moments = first_moments(objective, over_rows)
        uncentred = replace(objective, centre=None)
        np.testing.assert_allclose(
            centre_of(uncentred, over_rows),
            np.average(objective.features, axis=0, weights=weights),
        )
        assert centre_of(objective, over_rows) is None
        mean = np.average(objective.features - objective.centre, axis=0, weights=weights)
        expected = np.cov(objective.features.T, aweights=weights, bias=True)
        np.testing.assert_allclose(moments.mean, mean)
        np.testing.assert_allclose(moments.class_frequencies.sum(), 1)
        np.testing.assert_allclose(covariance(objective, mean, over_rows), expected, atol=1e-12)
        for each in (objective, sparse):
            centre = first_moments(each, over_rows).mean
            np.testing.assert_allclose(variances(each, centre, over_rows), np.diag(expected))


def test_lanes_depend_on_the_shape_alone():
    blocks = blocks_of_rows(100_000, 300)
    assert blocks[0].start == 0
    assert blocks[-1].stop == 100_000
    assert all(a.stop == b.start for a, b in pairwise(blocks))
    with shared_rows(blocks) as over_rows:
        seen = over_rows(lambda lane: np.array([sum(b.stop - b.start for b in lane), 1.0]))
    np.testing.assert_array_equal(seen, [100_000, 16])


def test_recentred_intercept_meets_the_class_frequencies(parameters):
    objective = make(n=40)
    with shared_rows(blocks_of_rows(40, 8)) as over_rows:
        moments = first_moments(objective, over_rows)
        change_of_variables = precondition(objective, moments, over_rows)

        def miss(variables):
            raw = change_of_variables.parameters(variables)
            return np.abs(objective.value_and_gradient(raw, over_rows)[1][:, -1]).max()

        parameters[:, :-1] *= 0.1
        here = change_of_variables.variables(parameters)
        moved = here
        for _ in range(4):
            moved = recentred(objective, moments, change_of_variables, moved, over_rows)
        assert miss(moved) < 1e-9 < 1e-3 < miss(here)
        np.testing.assert_allclose(
            change_of_variables.parameters(moved)[:, :-1], parameters[:, :-1], atol=1e-12
        )
