import numpy as np
import pytest
import scipy.sparse
from mpmath import mp, mpf

import luce
from luce.errors import DataError
from luce.losses import cross_entropy, cross_entropy_gradient, linear_cross_entropy


def problem(n=7, d=3, k=4, dtype=np.float64):
    random = np.random.default_rng(0)
    return (
        random.standard_normal((n, d)).astype(dtype),
        random.standard_normal((k, d)).astype(dtype),
        random.integers(0, k, n),
        random.standard_normal(k).astype(dtype),
        random.uniform(0.5, 2, n),
    )


def exact_value(features, coef, intercept, labels, weights):
    total = mpf(0)
    for x, label, weight in zip(features, labels, weights, strict=True):
        scores = [
            sum(mpf(a) * mpf(b) for a, b in zip(x, w, strict=True)) + mpf(c)
            for w, c in zip(coef, intercept, strict=True)
        ]
        total += mpf(weight) * (mp.log(sum(mp.exp(s) for s in scores)) - scores[label])
    return total / sum(map(mpf, weights))


def test_gradients_are_those_of_high_precision_differences():
    features, coef, labels, intercept, weights = problem()
    found = linear_cross_entropy(features, coef, labels, intercept, sample_weight=weights)
    with mp.workdps(50):
        exact = [part.astype(object) for part in (features, coef, intercept)]
        base = exact_value(*exact, labels, weights)
        assert found.value == pytest.approx(float(base), rel=1e-14)
        step = mpf(10) ** -20
        gradients = (found.features, found.coef, found.intercept)
        for part, gradient in zip(exact, gradients, strict=True):
            for index in np.ndindex(part.shape):
                kept = part[index]
                part[index] = kept + step
                slope = (exact_value(*exact, labels, weights) - base) / step
                part[index] = kept
                assert gradient[index] == pytest.approx(float(slope), abs=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}])
def test_value_is_the_cross_entropy_of_the_scores(dtype, reduction, options, soft):
    features, coef, labels, intercept, weights = problem(500, 40, 30, dtype)
    if soft:
        labels = np.random.default_rng(1).dirichlet(np.ones(30), 500)
    options = {"sample_weight": weights, "reduction": reduction, **options}
    found = linear_cross_entropy(features, coef, labels, intercept, **options)
    scores = features.astype("d") @ coef.T + intercept
    expected = cross_entropy(scores, labels, **options)
    assert found.value == pytest.approx(expected, rel=1e-6 if dtype == np.float32 else 1e-13)
    assert found.coef.dtype == found.features.dtype == dtype


@pytest.mark.parametrize(
    ("n", "d", "k", "case"),
    [
        (240, 64, 2000, "few rows of a class"),
        (2000, 16, 1000, "a term that recurs"),
        (500, 128, 2000, "the first class is the label"),
    ],
)
def test_float32_gradients_are_sums_within_1e_6_of_their_terms(n, d, k, case):
    random = np.random.default_rng(0)
    # Of so few bits that the scores are exact: what is seen is the gradients' own rounding.
    features = (random.integers(-32, 33, (n, d)) / 16).astype(np.float32)
    coef = (random.integers(-32, 33, (k, d)) / 128).astype(np.float32)
    labels = random.integers(0, k, n)
    if case == "a term that recurs":
        features[:], coef[:] = 0.7, 0
    elif case == "the first class is the label":
        labels[:] = 0
    scores = features @ coef.T
    rows, wide = features.astype(np.float64), coef.astype(np.float64)
    np.testing.assert_array_equal(scores, rows @ wide.T)
    residuals = luce.softmax(scores.astype(np.float64)) - np.eye(k)[labels]
    sizes = np.abs(residuals)
    found = linear_cross_entropy(features, coef, labels, reduction="sum")
    for gradient, exact, size in (
        (found.coef, residuals.T @ rows, sizes.T @ np.abs(rows)),
        (found.intercept, residuals.sum(axis=0), sizes.sum(axis=0)),
        (found.features, residuals @ wide, sizes @ np.abs(wide)),
    ):
        assert (np.abs(gradient - exact) <= 1e-6 * size).all()


