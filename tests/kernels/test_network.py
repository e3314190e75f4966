"""The kernels of a network against their twins, and the activations against exact values."""

import itertools

import mpmath
import numpy as np
import pytest

from luce import kernels
from luce.kernels import reference_network as reference

REALS = [np.float32, np.float64]
ACTIVATIONS = ["identity", "relu", "gelu", "tanh", "logistic"]

# Both sides of each switch: whole and partial vectors, tiles and panels, several depths, threads.
SHAPES = [
    *itertools.product((0, 1, 5, 13), (1, 3, 17), (1, 2, 16, 33)),
    *[(12, 5, 32), (25, 7, 48), (32, 64, 100), (57, 300, 10), (200, 256, 65), (513, 130, 31)],
    *[(301, 90, 257), (1000, 64, 50), (2, 700, 3), (48, 0, 5)],
]


def near(got, exact, scale, factor=2.0):
    """Within the rounding of a sum of products whose magnitudes sum to `scale`."""
    bound = factor * np.finfo(got.dtype).eps * scale + np.finfo(got.dtype).tiny
    assert (np.abs(got.astype(np.longdouble) - exact) <= bound).all()


def layer(n, d, k, real, seed=0):
    random = np.random.default_rng(seed)
    features = random.standard_normal((n, d)).astype(real)
    weights = (random.standard_normal((d, k)) / np.sqrt(max(d, 1))).astype(real)
    bias, cotangent = random.standard_normal(k), random.standard_normal((n, k))
    return features, weights, bias.astype(real), cotangent.astype(real)


