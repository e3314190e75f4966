"""The pass of a linear classifier against its twin in float64: every way through it."""

import numpy as np
import pytest
from scipy.special import log_softmax

from luce import kernels
from luce.kernels import reference_linear as reference

# Both sides of each switch: dot products or tiles, one vector of classes or panels, lanes or steps.
SHAPES = [
    (1, 1, 1),
    (3, 2, 2),
    (7, 5, 3),
    (100, 17, 5),
    (241, 64, 10),
    (500, 33, 12),
    (500, 40, 13),
    (300, 31, 16),
    (300, 70, 31),
    (90, 300, 49),
    (260, 100, 257),
    (270, 260, 120),
    (61, 900, 33),
    (500, 130, 300),
    (30, 3000, 9),
    (50, 43, 1),
    (40, 61, 2),
    (70, 110, 4),
    (130, 90, 6),
    (75, 203, 7),
]
TYPES = [
    (np.float32, np.float32, np.float64),
    (np.float32, np.float32, np.float32),
    (np.float32, np.float64, np.float64),
    (np.float64, np.float64, np.float64),
]


def problem(n, d, k, element, real, seed=0):
    random = np.random.default_rng(seed)
    features = random.standard_normal((n, d)).astype(element)
    coef = (random.standard_normal((k, d)) * 2 / np.sqrt(d)).astype(real)
    intercept = random.standard_normal(k).astype(real)
    labels = random.integers(0, k, n)
    weights = random.uniform(0, 2, n)
    centre = random.standard_normal(d).astype(real)
    return features, labels, weights, coef, intercept, centre


def layouts(features):
    yield "C", features
    yield "F", np.asfortranarray(features)
    wide = np.zeros((2 * len(features), features.shape[1] + 3), features.dtype)
    wide[::2, 1:-2] = features
    wide.flags.writeable = False
    yield "strided", wide[::2, 1:-2]
    yield "reversed", np.ascontiguousarray(features[::-1, ::-1])[::-1, ::-1]


def scale_of(features, centre, coef, weights):
    """What the entries of the gradients are made of, at most: sums of |x| |p - y|."""
    rows = np.abs(features.astype(np.float64) - (0 if centre is None else centre))
    rows = rows if weights is None else rows * weights[:, None]
    return rows.sum(axis=0) + 1e-30


@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
@pytest.mark.parametrize(("element", "real", "total"), TYPES)
def test_value_and_gradients(n, d, k, element, real, total):
    features, labels, weights, coef, intercept, centre = problem(n, d, k, element, real)
    targets = np.random.default_rng(1).dirichlet(np.ones(k), n).astype(real)
    eps = float(np.finfo(real).eps)
    for layout, given in layouts(features):
        kinds = ("plain", "weighted", "smoothed", "soft", "made", "made soft", "with features")
        for kind in kinds if layout == "C" else kinds[1:2]:
            options = {
                "centre": centre if kind in ("weighted", "soft") else None,
                "label_smoothing": 0.1 if kind in ("smoothed", "made", "made soft") else 0.0,
                "class_weights": np.linspace(0, 2, k) if kind in ("made", "made soft") else None,
            }
            results = []
            for module, out in ((kernels, total), (reference, np.float64)):
                gradient = np.full((k, d), np.nan, out)
                bias_gradient = np.full(k, np.nan)
                back = None
                if kind == "with features":
                    back = np.full((n, d), np.nan, real if module is kernels else np.float64)
                value = module.linear_cross_entropy(
                    given,
                    targets if kind in ("soft", "made soft") else labels,
                    weights if kind != "plain" else None,
                    coef,
                    None if kind == "plain" else intercept,
                    gradient,
                    bias_gradient,
                    back,
                    threads=2,
                    **options,
                )
                results.append((value, gradient, bias_gradient, back))
            (value, gradient, bias, back), expected = results
            message = f"{layout}, {kind}"
            assert value == pytest.approx(expected[0], rel=20 * eps, abs=1e-30), message
            size = scale_of(features, options["centre"], coef, weights if kind != "plain" else None)
            rounding = 40 * eps * size + np.finfo(total).eps * size
            assert (np.abs(gradient - expected[1]) <= rounding).all(), message
            assert np.abs(bias - expected[2]).max() <= 20 * eps * n, message
            if back is not None:
                assert np.abs(back - expected[3]).max() <= 100 * eps, message