def test_options_of_layout_and_type():
    features, coef, labels, intercept, _ = problem(50, 6, 3)
    expected = linear_cross_entropy(features, coef, labels, intercept)
    for given in (
        np.asfortranarray(features),
        features.astype(">f8"),
        np.repeat(features, 2, 0)[::2],
    ):
        found = linear_cross_entropy(given, coef, labels, intercept)
        np.testing.assert_allclose(found.coef, expected.coef, atol=1e-15)
        np.testing.assert_allclose(found.features, expected.features, atol=1e-15)
    lists = linear_cross_entropy(features.tolist(), coef.tolist(), labels.tolist())
    assert lists.coef.dtype == np.float64
    assert linear_cross_entropy(features, coef, labels, features_gradient=False).features is None
    mixed = linear_cross_entropy(features.astype("f"), coef, labels)
    assert mixed.coef.dtype == np.float64


def test_weight_0_leaves_a_row_out_and_no_weight_is_0():
    features, coef, labels, _, weights = problem()
    weights[2] = 0
    found = linear_cross_entropy(features, coef, labels, sample_weight=weights)
    assert not found.features[2].any()
    nothing = linear_cross_entropy(features, coef, labels, sample_weight=np.zeros(7))
    assert nothing.value == 0
    assert not nothing.coef.any()
    empty = linear_cross_entropy(features[:0], coef, labels[:0])
    assert empty.value == 0
    assert empty.features.shape == (0, 3)