def strided(features):
    wide = np.full((2 * len(features), features.shape[1] + 3), np.nan, features.dtype)
    wide[::2, 1:-2] = features
    wide.flags.writeable = False
    return wide[::2, 1:-2]


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_dense(n, d, k, real):
    features, weights, bias, _ = layer(n, d, k, real)
    for activation in ACTIVATIONS:
        out, before, exact, sums = (np.full((n, k), np.nan, real) for _ in range(4))
        reference.dense(features, weights, bias, activation, exact, sums)
        kernels.dense(features, weights, bias, activation, out, before)
        scale = np.sqrt(d + 1) * (np.abs(features) @ np.abs(weights) + np.abs(bias))
        near(before, sums, scale)
        near(out, exact, scale + np.abs(exact))
        for threads, given in ((2, features), (5, strided(features))):
            again = np.full((n, k), np.nan, real)
            kernels.dense(given, weights, bias, activation, again, threads=threads)
            np.testing.assert_array_equal(again, out)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_dense_vjp(n, d, k, real):
    features, weights, bias, cotangent = layer(n, d, k, real)
    for activation in ACTIVATIONS:
        out, before = np.empty((n, k), real), np.empty((n, k), real)
        reference.dense(features, weights, bias, activation, out, before)
        kept = before if activation == "gelu" else out
        results = []
        for run, threads, given in (
            (reference.dense_vjp, 1, features),
            (kernels.dense_vjp, 1, features),
            (kernels.dense_vjp, 3, strided(features)),
        ):
            result = [cotangent.copy(), np.full_like(weights, np.nan), np.full_like(bias, np.nan)]
            result.append(np.full_like(features, np.nan))
            delta, *gradients = result
            run(delta, kept, activation, given, weights, *gradients, threads=threads)
            results.append(result)
        exact, got, shared = results
        size = np.abs(cotangent)
        near(got[0], exact[0], size)
        near(got[1], exact[1], np.sqrt(n + 1) * (np.abs(features).T @ size))
        near(got[2], exact[2], size.sum(axis=0))
        near(got[3], exact[3], np.sqrt(k + 1) * (size @ np.abs(weights).T))
        for one, other in zip(got, shared, strict=True):
            np.testing.assert_array_equal(one, other)
        some = [cotangent.copy(), *(np.full_like(x, np.nan) for x in got[1:3])]
        kernels.dense_vjp(some[0], kept, activation, features, weights, *some[1:])
        for one, other in zip(got[:3], some, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("real", REALS)
def test_what_is_not_finite_stays_in_its_row(real):
    features, weights, bias, _ = layer(30, 7, 40, real)
    out, spoilt = np.empty((30, 40), real), np.empty((30, 40), real)
    kernels.dense(features, weights, bias, "relu", out)
    features[11, 3], features[20, 0] = np.nan, np.inf
    kernels.dense(features, weights, bias, "relu", spoilt)
    others = np.delete(np.arange(30), [11, 20])
    np.testing.assert_array_equal(out[others], spoilt[others])
    assert np.isnan(spoilt[11]).all()


def exact_activations():
    half = mpmath.mpf(1) / 2
    root = mpmath.sqrt(2)
    return {
        "tanh": mpmath.tanh,
        "logistic": lambda x: 1 / (1 + mpmath.exp(-x)),
        "gelu": lambda x: x * mpmath.erfc(-x / root) * half,
    }


def gelu_slope(x):
    density = mpmath.exp(-x * x / 2) / mpmath.sqrt(2 * mpmath.pi)
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2 + x * density


def errors(got, arguments, exact):
    """Errors in units in the last place, of results that are normal numbers."""
    limits = np.finfo(got.dtype)
    for y, x in zip(got.tolist(), arguments.tolist(), strict=True):
        true = exact(mpmath.mpf(x))
        if abs(true) >= 4 * float(limits.tiny):
            unit = mpmath.mpf(2) ** (mpmath.frexp(abs(true))[1] - limits.nmant - 1)
            yield float(abs(mpmath.mpf(y) - true) / unit), x
        else:
            assert abs(y) <= 8 * float(limits.tiny), x


def arguments_of(real):
    random = np.random.default_rng(0)
    far = 100 if real == np.float32 else 750
    lowest = -30 if real == np.float32 else -200
    return np.concatenate(
        [
            random.uniform(-6, 6, 600),
            random.uniform(-14, 14, 300),
            random.uniform(-far, far, 300),
            random.standard_normal(200) * 10.0 ** random.uniform(lowest, 0, 200),
        ]
    ).astype(real)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("activation", ["tanh", "logistic", "gelu"])
def test_activations_are_exact_to_a_few_units_in_the_last_place(activation, real):
    with mpmath.workprec(200):
        x = arguments_of(real)
        out = np.empty_like(x)
        kernels.activate(x, activation, out)
        worst = max(errors(out, x, exact_activations()[activation]))
    assert worst[0] < {"tanh": 3, "logistic": 3, "gelu": 6}[activation], worst


@pytest.mark.parametrize("real", REALS)
def test_the_derivative_of_gelu_is_exact_but_where_it_cancels(real):
    x = arguments_of(real)
    slopes = np.empty_like(x)
    kernels.activate_vjp(np.ones_like(x), x, "gelu", slopes)
    with mpmath.workprec(200):
        exact = np.array([float(gelu_slope(mpmath.mpf(float(a)))) for a in x])
    scale = np.minimum(1, np.exp(-(np.minimum(x.astype(np.float64), 0) ** 2) / 2) * (1 + np.abs(x)))
    assert (
        np.abs(slopes - exact) <= 2 * np.finfo(real).eps * scale + 8 * np.finfo(real).tiny
    ).all()


@pytest.mark.parametrize("real", REALS)
def test_activations_at_the_ends(real):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], real)
    expected = {
        "identity": (x, [1, 1, 1, 1, 1]),
        "relu": ([np.nan, np.inf, 0, 0, 0], [0, 1, 0, 0, 0]),
        "tanh": ([np.nan, 1, -1, 0, -0.0], [np.nan, 0, 0, 1, 1]),
        "logistic": ([np.nan, 1, 0, 0.5, 0.5], [np.nan, 0, 0, 0.25, 0.25]),
        "gelu": ([np.nan, np.inf, 0, 0, 0], [np.nan, 1, 0, 0.5, 0.5]),
    }
    for activation, (values, slopes) in expected.items():
        out, slope = np.empty_like(x), np.ones_like(x)
        kernels.activate(x, activation, out)
        np.testing.assert_array_equal(out, values)
        kernels.activate_vjp(slope, x if activation == "gelu" else out, activation, slope)
        np.testing.assert_array_equal(slope, slopes)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_long_arrays_in_place(activation, real):
    x = np.random.default_rng(0).standard_normal((700, 101)).astype(real)
    out, known = np.empty_like(x), x.copy()
    kernels.activate(x, activation, out)
    kernels.activate(known, activation, known, threads=3)
    np.testing.assert_array_equal(out, known)
    cotangent, exact = np.roll(x, 1), np.empty_like(x)
    kept = x if activation == "gelu" else out
    reference.activate_vjp(cotangent, kept, activation, exact)
    kernels.activate_vjp(cotangent, kept, activation, cotangent, threads=3)
    near(cotangent, exact, np.abs(np.roll(x, 1)))


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("k", [1, 2, 7, 16, 33, 300])
@pytest.mark.parametrize("n", [0, 1, 15, 200, 5000])
def test_residuals(n, k, real):
    random = np.random.default_rng(k)
    scores = (5 * random.standard_normal((n, k))).astype(real)
    labels, weights = random.integers(0, k, n), random.uniform(0, 2, n)
    results = []
    for run, threads in ((reference.residuals, 1), (kernels.residuals, 1), (kernels.residuals, 3)):
        given, losses = scores.copy(), np.full(n, np.nan)
        results.append((given, losses, run(given, labels, weights, losses, threads=threads)))
    exact, got, shared = results
    np.testing.assert_array_equal(got[0], shared[0])
    np.testing.assert_array_equal(got[1], shared[1])
    assert got[2] == shared[2]
    largest = np.abs(exact[0]).max(axis=1, keepdims=True, initial=0)
    near(got[0], exact[0], largest, 16)  # the differences of scores are rounded
    sizes = weights * (1 + np.abs(scores).max(axis=1, initial=0))
    bound = 4 * np.finfo(real).eps * sizes
    assert (np.abs(got[1] - exact[1]) <= bound).all()
    assert abs(got[2] - exact[2]) <= 10 * bound.sum()


