import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

import luce
from luce.errors import DataError
from luce.training import curvature, fit_softmax_regression, inverse_hessians
from luce.training.objective import WORTH_SHARING, SoftmaxRegression


def objective(fit, features, labels, C, weights=None):
    """The objective in plain float64 NumPy: the independent judge."""
    weights = np.ones(len(labels)) if weights is None else weights
    scores = features @ fit.coef.T + fit.intercept
    losses = logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels]
    total = weights.sum()
    return (weights @ losses) / total + (fit.coef**2).sum() / (2 * C * total)


def problem(seed, n=200, d=6, k=4, spread=0.0, noise=1.0):
    """Correlated features, scaled over 10 ** spread, with labels from noisy scores."""
    random = np.random.default_rng(seed)
    features = random.standard_normal((n, d)) @ random.standard_normal((d, d))
    scores = features @ random.standard_normal((d, k)) + noise * random.gumbel(size=(n, k))
    labels = scores.argmax(axis=1)
    labels[:k] = np.arange(k)
    return features * 10 ** np.linspace(0, spread, d) + 10**spread, labels


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    k=st.integers(2, 7),
    d=st.integers(1, 9),
    log_c=st.floats(-3, 3),
    spread=st.sampled_from([0.0, 3.0]),
    fit_intercept=st.booleans(),
    weighted=st.booleans(),
    single=st.booleans(),
    passes=st.integers(1, 12),
)
def test_the_certificate_is_never_below_the_true_gap(
    seed, k, d, log_c, spread, fit_intercept, weighted, single, passes
):
    features, labels = problem(seed, n=60, d=d, k=k, spread=spread)
    features = features.astype(np.float32) if single else features
    C = 10.0**log_c
    weights = np.random.default_rng(seed).uniform(0.1, 3, 60) if weighted else None
    arguments = {"C": C, "fit_intercept": fit_intercept, "sample_weight": weights, "classes": k}
    best = fit_softmax_regression(features, labels, tol=1e-12, **arguments)
    early = fit_softmax_regression(features, labels, tol=1e-12, max_iter=passes, **arguments)
    assert best.optimality_gap < 1e-9
    minimum = objective(best, features, labels, C, weights)
    true_gap = objective(early, features, labels, C, weights) / minimum - 1
    assert true_gap <= early.optimality_gap + 1e-12


@pytest.mark.parametrize("spread", [0.0, 2.0, 4.0])
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unscaled_shifted_and_nearly_separable_features_are_certified(spread, C, dtype):
    features, labels = problem(1, n=300, noise=0.1, spread=spread)
    features = features.astype(dtype)
    fit = fit_softmax_regression(features, labels, classes=4, C=C)
    print(f"spread 1e{spread:g}, C {C:g}, {dtype.__name__}: {fit.passes} passes")
    assert fit.stopped == "certified"
    assert fit.optimality_gap <= 1e-6


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", [scipy.sparse.csr_array, np.asfortranarray])
def test_correlated_and_shifted_features_are_certified_in_every_form(form, seed):
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((1200, 40)) @ random.standard_normal((40, 40))
    features = mixed * np.exp(random.uniform(-3, 3, 40)) + 10 * random.standard_normal(40)
    labels = (mixed @ random.standard_normal((40, 5)) / 6 + random.gumbel(size=(1200, 5))).argmax(1)
    fit = fit_softmax_regression(form(features), labels, classes=5, C=100.0)
    assert fit.stopped == "certified"
    assert fit.passes < 100


def test_more_parameters_than_a_hessian_is_made_for():
    features, labels = problem(2, n=400, d=300, k=8)
    fit = fit_softmax_regression(features, labels, classes=8, C=0.1)
    assert fit.stopped == "certified"
    sparse = scipy.sparse.csr_array(features)
    again = fit_softmax_regression(sparse, labels, classes=8, C=0.1)
    assert again.stopped == "certified"
    assert again.objective == pytest.approx(fit.objective, rel=2e-6)