def test_wrong_arguments_are_named():
    features, coef, labels, intercept, weights = problem()
    for message, wrong in (
        ("features have shape", {"features": features[0]}),
        ("features have dtype", {"features": features.astype(complex)}),
        ("coef has shape", {"coef": coef[:, :2]}),
        (r"labels\[3\] is 9", {"labels": np.where(np.arange(7) == 3, 9, labels)}),
        ("labels have shape", {"labels": labels[:3]}),
        ("intercept is", {"intercept": intercept[:2]}),
        (r"sample_weight\[1\]", {"sample_weight": np.where(np.arange(7) == 1, -1.0, weights)}),
        ("label_smoothing is", {"label_smoothing": 2.0}),
        ("reduction is", {"reduction": "none"}),
        (r"class_weight\[1\]", {"class_weight": [1, -1, 1, 1]}),
        ("class_weight has shape", {"class_weight": [1, 1]}),
        ("class_weight has the key 4", {"class_weight": {4: 1.0}}),
    ):
        arguments = {"features": features, "coef": coef, "labels": labels, **wrong}
        with pytest.raises(DataError, match=message):
            luce.linear_cross_entropy(**arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_are_those_of_cross_entropy(
    dtype, is_sparse, reduction, options, soft, weighted
):
    features, coef, labels, intercept, weights = problem(300, 12, 5, dtype)
    class_weight = np.array([0.5, 2.0, 0.0, 3.0, 1e3])
    if soft:
        labels = np.random.default_rng(1).dirichlet(np.ones(5), 300)
    options = {"reduction": reduction, "class_weight": class_weight, **options}
    if weighted:
        options["sample_weight"] = weights
    given = scipy.sparse.csr_array(features) if is_sparse else features
    found = linear_cross_entropy(given, coef, labels, intercept, **options)
    scores = features.astype("d") @ coef.T.astype("d") + intercept
    expected, residuals = cross_entropy_gradient(scores, labels, **options)
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    assert found.value == pytest.approx(expected, rel=tolerance)
    size = np.abs(residuals).sum()
    np.testing.assert_allclose(found.intercept, residuals.sum(axis=0), atol=tolerance * size)
    np.testing.assert_allclose(found.coef, residuals.T @ features, atol=3 * tolerance * size)
    assert found.coef.dtype == dtype
    if not is_sparse:
        assert found.features.dtype == dtype
        np.testing.assert_allclose(found.features, residuals @ coef, atol=3 * tolerance * size)


def test_class_weights_by_name_and_of_any_size():
    features, coef, labels, _, _ = problem(50, 6, 3)
    listed = linear_cross_entropy(features, coef, labels, class_weight=[1.0, 4.0, 1.0])
    named = linear_cross_entropy(features, coef, labels, class_weight={1: 4.0})
    assert named.value == listed.value
    targets = np.eye(3)[labels]
    for size in (1e-300, 1e300, 1.5e308):
        for given, options in (
            (labels, {}),
            (targets, {}),
            (labels, {"label_smoothing": 0.1}),
        ):
            found = linear_cross_entropy(
                features[:1], coef, given[:1], class_weight=[size] * 3, **options
            )
            plain = linear_cross_entropy(features[:1], coef, given[:1], **options)
            assert found.value == pytest.approx(plain.value)
    nothing = linear_cross_entropy(features, coef, labels, class_weight=np.zeros(3))
    assert nothing.value == 0
    assert not nothing.coef.any()


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil"])
@pytest.mark.parametrize("container", ["array", "matrix"])
def test_sparse_features_give_what_dense_ones_do_and_are_left_alone(kind, container):
    features, coef, labels, intercept, weights = problem(90, 40, 6, np.float32)
    features[np.abs(features) < 0.8] = 0
    given = getattr(scipy.sparse, f"{kind}_{container}")(features)
    kept = given.copy()
    options = {"sample_weight": weights, "label_smoothing": 0.1}
    found = linear_cross_entropy(given, coef, labels, intercept, **options)
    dense = linear_cross_entropy(features, coef, labels, intercept, **options)
    assert found.value == pytest.approx(dense.value, rel=1e-6)
    np.testing.assert_allclose(found.coef, dense.coef, atol=1e-6)
    np.testing.assert_allclose(found.intercept, dense.intercept, atol=1e-6)
    assert found.coef.dtype == np.float32
    assert found.features is None
    assert (given != kept).nnz == 0


def test_entries_of_a_sparse_matrix_in_any_order_repeated_and_of_any_type():
    _, coef, labels, _, _ = problem(3, 4, 3)
    data = np.array([1, 2, 3, 4, 5])
    indices, indptr = np.array([3, 0, 0, 2, 1]), np.array([0, 3, 3, 5])
    given = scipy.sparse.csr_matrix((data, indices, indptr), shape=(3, 4))
    found = linear_cross_entropy(given, coef, labels)
    dense = linear_cross_entropy(given.toarray(), coef, labels)
    np.testing.assert_allclose(found.coef, dense.coef, atol=1e-15)
    np.testing.assert_array_equal(given.indices, indices)
    assert given.dtype == data.dtype
    given.data, given.indices = np.repeat(data, 2)[::2], np.repeat(indices, 2)[::2]
    np.testing.assert_array_equal(linear_cross_entropy(given, coef, labels).coef, found.coef)
    assert not given.data.flags.c_contiguous


@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_unsound_sparse_features_are_refused(kind):
    features, coef, labels, _, _ = problem()
    for array, place, wrong in (
        ("indices", 2, -1),
        ("indices", 5, 7),
        ("indices", 0, 2**31 - 1),
        ("indptr", 0, 3),
        ("indptr", 1, 2**30),
        ("indptr", -1, 2**30),
        ("indptr", 2, -5),
    ):
        given = getattr(scipy.sparse, f"{kind}_array")(features)
        getattr(given, array)[place] = wrong
        with pytest.raises(DataError, match=f"features are not a sound {kind.upper()} matrix"):
            linear_cross_entropy(given, coef, labels)
    for message, given, options in (
        ("features have dtype", scipy.sparse.csr_array(features).astype(complex), {}),
        ("their gradient is dense", scipy.sparse.csr_array(features), {"features_gradient": True}),
        ("coef has shape", scipy.sparse.csr_array(features[:, :2]), {}),
        ("labels have shape", scipy.sparse.csr_array(features[:5]), {}),
        ("features have shape", scipy.sparse.coo_array(features[0]), {}),
    ):
        with pytest.raises(DataError, match=message):
            linear_cross_entropy(given, coef, labels, **options)