def test_labels_that_are_no_classes():
    for wrong in (-1, 3, 2**62):
        with pytest.raises(ValueError, match=r"label of row 1 is .*; there are 3 classes"):
            kernels.residuals(np.ones((2, 3)), np.array([0, wrong]), np.ones(2), np.ones(2))


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.999])
def test_dropout(rate, real):
    x = np.random.default_rng(0).standard_normal((300, 221)).astype(real)
    for seed in (0, 1, 2**64 - 1):
        out, exact, shared = np.empty_like(x), np.empty_like(x), x.copy()
        kernels.dropout(x, rate, seed, out)
        reference.dropout(x, rate, seed, exact)
        kernels.dropout(shared, rate, seed, shared, threads=4)
        np.testing.assert_array_equal(out, shared)
        np.testing.assert_array_equal(out == 0, exact == 0)
        np.testing.assert_allclose(out, exact, rtol=2 * np.finfo(real).eps)
        dropped = np.mean(out == 0)
        assert abs(dropped - rate) < 5 * np.sqrt(rate * (1 - rate) / x.size) + 1e-9


def test_neighbouring_seeds_and_places_drop_independently():
    ones = np.ones(1 << 16)
    masks = []
    for seed in (5, 6, 1 << 40):
        out = np.empty_like(ones)
        kernels.dropout(ones, 0.5, seed, out)
        masks.append(np.sign(out) - 0.5)
    pairs = [(0, 1, 0), (0, 2, 0), (0, 0, 1), (0, 0, 16), (1, 1, 100)]
    for one, other, lag in pairs:
        correlation = np.mean(masks[one] * np.roll(masks[other], lag)) * 4
        assert abs(correlation) < 5 / 256, (one, other, lag)


SIZES = [(0, 0), (1, 0), (1, 1), (37, 20), (100, 100), (70_001, 33_333), (66_000, 0)]


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("count", "penalised"), SIZES)
def test_adam_step(count, penalised, real):
    random = np.random.default_rng(count)
    start = random.standard_normal(count).astype(real)
    for settings in (
        {"rate": 1e-2},
        {"rate": 0.1, "beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-3, "scale": 0.3},
        {"rate": 0.1, "penalised": penalised, "penalty": 0.7},
        {"rate": 0.1, "penalised": penalised, "decay": 0.2},
    ):
        got, exact, shared = ([start.copy(), 0 * start, 0 * start] for _ in range(3))
        for step in (1, 2, 3):
            gradient = random.standard_normal(count).astype(real)
            reference.adam_step(exact[0], gradient, *exact[1:], step=step, **settings)
            kernels.adam_step(got[0], gradient, *got[1:], step=step, **settings)
            kernels.adam_step(shared[0], gradient, *shared[1:], step=step, threads=3, **settings)
        for a, b, c in zip(got, exact, shared, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5 if real == np.float32 else 1e-13, atol=1e-6)
            np.testing.assert_array_equal(a, c)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("count", "penalised"), SIZES)