def test_weights_are_repetitions():
    features, labels = problem(3, n=80)
    repeats = np.random.default_rng(0).integers(0, 4, 80)
    repeats[:4] = 1
    weighted = fit_softmax_regression(
        features, labels, classes=4, sample_weight=repeats.astype(float), tol=1e-13
    )
    repeated = fit_softmax_regression(
        np.repeat(features, repeats, axis=0), np.repeat(labels, repeats), classes=4, tol=1e-13
    )
    np.testing.assert_allclose(weighted.coef, repeated.coef, atol=1e-6)


def test_parameters_sum_to_zero_over_the_classes():
    features, labels = problem(4)
    fit = fit_softmax_regression(features, labels, classes=4)
    np.testing.assert_allclose(fit.coef.sum(axis=0), 0, atol=1e-12)
    assert abs(fit.intercept.sum()) < 1e-12


def test_same_bits_for_any_number_of_threads():
    features, labels = problem(5, n=WORTH_SHARING // 8, d=10)
    fits = []
    for n in (1, 2, 5):
        with luce.threads(n):
            fits.append(fit_softmax_regression(features, labels, classes=4))
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.coef, fits[0].coef)


def test_progress_is_reported_after_every_pass():
    seen = []
    features, labels = problem(6)
    fit = fit_softmax_regression(
        features.astype(np.float32), labels, classes=4, on_pass=seen.append
    )
    assert [progress.passes for progress in seen] == list(range(1, fit.passes + 1))
    assert seen[-1].gap == fit.optimality_gap
    assert seen[0].value > seen[-1].value


def test_many_rows_start_from_a_sample_and_warm_starts_from_what_is_given():
    features, labels = problem(13, n=50_000, noise=3.0)
    seen = []
    cold = fit_softmax_regression(features, labels, classes=4, on_pass=seen.append)
    assert seen[0].value < 1.1 * cold.objective
    warm = fit_softmax_regression(features, labels, classes=4, start=(cold.coef, cold.intercept))
    assert (cold.stopped, warm.stopped) == ("certified", "certified")
    assert warm.passes == 2  # the first in float32


@pytest.mark.parametrize(
    ("n", "d", "k", "is_worth_it"), [(40_000, 60, 20, True), (4_600, 57, 2, False)]
)
def test_of_few_rows_a_parameter_a_sample_is_fitted_first_where_passes_are_long(
    n, d, k, is_worth_it
):
    features, labels = problem(15, n=n, d=d, k=k)
    assert 3 < n / 10 / (k * (d + 1)) < 4
    seen = []
    fit_softmax_regression(features, labels, classes=k, max_iter=2, on_pass=seen.append)
    shares = np.bincount(labels) / n
    assert (seen[0].value < -0.9 * shares @ np.log(shares)) == is_worth_it


@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_float64_features_are_fitted_as_such_though_a_copy_may_come_first(scale, shift):
    features, labels = problem(14, n=60_000, d=10, noise=10.0)
    features = (features + shift) * scale
    C = 1 / scale**2
    fit = fit_softmax_regression(features, labels, classes=4, C=C, tol=1e-9)
    assert fit.stopped == "certified"
    assert objective(fit, features, labels, C) == pytest.approx(fit.objective, rel=1e-9)


def test_progress_gives_the_fit_so_far():
    features, labels = problem(6)
    features += 100.0  # far from their centre
    seen = []

    def on_pass(progress):
        coef, intercept = progress.fitted()
        scores = features @ coef.T + intercept
        losses = logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels]
        seen.append(losses.mean() + (coef**2).sum() / (2 * len(labels)))
        assert seen[-1] == pytest.approx(progress.value, rel=1e-9)
        return len(seen) == 6

    fit = fit_softmax_regression(features, labels, classes=4, tol=1e-12, on_pass=on_pass)
    assert (fit.passes, fit.stopped) == (6, "callback")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sparse", [False, True])
def test_without_a_penalty_the_classes_that_can_be_separated_are_found(dtype, sparse):
    random = np.random.default_rng(0)
    features = random.standard_normal((500, 3)).astype(dtype)
    labels = np.arange(500) % 4
    fit = fit_softmax_regression(features, labels, classes=4, C=np.inf)
    assert (fit.stopped, len(fit.separable)) == ("certified", 0)
    features[labels == 2, 0] += 12
    given = scipy.sparse.csr_array(features) if sparse else features
    fit = fit_softmax_regression(given, labels, classes=4, C=np.inf)
    assert fit.stopped == "separable"
    np.testing.assert_array_equal(fit.separable, [2])
    assert fit.passes < 100
    for label in range(4):
        features[labels == label] += 12 * random.standard_normal(3)
    given = scipy.sparse.csr_array(features) if sparse else features
    fit = fit_softmax_regression(given, labels, classes=4, C=np.inf)
    assert fit.stopped == "separable"
    assert len(fit.separable) >= 2


