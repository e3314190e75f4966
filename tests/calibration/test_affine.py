"""The ridge regression below vector and matrix scaling: derivatives, minimum, certificate."""

import numpy as np
import pytest
from scipy.optimize import minimize

import luce
from luce.calibration import affine
from luce.calibration.affine import Ridge, minimise
from luce.calibration.given import labelled
from luce.calibration.held_out import folds_of
from luce.calibration.temperature import best_temperature
from luce.training.objective import WORTH_SHARING

SHAPES = [pytest.param(0, id="vector"), pytest.param(2, id="rank 2"), pytest.param(4, id="whole")]


@pytest.fixture
def ridge_of(calibrated):
    """F with a given rank of directions, over 300 weighted rows of 4 classes."""

    def make(rank, strength=3.0, temperature=1.7):
        scores, labels = calibrated(300, 4)
        scores += [0.0, 1.0, -1.0, 0.0]
        scores[:5, 0], labels[0], labels[1:5] = -np.inf, 0, 2
        weights = np.random.default_rng(1).gamma(1.0, size=300)
        rows = labelled(scores, labels, weights)
        directions = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0][:, :rank]
        return Ridge(rows, temperature, directions, strength)

    return make


def random_theta(ridge, seed=0):
    return 0.1 * np.random.default_rng(seed).normal(size=ridge.shape)


def plain_value(ridge, theta):
    """F by its formula."""
    rows, k, n = ridge.rows, ridge.rows.classes, ridge.rows.effective
    x = np.maximum(luce.log_softmax(rows.scores / ridge.temperature), affine.FLOOR)
    scores = x + x * theta[:, 0] + theta[:, 1] + x @ ridge.directions @ theta[:, 2:].T
    possible = rows.of_labels() > -np.inf
    loss = luce.cross_entropy(
        scores[possible], rows.labels[possible], sample_weight=rows.weights[possible]
    )
    sizes = k * (theta[:, :2] ** 2).sum() + k * (k - 1) * (theta[:, 2:] ** 2).sum()
    return loss + ridge.strength / (2 * n) * sizes


@pytest.mark.parametrize("rank", SHAPES)
def test_the_value_is_its_formula(ridge_of, rank):
    ridge = ridge_of(rank)
    theta = random_theta(ridge)
    assert ridge.value_and_gradient(theta)[0] == pytest.approx(plain_value(ridge, theta))


@pytest.mark.parametrize("rank", SHAPES)
def test_derivatives_are_differences(ridge_of, rank):
    ridge = ridge_of(rank)
    theta, step = random_theta(ridge), 1e-5
    gradient, product = ridge.value_and_gradient(theta)[1], ridge.hessian(theta)
    for seed in range(3):
        direction = random_theta(ridge, seed + 1)
        (less, before), (more, after) = (
            ridge.value_and_gradient(theta + sign * step * direction) for sign in (-1, 1)
        )
        assert np.vdot(gradient, direction) == pytest.approx((more - less) / (2 * step), rel=1e-6)
        np.testing.assert_allclose(product(direction), (after - before) / (2 * step), atol=1e-8)


def test_products_are_the_same_without_memory(ridge_of, monkeypatch):
    ridge = ridge_of(2)
    theta, direction = random_theta(ridge), random_theta(ridge, 1)
    kept = ridge.hessian(theta)(direction)
    monkeypatch.setattr(affine, "MOST_KEPT", 0)
    np.testing.assert_array_equal(ridge.hessian(theta)(direction), kept)


@pytest.mark.parametrize("rank", SHAPES)
def test_the_preconditioner_inverts_the_blocks(ridge_of, rank):
    ridge = ridge_of(rank)
    theta = random_theta(ridge)
    product, inverse = ridge.hessian(theta), ridge.preconditioner(theta)
    for c in range(4):
        block = np.empty(inverse[c].shape)
        for i in range(len(block)):
            unit = np.zeros(ridge.shape)
            unit[c, i] = 1.0
            block[:, i] = product(unit)[c]
        np.testing.assert_allclose(inverse[c] @ block, np.eye(len(block)), atol=1e-8)


