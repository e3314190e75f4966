"""Inverse Hessians against the Hessian from its definition."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from scipy.special import softmax

from luce.training import class_blocks_of_few_rows as few_rows
from luce.training import curvature, recentring
from luce.training.class_blocks_of_few_rows import class_blocks_of_few_rows, curvatures
from luce.training.curvature import Curvatures
from luce.training.inverse_hessians import (
    Point,
    class_blocks,
    diagonal,
    kronecker,
    kronecker_of_few_rows,
    whole,
    whole_of_two_classes,
)
from luce.training.moments import columns_of, first_moments
from luce.training.objective import WORTH_SHARING, shared_rows
from luce.training.recentring import recentred
from luce.training.sample import Sample, sample_of

WHOLE_AT_ONCE = [
    (2, whole_of_two_classes, False),
    (2, whole_of_two_classes, True),
    (4, whole, True),
]


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


def assert_positive_definite(product, gradients):
    products = np.array([[np.vdot(a, product(b)) for a in gradients] for b in gradients])
    assert np.isfinite(products).all()
    assert (np.diag(products) > 0).all()
    scale = np.sqrt(np.outer(np.diag(products), np.diag(products)))
    np.testing.assert_allclose(products / scale, products.T / scale, atol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_the_whole_inverse_hessian_is_exact(make, parameters, weighted, fit_intercept):
    objective = make(weighted=weighted, fit_intercept=fit_intercept)
    parameters[:, -1] *= fit_intercept
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        step = whole(at(objective, parameters, over_rows))(gradient)
    undone = hessian_at(objective, parameters) @ step.ravel()
    np.testing.assert_allclose(undone.reshape(gradient.shape), gradient, atol=1e-8)


@pytest.mark.parametrize("form", [whole, class_blocks, kronecker, diagonal])
def test_features_may_lie_by_columns(make, parameters, form):
    objective = make(weighted=True, fit_intercept=True)
    by_columns = replace(objective, features=np.asfortranarray(objective.features))
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        steps = [
            form(at(each, parameters, over_rows))(gradient) for each in (objective, by_columns)
        ]
    np.testing.assert_allclose(*steps, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_that_of_two_classes_is_the_same(make, weighted, fit_intercept):
    objective = make(weighted=weighted, fit_intercept=fit_intercept, k=2)
    parameters = 0.3 * some_gradient(objective, 5)
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        point = at(objective, parameters, over_rows)
        np.testing.assert_allclose(
            whole_of_two_classes(point)(gradient), whole(point)(gradient), rtol=1e-9
        )


@pytest.mark.parametrize(("k", "exact", "is_tiny"), WHOLE_AT_ONCE)
def test_steps_of_two_classes_and_of_tiny_tables_rest_on_it_from_the_first_pass_on(
    make, k, exact, is_tiny, monkeypatch
):
    if not is_tiny:
        monkeypatch.setattr(curvature, "CHEAP", 0.0)
    objective = make(k=k)
    parameters = 0.3 * some_gradient(objective, 5)
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        frequencies = first_moments(objective).class_frequencies
        first = Curvatures(objective, objective, frequencies, over_rows)(parameters, 0, 0.01)
        expected = exact(at(objective, parameters, over_rows))(gradient)
    np.testing.assert_allclose(first.inverse_hessian(gradient), expected, rtol=1e-9)
    assert first.to_scale
    assert first.is_exact == is_tiny


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_the_kronecker_form_is_exact_where_all_rows_have_the_same_probabilities(
    make, fit_intercept
):
    objective = make(fit_intercept=fit_intercept)
    parameters = np.zeros(objective.shape)
    if fit_intercept:
        parameters[:, -1] = [0.1, -0.5, 0.3, 0.1]
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        step = kronecker(at(objective, parameters, over_rows))(gradient)
    undone = hessian_at(objective, parameters) @ step.ravel()
    np.testing.assert_allclose(undone.reshape(gradient.shape), gradient, atol=1e-8)


def test_the_kronecker_form_is_of_features_centred_by_class(make, parameters):
    objective = make(weighted=False)
    k, d = objective.classes, objective.shape[1] - 1
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        step = kronecker(at(objective, parameters, over_rows))(gradient)
    np.testing.assert_allclose(step.sum(axis=0), 0, atol=1e-9)

    rows = objective.features - (0 if objective.centre is None else objective.centre)
    p = softmax(rows @ parameters[:, :-1].T + parameters[:, -1], axis=1)
    of_classes = np.diag(p.mean(axis=0)) - p.T @ p / len(p)
    spread = 1 - (p * p).sum(axis=1)
    spread /= spread.sum()
    apart = rows - spread @ rows
    variances = (apart * spread[:, None]).T @ apart
    curvatures = p * (1 - p)
    centres = (curvatures.T @ rows) / curvatures.sum(axis=0)[:, None]

    # score = coef (x - centre) + intercept: a row of `back` for each of the given parameters
    back = np.eye(k * (d + 1)).reshape(k, d + 1, k, d + 1)
    for c in range(k):
        back[c, -1, c, :-1] = centres[c]
    back = back.reshape(k * (d + 1), k * (d + 1))
    model = np.zeros((k, d + 1, k, d + 1))
    model[:, :-1, :, :-1] = np.einsum("ab,ij->aibj", of_classes, variances)
    model[:, -1, :, -1] = of_classes
    for c in range(k):
        model[c, :-1, c, :-1] += objective.l2 * np.eye(d)
    model = back.T @ model.reshape(back.shape) @ back
    undone = (model @ step.ravel()).reshape(k, d + 1) - gradient
    np.testing.assert_allclose(undone - undone.mean(axis=0), 0, atol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_few_rows_give_the_same_kronecker_form(make, parameters, weighted, fit_intercept):
    objective = make(weighted=weighted, fit_intercept=fit_intercept, n=3, k=3)
    parameters = parameters[:3]
    parameters[:, -1] *= fit_intercept
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        point = at(objective, parameters, over_rows, damping=0.01)
        np.testing.assert_allclose(
            kronecker_of_few_rows(point)(gradient), kronecker(point)(gradient), rtol=1e-3
        )


@pytest.mark.parametrize("weighted", [False, True])
def test_the_class_blocks_are_those_of_the_hessian(make, parameters, weighted):
    objective = make(weighted=weighted)
    k, width = objective.shape
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        step = class_blocks(at(objective, parameters, over_rows))(gradient)
    hessian = hessian_at(objective, parameters).reshape(k, width, k, width)
    expected = np.stack([np.linalg.solve(hessian[c, :, c], gradient[c]) for c in range(k)])
    np.testing.assert_allclose(step, expected - expected.mean(axis=0), atol=1e-7)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_diagonal_is_the_root_of_that_of_features_centred_by_class(make, parameters, sparse):
    objective = make(sparse=sparse)
    gradient = some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
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


def test_the_diagonal_knows_of_features_that_its_sample_misses(make):
    random = np.random.default_rng(0)
    rows, rare = 8_000, 40
    features = scipy.sparse.random(rows, 30, density=0.2, format="lil", random_state=random)
    labels = random.integers(4, size=rows)
    objective = replace(
        make(sparse=True), features=features.tocsr(), labels=labels, weights=None, l2=1e-8
    )
    sample = sample_of(objective, rows // 8)
    unseen = np.setdiff1d(np.arange(rows), sample.rows)[:: rows // rare]
    features[:, 0] = 0
    features[unseen, 0] = 30.0
    objective = replace(objective, features=features.tocsr())
    sample = replace(sample, objective=objective)
    gradient = some_gradient(objective)
    parameters = np.zeros(objective.shape)
    with shared_rows(WORTH_SHARING) as over_rows:
        of_all = diagonal(at(objective, parameters, over_rows))(gradient)
        columns = columns_of(objective, over_rows)
        of_sample = diagonal(at(objective, parameters, over_rows, sample=sample), columns)(gradient)
    np.testing.assert_allclose(of_sample[:, :-1], of_all[:, :-1], rtol=0.4)


@pytest.mark.parametrize("form", [class_blocks, kronecker, kronecker_of_few_rows, diagonal])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("far", [0.3, 30.0, 3000.0])
def test_the_inverses_are_positive_definite_also_where_probabilities_saturate(
    make, form, fit_intercept, far
):
    objective = make(fit_intercept=fit_intercept)
    parameters = far * some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        product = form(at(objective, parameters, over_rows, damping=1e-6))
        gradients = [some_gradient(objective, seed) for seed in range(20)]
    assert_positive_definite(product, gradients)


def test_a_sample_has_its_share_of_every_class_and_stands_for_all(make):
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
    with shared_rows(WORTH_SHARING) as over_rows:
        parameters = 0.3 * some_gradient(objective)
        gradient = some_gradient(objective, 4)
        some = class_blocks(at(objective, parameters, over_rows, sample=sample))(gradient)
        everything = class_blocks(at(objective, parameters, over_rows))(gradient)
    np.testing.assert_allclose(some[:3], everything[:3], rtol=0.2, atol=0.3)


@pytest.mark.parametrize("most_at_once", [0, 2048])
def test_recentred_intercept_meets_the_class_frequencies(
    make, parameters, most_at_once, monkeypatch
):
    monkeypatch.setattr(recentring, "MOST_CLASSES_AT_ONCE", most_at_once)
    objective = make(n=40)

    def gradient(parameters):
        return objective.value_and_gradient(parameters)[1]

    parameters[:, :-1] *= 0.1
    moved = parameters
    with shared_rows(WORTH_SHARING) as over_rows:
        for _ in range(4):
            moved = recentred(at(objective, moved, over_rows), gradient(moved))
    assert np.abs(gradient(moved)[:, -1]).max() < 1e-9
    assert np.abs(gradient(parameters)[:, -1]).max() > 1e-3
    np.testing.assert_array_equal(moved[:, :-1], parameters[:, :-1])


def wide(make, **options):
    """An objective with more features than rows, and parameters for it."""
    random = np.random.default_rng(0)
    objective = make(sparse=True, n=12, **options)
    features = random.exponential(np.exp(random.uniform(-2, 2, 40)), (12, 40))
    features[random.random(features.shape) < 0.7] = 0
    features = scipy.sparse.csr_array(features.astype(objective.dtype))
    objective = replace(objective, features=features)
    return objective, random.standard_normal(objective.shape) * 0.3


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
def test_with_all_rows_the_blocks_are_exact(make, dtype, weighted, far, monkeypatch):
    monkeypatch.setattr(few_rows, "LEAST_LEVERAGE", 1e-6)
    objective, parameters = wide(make, dtype=dtype, weighted=weighted)
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
def test_with_no_rows_each_block_is_the_diagonal_of_centred_features(make, damping):
    objective, parameters = wide(make)
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


def test_a_step_takes_no_longer_than_a_pass_however_much_blocks_may_cost(make, monkeypatch):
    objective, parameters = wide(make)
    with shared_rows(WORTH_SHARING) as over_rows:
        point = at(objective, parameters, over_rows)
        _, all_rows = class_blocks_of_few_rows(point, np.inf)
        of_a_pass = objective.classes * objective.rows * (objective.features_per_row + 1)
        of_half = objective.classes * (objective.rows // 2) ** 2
        monkeypatch.setattr(few_rows, "PRODUCTS_ANYWAY", of_half - of_a_pass)
        _, operations = class_blocks_of_few_rows(point, np.inf)
    assert 0 < operations < all_rows


def test_entries_of_a_row_may_come_in_any_order(make):
    objective, parameters = wide(make, dtype=np.float32)
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
    objective, _ = wide(make, fit_intercept=fit_intercept)
    parameters = far * some_gradient(objective)
    with shared_rows(WORTH_SHARING) as over_rows:
        point = at(objective, parameters, over_rows, damping=1e-6)
        product, operations = class_blocks_of_few_rows(point, price)
        gradients = [some_gradient(objective, seed) for seed in range(5)]
        assert_positive_definite(product, gradients)
    assert operations <= price


def test_the_curvature_of_a_row_on_the_wrong_side_is_that_of_a_parabola_above_its_loss():
    scores = np.concatenate([np.linspace(-30, -0.3, 60), [0.0, 0.3, 5.0]])  # of the right class
    p = 1 / (1 + np.exp(-scores))
    both = np.column_stack([p, 1 - p])
    of_right, of_wrong = curvatures(both, np.zeros(len(p), np.int64)).T
    np.testing.assert_allclose(of_right, of_wrong, rtol=1e-3)
    there = np.linspace(-60, 60, 2001)
    for score, q, bent in zip(scores[:60], p, of_right, strict=False):
        step = there - score
        parabola = np.logaddexp(0, -score) - (1 - q) * step + bent / 2 * step**2
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
