import time

import numpy as np
import pytest

import luce
from luce.errors import DataError
from luce.scorers import Network
from luce.training.network import fit_network_lbfgs
from luce.training.network.batches import Batches
from luce.training.network.lbfgs import Objective


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_ends_where_the_gradient_is_small(rows, network, dtype, sparse):
    features, labels = rows(dtype=dtype, sparse=sparse)
    start = network(dtype=dtype)
    before = start.parameters.copy()
    fit = fit_network_lbfgs(start, features, labels, penalty=1.0, max_epochs=1000, tol=1e-3)
    assert fit.stopped == "tol"
    np.testing.assert_array_equal(start.parameters, before)
    assert fit.network.parameters.dtype == dtype
    _, gradient = fit.network.value_and_gradient(features, labels)
    gradient[: 4 * 8 + 8 * 3] += fit.network.parameters[: 4 * 8 + 8 * 3] / len(labels)
    assert abs(gradient).max() <= 1.1e-3
    assert (np.diff(fit.loss_curve) <= 0).all()
    assert fit.loss == fit.loss_curve[-1]
    assert fit.epochs == fit.best_epoch == len(fit.loss_curve) <= fit.steps


def test_value_and_gradient_are_the_networks_own_however_rows_are_cut(rows, network):
    features, labels = rows()
    weights = np.linspace(0, 3, 120)
    start = network()
    value, gradient = start.value_and_gradient(features, labels, weights, label_smoothing=0.1)
    matrices = start.parameters[: 4 * 8 + 8 * 3]
    gradient[: len(matrices)] += 0.5 * matrices / weights.sum()
    for size in (7, 1000):
        objective = Objective(start, Batches(features, labels, weights, size), 0.5, 0.1)
        found, slopes = objective(start.parameters)
        assert found == pytest.approx(value + 0.25 * matrices @ matrices / weights.sum(), rel=1e-12)
        np.testing.assert_allclose(slopes, gradient, atol=1e-12)


def test_limits(rows, network):
    features, labels = rows()
    fit = fit_network_lbfgs(network(), features, labels, max_epochs=5)
    assert (fit.stopped, fit.epochs) == ("max_epochs", 5)
    fit = fit_network_lbfgs(network(), features, labels, max_fun=3)
    assert fit.stopped == "max_fun"
    fit = fit_network_lbfgs(network(), features, labels, max_seconds=1e-9)
    assert (fit.stopped, fit.epochs) == ("max_seconds", 0)
    np.testing.assert_array_equal(fit.network.parameters, network().parameters)
    assert np.isfinite(fit.loss)


def test_max_seconds_keep_the_last_iteration(rows, network, monkeypatch):
    features, labels = rows()
    seen, now = [], 0.0

    def slow(progress):
        nonlocal now
        seen.append(progress)
        now += 0.05

    monkeypatch.setattr(time, "monotonic", lambda: now)
    fit = fit_network_lbfgs(network(), features, labels, max_seconds=0.12, on_epoch=slow)
    assert (fit.stopped, fit.epochs) == ("max_seconds", 3)
    np.testing.assert_array_equal(fit.network.parameters, seen[-1].network.parameters)
    assert [progress.epoch for progress in seen] == list(range(1, fit.epochs + 1))
    assert [progress.loss for progress in seen] == fit.loss_curve.tolist()


def test_callbacks_and_ctrl_c_end_the_fit(rows, network):
    features, labels = rows()

    def interrupt(progress):
        if progress.epoch == 3:
            raise KeyboardInterrupt

    by_callback = fit_network_lbfgs(
        network(), features, labels, on_epoch=lambda progress: progress.epoch == 3
    )
    interrupted = fit_network_lbfgs(network(), features, labels, on_epoch=interrupt)
    assert (by_callback.stopped, by_callback.epochs) == ("callback", 3)
    assert (interrupted.stopped, interrupted.epochs) == ("interrupted", 3)
    np.testing.assert_array_equal(by_callback.network.parameters, interrupted.network.parameters)


def test_an_interruption_before_the_first_iteration_is_the_callers(rows, network):
    features, labels = rows()
    start = network()

    class Interrupting(luce.Softmax):
        def fenchel_young(self, scores, targets, value, gradient):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_network_lbfgs(
            Network(start.layers, start.parameters, Interrupting(3.0)), features, labels
        )


def test_the_same_bits_with_any_number_of_threads(rows, network):
    features, labels = rows(n=3000, d=20, dtype=np.float32)
    fits = []
    for threads in (1, 2, 5):
        with luce.threads(threads):
            start = network(d=20, hidden=(50,), dtype=np.float32)
            fits.append(fit_network_lbfgs(start, features, labels, max_epochs=10))
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.network.parameters, fits[0].network.parameters)


def test_dropout_is_refused(rows, network):
    features, labels = rows()
    for options in ({"dropout": 0.5}, {"dropout": 0.5, "residual": True, "hidden": (4, 4)}):
        with pytest.raises(DataError, match="without dropout"):
            fit_network_lbfgs(network(**options), features, labels)


def test_a_loss_that_is_not_finite_says_what_to_do(rows, network):
    features, labels = rows()
    with pytest.raises(DataError, match="not finite: scale the features"):
        fit_network_lbfgs(network(hidden=()), features * 1e307, labels)


@pytest.mark.parametrize(
    "arguments",
    [
        {"tol": 0.0},
        {"max_epochs": 0},
        {"max_fun": 0},
        {"penalty": -1.0},
        {"label_smoothing": -0.1},
        {"max_seconds": 0.0},
    ],
)
def test_settings_out_of_range_are_refused(rows, network, arguments):
    features, labels = rows()
    with pytest.raises(DataError, match=next(iter(arguments))):
        fit_network_lbfgs(network(), features, labels, **arguments)
