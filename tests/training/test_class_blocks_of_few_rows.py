"""Class blocks made from few rows, against the Hessian's from their definition."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from scipy.special import softmax

from luce.training import class_blocks_of_few_rows as room
from luce.training import fit_softmax_regression
from luce.training.class_blocks_of_few_rows import class_blocks_of_few_rows, curvatures
from luce.training.inverse_hessians import Point
from luce.training.moments import first_moments
from luce.training.objective import WORTH_SHARING, SoftmaxRegression, shared_rows
from luce.training.sample import Sample


@pytest.fixture
def make():
    return make_objective


def make_objective(dtype=np.float64, weighted=True, fit_intercept=True, n=12, d=40, k=4):
    random = np.random.default_rng(0)
    features = random.exponential(np.exp(random.uniform(-2, 2, d)), (n, d))
    features[random.random((n, d)) < 0.7] = 0
    weights = random.uniform(0.5, 2, n)
    return SoftmaxRegression(
        features=scipy.sparse.csr_array(features.astype(dtype)),
        centre=None,
        labels=np.arange(n) % k,
        weights=weights / weights.mean() if weighted else None,
        classes=k,
        l2=0.1,
        fit_intercept=fit_intercept,
        dtype=np.dtype(dtype),
    )


@pytest.fixture
def parameters():
    return np.random.default_rng(1).standard_normal((4, 41)) * 0.3


def at(objective, parameters, over_rows, damping=0.0):
    frequencies = first_moments(objective).class_frequencies
    return Point(parameters, damping, frequencies, Sample(objective, None, None), over_rows)


def some_gradient(objective, seed=3):
    gradient = np.random.default_rng(seed).standard_normal(objective.shape)
    gradient[:, -1] *= objective.fit_intercept
    return gradient - gradient.mean(axis=0)


def curvatures_at(objective, parameters, damping=0.0):
    """Weighted curvatures of shape (n, k), damped."""
    features = objective.features.toarray().astype(np.float64)
    p = softmax(features @ parameters[:, :-1].T + parameters[:, -1], axis=1).astype(objective.dtype)
    weights = np.ones(len(p)) if objective.weights is None else objective.weights
    f = first_moments(objective).class_frequencies
    h = curvatures(p, objective.labels).astype(np.float64)
    return h * weights[:, None] + damping * f * (1 - f)


def step_of(blocks, gradient):
    step = np.stack([np.linalg.solve(*pair) for pair in zip(blocks, gradient, strict=True)])
    return step - step.mean(axis=0)


def block(features, curvature, l2):
    rows = np.column_stack([features, np.ones(len(features))])
    hessian = (rows * curvature[:, None]).T @ rows / len(rows)
    hessian[np.diag_indices(rows.shape[1] - 1)] += l2
    return hessian


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("far", [0.3, 3.0])
def test_with_all_rows_the_blocks_are_exact(make, parameters, dtype, weighted, far, monkeypatch):
    monkeypatch.setattr(room, "LEAST_LEVERAGE", 1e-6)
    objective = make(dtype=dtype, weighted=weighted)
    parameters *= far
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        product, operations = class_blocks_of_few_rows(at(objective, parameters, over_rows), np.inf)
        step = product(gradient)
    features = objective.features.toarray().astype(np.float64)
    h = curvatures_at(objective, parameters)
    blocks = [block(features, h[:, c], objective.l2) for c in range(objective.classes)]
    expected = step_of(blocks, gradient)
    np.testing.assert_allclose(step, expected, atol=1e-4 * np.abs(expected).max())
    assert operations >= objective.classes * objective.rows**3 / 3


@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_with_no_rows_each_block_is_the_diagonal_of_centred_features(make, parameters, damping):
    objective = make()
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        point = at(objective, parameters, over_rows, damping)
        product, operations = class_blocks_of_few_rows(point, 0.0)
        step = product(gradient)
    features = objective.features.toarray()
    h = curvatures_at(objective, parameters, damping)
    expected = np.empty(objective.shape)
    for c in range(objective.classes):
        centre = h[:, c] @ features / h[:, c].sum()
        diagonal = h[:, c] @ (features - centre) ** 2 / len(features) + objective.l2
        expected[c, :-1] = (gradient[c, :-1] - gradient[c, -1] * centre) / diagonal
        expected[c, -1] = gradient[c, -1] / h[:, c].mean() - expected[c, :-1] @ centre
    np.testing.assert_allclose(step, expected - expected.mean(axis=0), rtol=1e-6)
    assert operations == 0


def test_entries_of_a_row_may_come_in_any_order(make, parameters):
    objective = make(dtype=np.float32)
    sorted_ = objective.features
    back = slice(None, None, -1)
    ends = zip(sorted_.indptr, sorted_.indptr[1:], strict=False)
    order = np.concatenate([np.arange(*end)[back] for end in ends])
    entries = sorted_.data[order], sorted_.indices[order], sorted_.indptr
    unsorted = scipy.sparse.csr_matrix(tuple(part.copy() for part in entries), sorted_.shape)
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        expected, _ = class_blocks_of_few_rows(at(objective, parameters, over_rows), 1e4)
        objective = replace(objective, features=unsorted)
        product, _ = class_blocks_of_few_rows(at(objective, parameters, over_rows), 1e4)
        np.testing.assert_allclose(product(gradient), expected(gradient), rtol=1e-3, atol=1e-3)
    for given, kept in zip(
        entries, (unsorted.data, unsorted.indices, unsorted.indptr), strict=True
    ):
        np.testing.assert_array_equal(kept, given)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("price", [0.0, 200.0, 1e4, np.inf])
@pytest.mark.parametrize("far", [0.3, 30.0, 3000.0])
def test_the_inverses_are_positive_definite_with_any_number_of_rows(
    make, fit_intercept, price, far
):
    objective = make(fit_intercept=fit_intercept)
    parameters = far * some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        point = at(objective, parameters, over_rows, damping=1e-6)
        product, operations = class_blocks_of_few_rows(point, price)
        gradients = [some_gradient(objective, seed) for seed in range(5)]
        products = np.array([[np.vdot(a, product(b)) for a in gradients] for b in gradients])
    assert operations <= price
    assert np.isfinite(products).all()
    assert (np.diag(products) > 0).all()
    scale = np.sqrt(np.outer(np.diag(products), np.diag(products)))
    np.testing.assert_allclose(products / scale, products.T / scale, atol=1e-4)


def test_the_curvature_of_a_row_on_the_wrong_side_is_that_of_a_parabola_above_its_loss():
    scores = np.concatenate([np.linspace(-30, -0.3, 60), [0.0, 0.3, 5.0]])  # of the right class
    p = 1 / (1 + np.exp(-scores))
    both = np.column_stack([p, 1 - p])
    of_right, of_wrong = curvatures(both, np.zeros(len(p), np.int64)).T
    np.testing.assert_allclose(of_right, of_wrong, rtol=1e-3)
    there = np.linspace(-60, 60, 2001)
    for score, q, curvature in zip(scores[:60], p, of_right, strict=False):
        step = there - score
        parabola = np.logaddexp(0, -score) - (1 - q) * step + curvature / 2 * step**2
        assert (np.logaddexp(0, -there) <= parabola + 1e-9).all()
    np.testing.assert_allclose(of_right[60:], p[60:] * (1 - p[60:]))


@pytest.mark.parametrize("p", [0.0, 1e-38, 1e-20, 0.4, 0.6, 1 - 6e-8, 1.0])
def test_curvatures_of_saturated_float32_probabilities_are_finite(p):
    both = np.array([[p, 1 - p]], np.float32)
    for label in (0, 1):
        curvature = curvatures(both, np.array([label]))
        assert np.isfinite(curvature).all()
        assert (curvature >= 0).all()
        assert (curvature <= 0.25).all()


def rare_words(n, d, classes, words):
    """Counts of words of very different frequencies, of which each has a spread of 1."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % classes
    frequencies = np.exp(0.7 * random.standard_normal((classes, d))) / np.arange(1, d + 1) ** 0.9
    frequencies /= frequencies.sum(axis=1, keepdims=True)
    rows = np.stack([random.multinomial(words, frequencies[c]) for c in labels]).astype(np.float32)
    flipped = random.random(n) < 0.1
    labels = np.where(flipped, random.integers(0, classes, n), labels)
    return scipy.sparse.csr_array(rows / np.maximum(rows.std(axis=0), 1e-3)), labels


def test_a_fit_that_a_diagonal_does_not_bring_to_its_end_is_certified():
    features, labels = rare_words(2000, 1100, classes=4, words=6)
    fit = fit_softmax_regression(features, labels, classes=4, C=100.0)
    assert fit.stopped == "certified"


def test_a_first_step_that_is_far_too_long_is_cut():
    features, labels = rare_words(1500, 2000, classes=5, words=25)
    fit = fit_softmax_regression(features, labels, classes=5, C=1e4, max_iter=60)
    assert fit.objective < 0.1
