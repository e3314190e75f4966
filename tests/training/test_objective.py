"""Value, gradient and Hessian of the objective against exact differences."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from mpmath import mp, mpf
from scipy.special import softmax

from luce.training.inverse_hessians import (
    Point,
    class_blocks,
    diagonal,
    kronecker,
    kronecker_of_few_rows,
    whole,
)
from luce.training.moments import centre_of, first_moments
from luce.training.objective import SoftmaxRegression, blocks_of_rows, shared_rows
from luce.training.recentring import recentred
from luce.training.sample import Sample, sample_of


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
    value, gradient = objective.value_and_gradient(parameters)
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
    _, gradient = objective.value_and_gradient(parameters)
    assert not gradient[:, -1].any()
    assert gradient[:, :-1].all()


def hessian_at(objective, parameters):
    """The Hessian in the convention of the room, (k (d + 1), k (d + 1)), from its definition."""
    features = objective.features
    dense = features.toarray() if objective.centre is None else features - objective.centre
    last = np.full(len(dense), float(objective.fit_intercept))
    rows = np.column_stack([dense, last])
    weights = np.ones(len(dense)) if objective.weights is None else objective.weights
    p = softmax(dense @ parameters[:, :-1].T + parameters[:, -1], axis=1)
    size = parameters.size
    total = np.zeros((size, size))
    for row, q, weight in zip(rows, p, weights, strict=True):
        total += weight * np.kron(np.diag(q) - np.outer(q, q), np.outer(row, row))
    penalty = np.full(parameters.shape, objective.l2)
    penalty[:, -1] = 0
    return total / len(dense) + np.diag(penalty.ravel())


def at(objective, parameters, over_rows, damping=0.0, sample=None):
    frequencies = first_moments(objective).class_frequencies
    sample = Sample(objective, None, None) if sample is None else sample
    return Point(parameters, damping, frequencies, sample, over_rows)


def some_gradient(objective, seed=3):
    gradient = np.random.default_rng(seed).standard_normal(objective.shape)
    gradient[:, -1] *= objective.fit_intercept
    return gradient - gradient.mean(axis=0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_the_whole_inverse_hessian_is_exact(parameters, weighted, fit_intercept):
    objective = make(weighted=weighted, fit_intercept=fit_intercept)
    parameters[:, -1] *= fit_intercept
    gradient = some_gradient(objective)
    with shared_rows() as over_rows:
        step = whole(at(objective, parameters, over_rows))(gradient)
    undone = hessian_at(objective, parameters) @ step.ravel()
    np.testing.assert_allclose(undone.reshape(gradient.shape), gradient, atol=1e-8)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_the_kronecker_form_is_exact_where_all_rows_have_the_same_probabilities(fit_intercept):
    objective = make(fit_intercept=fit_intercept)
    parameters = np.zeros(objective.shape)
    if fit_intercept:
        parameters[:, -1] = [0.1, -0.5, 0.3, 0.1]
    gradient = some_gradient(objective)
    with shared_rows() as over_rows:
        step = kronecker(at(objective, parameters, over_rows))(gradient)
    undone = hessian_at(objective, parameters) @ step.ravel()
    np.testing.assert_allclose(undone.reshape(gradient.shape), gradient, atol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_few_rows_give_the_same_kronecker_form(parameters, weighted, fit_intercept):
    objective = make(weighted=weighted, fit_intercept=fit_intercept, n=3, k=3)
    parameters = parameters[:3]
    parameters[:, -1] *= fit_intercept
    gradient = some_gradient(objective)
    with shared_rows() as over_rows:
        point = at(objective, parameters, over_rows, damping=0.01)
        np.testing.assert_allclose(
            kronecker_of_few_rows(point)(gradient), kronecker(point)(gradient), rtol=1e-9
        )


@pytest.mark.parametrize("weighted", [False, True])
def test_the_class_blocks_are_those_of_the_hessian(parameters, weighted):
    objective = make(weighted=weighted)
    k, width = objective.shape
    gradient = some_gradient(objective)
    with shared_rows() as over_rows:
        step = class_blocks(at(objective, parameters, over_rows))(gradient)
    hessian = hessian_at(objective, parameters).reshape(k, width, k, width)
    expected = np.stack([np.linalg.solve(hessian[c, :, c], gradient[c]) for c in range(k)])
    np.testing.assert_allclose(step, expected - expected.mean(axis=0), atol=1e-7)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_diagonal_is_the_root_of_that_of_features_centred_by_class(parameters, sparse):
    objective = make(sparse=sparse)
    gradient = some_gradient(objective)
    with shared_rows() as over_rows:
        step = diagonal(at(objective, parameters, over_rows))(gradient)
    hessian = hessian_at(objective, parameters).reshape(4, 4, 4, 4)
    expected = np.empty(objective.shape)
    for c in range(4):
        block = hessian[c, :, c]
        centre = block[:-1, -1] / block[-1, -1]
        spread = np.diag(block)[:-1] - block[-1, -1] * centre**2
        coef = (gradient[c, :-1] - gradient[c, -1] * centre) / np.sqrt(spread)
        expected[c, :-1] = coef
        expected[c, -1] = gradient[c, -1] / np.sqrt(block[-1, -1]) - coef @ centre
    np.testing.assert_allclose(step, expected - expected.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("form", [class_blocks, kronecker, kronecker_of_few_rows, diagonal])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("far", [0.3, 30.0, 3000.0])
def test_the_inverses_are_positive_definite_also_where_probabilities_saturate(
    form, fit_intercept, far
):
    objective = make(fit_intercept=fit_intercept)
    parameters = far * some_gradient(objective)
    with shared_rows() as over_rows:
        product = form(at(objective, parameters, over_rows, damping=1e-6))
        gradients = [some_gradient(objective, seed) for seed in range(20)]
    products = np.array([[np.vdot(a, product(b)) for a in gradients] for b in gradients])
    assert np.isfinite(products).all()
    assert (np.diag(products) > 0).all()
    scale = np.sqrt(np.outer(np.diag(products), np.diag(products)))
    np.testing.assert_allclose(products / scale, products.T / scale, atol=1e-6)


def test_a_sample_has_its_share_of_every_class_and_stands_for_all():
    random = np.random.default_rng(0)
    labels = random.choice(4, 40_000, p=[0.7, 0.2, 0.0999, 0.0001])
    labels[:3] = 3
    objective = replace(
        make(), features=random.standard_normal((40_000, 3)), labels=labels, weights=None
    )
    counts = np.bincount(labels)
    sample = sample_of(objective, 4000)
    taken = labels[sample.rows]
    np.testing.assert_array_equal(np.bincount(taken)[3], counts[3])
    np.testing.assert_allclose(np.bincount(taken, weights=sample.factors), counts)
    np.testing.assert_allclose(len(sample), 4000, rtol=0.02)
    assert (np.diff(sample.rows) > 0).all()
    assert sample_of(objective, 30_000).rows is None
    with shared_rows() as over_rows:
        parameters = 0.3 * some_gradient(objective)
        gradient = some_gradient(objective, 4)
        some = class_blocks(at(objective, parameters, over_rows, sample=sample))(gradient)
        everything = class_blocks(at(objective, parameters, over_rows))(gradient)
    np.testing.assert_allclose(some[:3], everything[:3], rtol=0.2, atol=0.3)


@pytest.mark.parametrize("weighted", [False, True])
def test_moments(weighted):
    objective = make(weighted=weighted)
    sparse = make(weighted=weighted, sparse=True)
    weights = np.ones(9) if objective.weights is None else objective.weights
    with shared_rows() as over_rows:
        moments = first_moments(objective)
        uncentred = replace(objective, centre=None)
        np.testing.assert_allclose(
            centre_of(uncentred, over_rows),
            np.average(objective.features, axis=0, weights=weights),
        )
        assert centre_of(objective, over_rows) is None
        mean = np.average(objective.features - objective.centre, axis=0, weights=weights)
        np.testing.assert_allclose(moments.mean, mean)
        np.testing.assert_allclose(moments.class_frequencies.sum(), 1)
        raw = np.average(objective.features, axis=0, weights=weights)
        np.testing.assert_allclose(first_moments(sparse).mean, raw)


def test_lanes_depend_on_the_shape_alone():
    blocks = blocks_of_rows(100_000, 300)
    assert blocks[0].start == 0
    assert blocks[-1].stop == 100_000
    assert all(a.stop == b.start for a, b in pairwise(blocks))
    with shared_rows() as over_rows:
        seen = over_rows(lambda lane: np.array([sum(b.stop - b.start for b in lane), 1.0]), blocks)
    np.testing.assert_array_equal(seen, [100_000, 16])


def test_recentred_intercept_meets_the_class_frequencies(parameters):
    objective = make(n=40)
    with shared_rows() as over_rows:
        moments = first_moments(objective)

        def miss(parameters):
            return np.abs(objective.value_and_gradient(parameters)[1][:, -1]).max()

        parameters[:, :-1] *= 0.1
        moved = parameters
        for _ in range(4):
            moved = recentred(objective, moments, moved, over_rows)
        assert miss(moved) < 1e-9 < 1e-3 < miss(parameters)
        np.testing.assert_array_equal(moved[:, :-1], parameters[:, :-1])