def test_momentum_step(count, penalised, real):
    random = np.random.default_rng(count)
    start = random.standard_normal(count).astype(real)
    for settings in (
        {"rate": 1e-2},
        {"rate": 0.1, "momentum": 0.9, "scale": 0.3, "penalised": penalised, "penalty": 0.7},
        {"rate": 0.1, "momentum": 0.9, "nesterov": True, "penalised": penalised, "decay": 0.3},
    ):
        got, exact, shared = ([start.copy(), 0 * start] for _ in range(3))
        for _ in range(3):
            gradient = random.standard_normal(count).astype(real)
            reference.momentum_step(exact[0], gradient, exact[1], **settings)
            kernels.momentum_step(got[0], gradient, got[1], **settings)
            kernels.momentum_step(shared[0], gradient, shared[1], threads=3, **settings)
        for a, b, c in zip(got, exact, shared, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5 if real == np.float32 else 1e-13, atol=1e-6)
            np.testing.assert_array_equal(a, c)


class TestRefusals:
    """Nothing is converted, and nothing outside the arrays is touched."""

    def dense(self, **other):
        features, weights, bias, _ = layer(4, 3, 2, np.float32)
        given = {"features": features, "weights": weights, "bias": bias, "activation": "relu"}
        kernels.dense(**{**given, "out": np.empty((4, 2), np.float32), **other})

    @pytest.mark.parametrize(
        ("other", "complaint"),
        [
            ({"activation": "swish"}, "'swish'; expected identity, relu, gelu, tanh or logistic"),
            ({"weights": np.ones((2, 2), np.float32)}, r"weights has shape \(2, 2\)"),
            ({"bias": np.ones(3, np.float32)}, r"bias has shape \(3,\)"),
            ({"out": np.ones((3, 2), np.float32)}, r"out has shape \(3, 2\)"),
            ({"out": np.ones((4, 4), np.float32)[:, ::2]}, "elements of a row must be adjacent"),
            ({"out": np.ones((8, 2), np.float32)[::2]}, "out must be C-contiguous"),
            ({"features": np.ones((3, 4), np.float32).T}, "features: the elements of a row"),
            ({"features": np.ones(3, np.float32)}, "features has shape"),
        ],
    )
    def test_shapes(self, other, complaint):
        with pytest.raises(ValueError, match=complaint):
            self.dense(**other)

    @pytest.mark.parametrize("name", ["features", "weights", "bias", "out"])
    def test_dtypes(self, name):
        shapes = {"features": (4, 3), "weights": (3, 2), "bias": (2,), "out": (4, 2)}
        for dtype in (np.float64, np.float16, np.int64):
            with pytest.raises(TypeError):
                self.dense(**{name: np.ones(shapes[name], dtype)})

    def test_overlap(self):
        memory = np.ones(100, np.float32)
        with pytest.raises(ValueError, match="out overlaps features"):
            self.dense(features=memory[:12].reshape(4, 3), out=memory[8:16].reshape(4, 2))
        with pytest.raises(ValueError, match="out overlaps kept"):
            kernels.activate_vjp(memory[:20], memory[25:45], "tanh", memory[30:50])

    def test_a_derivative_that_needs_what_was_kept(self):
        with pytest.raises(ValueError, match="kept is None"):
            kernels.activate_vjp(np.ones(3), None, "tanh", np.ones(3))

    def test_steps(self):
        x, g, m, s = np.ones((4, 3))
        with pytest.raises(ValueError, match="step counts from 1"):
            kernels.adam_step(x, g, m, s, step=0, rate=0.1)
        with pytest.raises(ValueError, match="beta_1 and beta_2"):
            kernels.adam_step(x, g, m, s, step=1, rate=0.1, beta_2=1.0)
        with pytest.raises(ValueError, match="penalised"):
            kernels.adam_step(x, g, m, s, step=1, rate=0.1, penalised=4)
        with pytest.raises(ValueError, match="overlaps"):
            kernels.momentum_step(x, x, m, rate=0.1)
        with pytest.raises(TypeError):
            kernels.momentum_step(x, g.astype(np.float32), m, rate=0.1)
        with pytest.raises(ValueError, match="rate must be"):
            kernels.dropout(x, 1.0, 0, g)