def test_a_row_without_weight_does_not_keep_classes_from_being_separable():
    features = np.array([[0.0], [1.0], [2.0], [3.0], [9.0]])
    labels = np.array([0, 0, 1, 1, 0])
    fit = fit_softmax_regression(
        features, labels, classes=2, C=np.inf, sample_weight=np.array([1.0, 1, 1, 1, 0])
    )
    np.testing.assert_array_equal(fit.separable, [0, 1])


def test_constant_features_and_duplicated_features():
    features, labels = problem(7)
    widened = np.column_stack([features, features[:, 0], np.full(len(features), 7.0)])
    fit = fit_softmax_regression(widened, labels, classes=4, tol=1e-9)
    assert fit.stopped == "certified"
    np.testing.assert_allclose(fit.coef[:, 0], fit.coef[:, -2], atol=1e-4)
    np.testing.assert_allclose(fit.coef[:, -1], 0, atol=1e-4)


def test_every_class_needs_weight():
    features, labels = problem(8)
    with pytest.raises(DataError, match="class 4 has no row of positive weight"):
        fit_softmax_regression(features, labels, classes=5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_certificate_comes_soon_after_the_optimum(dtype):
    features, labels = problem(9, n=3000, d=250, k=10, noise=30.0)
    seen = []
    fit = fit_softmax_regression(
        features.astype(dtype), labels, classes=10, C=1e-2, on_pass=seen.append
    )
    arrived = next(each.passes for each in seen if each.value <= fit.objective * (1 + 1e-6))
    print(f"{np.dtype(dtype)}: optimum after {arrived} passes, certified after {fit.passes}")
    assert fit.stopped == "certified"
    assert fit.passes <= 3 * arrived


def test_what_float32_found_is_kept_where_the_certificate_is_interrupted(monkeypatch):
    features, labels = problem(0)
    value_and_gradient = SoftmaxRegression.value_and_gradient

    def pressed(self, parameters):
        if self.l2 and self.dtype == np.float64:
            raise KeyboardInterrupt
        return value_and_gradient(self, parameters)

    whole = fit_softmax_regression(features.astype(np.float32), labels, classes=4)
    monkeypatch.setattr(SoftmaxRegression, "value_and_gradient", pressed)
    fit = fit_softmax_regression(features.astype(np.float32), labels, classes=4)
    assert fit.stopped == "interrupted"
    assert whole.passes > len(fit.history) == fit.passes >= whole.passes - 2
    assert fit.objective == pytest.approx(whole.objective, rel=1e-5)


@pytest.mark.parametrize("max_iter", [1, 2, 7])
def test_the_passes_are_limited_in_float32_too(max_iter):
    features, labels = problem(10)
    fit = fit_softmax_regression(
        features.astype(np.float32), labels, classes=4, tol=1e-12, max_iter=max_iter
    )
    assert (fit.passes, fit.stopped) == (max_iter, "max_iter")


@pytest.mark.parametrize(
    "parameters", [{"tol": 0.0}, {"tol": np.nan}, {"tol": -1.0}, {"max_iter": 0}]
)
def test_impossible_limits(parameters):
    features, labels = problem(11)
    with pytest.raises(DataError, match=next(iter(parameters))):
        fit_softmax_regression(features, labels, classes=4, **parameters)


@pytest.mark.parametrize("mean", [1e5, 1e7])
@pytest.mark.parametrize("seed", range(6))
def test_sparse_float32_features_with_large_means_are_certified_truly(mean, seed):
    random = np.random.default_rng(seed)
    features = (mean * (1 + 0.1 * random.standard_normal((80, 3)))).astype(np.float32)
    labels = np.arange(80) % 3
    fit = fit_softmax_regression(scipy.sparse.csr_array(features), labels, classes=3)
    best = fit_softmax_regression(features.astype(np.float64), labels, classes=3, tol=1e-12)
    true_gap = objective(fit, features, labels, 1.0) / best.objective - 1
    assert true_gap <= fit.optimality_gap + 1e-8


def test_rare_classes_at_a_weak_penalty():
    random = np.random.default_rng(0)
    features = random.standard_normal((2000, 12)) * 10.0 ** np.arange(-3, 3).repeat(2)
    labels = np.append(np.arange(1999) % 3, 3)
    fit = fit_softmax_regression(features, labels, classes=4, C=1e6)
    assert fit.stopped == "certified"


def test_rounding_does_not_feed_what_all_classes_share():
    random = np.random.default_rng(1)
    features = random.standard_normal((2000, 12)) * 10.0 ** np.linspace(-2, 2, 12)
    labels = (features[:, :10] + random.standard_normal((2000, 10))).argmax(axis=1)
    labels[:10] = np.arange(10)
    features = features.astype(np.float32)
    fit = fit_softmax_regression(features, labels, classes=10, C=1e6)
    assert fit.stopped == "certified"
    assert objective(fit, features, labels, 1e6) == pytest.approx(fit.objective, rel=1e-9)


@pytest.mark.parametrize(
    ("scale", "parameters"),
    [
        (1e160, {}),
        (1.0, {"C": 1e308}),
        (1.0, {"C": 1e-320}),
        (1.0, {"sample_weight": np.full(200, 1e308)}),
        (1.0, {"sample_weight": np.full(200, -1.0)}),
        (1.0, {"sample_weight": np.full(200, np.nan)}),
    ],
)
def test_numbers_beyond_all_bounds_are_refused(scale, parameters):
    features, labels = problem(12)
    with np.errstate(over="ignore"), pytest.raises(DataError):
        fit_softmax_regression(features * scale, labels, classes=4, **parameters)


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


def test_a_fit_that_a_diagonal_brings_to_its_end_much_later_is_certified():
    features, labels = rare_words(2000, 1100, classes=4, words=6)
    fit = fit_softmax_regression(features, labels, classes=4, C=100.0, max_iter=250)
    assert fit.stopped == "certified"


def test_a_sparse_feature_that_no_sample_sees_may_not_overflow():
    features, labels = rare_words(2000, 1100, classes=4, words=6)
    features.data[7] = 1e30
    with pytest.raises(DataError, match="scale them down"):
        fit_softmax_regression(features, labels, classes=4)


def test_more_classes_than_have_blocks_at_first_are_certified():
    n, d, classes = 693, 227, 22
    random = np.random.default_rng(0)
    features = random.standard_normal((n, d)) @ (
        np.eye(d) + 0.5 * random.standard_normal((d, d)) / np.sqrt(d)
    )
    features *= np.exp(random.uniform(-6, 6, d))
    features += 200 * random.standard_normal(d)
    scores = (features / np.abs(features).mean(axis=0)) @ random.standard_normal((d, classes))
    labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    labels[:classes] = np.arange(classes)
    fit = fit_softmax_regression(
        features.astype(np.float32), labels, classes=classes, C=100.0, max_iter=600
    )
    assert fit.stopped == "certified"


def test_a_first_step_that_is_far_too_long_is_cut():
    features, labels = rare_words(1500, 2000, classes=5, words=25)
    fit = fit_softmax_regression(features, labels, classes=5, C=1e4, max_iter=60)
    assert fit.objective < 0.1


def test_intercepts_are_taken_out_of_the_coefficients_of_a_kronecker_product(monkeypatch):
    """With one centre for all classes half as many passes more are needed."""
    monkeypatch.setattr(curvature, "MOST_PARAMETERS", 0)
    monkeypatch.setattr(curvature, "MOST_IN_BLOCKS", 0)
    random = np.random.default_rng(0)
    features = random.standard_normal((2000, 30))
    scores = features @ (0.7 * random.standard_normal((20, 30))).T
    labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)

    def passes():
        return fit_softmax_regression(features, labels, classes=20, C=10.0).passes

    with_centres, centres = passes(), inverse_hessians._centres
    monkeypatch.setattr(
        inverse_hessians,
        "_centres",
        lambda point: np.tile(centres(point).mean(axis=0), (20, 1)),
    )
    assert with_centres < 0.75 * passes()