@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
@pytest.mark.parametrize(("element", "real", "total"), TYPES)
def test_hessian_vector(n, d, k, element, real, total):
    features, _, weights, coef, intercept, centre = problem(n, d, k, element, real)
    random = np.random.default_rng(2)
    direction = random.standard_normal((k, d)).astype(real)
    slope = random.standard_normal(k).astype(real)
    for layout, given in layouts(features):
        for plain in (True, False) if layout == "C" else (False,):
            results = []
            for module, out in ((kernels, total), (reference, np.float64)):
                product, bias = np.full((k, d), np.nan, out), np.full(k, np.nan)
                module.linear_hessian_vector(
                    given,
                    None if plain else weights,
                    coef,
                    None if plain else intercept,
                    direction,
                    None if plain else slope,
                    product,
                    bias,
                    centre=None if plain else centre,
                    threads=2,
                )
                results.append((product, bias))
            (product, bias), expected = results
            size = scale_of(features, centre, coef, weights).max() * np.sqrt(d)
            tolerance = 100 * float(np.finfo(real).eps) * size
            assert np.abs(product - expected[0]).max() <= tolerance, (layout, plain)
            assert np.abs(bias - expected[1]).max() <= tolerance, (layout, plain)


@pytest.mark.one_isa
@pytest.mark.parametrize(("element", "real", "total"), TYPES[1:3])
def test_more_coefficients_than_are_packed_at_once_and_more_rows_than_a_stretch(
    element, real, total
):
    features, labels, weights, coef, intercept, _ = problem(400, 400, 10_600, element, real)
    direction = np.roll(coef, 7, axis=0)
    found, expected = [], []
    for module, into, out, wide in (
        (kernels, found, total, real),
        (reference, expected, np.float64, np.float64),
    ):
        gradient, bias = np.empty(coef.shape, out), np.empty(len(coef))
        product, bias_product = np.empty(coef.shape, out), np.empty(len(coef))
        back = np.empty(features.shape, wide)
        value = module.linear_cross_entropy(
            features, labels, weights, coef, intercept, gradient, bias, back, threads=2
        )
        module.linear_hessian_vector(
            features, None, coef, intercept, direction, None, product, bias_product, threads=2
        )
        into.extend([value, gradient, bias, back, product, bias_product])
    for one, other in zip(found, expected, strict=True):
        size = np.abs(other).max()
        assert np.abs(one - other).max() <= 100 * np.finfo(real).eps * size


def gradient_of(features, labels, coef, threads=1, **options):
    gradient, bias = np.empty(coef.shape), np.empty(len(coef))
    value = kernels.linear_cross_entropy(
        features, labels, None, coef, None, gradient, bias, threads=threads, **options
    )
    return value, gradient, bias


@pytest.mark.parametrize(("n", "d", "k"), [(40_000, 20, 7), (9000, 150, 200), (5000, 64, 40)])
def test_same_bits_for_any_number_of_threads(n, d, k):
    features, labels, _, coef, _, _ = problem(n, d, k, np.float32, np.float32)
    one, *others = (gradient_of(features, labels, coef, threads) for threads in (1, 2, 3, 7))
    for other in others:
        assert other[0] == one[0]
        np.testing.assert_array_equal(other[1], one[1])
        np.testing.assert_array_equal(other[2], one[2])


@pytest.mark.parametrize(
    ("d", "k"),
    [
        (50, 3),
        (200, 300),
        pytest.param(300, 10, marks=pytest.mark.one_isa),
        pytest.param(128, 64, marks=pytest.mark.one_isa),
    ],
)
def test_sums_over_many_rows_are_accurate(d, k):
    n = 20_000
    features, labels, _, coef, _, _ = problem(n, d, k, np.float32, np.float32)
    features = np.abs(features)
    value, gradient, _ = gradient_of(features, labels, coef, 2)
    rows = features.astype(np.float64)
    logarithms = log_softmax(rows @ coef.T.astype(np.float64), axis=1)
    expected = -logarithms[np.arange(n), labels].sum()
    residuals = np.exp(logarithms)
    residuals[np.arange(n), labels] -= 1
    worst = (np.abs(gradient - residuals.T @ rows) / (np.abs(residuals).T @ rows)).max()
    print(f"d {d}, k {k}: value off by {value / expected - 1:.1e}, gradient by {worst:.1e}")
    assert worst < 1e-6
    assert abs(value / expected - 1) < 1e-8


