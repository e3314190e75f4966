import numpy as np
import pytest
from mpmath import mp, mpf

import luce
from luce.errors import DataError
from luce.losses import cross_entropy, linear_cross_entropy


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
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}, {"soft": True}])
def test_value_is_the_cross_entropy_of_the_scores(dtype, reduction, options):
    features, coef, labels, intercept, weights = problem(500, 40, 30, dtype)
    if options == {"soft": True}:
        options, labels = {}, np.random.default_rng(1).dirichlet(np.ones(30), 500)
    options = {"sample_weight": weights, "reduction": reduction, **options}
    found = linear_cross_entropy(features, coef, labels, intercept, **options)
    scores = features.astype("d") @ coef.T + intercept
    expected = cross_entropy(scores, labels, **options)
    assert found.value == pytest.approx(expected, rel=1e-6 if dtype == np.float32 else 1e-13)
    assert found.coef.dtype == found.features.dtype == dtype


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
        ("smooth the soft targets", {"labels": np.full((7, 4), 0.25), "label_smoothing": 0.1}),
        ("reduction is", {"reduction": "none"}),
    ):
        arguments = {"features": features, "coef": coef, "labels": labels, **wrong}
        with pytest.raises(DataError, match=message):
            luce.linear_cross_entropy(**arguments)