@pytest.mark.parametrize("strength", [100.0, 1.0, 0.001])
@pytest.mark.parametrize("rank", SHAPES)
def test_the_minimum_is_that_of_scipy(ridge_of, rank, strength):
    ridge = ridge_of(rank, strength)
    found = minimise(ridge, np.zeros(ridge.shape), certified=True)

    def value_and_gradient(theta):
        value, gradient = ridge.value_and_gradient(theta.reshape(ridge.shape))
        return value, gradient.ravel()

    options = {"gtol": 1e-10, "maxiter": 10_000}
    start = np.zeros(found.size)
    other = minimize(value_and_gradient, start, jac=True, method="BFGS", options=options)
    gap = ridge.value_and_gradient(found)[0] - other.fun
    assert -1e-12 < gap <= affine.ENOUGH / ridge.rows.effective


def test_the_certificate_is_an_upper_bound(ridge_of):
    ridge = ridge_of(2)
    least = ridge.value_and_gradient(minimise(ridge, np.zeros(ridge.shape), certified=True))[0]
    for seed in range(5):
        value, gradient = ridge.value_and_gradient(random_theta(ridge, seed))
        assert value - least <= (gradient**2 / ridge.penalty).sum() / 2


def test_a_fit_for_cross_validation_is_near_enough(ridge_of):
    ridge = ridge_of(4, 0.01)
    least, near = (
        ridge.value_and_gradient(minimise(ridge, np.zeros(ridge.shape), certified=certified))[0]
        for certified in (True, False)
    )
    assert near - least <= affine.LITTLE / ridge.rows.effective


def test_the_fit_that_is_kept_is_certified(ridge_of, monkeypatch):
    monkeypatch.setattr(affine, "STRENGTHS", (1e-6,))  # hard to certify
    rows = ridge_of(2).rows
    directions = np.eye(4)
    trial = affine.tried(rows, folds_of(rows), lambda *_: directions, lambda fit: fit)
    fit = trial.finish(rows)
    ridge = Ridge(rows, fit.temperature, directions, fit.strength)
    gradient = ridge.value_and_gradient(fit.theta)[1]
    assert fit.strength < np.inf
    assert (gradient**2 / ridge.penalty).sum() / 2 <= affine.ENOUGH / rows.effective


def test_held_out_losses_are_of_fits_without_the_row(ridge_of):
    rows = ridge_of(0).rows
    folds = folds_of(rows)
    trial = affine.tried(rows, folds, lambda *_: np.empty((4, 0)), lambda fit: fit)
    strength = trial.finish(rows).strength
    for fold in (0, 3):
        others, inside = rows.take(folds != fold), folds == fold
        ridge = Ridge(others, best_temperature(others), np.empty((4, 0)), strength)
        theta = minimise(ridge, np.zeros((4, 2)), certified=True)
        scores = affine.corrected(rows.scores[inside], ridge.temperature, ridge.directions, theta)
        expected = luce.cross_entropy(scores, rows.labels[inside], reduction="none")
        np.testing.assert_allclose(trial.losses[inside], expected, rtol=0.01)


def test_peers_find_nearly_the_same():
    random = np.random.default_rng(0)
    scores = 2 * random.normal(size=(400, 4))
    labels = (scores + random.gumbel(size=(400, 4))).argmax(axis=1)
    rows = labelled(2.5 * scores + [0.0, 0.5, 0.0, -1.0], labels, None)
    ridge = Ridge(rows, 2.64184012, np.empty((4, 0)), 2.0)
    scale, bias = minimise(ridge, np.zeros((4, 2)), certified=True).T
    # probmetrics 1.3.0, "svs": its penalty has no 1/2, and its temperature is a little smoothed
    np.testing.assert_allclose(1 + scale, [1.04767, 1.10059, 1.01911, 0.95120], atol=0.01)
    np.testing.assert_allclose(bias, [-0.22747, 0.04184, -0.00991, 0.19554], atol=0.01)


def test_threads_do_not_show(calibrated):
    scores, labels = calibrated(WORTH_SHARING // 4, 5)
    ridge = Ridge(labelled(scores, labels, None), 1.0, np.eye(5), 1.0)
    theta, found = random_theta(ridge), []
    for n in (1, 2):
        with luce.threads(n):
            found.append((ridge.value_and_gradient(theta)[1], ridge.hessian(theta)(theta)))
    np.testing.assert_array_equal(found[0], found[1])