def test_far_scores_and_certain_rows_leave_exact_residuals():
    features = np.array([[1.0], [50.0], [-200.0], [2000.0]], np.float32)
    coef = np.array([[1.0], [0.0], [-1.0]], np.float32)
    labels = np.array([0, 0, 2, 2])
    for k in (3, 20):
        wide = np.vstack([coef, np.full((k - 3, 1), -3.0, np.float32)]) if k > 3 else coef
        value, gradient, _ = gradient_of(features, labels, wide)
        exact, bias = np.empty((k, 1)), np.empty(k)
        expected = reference.linear_cross_entropy(features, labels, None, wide, None, exact, bias)
        assert value == pytest.approx(expected, rel=1e-6)
        np.testing.assert_allclose(gradient, exact, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("k", [2, 3, 32, 64, 128, 256])
def test_sums_of_losses_neither_overflow_nor_lose_the_smallest(k, real):
    n = 300
    features, labels = np.ones((n, 1), real), np.arange(n) % k
    value, _, _ = gradient_of(features, labels, np.zeros((k, 1), real))
    assert value == pytest.approx(n * np.log(k), rel=1e-6 if real == np.float32 else 1e-14)
    labels[:] = 1
    coef = np.zeros((k, 1), real)
    coef[1] = 35
    value, _, _ = gradient_of(features, labels, coef)
    assert value == pytest.approx(n * np.log1p((k - 1) * np.exp(-35.0)), rel=1e-6, abs=0)


@pytest.mark.parametrize("k", [2, 3, 30, 300])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_makes_the_value_not_finite(k, bad):
    features, labels, _, coef, _, _ = problem(100, 20, k, np.float32, np.float32)
    features[50, 3] = bad
    value, _, _ = gradient_of(features, labels, coef)
    assert not np.isfinite(value)


def test_empty():
    for d, k in ((5, 3), (0, 3), (200, 300)):
        features, labels, _, coef, _, _ = problem(0, d, k, np.float64, np.float64)
        value, gradient, bias = gradient_of(features, labels, coef)
        assert value == 0
        assert not gradient.any()
        assert not bias.any()
    _, labels, _, coef, _, _ = problem(6, 0, 3, np.float64, np.float64)
    value, _, bias = gradient_of(np.empty((6, 0)), labels, coef)
    assert value == pytest.approx(6 * np.log(3))
    np.testing.assert_allclose(bias, 2.0 - np.bincount(labels, minlength=3), atol=1e-12)


def test_wrong_arguments_are_refused():
    features, labels, weights, coef, intercept, centre = problem(10, 4, 3, "f", "f")
    gradient, bias = np.empty((3, 4)), np.empty(3)

    def call(features=features, labels=labels, weights=weights, coef=coef, intercept=intercept,
             gradient=gradient, bias=bias, **options):  # fmt: skip
        kernels.linear_cross_entropy(
            features, labels, weights, coef, intercept, gradient, bias, **options
        )

    call(centre=centre)
    for wrong in (
        {"features": features.astype(np.float64)},
        {"coef": coef.astype(np.float16)},
        {"labels": labels.astype(np.int32)},
        {"gradient": gradient.astype(np.int64)},
        {"intercept": intercept.astype(np.float64)},
    ):
        with pytest.raises(TypeError):
            call(**wrong)
    for wrong in (
        {"features": features[:, :3]},
        {"features": features[0]},
        {"labels": labels[:9]},
        {"weights": weights[:9]},
        {"coef": coef[:, :3]},
        {"gradient": gradient[:2]},
        {"bias": bias[:2]},
        {"gradient": np.empty((4, 3)).T},
        {"label_smoothing": 1.5},
        {"centre": centre[:3]},
        {"labels": np.empty((10, 2), np.float32)},
        {"gradient": coef},
    ):
        with pytest.raises(ValueError, match=r"."):
            call(**wrong)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("d", "k"), [(20, 3), (64, 40), (300, 120)])
def test_memory_mapped_features_are_read_where_they_lie(order, d, k, tmp_path):
    features, labels, weights, coef, intercept, _ = problem(700, d, k, np.float32, np.float32)
    path = tmp_path / "features.npy"
    np.save(path, np.asarray(features, order=order))
    mapped = np.load(path, mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    assert mapped.flags[f"{order}_CONTIGUOUS"]
    gradient, bias = np.empty((k, d)), np.empty(k)
    value = kernels.linear_cross_entropy(
        mapped, labels, weights, coef, intercept, gradient, bias, threads=2
    )
    exact, exact_bias = np.empty((k, d)), np.empty(k)
    expected = reference.linear_cross_entropy(
        features, labels, weights, coef, intercept, exact, exact_bias
    )
    assert value == pytest.approx(expected, rel=1e-6)
    size = scale_of(features, None, coef, weights)
    assert (np.abs(gradient - exact) <= 1e-6 * size).all()
    assert np.abs(bias - exact_bias).max() <= 1e-6 * weights.sum()
